from tests.notes.score_files import (
    attributes,
    barline,
    direction,
    note,
    notes,
    score,
)
from tests.notes.score_reading import TUNE, TUNE_READ, heard, keys, read
from tfmusic.notes.reading import read_bytes
from tfmusic.notes.scores import remarks


def test_repeats_are_played_unless_the_caller_wants_them_as_written():
    part = [
        attributes("2/4") + note("C4", 2),
        note("D4", 2)
        + barline('<ending number="1" type="start"/>', "left")
        + barline('<ending number="1" type="stop"/><repeat direction="backward"/>'),
        barline('<ending number="2" type="start"/>', "left")
        + note("E4", 2)
        + barline('<ending number="2" type="discontinue"/>'),
        note("F4", 2),
    ]
    data = score(part).encode()
    played = read_bytes(data, "a.xml")
    assert [n.pitch for n in played.notes] == [60, 62, 60, 64, 65]
    assert [n.start_time for n in played.notes] == [0, 1, 2, 3, 4]
    assert remarks(played) == {"repeats": "played"}
    written = read_bytes(data, "a.xml", play_repeats=False)
    assert [n.pitch for n in written.notes] == [60, 62, 64, 65]
    assert remarks(written) == {"repeats": "as written"}


def test_going_back_goes_back_to_the_tempo_key_and_metre_of_the_place():
    change = "<attributes><key><fifths>1</fifths></key></attributes>"
    part = [
        attributes("2/4", fifths=0) + note("C4", 2),
        change
        + '<sound tempo="60"/>'
        + note("D4", 2)
        + barline('<repeat direction="backward"/>'),
    ]
    sequence = read(part)
    assert [(t.time, t.qpm) for t in sequence.tempos] == [
        (0, 120),
        (1, 60),
        (3, 120),
        (4, 60),
    ]
    assert [(t, key) for t, key, _ in keys(sequence)] == [
        (0, 0),
        (1, 7),
        (3, 0),
        (4, 7),
    ]
    assert heard(sequence) == [(60, 0, 1), (62, 1, 3), (60, 3, 4), (62, 4, 6)]


def test_a_repeat_may_begin_at_the_end_of_the_measure_before():
    part = [
        attributes("2/4") + note("C4", 2) + barline('<repeat direction="forward"/>'),
        barline('<ending number="1" type="start"/>', "left")
        + note("D4", 2)
        + barline('<ending number="1" type="stop"/><repeat direction="backward"/>'),
        note("E4", 2),
    ]
    assert [n.pitch for n in read(part).notes] == [60, 62, 64]
    part[1] = note("D4", 2) + barline('<repeat direction="backward"/>')
    assert [n.pitch for n in read(part).notes] == [60, 62, 62, 64]


def test_words_and_signs_in_one_part_lead_all_parts():
    part = [
        attributes("2/4") + note("C4", 2),
        direction("<segno/>") + note("D4", 2),
        note("E4", 2) + direction("<words>To Coda</words>"),
        note("F4", 2) + direction("<words>D.S. al Coda</words>"),
        direction("<coda/>") + note("G4", 2),
    ]
    other = [attributes("2/4") + note("C3", 2)] + [note("C3", 2)] * 4
    sequence = read(part, other)
    assert [n.pitch for n in sequence.notes if n.part == 0] == [
        *(60, 62, 64, 65, 62, 64, 67)
    ]
    assert len([n for n in sequence.notes if n.part == 1]) == 7


def test_repeats_that_make_no_sense_are_played_as_written_and_said():
    part = [*TUNE[:1], notes("C4 E4 G4 E4") + '<sound dalsegno="nowhere"/>']
    sequence = read(part)
    assert heard(sequence) == TUNE_READ
    assert remarks(sequence) == {"repeats": "as written"}
