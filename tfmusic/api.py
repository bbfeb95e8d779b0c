"""The package in a dozen names, for notebooks and scripts: `tfmusic.read_music`, ...

Each does what a command line does, or a function further inside. What takes long to
import (TensorFlow, Beam) is imported when it is first needed.
"""

import functools
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ml_collections import ConfigDict

import tfmusic
from tfmusic import checks, notebook
from tfmusic.compat import import_tensorflow
from tfmusic.config import load_config
from tfmusic.errors import UserError
from tfmusic.notes import NoteSequence, Pieces
from tfmusic.notes.guarded import read_guarded
from tfmusic.notes.writing import write_midi, write_musicxml, write_wav
from tfmusic.serving.inputs import check_music

if TYPE_CHECKING:
    from PIL.Image import Image

    from tfmusic.data.dataset_info import DatasetInfo
    from tfmusic.evaluation.comparison import Comparison
    from tfmusic.serving.player import Player

__all__ = list(tfmusic.API)
notebook.begin()

_WRITERS = {
    ".mid": write_midi,
    ".midi": write_midi,
    ".musicxml": write_musicxml,
    ".xml": write_musicxml,
    ".wav": write_wav,
}


def read_music(path: str | os.PathLike, play_repeats: bool = True) -> NoteSequence:
    """Reads a MIDI, MusicXML or ABC file.

    It is read in a process of its own, so that a damaged file costs an error and not
    all memory.

    Args:
        path: The file; of a tunebook, the first tune that can be read is.
        play_repeats: Whether the repeats of a score are played, or every measure once.

    Raises:
        UserError: It is not there, or no such music.
    """
    return read_guarded(checks.path("path", path), play_repeats=play_repeats)


def write_music(sequence: NoteSequence, path: str | os.PathLike) -> None:
    """Writes music as what the file's name says: .mid, .musicxml or .wav.

    Raises:
        UserError: The name has another ending.
    """
    check_music("sequence", sequence)
    ending = os.path.splitext(checks.path("path", path))[1].lower()
    if ending not in _WRITERS:
        raise UserError(f"{path}: expected a name that ends in {', '.join(_WRITERS)}")
    _WRITERS[ending](sequence, path)


def build_dataset(
    config: str | ConfigDict, source: str, output_dir: str, **settings: Any
) -> "DatasetInfo":
    """Writes the TFRecords of an experiment, as `pipelines.build_tfrecords` does.

    Args:
        config: `FILE`, `FILE:VARIANT`, or what `load_config` made of one.
        source: `bach_chorales`, a folder, zip, file or pattern, or `KIND:PATH`.
        output_dir: The dataset's directory; a dataset that is there already is kept if
            it is the same.
        **settings: Such as `overwrite=True`, `test_fraction=0.2`, `num_workers=1`.

    Returns:
        What is in the dataset.

    Raises:
        UserError: Something about the arguments, or there is no Beam.
    """
    import_tensorflow()
    from tfmusic.data.dataset_info import DatasetInfo
    from tfmusic.pipelines.building import write_datasets
    from tfmusic.training.experiment import check_config

    loaded = _load(config)
    check_config(loaded, needed=("representation", "data"))
    write_datasets([config], source, output_dir, **settings)
    return DatasetInfo.load(output_dir)


def read_pieces(data_dir: str, split: str) -> Pieces:
    """The pieces of a dataset's split, as the experiment's representation keeps them.

    Raises:
        UserError: There is no such dataset or split.
    """
    import_tensorflow()
    from tfmusic.serving import gallery

    return gallery.read_pieces(checks.path("data_dir", data_dir), split)


def train_model(
    config: str | ConfigDict, data_dir: str, workdir: str, init_from: str = ""
) -> None:
    """Trains from where an earlier call left off, as `tfmusic.train` does.

    Args:
        config: `FILE`, `FILE:VARIANT`, or what `load_config` made of one.
        data_dir: A dataset that was written with it.
        workdir: Gets checkpoints, `metrics.csv` and what TensorBoard shows.
        init_from: A run, an export or a model by name; a new run begins with its
            weights.

    Raises:
        UserError: They do not fit each other.
    """
    import_tensorflow()
    from tfmusic.serving.origins import find_origin
    from tfmusic.training.setup import train_and_evaluate

    config = _load(config)
    data_dir, workdir = (
        checks.path("data_dir", data_dir),
        checks.path("workdir", workdir),
    )
    find = functools.partial(find_origin, init_from) if init_from else None
    train_and_evaluate(config, data_dir, workdir, find)


def evaluate_model(
    workdir: str, data_dir: str, split: str = "test", checkpoint: str | int = ""
) -> dict[str, Any]:
    """Scores a run's weights on a split, as `tfmusic.evaluate` does.

    Args:
        workdir: The run's directory.
        data_dir: A dataset of the same representation.
        split: `"train"`, `"validation"` or `"test"`.
        checkpoint: Which weights: `"best"`, those with the lowest validation loss,
            `"latest"` or a step; empty: as the run's config says.

    Returns:
        `num_steps`, `num_pieces`, the loss and the metrics of training; besides, what
        whole pieces are scored by: `log_likelihood_per_step` in nats for models that
        go step by step, how well pieces come back from a `set_autoencoder`, how near
        samples of a `latent_wgan` come to held-out music.

    Raises:
        UserError: There is no such run or dataset, or the result cannot be written.
    """
    import_tensorflow()
    from tfmusic.training.scoring import evaluate_run

    workdir, data_dir = (
        checks.path("workdir", workdir),
        checks.path("data_dir", data_dir),
    )
    # A notebook shows what the cell gives.
    return evaluate_run(workdir, data_dir, split, prints=False, checkpoint=checkpoint)


