import pytest

from tfmusic.notes.scores.repeats import (
    Bar,
    mark_codas,
    play_order,
    read_passes,
    read_sections,
)


def bars(text: str) -> list[Bar]:
    """Measures from words.

    `|:` and `:|` begin and end repeats, `:3|` one that is played three times; `[1`,
    `[1,2` begin brackets, `]` is the last measure of one. Names are attributes of
    `Bar`, and each `.` is the measure that what stands before it belongs to.
    """
    found, ending, bar, closes = [], frozenset(), Bar(), False
    for word in text.split():
        if word == "|:":
            bar.forward = True
        elif word.startswith(":"):
            bar.backward = int(word[1:-1] or 2)
        elif word.startswith("["):
            ending, bar.begins_ending = read_passes(word), True
        elif word == "]":
            closes = True
        elif word in ("da_capo", "dal_segno"):
            bar.jump = word
        elif word != ".":
            setattr(bar, word, True)
        else:
            bar.ending = ending
            found.append(bar)
            bar = Bar()
            if closes:
                ending, closes = frozenset(), False
    return found


@pytest.mark.parametrize(
    ("text", "order"),
    [
        (". . .", [0, 1, 2]),
        (". :| . .", [0, 1, 0, 1, 2]),
        (". |: . :| . .", [0, 1, 2, 1, 2, 3]),
        (". :| . |: . :| .", [0, 1, 0, 1, 2, 3, 2, 3]),
        # Without a beginning one goes back to the end of the last repeat.
        (":| . . :| . .", [0, 0, 1, 2, 1, 2, 3]),
        ("|: :3| . .", [0, 0, 0, 1]),
        ("|: . [1 ] :| . [2 ] . .", [0, 1, 0, 2, 3]),
        ("|: . [1 . ] :| . [2 . ] . .", [0, 1, 2, 0, 3, 4, 5]),
        ("|: . [1,2 ] :| . [3 ] . .", [0, 1, 0, 1, 0, 2, 3]),
        ("|: . [1 ] :| . [2 ] :| . .", [0, 1, 0, 2, 3]),
        ("|: . [1 ] :| . [2 ] :| . [3 ] . .", [0, 1, 0, 2, 0, 3, 4]),
        # A first ending alone: the second time one plays on behind it.
        (". [1 ] :| . . .", [0, 1, 0, 2, 3]),
        (". section . :| . .", [0, 1, 2, 1, 2, 3]),
        (". |: . section . :| .", [0, 1, 2, 3, 1, 2, 3]),
        # After the last ending a repeat goes back no further than to its end.
        ("|: . [1 ] :| . [2 ] . . :| .", [0, 1, 0, 2, 3, 4, 3, 4]),
        (". . da_capo .", [0, 1, 2, 0, 1, 2]),
        (". fine . da_capo .", [0, 1, 2, 0, 1]),
        (". fine . .", [0, 1, 2]),
        (". segno . . dal_segno . .", [0, 1, 2, 3, 1, 2, 3, 4]),
        (". to_coda . da_capo . coda . .", [0, 1, 2, 0, 1, 3, 4]),
        (
            "segno . to_coda . dal_segno . coda . |: :| .",
            [0, 1, 2, 0, 1, 3, 4, 4],
        ),
        # After a jump no repeat is played again, and the last ending is.
        (
            "|: . [1 ] :| . [2 ] . fine . da_capo .",
            [0, 1, 0, 2, 3, 4, 0, 2, 3],
        ),
        (". :| . da_capo .", [0, 1, 0, 1, 2, 0, 1, 2]),
    ],
)
def test_measures_are_played_in_the_order_of_the_signs(text, order):
    assert play_order(bars(text), 1000) == order


@pytest.mark.parametrize(
    "text",
    [". dal_segno .", ". to_coda . da_capo .", "|: . :999| ."],
)
def test_jumps_without_a_target_or_an_end_have_no_order(text):
    assert play_order(bars(text), 1000) is None


def test_of_two_coda_signs_one_leaves_at_the_first():
    found = bars(". . da_capo . .")
    mark_codas(found, [1, 3, 3])
    assert (found[1].to_coda, found[1].coda) == (True, False)
    assert (found[3].to_coda, found[3].coda) == (False, True)
    assert play_order(found, 1000) == [0, 1, 2, 0, 1, 3]


def test_sections_are_played_in_the_order_that_is_asked_for():
    begins = {"A": 0, "B": 2, "C": 5}
    spans = {"A": (0, 2), "B": (2, 5), "C": (5, 9)}
    for order, expected in {
        "": "",
        "ABC": "ABC",
        "A.B A": "ABA",
        "A2B": "AAB",
        "(AB)2C": "ABABC",
        "((A2B)2C)2": "AABAABCAABAABC",
    }.items():
        assert read_sections(order, begins, 9) == [spans[name] for name in expected]
    for wrong in ("AD", "(A", "((((A9)9)9)9)9"):
        with pytest.raises(ValueError, match="expected"):
            read_sections(wrong, begins, 9)


def test_passes_are_read_from_lists_and_ranges():
    assert read_passes("1") == {1}
    assert read_passes("1, 3") == {1, 3}
    assert read_passes("1-3,5") == {1, 2, 3, 5}
    assert read_passes("") == set()
