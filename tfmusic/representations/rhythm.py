"""Rhythm between chords as tokens: lengths after them, shifts before them."""

import numpy as np

from tfmusic.representations.note_table import ranges

# What a token is; anything else is 0.
CHORD, DURATION, SHIFT = 1, 2, 3


def write_rhythm(
    spellings: list[list[int]],
    places: np.ndarray,
    durations: np.ndarray,
    shifts: np.ndarray,
    duration_ids: np.ndarray,
    shift_ids: np.ndarray,
) -> np.ndarray:
    """The tokens of chords: shifts to each, then each of its parts with its length.

    Args:
        spellings: Ids of the parts of every different chord.
        places: Which of these each chord is, int64 [num_chords].
        durations: In steps, int64 [num_chords], at most the number of ids.
        shifts: Steps since the chord before, int64 [num_chords].
        duration_ids: Ids of lengths of 1, 2, .. steps.
        shift_ids: Ids of shifts by 1, 2, .. steps; longer ones take several, of which
            the last is the shortest.

    Returns:
        int32 [num_tokens].
    """
    sizes = np.array([len(parts) for parts in spellings])
    num_parts = sizes[places]
    num_shifts = -(-shifts // len(shift_ids))
    num_tokens = num_shifts + 2 * num_parts
    begins = np.cumsum(num_tokens) - num_tokens
    tokens = np.zeros(num_tokens.sum(), np.int32)

    at = np.repeat(begins, num_shifts) + ranges(num_shifts)
    tokens[at] = shift_ids[-1]
    some = num_shifts > 0
    last = shift_ids[(shifts - 1) % len(shift_ids)]
    tokens[(begins + num_shifts - 1)[some]] = last[some]

    at = np.repeat(begins + num_shifts, num_parts) + 2 * ranges(num_parts)
    parts = np.array([part for parts in spellings for part in parts])
    first = (np.cumsum(sizes) - sizes)[places]
    tokens[at] = parts[np.repeat(first, num_parts) + ranges(num_parts)]
    tokens[at + 1] = np.repeat(duration_ids[durations - 1], num_parts)
    return tokens


def read_rhythm(
    kinds: np.ndarray, steps: np.ndarray, default_duration: int
) -> tuple[np.ndarray, np.ndarray]:
    """When tokens begin and how long they last, if they are chords.

    A chord lasts as long as the length after it says, else as the last length before
    it, else `default_duration`.

    Args:
        kinds: `CHORD`, `DURATION`, `SHIFT` or 0, int [num_tokens].
        steps: Of lengths and shifts, int [num_tokens].
        default_duration: In steps.

    Returns:
        Starts and durations in steps, int64 [num_tokens] each.
    """
    starts = np.cumsum(np.where(kinds == SHIFT, steps, 0))
    index = np.arange(len(kinds))
    before = np.maximum.accumulate(np.where(kinds == DURATION, index, -1))
    is_next = np.append(kinds[1:], 0)[: len(kinds)] == DURATION
    # Index -1, no length yet, finds the default, which stands last.
    durations = np.append(steps, default_duration)[np.where(is_next, index + 1, before)]
    return starts, durations
