import random

import pytest

from tests.notes.score_reading import chords, heard, keys, metres, refusal
from tfmusic.notes import NoteSequence
from tfmusic.notes.reading import ReadError, read_bytes, read_tunes
from tfmusic.notes.scores import FERMATA, remarks

HEAD = "X:1\nM:4/4\nL:1/4\nQ:1/4=60\nK:{}\n"
# A header for all tunes; one that has no notes, one number twice.
BOOK = """%abc-2.1
L:1/4

X:1
T:One
T:Another name
C:Trad.
K:C
CDEF|

About the next one.

X:2
K:C
|

X:2
M:3/4
Q:1/4=60
K:D
{g}(3DFA z|[DA]3|1 d2-d :|2 "A"D3|]
"""


def read(music: str, key: str = "C", **arguments) -> NoteSequence:
    """A tune in quarter notes of a second each."""
    return read_bytes((HEAD.format(key) + music + "\n").encode(), "a.abc", **arguments)


def rhythm(music: str) -> list[float]:
    """The lengths of its notes in quarter notes."""
    return pytest.approx([n.end_time - n.start_time for n in read(music).notes])


def pitches(music: str, key: str = "C") -> list[int]:
    return [pitch for pitch, _, _ in heard(read(music, key))]


def test_every_tune_of_a_book_is_read_or_refused_by_itself():
    plain, silent, ornate = read_tunes(BOOK.encode(), "book.abc")
    assert heard(plain) == [
        (pitch, i / 2, (i + 1) / 2) for i, pitch in enumerate((60, 62, 64, 65))
    ]
    known = plain.sequence_metadata
    assert (plain.filename, plain.reference_number) == ("book.abc", 1)
    assert (known.title, list(known.composers)) == ("One", ["Trad."])
    assert silent.reason == "no_notes"
    assert ornate.reference_number == 2
    assert [(t.time, t.qpm) for t in ornate.tempos] == [(0, 60)]
    assert (metres(ornate), keys(ornate)) == ([(0, 3, 4)], [(0, 2, 0)])
    third = pytest.approx(2 / 3)
    assert heard(ornate) == [
        (62, 0, third),
        (66, third, pytest.approx(4 / 3)),
        (69, pytest.approx(4 / 3), 2),
        (62, 3, 6),
        (69, 3, 6),
        (74, 6, 9),
        *[
            (62, 9, pytest.approx(9 + 2 / 3)),
            (66, pytest.approx(9 + 2 / 3), pytest.approx(9 + 4 / 3)),
        ],
        (69, pytest.approx(9 + 4 / 3), 11),
        (62, 12, 15),
        (69, 12, 15),
        (62, 15, 18),
    ]
    assert chords(ornate) == [(15, "A")]
    assert remarks(ornate) == {"repeats": "played", "left out": "1 grace notes"}


def test_one_tune_is_given_where_one_is_asked_for():
    first = read_bytes(BOOK.encode(), "no_ending_but_a_percent_sign.abc")
    assert heard(first)[0] == (60, 0, 0.5)
    assert heard(read_bytes(b"X:7\nK:C\nC|\n", "no_ending")) == [(60, 0, 0.25)]


def test_ties_join_notes_and_keep_accidentals_over_bar_lines():
    assert heard(read("C2 E2-|E2 G2|]")) == [(60, 0, 2), (64, 2, 6), (67, 6, 8)]
    assert heard(read("^F4-|F2 F2|]")) == [(66, 0, 6), (65, 6, 8)]
    assert heard(read("[CE]2 [CE]2-|[CE]2 z2|]")) == [
        (60, 0, 2),
        (64, 0, 2),
        (60, 2, 6),
        (64, 2, 6),
    ]
    assert heard(read("[C-E]2 [CE]2|")) == [(60, 0, 4), (64, 0, 2), (64, 2, 4)]
    assert heard(read("C2 z2-|C4|")) == [(60, 0, 2), (60, 4, 8)]


@pytest.mark.parametrize(
    ("music", "lengths"),
    [
        ("C C2 C/ C// C/4 C3/2 C3/ C0/", [1, 2, 0.5, 0.25, 0.25, 1.5, 1.5]),
        ("C>D E<F G>>A B<<<c", [1.5, 0.5, 0.5, 1.5, 1.75, 0.25, 0.125, 1.875]),
        ("C>[DF] z<G", [1.5, 0.5, 0.5, 1.5]),
        ("(3CDE (3:2:2C2D (3::2C2D C", [2 / 3] * 3 + [4 / 3, 2 / 3] * 2 + [1]),
        ("(2CD (4CDEF (5CDEFG", [1.5] * 2 + [0.75] * 4 + [0.4] * 5),
        ("(CD) (E(3FGA)", [1, 1, 1, 2 / 3, 2 / 3, 2 / 3]),
        ("[C2E]2 D", [4, 2, 1]),
    ],
)
def test_lengths(music, lengths):
    assert [n.end_time - n.start_time for n in read(music).notes] == pytest.approx(
        lengths
    )


