"""Makes a model that comes with tfmusic, from its data to one file.

    python -m pretrained.make chorales
    python -m pretrained.make piano --source=piano_midi_de:FOLDER

Builds the dataset, trains, scores the run with 64 pieces, and writes the model and its
hash. Called again it resumes where it was stopped. What it makes on the way is in
runs/pretrained/NAME. With --run=DIR it exports the weights of a run that is there, with
--again those that the file has: the same model, as this version of tfmusic exports it.
"""

import dataclasses
import os
import pathlib
import subprocess
import sys
import tempfile

from absl import app, flags

from tfmusic.errors import choose
from tfmusic.serving.catalogue import CARD, PLACES, read_card, write_hash
from tfmusic.serving.model_card import describe_model
from tfmusic.serving.origins import find_origin
from tfmusic.serving.packed import as_directory, pack
from tfmusic.serving.player import newest_version
from tfmusic.serving.saved_model import export_model

_SOURCE = flags.DEFINE_string("source", None, "The music, where no package carries it.")
_RUN = flags.DEFINE_string(
    "run", None, "A run that is trained and scored: its weights are exported again."
)
_AGAIN = flags.DEFINE_bool("again", False, "Export the file's own weights again.")
_WHEEL, _CLONE = PLACES


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a model is made.

    Attributes:
        config: The experiment.
        source: Of `tfmusic build`; empty: given by --source.
        place: The folder of the file: in the wheel, or in a clone alone.
    """

    config: str
    source: str
    place: pathlib.Path


RECIPES = {
    "chorales": Recipe("chord_lstm:chorales", "bach_chorales", _WHEEL),
    "folk": Recipe("bar_lstm:folk", "folk", _WHEEL),
    "harmony": Recipe("coconet", "bach_chorales", _WHEEL),
    "piano": Recipe("bar_lstm:piano", "", _CLONE),
}


def main(arguments: list[str]) -> None:
    """Makes the model that the argument names."""
    if len(arguments) != 2:
        sys.exit(f"error: expected one name, of {', '.join(RECIPES)}")
    name = choose("model", arguments[1], RECIPES)
    recipe = RECIPES[name]
    path = recipe.place / f"{name}.zip"
    if _AGAIN.value:
        _export_again(path)
        return
    if _RUN.value:
        _export(f"--workdir={_RUN.value}", path)
        return
    source = _SOURCE.value or recipe.source
    if not source:
        sys.exit(f"error: {name}: expected --source=, where its music is")
    folder = f"runs/pretrained/{name}"
    data, run = f"--data_dir={folder}/data", f"--workdir={folder}/run"
    config = f"--config={recipe.config}"
    _call("build", config, f"--source={source}", f"--output_dir={folder}/data")
    _call("train", config, data, run)
    _call("evaluate", data, run, "--pieces=64")
    _export(run, path)


def _export(run: str, path: pathlib.Path) -> None:
    """Writes a run's model and its hash."""
    _call("export", run, f"--export_dir={path}")
    write_hash(str(path))


def _export_again(path: pathlib.Path) -> None:
    """Writes the graphs of a model's file anew, and its hash."""
    model = find_origin(str(path))
    with as_directory(str(path)) as folder:
        card = read_card(os.path.join(newest_version(folder), CARD))
    card |= describe_model(model.config, model.model)
    del card["endpoints"]
    with tempfile.TemporaryDirectory() as folder:
        version = os.path.join(folder, "1")
        export_model(model.model, card, version)
        pack(version, str(path))
    write_hash(str(path))


def _call(command: str, *arguments: str) -> None:
    """Runs a command of tfmusic; ends with its status if that is not 0."""
    done = subprocess.run([sys.executable, "-m", "tfmusic", command, *arguments])
    if done.returncode:
        sys.exit(done.returncode)


if __name__ == "__main__":
    app.run(main)
