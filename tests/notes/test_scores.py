import io
import random
import zipfile

import pytest
from music21 import corpus

from tests.notes.sequences import tuples
from tfmusic.notes.keys import best_key
from tfmusic.notes.reading import (
    SUFFIXES,
    Limits,
    ReadError,
    read_bytes,
    read_file,
    read_tunes,
)

PART = """<score-partwise><part-list>
<score-part id="P1"><part-name>Voice</part-name>
<midi-instrument id="P1-I1"><midi-channel>3</midi-channel>
<midi-program>20</midi-program></midi-instrument></score-part>
<score-part id="P2"><part-name>Piano</part-name></score-part></part-list>
<part id="P1">
<measure number="1"><attributes><divisions>2</divisions>
<time><beats>2</beats><beat-type>4</beat-type></time></attributes>
<note><grace/><pitch><step>D</step><octave>4</octave></pitch><type>eighth</type></note>
<note><pitch><step>C</step><octave>4</octave></pitch><duration>4</duration>
<tie type="start"/><type>half</type></note></measure>
<measure number="2"><note><pitch><step>C</step><octave>4</octave></pitch>
<duration>2</duration><tie type="stop"/><type>quarter</type></note>
<note><pitch><step>C</step><octave>4</octave></pitch><duration>2</duration>
<type>quarter</type></note></measure></part>
<part id="P2"><measure number="1"><note><pitch><step>E</step><octave>3</octave></pitch>
<duration>2</duration><type>quarter</type></note></measure></part>
</score-partwise>"""
TUNES = "X:1\nT:One\nK:C\nCDEF|\n\nX:2\nT:Two\nK:C\n[CEG]|\n\nX:3\nT:Three\nK:D\nDF|\n"
# A header for all tunes; one that has no notes, one twice, one in two voices.
BOOK = """%abc-2.1
L:1/4

X:1
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
X:4
K:C
V:1
C|
V:2
E|
"""


def refusal(data: bytes, name: str, **limits) -> str:
    with pytest.raises(ReadError) as caught:
        read_bytes(data, name, Limits(**limits))
    assert "\n" not in str(caught.value)
    return caught.value.reason


def compressed(text: str) -> bytes:
    container = (
        '<container><rootfiles><rootfile full-path="a.xml"/></rootfiles></container>'
    )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("META-INF/container.xml", container)
        archive.writestr("a.xml", text)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (PART.encode(), "a.xml"),
        (PART.encode(), "a.MusicXML"),
        (PART.encode(), "without_ending"),
        (compressed(PART), "a.mxl"),
        (compressed(PART), "without_ending"),
    ],
)
def test_musicxml_joins_ties_and_makes_each_part_an_instrument(data, name):
    sequence = read_bytes(data, name)
    assert sequence.filename == name
    assert [(n.pitch, n.start_time, n.end_time) for n in sequence.notes] == [
        (60, 0.0, 1.5),
        (60, 1.5, 2.0),
        (52, 0.0, 0.5),
    ]
    assert [n.instrument for n in sequence.notes] == [0, 0, 1]
    assert [n.program for n in sequence.notes] == [19, 19, 0]
    assert [info.name for info in sequence.instrument_infos] == ["Voice", "Piano"]


def test_every_part_follows_the_tempo_marks_of_the_first():
    mark = '<direction><direction-type/><sound tempo="{}"/></direction>'
    marked = PART.replace(
        '<measure number="2">', '<measure number="2">' + mark.format(60)
    )
    marked = marked.replace(
        "<duration>2</duration><type>quarter</type></note></measure></part>\n</score",
        "<duration>8</duration><type>whole</type></note></measure></part>\n</score",
    )
    sequence = read_bytes(marked.encode(), "a.xml")
    assert [(t.time, t.qpm) for t in sequence.tempos] == [(1.0, 60)]
    assert [(n.pitch, n.start_time, n.end_time) for n in sequence.notes] == [
        (60, 0.0, 2.0),
        (60, 2.0, 3.0),
        (52, 0.0, 3.0),
    ]


def test_a_chorale_is_read_whole():
    path = corpus.getWork("bwv66.6")
    sequence = read_file(path)
    names = [info.name for info in sequence.instrument_infos]
    assert names == ["Soprano", "Alto", "Tenor", "Bass"]
    score = corpus.parse("bwv66.6").stripTies()
    assert len(sequence.notes) == len(score.flatten().notes) == 163
    assert {n.instrument for n in sequence.notes} == {0, 1, 2, 3}
    assert (best_key(sequence).tonic, best_key(sequence).mode) == (6, "minor")


