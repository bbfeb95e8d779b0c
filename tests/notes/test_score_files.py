import random

import numpy as np
import pytest
from music21 import corpus

from tests.notes.score_files import (
    CONTAINER,
    archive,
    attributes,
    barline,
    compressed,
    note,
    notes,
    score,
    tie,
)
from tests.notes.score_reading import (
    TUNE,
    TUNE_READ,
    harmony,
    heard,
    metres,
    read,
    refusal,
)
from tfmusic.notes import NoteSequence
from tfmusic.notes.keys import best_key
from tfmusic.notes.reading import SUFFIXES, ReadError, read_bytes, read_file
from tfmusic.notes.scores import FERMATA, remarks
from tfmusic.notes.writing import write_musicxml


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (score(TUNE).encode(), "a.MusicXML"),
        (score(TUNE).encode(), "without_ending"),
        (
            ("<?xml version='1.0' encoding='UTF-16'?>" + score(TUNE)).encode("utf-16"),
            "a",
        ),
        (b"\n " + score(TUNE).encode(), "a.xml"),
        (compressed(score(TUNE)), "a.mxl"),
        (compressed(score(TUNE)), "without_ending"),
        (archive({"tune.musicxml": score(TUNE)}), "a.mxl"),
        (
            archive(
                {
                    "META-INF/container.xml": CONTAINER.format(
                        '<rootfile full-path="a.pdf" media-type="application/pdf"/>'
                        '<rootfile full-path="x/b.xml" media-type="application/'
                        'vnd.recordare.musicxml+xml"/>'
                    ),
                    "a.pdf": "no score",
                    "c.xml": "<none/>",
                    "x/b.xml": score(TUNE),
                }
            ),
            "a.mxl",
        ),
    ],
)
def test_a_score_is_found_in_any_container(data, name):
    sequence = read_bytes(data, name)
    assert sequence.filename == name
    assert heard(sequence) == TUNE_READ


def test_a_score_may_be_laid_out_by_time():
    columns = "".join(
        f'<measure number="{i}"><part id="P0">{measure}</part></measure>'
        for i, measure in enumerate(TUNE)
    )
    text = f"<score-timewise><part-list/>{columns}</score-timewise>"
    assert heard(read_bytes(text.encode(), "a.xml")) == TUNE_READ


def test_what_cannot_be_read_of_a_score_costs_only_itself():
    broken = "<note><pitch><step>H</step></pitch><duration>1</duration></note>"
    wordy = "<forward><duration>one</duration></forward><sound tempo='fast'/>"
    high = note("C9", 1).replace("<octave>9<", "<octave>12<")
    sequence = read([attributes("6/4") + notes("C4") + broken + wordy + high, TUNE[1]])
    assert heard(sequence)[:2] == [(60, 0, 0.5), (60, 1.5, 2)]
    assert remarks(sequence)["left out"] == (
        "1 notes outside of MIDI's range, 1 unreadable <forward>, "
        "1 unreadable <note>, 1 unreadable <sound>"
    )


def test_broken_scores_are_refused_with_a_reason():
    text = score(TUNE)
    assert refusal(b"<score", "a.xml") == "bad_musicxml"
    assert refusal(b"<html></html>", "a.xml") == "bad_musicxml"
    assert refusal(b"PK\3\4", "a.mxl") == "bad_musicxml"
    assert refusal(compressed("<score"), "a.mxl") == "bad_musicxml"
    assert refusal(compressed(text)[:-30], "a.mxl") == "bad_musicxml"
    assert refusal(archive({"a.xml": text, "b.xml": text}), "a.mxl") == "bad_musicxml"
    assert refusal(score([attributes()]).encode(), "a.xml") == "no_notes"
    assert refusal(text.encode(), "a.xml", max_notes=2) == "too_many_notes"
    assert refusal(text.encode(), "a.xml", max_quarters=7) == "too_many_quarters"
    assert refusal(text.encode(), "a.xml", max_seconds=3) == "too_many_seconds"
    assert refusal(b"\0\1\2", "a.bin") == "unknown_format"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_entities_are_refused_unread(encoding):
    head = f'<?xml version="1.0" encoding="{encoding}"?>'
    bomb = f'{head}<!DOCTYPE s [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>{score(TUNE)}'
    with pytest.raises(ReadError, match="entities"):
        read_bytes(bomb.encode(encoding), "a.xml")


