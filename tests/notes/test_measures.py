"""Bars are counted as musicians count them."""

import pytest

from tests.notes.sequences import make_sequence
from tfmusic.errors import UserError
from tfmusic.notes.measures import bars_end, bars_in_words, parse_metre


def piece(num_quarters, *metres):
    """Quarter notes at 120 a minute, in metres (beginning in quarters, 3, 4)."""
    result = make_sequence(*((60, 80, i / 2, i / 2 + 0.5) for i in range(num_quarters)))
    for start, numerator, denominator in metres:
        result.time_signatures.add(
            time=start / 2, numerator=numerator, denominator=denominator
        )
    return result


@pytest.mark.parametrize(
    ("sequence", "num_bars", "end", "words"),
    [
        (piece(16), 2, 8, "4 bars of 4/4"),
        (piece(16, (0, 2, 4)), 2, 4, "8 bars of 2/4"),
        (piece(12, (0, 6, 8)), 2.5, 7.5, "4 bars of 6/8"),
        # An upbeat is no bar, and the last one is shorter by it.
        (piece(16, (0, 1, 4), (1, 2, 4)), 2, 4, "8 bars of 2/4"),
        (piece(9, (0, 1, 4), (1, 4, 4)), 2, 8, "2 bars of 4/4"),
        (piece(10, (0, 2, 4), (4, 3, 4)), 3, 7, "4 bars of 2/4 and 3/4"),
        # What lies beyond the end is as long as the last bar.
        (piece(4, (0, 2, 4)), 5, 10, "2 bars of 2/4"),
        (piece(2), 1, 4, "1 bar of 4/4"),
    ],
)
def test_bars_are_those_of_the_metre(sequence, num_bars, end, words):
    assert bars_end(sequence, num_bars) == end
    assert bars_in_words(sequence) == words


def test_a_metre_is_a_fraction():
    assert parse_metre(" 12/8 ") == (12, 8)
    for text in ("3-4", "0/4", "3/5", "waltz", 3):
        with pytest.raises(UserError, match="expected such as 4/4, 3/4 or 6/8"):
            parse_metre(text)
