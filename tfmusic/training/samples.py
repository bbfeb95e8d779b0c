"""What a model makes while it trains: files to play, and all of it in TensorBoard.

A family says by its endpoints what it can show: with `generate` new pieces, always from
the same seed, so that they can be heard to grow; without it, but with `reconstruct`,
held-out pieces given back.
"""

import functools
import os
import time
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from tfmusic.data.dataset import Dataset
from tfmusic.evaluation.comparison import (
    COPIES,
    GENERATED,
    HELD_OUT,
    Comparison,
    PieceReport,
    report,
)
from tfmusic.evaluation.music_statistics import RANGES
from tfmusic.evaluation.pictures import piano_roll_image
from tfmusic.evaluation.tables import aggregate, labels_by_section
from tfmusic.files import make_directory, write_file, writing
from tfmusic.models import MusicModel
from tfmusic.notes import NoteSequence
from tfmusic.notes.synthesis import synthesize
from tfmusic.notes.writing import to_midi_bytes
from tfmusic.training.checkpoints import Progress
from tfmusic.training.tensorboard import write_token_vectors

NUM_PIECES = 8  # whose statistics are shown
_NUM_SHOWN = 3
_MAX_AUDIO_SECONDS = 30.0
_SAMPLE_RATE = 16_000
# Cards in TensorBoard's tabs are 350 pixels wide or 215 high; letters have to be
# legible in either.
_PICTURE = {"width": 700, "inches": 5.0, "panel_inches": 2.5}
_SEED = 0
# Too many for curves; the table has them.
_NO_CURVES = (RANGES, COPIES)
# The fraction of a run's time that sampling may take; short epochs go without.
_MAX_TIME_SHARE = 0.1


class Sampler:
    """A model's endpoint that makes music, and held-out music to compare with.

    Attributes:
        held_out: The beginnings of held-out pieces.
        in_seconds: Whether pictures show seconds, for music without a beat.
    """

    def __init__(self, model: MusicModel, dataset: Dataset, num_steps: int):
        """Reads the held-out pieces.

        Args:
            model: Any family.
            dataset: What it learns from.
            num_steps: Length of the pieces.
        """
        self._representation = model.output_representation
        self.in_seconds = not self._representation.steps_per_quarter
        names = list(model.representation.feature_specs)
        self._prompts = [
            {name: piece[name][:num_steps] for name in names}
            for piece in dataset.pieces("validation")
            .take(NUM_PIECES)
            .as_numpy_iterator()
        ]
        self.held_out = [
            self._decode(model.output_arrays(piece)) for piece in self._prompts
        ]
        endpoints = model.endpoints()
        self._name = next(
            (n for n in ("generate", "reconstruct") if n in endpoints), ""
        )
        if self._name:
            self._endpoint = endpoints[self._name]
            self._function = self._endpoint.function
            self._values = {control.name: control.default for control in model.CONTROLS}
            self._values |= dict(
                num_outputs=NUM_PIECES, num_steps=num_steps, seed=_SEED
            )

    def make(self) -> list[NoteSequence]:
        """Makes music with the model as it is; [] where it has no way to."""
        if not self._name:
            return []
        inputs = [
            tf.cast(self._input(spec.name), spec.dtype)
            for spec in self._endpoint.input_signature
        ]
        arrays = {n: t.numpy() for n, t in self._function(*inputs).items()}
        names = list(self._representation.feature_specs)
        lengths = arrays.get("num_steps", [None] * len(arrays[names[0]]))
        return [
            self._decode({name: arrays[name][i, :n] for name in names})
            for i, n in enumerate(lengths)
        ]

    def _input(self, name: str) -> np.ndarray | float:
        if name in self._values:
            return self._values[name]
        arrays = [piece[name] for piece in self._prompts]
        shortest = min(map(len, arrays))
        return np.stack([array[:shortest] for array in arrays])

    def _decode(self, arrays: dict[str, np.ndarray]) -> NoteSequence:
        specs = self._representation.feature_specs
        return self._representation.decode({name: arrays[name] for name in specs})


