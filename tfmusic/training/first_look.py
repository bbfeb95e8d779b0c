"""What a run has to learn from and what it does with it, before its first step."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from tfmusic.data.dataset import Dataset
from tfmusic.data.settings import DataSettings
from tfmusic.data.windows import Windows
from tfmusic.errors import UserError
from tfmusic.training.live_line import duration
from tfmusic.training.optimizers import Schedule
from tfmusic.training.settings import TrainSettings

# Fewer pieces say little of what is heard in general.
_FEW_VALIDATION_PIECES = 3
# Ten hours: what is less is worth varying.
_SMALL_SECONDS = 36_000
# Larger sets have no use for a look at every token, which takes time.
_MOST_STEPS_TO_COUNT = 2_000_000


def check_splits(data_dir: str, splits: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuses a dataset that a run cannot be judged by.

    Raises:
        UserError: It has no pieces to train on or to validate with.
    """
    for name, flag in (("train", ""), ("validation", "--validation_fraction=0.1")):
        if not splits[name]["num_pieces"]:
            raise UserError(
                f"{data_dir}: expected pieces in its {name} split, found none; build "
                f"it again with more music{' and ' if flag else ''}{flag}"
            )


def describe_plan(
    dataset: Dataset,
    windows: Windows,
    settings: TrainSettings,
    steps_per_epoch: int,
    num_passes: float,
    schedule: Schedule,
    min_steps: int,
) -> Iterator[str]:
    """The choices of a run, a line each, with the settings that change them.

    Args:
        dataset: What it learns from.
        windows: How that is cut and varied.
        settings: Of the training.
        steps_per_epoch: Of an epoch.
        num_passes: Passes over the music of an epoch.
        schedule: The learning rate's.
        min_steps: Before which the run does not stop early.
    """
    splits, num_epochs = dataset.info.splits, settings.num_epochs
    train, held_out = splits["train"], splits["validation"]
    yield (
        f"music: {train['num_pieces']:,d} pieces to train on "
        f"({duration(train['seconds'])}), {held_out['num_pieces']:,d} to "
        f"validate with, {splits['test']['num_pieces']:,d} to test with"
    )
    yield (
        f"epochs: at most {num_epochs}, each {num_passes:.3g} times through the "
        f"music in {steps_per_epoch:,d} steps (--config.train.num_epochs, "
        "min_steps_per_epoch, steps_per_epoch)"
    )
    yield (
        f"learning rate: {schedule} after a warm-up of {schedule.warmup_steps} steps "
        "(--config.optimizer.schedule, learning_rate, warmup_steps)"
    )
    if patience := settings.early_stopping_epochs:
        yield (
            f"early stopping: after {patience} epochs ({patience * steps_per_epoch:,d} "
            f"steps) without a lower validation loss, not before step {min_steps:,d} "
            "(--config.train.early_stopping_epochs, early_stopping_min_steps)"
        )
    yield f"variation: {variation_in_words(windows.settings)}"


def notes_on_music(dataset: Dataset, windows: Windows) -> Iterator[str]:
    """What about the music stands in the way of learning, and what would help."""
    splits = dataset.info.splits
    number = splits["validation"]["num_pieces"]
    if number < _FEW_VALIDATION_PIECES:
        yield (
            f"note: only {number} validation piece{'s' if number > 1 else ''}, so the "
            "validation loss says little; tfmusic build --validation_fraction=0.2 "
            "keeps more"
        )
    lengths = np.array(splits["train"].get("piece_steps", []))
    shorter = np.count_nonzero(lengths < windows.steps)
    if shorter > len(lengths) / 2:
        middle = int(np.median(lengths))
        yield (
            f"note: windows of {windows.steps} steps are longer than {shorter} of "
            f"{len(lengths)} pieces (half have less than {middle}); "
            f"--config.data.window_steps={middle} learns as much in less time"
        )
    yield from _note_on_tokens(dataset)
    if splits["train"]["seconds"] < _SMALL_SECONDS and _could_transpose(
        dataset, windows
    ):
        yield (
            "note: a small set, and windows are not transposed; "
            "--config.data.transpose_semitones=5 makes more of it"
        )


def _note_on_tokens(dataset: Dataset) -> Iterator[str]:
    kind, train = dataset.representation, dataset.info.splits["train"]
    if "tokens" not in kind.fitted_fields:
        return
    if train["num_steps"] > _MOST_STEPS_TO_COUNT:
        return
    counts = np.zeros(len(kind.vocabulary), np.int64)
    for piece in dataset.pieces("train"):
        tokens = np.ravel(piece["tokens"])
        counts += np.bincount(tokens, minlength=len(counts))
    used, once = np.count_nonzero(counts), np.count_nonzero(counts == 1)
    if once > used / 2:
        yield (
            f"note: {once:,d} of {used:,d} tokens of {kind.name} come once in the "
            "music, too seldom to be learned; more music, a smaller "
            "representation.max_vocabulary in a config of your own, or an experiment "
            "that spells chords note by note, such as performance_lstm"
        )


def _could_transpose(dataset: Dataset, windows: Windows) -> bool:
    settings, kind = windows.settings, dataset.representation
    if (
        windows.consecutive
        or settings.transpose_semitones
        or settings.key != "original"
    ):
        return False
    if "fit_semitones" in kind.settings() and not kind.fit_semitones:
        return False
    try:
        kind.transpositions([0, 1])
    except UserError:
        return False
    return True


def variation_in_words(settings: DataSettings) -> str:
    """How training windows are varied, and the settings that say so."""
    parts = []
    up, down = settings.transpose_semitones, settings.transpose_down_semitones
    down = up if down < 0 else down
    if up or down:
        range_ = f"up to {up}" if up == down else f"{-down} to {up}"
        parts.append(f"transposed by {range_} semitone{'s' if up > 1 else ''}")
    if settings.stretch:
        parts.append(f"stretched by up to {100 * settings.stretch:g} %")
    if settings.velocity_shift:
        parts.append(f"louder or softer by up to {settings.velocity_shift}")
    words = f"each window is {', '.join(parts)}" if parts else "none"
    return f"{words} (--config.data.transpose_semitones, stretch, velocity_shift)"
