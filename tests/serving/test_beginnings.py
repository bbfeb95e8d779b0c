"""Primers as a part of a file, and by chance from a dataset."""

import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from tests.contracts import make_sequence
from tests.data.builders import write_dataset
from tfmusic.errors import UserError
from tfmusic.representations import make_representation
from tfmusic.serving.beginnings import cut_primer
from tfmusic.serving.primers import read_primer
from tfmusic.serving.random_primers import draw_primer

ROOT = pathlib.Path(__file__).resolve().parents[2]
ROLL = make_representation({"name": "play_articulate", "qpm": 100})
FRAMES = make_representation(
    {"name": "binary_roll", "steps_per_quarter": 0, "steps_per_second": 2.0}
)
EVENTS = make_representation({"name": "performance_events"})
BARS = make_representation({"name": "bar_events"})


def scale(num_quarters, time_signature=(3, 4), first=48):
    """A note each quarter, at 60 a minute, whose pitch says where it is."""
    notes = [(first + i, 80, float(i), i + 1.0) for i in range(num_quarters)]
    return make_sequence(notes, qpm=60, time_signature=time_signature)


def pitches(piece):
    return [note.pitch for note in piece.notes]


@pytest.mark.parametrize(
    ("kind", "length", "quarters"),
    [
        (ROLL, dict(steps=32), 8),
        (ROLL, dict(steps=30), 8),  # the last note is cut
        (FRAMES, dict(steps=5), 3),
        (ROLL, dict(bars=2), 6),
        (ROLL, dict(seconds=4), 4),
        (ROLL, dict(), 20),
        (ROLL, dict(bars=99), 20),
    ],
)
def test_a_primer_is_the_first_part_of_a_piece(kind, length, quarters):
    part = cut_primer(kind, scale(20), **length)
    assert pitches(part) == list(range(48, 48 + quarters))
    steps = length.get("steps")
    if steps:
        assert len(next(iter(kind.encode(part).values()))) == steps


def test_steps_end_in_tempo():
    piece = scale(20)
    piece.tempos.add(time=4, qpm=30)
    assert cut_primer(ROLL, piece, steps=32).total_time == pytest.approx(12)


@pytest.mark.parametrize("kind", [EVENTS, BARS])
def test_of_steps_that_vary_in_length_a_primer_has_no_more(kind):
    part = cut_primer(kind, scale(20), steps=24)
    found = [
        len(kind.as_beginning(kind.encode(scale(n)))["tokens"]) for n in range(1, 21)
    ]
    assert pitches(part) == pitches(scale(np.searchsorted(found, 24, "right")))
    assert len(part.notes) > 2


def test_a_step_of_note_names_is_a_note_or_chord():
    kind = make_representation({"name": "note_chord_tokens", "mode": "reference"})
    names = kind.fit_counts({})
    assert pitches(cut_primer(names, scale(20), steps=7)) == list(range(48, 55))


def test_a_primer_is_no_shorter_than_its_first_notes():
    assert pitches(cut_primer(EVENTS, scale(20), steps=1)) == [48]


@pytest.mark.parametrize(
    ("length", "message"),
    [
        (dict(steps=3, bars=2), "primer_bars: leave it out with primer_steps"),
        (dict(steps=0), "primer_steps: expected more than 0, got 0"),
        (
            dict(seconds=float("nan")),
            "primer_seconds: expected a finite number, got nan",
        ),
    ],
)
def test_a_length_of_no_sense_is_answered_in_words(length, message):
    with pytest.raises(UserError, match=message):
        cut_primer(ROLL, scale(4), **length)


METRIC = make_representation({"name": "binary_roll", "metre": True})


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("primers"))
    pieces = [METRIC.encode(scale(n, first=n)) for n in (30, 33, 48)]
    write_dataset(
        path, {"test": [120, 132, 192]}, METRIC, lambda _, number: pieces[number]
    )
    return path