class Samples(keras.callbacks.Callback):
    """Writes music, pictures, sound and statistics of what the model makes.

    MIDI files and pictures lie in `samples/step_NUMBER/` of the workdir, and those of
    held-out pieces in `samples/held_out/`. TensorBoard has the rest too: curves under
    `music` stand in the run `generated`, and in `held-out` as they should be: the same
    number of steps from the beginning of held-out pieces.
    """

    def __init__(
        self, workdir: str, sampler: Sampler, progress: Progress, every_epochs: int
    ):
        """Prepares the writers.

        Args:
            workdir: It may be in a bucket.
            sampler: Makes the music.
            progress: How far the run has come.
            every_epochs: Epochs from one time to the next.
        """
        super().__init__()
        self._sampler = sampler
        self._progress = progress
        self._every_epochs = every_epochs
        self._directory = os.path.join(workdir, "samples")
        self._log_dir = os.path.join(workdir, "tensorboard")
        self._writers = {
            name: tf.summary.create_file_writer(f"{self._log_dir}/{name}")
            for name in ("generated", "held-out")
        }
        self._pitches = [
            note.pitch for piece in sampler.held_out for note in piece.notes
        ]
        self._seconds = 0.0
        self._step_shown = 0

    def on_train_begin(self, logs=None):
        """Shows the held-out pieces, once."""
        self._start = time.monotonic()
        if not int(self._progress.step):
            with self._writers["held-out"].as_default(step=0):
                self._show(self._sampler.held_out, "held_out")

    def on_epoch_end(self, epoch, logs=None):
        """Shows what the model makes, unless that would take too long."""
        is_due = (epoch + 1) % self._every_epochs == 0
        has_time = self._seconds <= _MAX_TIME_SHARE * (time.monotonic() - self._start)
        # The last one before its checkpoint, after which the run counts as complete.
        if (is_due and has_time) or epoch + 1 == self.params["epochs"]:
            self._write()

    def on_train_end(self, logs=None):
        """Shows what the model makes where the run stopped early."""
        if self._step_shown != int(self._progress.step):
            self._write()

    def _write(self) -> None:
        before = time.monotonic()
        step = self._step_shown = int(self._progress.step)
        pieces = self._sampler.make()
        held_out = self._held_out
        with self._writers["generated"].as_default(step=step):
            self._show(pieces, f"step_{step:08d}")
            generated = self._report(pieces)
            self._draw_curves(generated)
            if pieces:
                comparison = Comparison({GENERATED: generated, HELD_OUT: held_out})
                tf.summary.text("statistics", comparison.table())
                if comparison.mean_overlap:
                    mean = comparison.mean_overlap.mean
                    tf.summary.scalar("music/mean overlap with held-out", mean)
        with self._writers["held-out"].as_default(step=step):
            self._draw_curves(held_out)
        for writer in self._writers.values():
            writer.flush()
        write_token_vectors(self.model, f"{self._log_dir}/training")
        seconds = time.monotonic() - before
        if not self._seconds:
            logging.info("writing music took %.1f s", seconds)
        self._seconds += seconds

    def _show(self, pieces: Sequence[NoteSequence], folder: str) -> None:
        """Writes music, pictures and sound of the first pieces."""
        directory = os.path.join(self._directory, folder)
        for number, piece in enumerate(pieces[:_NUM_SHOWN], start=1):
            title = (
                f"piece {number}: {len(piece.notes)} notes, {piece.total_time:.0f} s"
            )
            picture = piano_roll_image(
                [(title, piece)],
                in_seconds=self._sampler.in_seconds,
                pitches=self._pitches,
                **_PICTURE,
            )
            tf.summary.image(f"piano_roll/{number}", picture[np.newaxis])
            sound = synthesize(piece, _SAMPLE_RATE)
            sound = sound[: int(_MAX_AUDIO_SECONDS * _SAMPLE_RATE)]
            tf.summary.audio(
                f"sound/{number}", sound[np.newaxis, :, np.newaxis], _SAMPLE_RATE
            )
            path = f"{directory}/piece_{number}"
            with writing(path):
                make_directory(directory)
            write_file(f"{path}.mid", to_midi_bytes(piece))
            write_file(f"{path}.png", tf.io.encode_png(picture).numpy())

    @functools.cached_property
    def _held_out(self) -> list[PieceReport]:
        return self._report(self._sampler.held_out)

    def _report(self, pieces: Sequence[NoteSequence]) -> list[PieceReport]:
        # Both sets are cut at the same length, so they have no endings.
        has_beat = not self._sampler.in_seconds
        return report(pieces, has_beat=has_beat, are_whole=False)

    def _draw_curves(self, pieces: Sequence[PieceReport]) -> None:
        """Draws the means of what held-out music has."""
        values = aggregate(pieces)
        for section, labels in labels_by_section(self._held_out).items():
            for label in labels:
                if label in values and section not in _NO_CURVES:
                    tag = f"music: {section.lower()}/{label}"
                    tf.summary.scalar(tag, values[label].mean)
