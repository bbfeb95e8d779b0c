"""Where in its bar each step lies, as arrays of a representation, and back."""

from collections.abc import Mapping

import numpy as np

from tfmusic.notes import NoteSequence
from tfmusic.notes.grid import BeatGrid, bars
from tfmusic.representations.base import EncodeError, FeatureSpec

SPECS: Mapping[str, FeatureSpec] = {
    "bar_position": FeatureSpec((None,), "int16", "[time]; steps since the bar"),
    "bar_length": FeatureSpec((None,), "int16", "[time]; steps of the bar"),
}
_LONGEST_BAR = np.iinfo(np.int16).max


def encode_bars(
    sequence: NoteSequence, grid: BeatGrid, begin: int, end: int
) -> dict[str, np.ndarray]:
    """The arrays of `SPECS`, int16 [end - begin], for some steps of a piece.

    Raises:
        EncodeError: `bar_too_long`.
    """
    position, length = (array[begin:] for array in bars(sequence, grid, end))
    if length.max(initial=0) > _LONGEST_BAR:
        raise EncodeError(
            "bar_too_long",
            f"expected bars of at most {_LONGEST_BAR} steps, found {length.max()}; "
            "take a coarser grid or mend the time signatures",
        )
    if not _begins_well(position, length):
        # A bar that was begun before and is cut short: counted from the first step.
        rest = int(np.argmax(position == 0))
        position[:rest], length[:rest] = np.arange(rest), rest
    return {
        "bar_position": position.astype(np.int16),
        "bar_length": length.astype(np.int16),
    }


def add_signatures(
    decoded: NoteSequence, grid: BeatGrid, features: Mapping[str, np.ndarray]
) -> None:
    """Writes the metre of a decoded piece: a time signature wherever bars begin anew.

    A signature is the fraction with the smallest denominator, 4 or more, that fills
    the bar. The first one stands at the first bar line, and what is before it is an
    upbeat, the end of such a bar.

    Any numbers are taken: a bar begins wherever `bar_position` is 0, and at the first
    step unless there is an upbeat. It lasts as many steps as `bar_length` says there,
    at least one, or until the next one begins.
    """
    position = np.asarray(features["bar_position"], np.int64)
    length = np.maximum(np.asarray(features["bar_length"], np.int64), 1)
    if not len(position):
        return
    lines = np.flatnonzero(position == 0)
    lengths = length[lines]
    if position[0] and not _begins_well(position, length):
        lines, lengths = np.append(0, lines), np.append(length[0], lengths)
    elif not len(lines):
        lines, lengths = length[:1] - position[0], length[:1]
    # Where the bar before is as long as this one and ends here, nothing changes.
    is_next = (lengths[1:] == lengths[:-1]) & (np.diff(lines) == lengths[1:])
    new = np.concatenate([[True], ~is_next])
    for line, steps in zip(lines[new].tolist(), lengths[new].tolist(), strict=True):
        numerator, denominator = _fraction(steps, 4 * grid.steps_per_quarter)
        decoded.time_signatures.add(
            time=grid.to_seconds(line), numerator=numerator, denominator=denominator
        )


def _begins_well(position: np.ndarray, length: np.ndarray) -> bool:
    """Whether a piece begins with a bar, or with the end of one like the next."""
    rest = length[0] - position[0]
    if position[0] == 0:
        return True
    lines = np.flatnonzero(position == 0)
    if not len(lines):
        return rest > 0 and len(position) <= rest
    return lines[0] == rest and length[lines[0]] == length[0]


def _fraction(steps: int, steps_per_whole: int) -> tuple[int, int]:
    """A bar as numerator and denominator of a time signature.

    The denominator is the smallest of 4, 8, 16, .. that will do, or `steps_per_whole`
    where none does, which a NoteSequence can hold but no score.
    """
    denominator = 4
    while denominator < steps_per_whole:
        if steps * denominator % steps_per_whole == 0:
            break
        denominator *= 2
    if steps * denominator % steps_per_whole:
        return steps, steps_per_whole
    return steps * denominator // steps_per_whole, denominator