def export_model(workdir: str, export_dir: str, checkpoint: str | int = "") -> str:
    """Writes a run's weights as a SavedModel, as `tfmusic.export` does.

    Args:
        workdir: The run's directory.
        export_dir: Gets the model, as a numbered version.
        checkpoint: Which weights, as of `evaluate_model`.

    Returns:
        The directory of the new version.

    Raises:
        UserError: `workdir` holds no run with such a checkpoint, or `export_dir`
            cannot be written.
    """
    import_tensorflow()
    from tfmusic.serving.saved_model import export_run

    workdir = checks.path("workdir", workdir)
    return export_run(workdir, checks.path("export_dir", export_dir), checkpoint)


def load_model(model: str) -> "Player":
    """Loads a model: `generate` makes music with it, `score` judges music.

    Args:
        model: The name of a model that comes with tfmusic, such as `"chorales"`
            (`tfmusic models` lists them); or what `export_model` wrote.

    Raises:
        UserError: There is no such model.
    """
    from tfmusic.serving.player import Player

    return Player(checks.path("model", model))


def draw_primer(
    model: "Player",
    data_dir: str,
    split: str = "test",
    seed: int = 0,
    **length: float | None,
) -> NoteSequence:
    """A part of a random piece of a dataset, from a random measure on, as a primer.

    Args:
        model: Which it is for; the dataset may be of another representation.
        data_dir: The dataset.
        split: `"train"`, `"validation"` or `"test"`.
        seed: Decides the piece and the measure.
        **length: `steps`, `bars` or `seconds`, as of `model.cut_primer`; 4 bars, or 8
            seconds of music without a beat, if none is given.

    Raises:
        UserError: There is no such dataset or split, or no piece as long as that.
    """
    import_tensorflow()
    from tfmusic.serving import random_primers

    kind, data_dir = model.representation, checks.path("data_dir", data_dir)
    seed = checks.whole_number("seed", seed, -(2**63) + 1, 2**63 - 1)
    return random_primers.draw_primer(kind, data_dir, split, seed, **length)


def plot_music(
    *pieces: NoteSequence, titles: Sequence[str] = (), in_seconds: bool = False
) -> "Image":
    """Draws piano rolls above one another; a notebook shows the picture.

    Args:
        *pieces: The music; the first 96 quarter notes of each are shown.
        titles: A title for each; file names by default.
        in_seconds: Whether time runs in seconds instead of quarter notes.

    Returns:
        A picture that `.save("piece.png")` writes.

    Raises:
        UserError: There are no pieces, or not as many titles as pieces.
    """
    from PIL import Image

    from tfmusic.evaluation.pictures import piano_roll_image

    for piece in pieces:
        check_music("pieces", piece)
    titles = list(titles) or [piece.filename for piece in pieces]
    if len(titles) != len(pieces):
        raise UserError(
            f"titles: expected one for each of the {len(pieces)} pieces, got "
            f"{len(titles)}; leave them out to see file names"
        )
    panels = list(zip(titles, pieces, strict=True))
    return Image.fromarray(piano_roll_image(panels, in_seconds=in_seconds))


def play_music(
    *pieces: NoteSequence | Sequence[NoteSequence], titles: Sequence[str] = ()
) -> None:
    """Shows pieces as piano rolls that play.

    In a notebook they are shown below the cell; elsewhere a page opens in the browser,
    as with `tfmusic play`, until Ctrl-C.

    Args:
        *pieces: The music, or lists of it.
        titles: A title for each; file names by default.

    Raises:
        UserError: There are no pieces, not as many titles as pieces, or the page's
            packages are not installed.
    """
    notebook.show(pieces, titles)


def compare_music(
    generated: Sequence[NoteSequence],
    held_out: Sequence[NoteSequence],
    training: Sequence[NoteSequence] = (),
    as_written: Sequence[NoteSequence] = (),
    has_beat: bool | None = None,
) -> "Comparison":
    """Compares new with held-out music: `.table()` and `.to_json()` tell the result.

    What is measured: docs/measures.md.

    Args:
        generated: What a model made.
        held_out: What it should resemble, such as `read_pieces(data_dir, "test")`.
        training: What it learned from: adds how much the pieces copy of it.
        as_written: The held-out pieces before they were encoded, if there are any.
        has_beat: Whether tempos mean anything; None finds that out from held-out music.
    """
    from tfmusic.evaluation.comparison import compare

    given = dict(generated=generated, held_out=held_out, training=training)
    for name, pieces in {**given, "as_written": as_written}.items():
        for piece in checks.sequence(name, pieces):
            check_music(name, piece)
    for name, pieces in (("generated", generated), ("held_out", held_out)):
        if not pieces:
            raise UserError(f"{name}: expected pieces to compare, got none")
    return compare(generated, held_out, training, as_written, has_beat)


def _load(config: str | ConfigDict) -> ConfigDict:
    """An experiment of a file, or as it is given.

    Raises:
        UserError: It is neither.
    """
    if isinstance(config, Mapping | ConfigDict):
        return config
    return load_config(config)