def test_an_archive_that_unpacks_to_too_much_is_refused_unopened():
    bomb = compressed(score(TUNE) + " " * 10**6)
    assert len(bomb) < 5000
    assert refusal(bomb, "a.mxl", max_bytes=10**5) == "too_large"


def test_numbers_that_would_fill_the_memory_are_no_numbers():
    measure = attributes() + note("C4", "1e99999999") + notes("D4")
    assert [n.pitch for n in read([measure]).notes] == [62]
    endless = [TUNE[0] + barline('<repeat direction="backward" times="999999999"/>')]
    assert remarks(read(endless)) == {"repeats": "as written"}


@pytest.mark.parametrize("suffix", [".xml", ".mxl"])
def test_damaged_scores_are_read_or_refused(suffix):
    text = score(TUNE, [attributes() + harmony("C", "major") + note("C4", 4)])
    whole = text.encode() if suffix == ".xml" else compressed(text)
    generator = random.Random(3)
    for _ in range(200):
        copy = bytearray(whole)
        for _ in range(generator.choice([1, 4])):
            copy[generator.randrange(len(copy))] = generator.randrange(256)
        try:
            assert read_bytes(bytes(copy), "x" + suffix).notes
        except ReadError as error:
            assert error.reason


def test_a_chorale_is_read_whole():
    sequence = read_file(corpus.getWork("bwv66.6"))
    names = [info.name for info in sequence.instrument_infos]
    assert names == ["Soprano", "Alto", "Tenor", "Bass"]
    assert len(sequence.notes) == 163
    assert {n.instrument for n in sequence.notes} == {0, 1, 2, 3}
    assert (best_key(sequence).tonic, best_key(sequence).mode) == (6, "minor")
    assert [tempo.qpm for tempo in sequence.tempos] == [96]
    assert metres(sequence) == [(0.625, 4, 4)]  # after an upbeat of a quarter
    assert [t.text for t in sequence.text_annotations] == [FERMATA] * 6


def test_what_is_written_is_read_again(tmp_path):
    sequence = NoteSequence(ticks_per_quarter=220, total_time=3)
    sequence.tempos.add(time=0, qpm=120)
    sequence.tempos.add(time=1, qpm=60)
    sequence.time_signatures.add(time=0, numerator=2, denominator=4)
    rows = [(72, 0, 0.5), (74, 0.5, 1), (76, 1, 2), (77, 2, 3), (48, 0, 3)]
    for pitch, start, end in rows:
        sequence.notes.add(pitch=pitch, velocity=80, start_time=start, end_time=end)
    write_musicxml(sequence, tmp_path / "a.musicxml")
    again = read_file(tmp_path / "a.musicxml")
    assert heard(again) == sorted(rows, key=lambda row: (row[1], row[0]))
    assert metres(again) == [(0, 2, 4)]
    assert np.allclose([t.time for t in again.tempos], [0, 1])


def test_an_upbeat_is_written_and_read_again(tmp_path):
    sequence = read([attributes("3/4") + note("G3"), notes("C4 D4 E4"), note("C4", 2)])
    write_musicxml(sequence, tmp_path / "a.musicxml")
    again = read_file(tmp_path / "a.musicxml")
    assert (heard(again), metres(again)) == (heard(sequence), [(0.5, 3, 4)])


def test_every_format_is_among_the_suffixes():
    assert set(SUFFIXES) >= {".mid", ".midi", ".kar", ".xml", ".musicxml", ".mxl"}


def test_a_tie_holds_over_the_rounding_of_tuplets():
    first = notes("C4 D4", 33) + note("E4", 33, tie("start"))
    second = note("E4", 100, tie("stop"))
    sequence = read([attributes("1/4", divisions=100) + first, second])
    assert heard(sequence)[-1][:2] == (64, 0.33)
    assert [n.end_time for n in sequence.notes][-1] == 1
    assert metres(sequence) == [(0, 1, 4)]


def test_a_bracket_ends_with_its_repeat_even_if_nothing_says_so():
    def bracket(number):
        return barline(f'<ending number="{number}" type="start"/>', "left")

    back = barline('<repeat direction="backward"/>')
    forth = barline('<repeat direction="forward"/>', "left")
    part = [
        attributes("1/4") + note("C4"),
        bracket(1) + note("D4") + back,
        bracket(2) + note("E4"),
        forth + note("F4") + back,
        note("G4"),
    ]
    assert [n.pitch for n in read(part).notes] == [60, 62, 60, 64, 65, 65, 67]