def test_quintuplets_fill_a_compound_beat():
    tune = "X:1\nM:6/8\nL:1/8\nQ:3/8=60\nK:C\n(5CDEFG|\n"
    lengths = [n.end_time - n.start_time for n in read_bytes(tune.encode(), "a").notes]
    assert lengths == pytest.approx([0.2] * 5)


def test_rests_of_all_kinds_take_their_time():
    assert heard(read("C z/ D/ x E|Z2|F4|")) == [
        (60, 0, 1),
        (62, 1.5, 2),
        (64, 3, 4),
        (65, 12, 16),
    ]


@pytest.mark.parametrize(
    ("key", "music", "expected"),
    [
        ("D", "F c f' C, =F F|F", [66, 73, 90, 49, 65, 65, 66]),
        ("Gm", "B e ^f f _e|", [70, 75, 78, 78, 75]),
        ("A dorian", "F f", [66, 78]),
        ("Bb", "B_B__B", [70, 70, 69]),
        ("Emix", "G D", [68, 62]),
        ("C#", "B E", [72, 65]),
        ("HP", "f c g", [78, 73, 79]),
        ("D =c", "c f", [72, 78]),
        ("D exp ^g", "c f g", [72, 77, 80]),
        ("none", "F", [65]),
        ("G clef=treble-8", "f", [66]),
        ("C octave=-1", "c", [60]),
        ("C transpose=-2", "D", [60]),
    ],
)
def test_keys_and_accidentals(key, music, expected):
    assert pitches(music, key) == expected


def test_keys_are_named_as_they_sound():
    mode = NoteSequence.KeySignature
    assert keys(read("C|[K:Em]E|", "Bb")) == [(0, 10, mode.MAJOR), (1, 4, mode.MINOR)]
    assert keys(read("C", "D mix")) == [(0, 2, mode.MIXOLYDIAN)]
    assert keys(read("D", "D transpose=-2")) == [(0, 0, mode.MAJOR)]


@pytest.mark.parametrize(
    ("tempo", "qpm"),
    [
        ("1/4=90", 90),
        ("3/8=40", 60),
        ('"Slow" 1/2=30', 60),
        ("1/4 1/8=40", 60),
        ("C=100", 50),
        ("C3=40", 60),
        ("100", 100),
        ('"Lively"', 120),
        ("1/4=what", 120),
    ],
)
def test_tempos(tempo, qpm):
    tune = f"X:1\nQ:{tempo}\nL:1/8\nK:C\nC|\n"
    sequence = read_bytes(tune.encode(), "a.abc")
    assert [(t.time, t.qpm) for t in sequence.tempos] == [(0, pytest.approx(qpm))]
    assert ("left out" in remarks(sequence)) == ("what" in tempo)


def test_the_unit_depends_on_the_metre_if_nothing_else_says_it():
    for metre, length in (("2/4", 0.125), ("3/4", 0.25), ("none", 0.25)):
        tune = f"X:1\nQ:1/4=120\nM:{metre}\nK:C\nC|\n"
        assert heard(read_bytes(tune.encode(), "a.abc")) == [(60, 0, length)]


@pytest.mark.parametrize(
    ("metre", "expected"),
    [
        ("C", [(0, 4, 4)]),
        ("C|", [(0, 2, 2)]),
        ("2+3/8", [(0, 5, 8)]),
        ("(2+3)/8", [(0, 5, 8)]),
        ("none", []),
        ("4", []),
    ],
)
def test_metres(metre, expected):
    tune = f"X:1\nM:{metre}\nK:C\nC8|\n"
    assert metres(read_bytes(tune.encode(), "a.abc")) == expected


def test_the_first_metre_begins_after_an_upbeat_and_may_change():
    sequence = read("G|CDEF|CDE|\nM:3/4\nCDE|")
    assert metres(sequence) == [(1, 4, 4), (8, 3, 4)]


@pytest.mark.parametrize(
    ("music", "order"),
    [
        ("C:|D|", "CCD"),
        ("|:C:|:D:|E|]", "CCDDE"),
        ("|:C::D:|", "CCDD"),
        ("|:C|1D:|2E||F|", "CDCEF"),
        ("|:C|[1D:|[2E|]F|", "CDCEF"),
        ("|:C|1,3D:|2E:|", "CDCECD"),
        ("|:C|1 D:|2 E:|F|", "CDCEF"),
        ("C|:D:|]\n|:E:|", "CDDEE"),
        ("|:C::|D|", "CCCD"),
        ("C||D|E:|", "CDEDE"),
        ("|:C||D|E:|F", "CDECDEF"),
        ("C|!segno!D|E!D.S.!|F", "CDEDEF"),
        ('C "Fine"D|E "_D.C. al Fine"F|', "CDEFCD"),
        ("C|!coda!D|E !D.C.alcoda!|!coda!F|", "CDECDF"),
    ],
)
def test_repeats_are_played(music, order):
    assert pitches(music) == [60 + {"C": 0, "D": 2, "E": 4, "F": 5}[n] for n in order]