def test_a_random_primer_begins_with_a_measure(data_dir):
    found = [draw_primer(ROLL, data_dir, seed=seed, steps=32) for seed in range(6)]
    for part in found:
        number = int(part.filename.split()[0][-1])
        first = (30, 33, 48)[number]
        assert (part.notes[0].pitch - first) % 3 == 0  # of three quarters
        assert part.notes[0].start_time == 0
        assert part.time_signatures[0].numerator == 3
        assert len(ROLL.encode(part)["roll"]) == 32
    assert len({part.filename for part in found}) > 3
    again = draw_primer(ROLL, data_dir, seed=3, steps=32)
    assert again == found[3]


def test_a_random_primer_has_four_bars(data_dir):
    assert len(draw_primer(ROLL, data_dir).notes) == 12


def test_pieces_that_are_too_short_are_not_drawn(data_dir):
    found = {
        draw_primer(ROLL, data_dir, seed=s, steps=150).filename[:12] for s in range(2)
    }
    assert found == {"test-piece-2"}
    with pytest.raises(UserError, match="found no 192 steps from a bar line on"):
        draw_primer(ROLL, data_dir, steps=192)


def test_music_without_a_beat_begins_with_a_note(tmp_path):
    piece = FRAMES.encode(scale(20))
    write_dataset(str(tmp_path), {"test": [40]}, FRAMES, lambda *_: piece)
    part = draw_primer(ROLL, str(tmp_path), seconds=3)
    assert part.notes[0].start_time == 0
    assert part.total_time == 3
    with pytest.raises(UserError, match="primer_bars: the music of .* has no beat"):
        draw_primer(ROLL, str(tmp_path), bars=3)


def test_what_is_played_faster_goes_on_as_it_was_read(tmp_path):
    chords = make_representation(
        {
            "name": "chord_frames",
            "steps_per_quarter": 0,
            "steps_per_second": 2.0,
            "decode_steps_per_second": 8.0,
        }
    ).fit_counts({str(pitch): 2 for pitch in range(48, 68)})
    piece = chords.encode(scale(20))
    write_dataset(str(tmp_path), {"test": [40]}, chords, lambda *_: piece)
    part = draw_primer(chords, str(tmp_path), steps=16)
    assert part.total_time == 8
    assert pitches(part) == list(range(part.notes[0].pitch, part.notes[0].pitch + 8))


def test_what_was_moved_to_one_key_is_not_moved_again(tmp_path):
    notes = [(67 + (i % 2) * 7, 80, i / 4, i / 4 + 0.25) for i in range(80)]  # G and D
    piece = ROLL.encode(make_sequence(notes, qpm=60))
    info = write_dataset(str(tmp_path), {"test": [80]}, ROLL, lambda *_: piece)
    one_key = {"name": "test", "config": {"data": {"key": "C"}}}
    part = draw_primer(ROLL, str(tmp_path), steps=16)
    assert read_primer(one_key, ROLL, part).semitones
    info.preparation["key"] = "C"
    info.save(str(tmp_path))
    part = draw_primer(ROLL, str(tmp_path), steps=16)
    assert not read_primer(one_key, ROLL, part).semitones


def generate(*flags):
    done = subprocess.run(
        [sys.executable, "-m", "tfmusic.generate", *flags],
        cwd=ROOT,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.slow
def test_the_command_takes_a_random_primer(tiny_run, tiny_export, tmp_path):
    flags = [f"--model_dir={tiny_export}", f"--output_dir={tmp_path}", "--nopictures"]
    flags += ["--primer=random", f"--data_dir={tiny_run[0]}", "--split=train"]
    status, output, errors = generate(*flags, "--primer_steps=8", "--num_steps=8")
    assert status == 0, errors
    assert "the model's primer: train-piece-" in output


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--primer=random", "--primer=random: give the dataset with --data_dir=DIR"),
        ("--data_dir=data", "--data_dir: give --primer=random too"),
        ("--primer_bars=2", "--primer_bars: give the music with --primer=FILE"),
    ],
)
def test_a_primer_that_is_half_given_is_answered_in_words(flag, message):
    status, _, errors = generate("--model=chorales", "--output_dir=none", flag)
    assert status == 2
    assert message in errors
    assert errors.count("\n") == 1