def test_broken_scores_are_refused_with_a_reason():
    assert refusal(b"<score", "a.xml") == "bad_musicxml"
    assert refusal(b"<html></html>", "a.xml") == "no_notes"
    assert refusal(b"PK\3\4", "a.mxl") == "bad_musicxml"
    assert refusal(compressed("<score"), "a.mxl") == "bad_musicxml"
    assert refusal(compressed(PART)[:-30], "a.mxl") == "bad_musicxml"
    wordy = PART.replace("<duration>4<", "<duration>four<")
    assert refusal(wordy.encode(), "a.xml") == "bad_musicxml"
    too_high = PART.replace("<octave>4<", "<octave>12<")
    assert refusal(too_high.encode(), "a.xml") == "bad_pitch"
    assert refusal(PART.encode(), "a.xml", max_notes=2) == "too_many_notes"
    assert refusal(b"\0\1\2", "a.bin") == "unknown_format"


def test_an_archive_that_unpacks_to_too_much_is_refused_unopened():
    bomb = compressed(PART + " " * 10**6)
    assert len(bomb) < 5000
    assert refusal(bomb, "a.mxl", max_bytes=10**5) == "too_large"


@pytest.mark.parametrize("suffix", [".xml", ".mxl", ".abc"])
def test_damaged_scores_are_read_or_refused(suffix):
    texts = {".xml": PART.encode(), ".mxl": compressed(PART), ".abc": TUNES.encode()}
    generator = random.Random(3)
    for _ in range(200):
        copy = bytearray(texts[suffix])
        for _ in range(generator.choice([1, 4])):
            copy[generator.randrange(len(copy))] = generator.randrange(256)
        try:
            assert read_bytes(bytes(copy), "x" + suffix).notes
        except ReadError as error:
            assert error.reason


def test_abc_gives_the_first_tune_and_the_others_on_demand():
    data = TUNES.encode()
    first = read_bytes(data, "tunes.abc")
    assert [n.pitch for n in first.notes] == [60, 62, 64, 65]
    tunes = read_tunes(data, "tunes.abc")
    assert [tune.reference_number for tune in tunes] == [1, 2, 3]
    assert [n.pitch for n in tunes[2].notes] == [62, 66]
    assert tuples(read_bytes(data, "no_ending")) == tuples(first)


def test_every_tune_of_a_book_is_read_or_refused_by_itself():
    plain, silent, ornate, voices = read_tunes(BOOK.encode(), "book.abc")
    assert [(n.pitch, n.start_time, n.end_time) for n in plain.notes] == [
        (pitch, i / 2, (i + 1) / 2) for i, pitch in enumerate((60, 62, 64, 65))
    ]
    assert (silent.reason, voices.reason) == ("no_notes", "bad_abc")
    assert "MultiVoiceError" in voices.detail
    assert ornate.reference_number == 2
    assert [(t.time, t.qpm) for t in ornate.tempos] == [(0, 60)]
    assert [(s.numerator, s.denominator) for s in ornate.time_signatures] == [(3, 4)]
    assert [(k.key, k.mode) for k in ornate.key_signatures] == [(2, 0)]
    found = [(n.pitch, n.start_time, n.end_time) for n in ornate.notes]
    assert found == [
        (62, 0.0, pytest.approx(2 / 3)),
        (66, pytest.approx(2 / 3), pytest.approx(4 / 3)),
        (69, pytest.approx(4 / 3), pytest.approx(2)),
        (62, 3.0, 6.0),
        (69, 3.0, 6.0),
        (74, 6.0, 9.0),
        (62, 9.0, 12.0),
    ]


def test_both_readers_of_abc_give_the_same_notes():
    tune = "X:1\nM:6/8\nL:1/8\nQ:1/4=90\nK:Gm\nB>c^d =e2F|(GAA) _b'3/2c/ D,|\n"
    with_rest = tune + "z6|\n"
    assert tuples(read_bytes(with_rest.encode(), "a.abc")) == tuples(
        read_bytes(tune.encode(), "a.abc")
    )


def test_abc_that_cannot_be_read_is_refused():
    assert refusal(b"X:1\nK:C\nV:1\nC|\nV:2\nE|\n", "a.abc") == "bad_abc"
    assert refusal(b"hello", "a.abc") == "bad_abc"
    assert refusal(b"X:1\nK:C\n|\n", "a.abc") == "no_notes"
    assert refusal(b"X:1\nK:C\nhello world\n", "a.abc") == "bad_abc"
    with pytest.raises(ReadError, match="expected 3 notes, music21 can read 4"):
        read_bytes(b"X:1\nK:C\nzCD\xc3\x84E\n", "a.abc")
    with pytest.raises(ReadError, match="not_abc.*musicxml"):
        read_tunes(PART.encode(), "a.xml")


def test_every_format_is_among_the_suffixes():
    assert set(SUFFIXES) >= {".mid", ".midi", ".kar", ".xml", ".musicxml", ".mxl"}
