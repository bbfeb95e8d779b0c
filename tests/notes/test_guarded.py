"""Files that others made cost an error, not the memory or time of who reads them."""

import os
import threading
import time

import numpy as np
import pytest

import tfmusic
from tests.notes.sequences import make_sequence
from tfmusic.errors import UserError
from tfmusic.notes import guarded, repairs
from tfmusic.notes.guarded import read_guarded, read_input
from tfmusic.notes.limits import Limits, ReadError
from tfmusic.notes.reading import read_bytes, read_file
from tfmusic.notes.writing import write_midi
from tfmusic.sandbox import Sandbox

BARS = "X:1\nM:1/64\nL:1/64\n{}K:C\n"


@pytest.fixture
def piece(tmp_path):
    path = tmp_path / "piece.mid"
    write_midi(make_sequence((60, 80, 0.0, 1.0, 0), (64, 80, 1.0, 2.0, 0)), path)
    return path


def test_reading_in_a_process_gives_what_reading_here_gives(piece, monkeypatch):
    assert read_guarded(piece) == read_file(piece) == tfmusic.read_music(str(piece))
    monkeypatch.chdir(piece.parent)  # after the process has started elsewhere
    assert read_guarded("piece.mid").filename == "piece.mid"


def test_repairs_are_told(piece):
    data = bytearray(piece.read_bytes())
    data[10:12] = b"\0\7"  # tracks
    piece.write_bytes(data)
    with repairs.counted() as found:
        read_guarded(piece)
    assert found == {"files with a wrong number of tracks": 1}


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (os.mkfifo, "expected a file, found a pipe"),
        (lambda path: path.symlink_to("/dev/zero"), "expected a file, found a device"),
        (lambda path: path.symlink_to(path), "symbolic links|Symbolic link"),
        (lambda path: path.mkdir(), "expected a file, found a folder"),
        (lambda path: None, "No such file or directory"),
    ],
)
def test_what_is_no_file_is_refused_at_once(make, words, tmp_path):
    make(tmp_path / "x.mid")
    with pytest.raises(UserError, match=f"--primer=.*x.mid: .*{words}"):
        read_input(str(tmp_path / "x.mid"), "primer")


def test_file_that_asks_for_too_much_is_refused_alone(piece, tmp_path, monkeypatch):
    # A process for these alone, with less than the hours and gigabytes they ask for.
    sandbox = Sandbox(guarded._read, 3.0, 300)
    monkeypatch.setitem(guarded._of_process, os.getpid(), sandbox)
    (tmp_path / "slow.abc").write_text("X:1\nK:C\nC|\n\n" * 400_000)
    with pytest.raises(ReadError, match="timeout: .*slow.abc: expected to be done"):
        read_guarded(tmp_path / "slow.abc")
    (tmp_path / "large.abc").write_text(BARS.format("") + "Z999" * 2 + "C|")
    assert len(read_guarded(tmp_path / "large.abc").notes) == 1
    assert len(read_guarded(piece).notes) == 2
    sandbox.close()


def test_threads_take_turns(piece):
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(read_guarded(piece)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [read_file(piece)] * 8


@pytest.mark.parametrize(
    "text",
    [
        # Sections of repeats of rests: 800 million bars in 254 bytes.
        BARS.format("P:" + "A" * 64 + "\n") + "P:A\n|:" + "Z999" * 40 + ":" * 60 + "|",
        BARS.format("P:((A9)9)9\n") + "P:A\n|:" + "Z999" * 50 + "C:::::::::|",
        BARS.format("") + "|:" + "Z999" * 200 + ":" * 70 + "|",
        BARS.format("").replace("1/64", "255/1", 1) + "Z999" * 60 + "C|",
        "X:1\nL:999/1\nM:4/4\nK:C\n" + "C9999|" * 40,
        BARS.format("") + "".join(f"V:{i}\nZ999\n" for i in range(20)),
    ],
)
def test_few_bytes_of_abc_take_little(text):
    begin = time.monotonic()
    before = high_water()
    try:
        read_bytes(text.encode(), "x.abc")
    except ReadError as error:
        assert error.reason.startswith("too_") or error.reason == "no_notes"
    assert time.monotonic() - begin < 10
    assert high_water() - before < 400  # MB


def high_water():
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "latin-1"])
def test_xml_that_declares_entities_is_refused_in_any_encoding(encoding):
    head = f'<?xml version="1.0" encoding="{encoding}"?>'
    rest = '<!DOCTYPE a [<!ENTITY x "y"><!ENTITY z "&x;&x;">]><score-partwise/>'
    with pytest.raises(ReadError, match="expected music, found entities"):
        read_bytes((head + rest).encode(encoding), "x.xml")


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("start_time", -1.0, "1 notes of others"),
        ("end_time", float("nan"), "1 notes of others"),
        ("end_time", float("inf"), "1 notes of others"),
        ("end_time", 1e300, "expected at most \\d+ seconds, found 1e\\+300"),
        ("end_time", 1e7, "expected at most \\d+ seconds"),
        ("pitch", 300, "pitches 0..127"),
    ],
)
@pytest.mark.parametrize("ending", [".mid", ".musicxml", ".wav"])
def test_music_of_absurd_times_is_not_written(field, value, words, ending, tmp_path):
    sequence = make_sequence((60, 80, 0.0, 1.0, 0), (64, 80, 0.5, 1.0, 0))
    setattr(sequence.notes[1], field, value)
    with pytest.raises(UserError, match=f"(cannot be written|sequence): .*{words}"):
        tfmusic.write_music(sequence, tmp_path / f"x{ending}")
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("tempos", {"time": 0.0, "qpm": float("nan")}),
        ("tempos", {"time": 0.0, "qpm": 1e300}),
        ("tempos", {"time": 0.0, "qpm": -3}),
        ("time_signatures", {"time": float("inf"), "numerator": 4, "denominator": 4}),
        ("control_changes", {"time": 1e300, "control_number": 64}),
        ("text_annotations", {"time": float("nan"), "text": "C"}),
    ],
)
def test_nor_are_other_absurd_numbers(field, values, tmp_path):
    sequence = make_sequence((60, 80, 0.0, 1.0, 0))
    sequence.ClearField("tempos")
    getattr(sequence, field).add(**values)
    with pytest.raises(UserError, match="(cannot be written|sequence): expected"):
        tfmusic.write_music(sequence, tmp_path / "x.mid")


def test_ticks_beyond_those_of_midi_are_not_written(tmp_path):
    sequence = make_sequence((60, 80, 0.0, 1.0, 0))
    sequence.ticks_per_quarter = 100_000
    with pytest.raises(UserError, match="of 32767 in a quarter"):
        tfmusic.write_music(sequence, tmp_path / "x.mid")


def test_a_pause_is_measured_from_the_last_thing_that_happened():
    def read(start, end, limits):
        sequence = make_sequence((60, 80, 0.0, 1.0, 0), (64, 80, start, end, 0))
        return read_bytes(to_bytes(sequence), "x.mid", limits)

    from tfmusic.notes.writing import to_midi_bytes as to_bytes

    limits = Limits(max_pause_seconds=10)
    assert read(10.5, 20.0, limits).total_time == pytest.approx(20)
    for start, end in ((12.0, 13.0), (1.0, 12.0)):
        with pytest.raises(ReadError, match="too_long_pause: .*, found 11 s from 1 s"):
            read(start, end, limits)
    assert np.isclose(Limits().max_pause_seconds, 300)