def test_sections_are_played_in_the_order_of_the_header():
    tune = HEAD.format("C").replace("M:", "P:ABA\nM:") + "P:A\nC:|\nP:B\nD|E|]\n"
    played = read_bytes(tune.encode(), "a.abc")
    assert [n.pitch for n in played.notes] == [60, 60, 62, 64, 60, 60]
    unknown = read_bytes(tune.replace("P:ABA", "P:AXA").encode(), "a.abc")
    assert [n.pitch for n in unknown.notes] == [60, 60, 62, 64]
    assert remarks(unknown)["left out"] == "1 orders of sections"


def test_repeats_are_not_played_where_they_are_not_wanted():
    written = read("|:C|1D:|2E||F|", play_repeats=False)
    assert [n.pitch for n in written.notes] == [60, 62, 64, 65]
    assert remarks(written) == {"repeats": "as written"}


def test_voices_are_parts_that_begin_together():
    tune = HEAD.format("C") + (
        'V:1 name="Fiddle"\n%%MIDI program 40\nCDEF|G4|\n'
        "V:2 clef=bass octave=-1\n%%MIDI program 42\nC4|[V:1] A4|\n[V:2] E2G2|\n"
    )
    sequence = read_bytes(tune.encode(), "a.abc")
    assert [(n.pitch, n.start_time) for n in sequence.notes if n.part == 0] == [
        (60, 0),
        (62, 1),
        (64, 2),
        (65, 3),
        (67, 4),
        (69, 8),
    ]
    assert [(n.pitch, n.start_time) for n in sequence.notes if n.part == 1] == [
        (48, 0),
        (52, 4),
        (55, 6),
    ]
    assert [info.name for info in sequence.instrument_infos] == ["Fiddle", "2"]
    assert {(n.instrument, n.program) for n in sequence.notes} == {(0, 40), (1, 42)}


def test_overlaid_voices_sound_together():
    assert heard(read("c2 d2 & C4|e4|")) == [
        (60, 0, 4),
        (72, 0, 2),
        (74, 2, 4),
        (76, 4, 8),
    ]


def test_chord_symbols_fermatas_and_dynamics_are_kept():
    sequence = read('"Am7"A "^slow"!p!B|"F#m/C#"!f!c HD|"what"C')
    assert chords(sequence) == [(0, "Am7"), (2, "F#m/C#")]
    assert [t.time for t in sequence.text_annotations if t.text == FERMATA] == [3]
    assert [n.velocity for n in sequence.notes] == [80, 49, 96, 96, 96]
    assert remarks(read('"Hello"C "Bang"D')) == {"left out": "1 chord symbols"}


def test_lines_that_are_no_music_are_passed_over():
    music = "%comment\nCD%more\nw:la la\n%%vskip 2\nEF|\\\nG4|\nN:note\nW:words"
    assert pitches(music) == [60, 62, 64, 65, 67]
    assert pitches("C:|\nd:|\n") == [60, 60, 74, 74]  # no field


def test_unknown_signs_are_counted_and_cost_nothing_else():
    sequence = read("zC~D.E`F\u00c4 @ G|[CE#]|")
    assert [n.pitch for n in sequence.notes] == [60, 62, 64, 65, 67, 60, 64]
    assert remarks(sequence) == {"left out": "2 unknown signs"}


def test_abc_that_cannot_be_read_is_refused():
    assert refusal(b"hello", "a.abc") == "bad_abc"
    assert refusal(b"X:1\nK:C\n|\n", "a.abc") == "no_notes"
    assert refusal(b"X:1\nK:C\nhow now, brown cow\n", "a.abc") == "bad_abc"
    with pytest.raises(ReadError, match=r"not_abc.*musicxml"):
        read_tunes(b"<score-partwise/>", "a.xml")


def test_damaged_tunes_are_read_or_refused():
    generator = random.Random(3)
    for _ in range(300):
        copy = bytearray(BOOK.encode())
        for _ in range(generator.choice([1, 4])):
            copy[generator.randrange(len(copy))] = generator.randrange(256)
        try:
            assert read_bytes(bytes(copy), "x.abc").notes
        except ReadError as error:
            assert error.reason
