"""Notes and bars of `BarEvents` as tokens."""

from collections.abc import Sequence

import numpy as np

from tfmusic.representations.bar_lines import Bars
from tfmusic.representations.bar_tokens import (
    BAR,
    CUT,
    DRUM,
    DRUMS,
    DURATION,
    DURATIONS,
    INSTRUMENT,
    PIANO,
    PITCH,
    POSITION,
    TEMPO,
    UPBEAT,
    VELOCITY,
    ids,
)
from tfmusic.representations.note_table import NoteTable


def write_bars(
    said: Sequence[int],
    notes: NoteTable,
    bars: Bars,
    bins: np.ndarray | None,
    has_tempos: bool,
) -> np.ndarray:
    """Tokens of a piece, int32 [num_tokens].

    Args:
        said: Those of what holds for all of it.
        notes: In order of start, voice and pitch, of lengths in `DURATIONS`.
        bars: That hold them.
        bins: Of velocities, from 1 on, int64 [num_notes]; None: no dynamics.
        has_tempos: Whether tempos are said.
    """
    begins, lines = bars.starts, bars.lines
    bar = np.searchsorted(begins, notes.starts, "right") - 1
    positions = notes.starts - lines[bar]
    # Position 0 of a bar, or where its upbeat begins, goes without saying.
    implied = np.where(bar == 0, bars.upbeat, 0)
    implied[1:] = np.where(bar[1:] == bar[:-1], positions[:-1], implied[1:])
    pitched = notes.voices != DRUMS
    lengths = np.searchsorted(DURATIONS, notes.ends - notes.starts)
    columns = [
        np.where(positions != implied, ids(POSITION)[0] + positions - 1, -1),
        _running(INSTRUMENT, notes.voices, pitched, PIANO),
        np.full(len(notes), -1) if bins is None else _running(VELOCITY, bins - 1),
        _running(DURATION, lengths, pitched),
        np.where(pitched, ids(PITCH)[0], ids(DRUM)[0]) + notes.pitches,
    ]
    rows = np.stack(columns, axis=1)
    # What is said of bars, with what ended the bar before.
    cut = np.append(False, bars.is_cut[:-1])
    ends = np.append(1, (begins + bars.spans - lines)[:-1])
    changes = np.diff(bars.tempos, prepend=-1) != 0
    heads = np.stack(
        [
            np.where(cut, ids(POSITION)[0] + ends - 1, -1),
            np.where(cut, ids(CUT)[0], -1),
            ids(BAR)[0] + bars.metres,
            np.where(changes & has_tempos, ids(TEMPO)[0] + bars.tempos, -1),
        ],
        axis=1,
    )
    first_notes = np.searchsorted(bar, np.arange(len(bars)))
    where = np.concatenate(
        [np.repeat(first_notes * 2, 4), np.repeat(np.arange(len(bar)) * 2 + 1, 5)]
    )
    tokens = np.concatenate([heads.ravel(), rows.ravel()])
    tokens = tokens[np.argsort(where, kind="stable")]
    upbeat = [ids(UPBEAT)[bars.upbeat - 1]] if bars.upbeat else []
    return np.concatenate([said, upbeat, tokens[tokens >= 0]]).astype(np.int32)


def _running(
    kind: int, values: np.ndarray, has: np.ndarray | bool = True, first=-1
) -> np.ndarray:
    """Ids where a value is other than that before it; -1 elsewhere.

    Args:
        kind: Of the tokens.
        values: int64 [num_notes].
        has: Which notes have one.
        first: What holds in the beginning.
    """
    row = np.full(len(values), -1)
    rows = np.flatnonzero(np.broadcast_to(has, len(values)))
    changed = rows[np.diff(values[rows], prepend=first) != 0]
    row[changed] = ids(kind)[0] + values[changed]
    return row
