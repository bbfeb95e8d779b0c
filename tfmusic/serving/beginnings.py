"""The beginning of a piece, for a model to go on from."""

import bisect

from tfmusic.checks import number
from tfmusic.errors import UserError
from tfmusic.notes import NoteSequence
from tfmusic.notes.grid import TempoMap
from tfmusic.notes.measures import bars_end
from tfmusic.representations import EncodeError, Representation
from tfmusic.serving.inputs import check_music
from tfmusic.serving.setting import shorten


def cut_primer(
    representation: Representation,
    piece: NoteSequence,
    steps: int | None = None,
    bars: float | None = None,
    seconds: float | None = None,
) -> NoteSequence:
    """The first part of a piece; all of it where that is shorter.

    Args:
        representation: How the model's arrays encode music.
        piece: The music.
        steps: Length in steps of the representation. Where those vary in length, the
            part has at most so many, and ends where a note begins.
        bars: Length in bars instead; an upbeat is none, and the last bar is shorter by
            it.
        seconds: Length in seconds instead.

    Raises:
        UserError: `piece` is no music, or more than one length is given, or one that
            is not above 0.
    """
    check_music("piece", piece)
    lengths = {"steps": steps, "bars": bars, "seconds": seconds}
    given = {name: value for name, value in lengths.items() if value is not None}
    if len(given) > 1:
        first, second, *_ = given
        raise UserError(
            f"primer_{second}: leave it out with primer_{first}: both are the length "
            "of the primer"
        )
    for name, value in given.items():
        if not number(f"primer_{name}", value) > 0:
            raise UserError(f"primer_{name}: expected more than 0, got {value:g}")
    if bars is not None:
        seconds = TempoMap.of(piece).to_seconds(bars_end(piece, bars))
    elif steps is not None:
        seconds = _seconds_of(representation, piece, steps)
    return shorten(piece, None if seconds is None else float(seconds))


def _seconds_of(
    representation: Representation, piece: NoteSequence, steps: int
) -> float:
    """Where so many steps of a piece end."""
    if rate := representation.steps_per_quarter:
        on_grid = float(TempoMap.of(piece).to_seconds(steps / rate))
    else:
        on_grid = steps / representation.steps_per_second
    starts = {note.start_time for note in piece.notes}
    # Frames end on the grid, tokens take any time or none.
    ends = sorted(end for end in starts | {on_grid} if 0 < end < piece.total_time)
    ends.append(piece.total_time)

    def num_steps(end: float) -> int:
        try:
            features = representation.encode(shorten(piece, end))
        except EncodeError:  # nothing that it can hold so far
            return 0
        return len(next(iter(representation.as_beginning(features).values())))

    return ends[max(bisect.bisect_right(ends, steps, key=num_steps) - 1, 0)]
