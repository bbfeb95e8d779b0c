import numpy as np
import pytest

from tests.notes.sequences import make_sequence
from tfmusic.notes import NoteSequence, wire


def test_columns_are_what_the_notes_hold():
    sequence = make_sequence((60, 80, 0.0, 1.0), (64, 90, 1.0, 2.5))
    columns = wire.columns(sequence, "notes", "pitch", "end_time", "is_drum")
    assert columns["pitch"].tolist() == [60, 64]
    assert columns["end_time"].tolist() == [1.0, 2.5]
    assert columns["is_drum"].dtype == bool
    (pitches,) = wire.columns(sequence, "notes", "pitch").values()
    assert pitches.tolist() == [60, 64]
    assert len(wire.columns(make_sequence(), "notes", "pitch")["pitch"]) == 0


def test_kept_columns_are_those_of_one_message_and_of_one_block():
    sequence = make_sequence((60, 80, 0.0, 1.0))
    other = make_sequence((72, 80, 0.0, 1.0))
    with wire.columns_kept(sequence):
        first = wire.columns(sequence, "notes", "pitch", "velocity")
        again = wire.columns(sequence, "notes", "pitch", "start_time")
        assert again["pitch"] is first["pitch"]
        assert again["start_time"].tolist() == [0.0]
        assert wire.columns(other, "notes", "pitch")["pitch"].tolist() == [72]
        with pytest.raises(ValueError, match="read-only"):
            again["pitch"] += 1
    sequence.notes[0].pitch = 61
    assert wire.columns(sequence, "notes", "pitch")["pitch"].tolist() == [61]
    np.testing.assert_array_equal(first["pitch"], [60])


def test_columns_that_were_written_are_what_reading_them_back_gives():
    sequence = NoteSequence()
    with wire.columns_written() as written:
        wire.extend(
            sequence,
            "notes",
            pitch=np.array([60, 64], np.uint8),
            velocity=80,
            start_time=np.array([0, 1]),
            is_drum=np.array([0, 1]),
        )
    names = ("pitch", "velocity", "start_time", "is_drum", "end_time")
    expected = wire.columns(sequence, "notes", *names)
    sequence.notes[0].pitch = 99  # what is kept is not read
    with wire.columns_kept(sequence, written):
        found = wire.columns(sequence, "notes", *names)
    for name in names:
        np.testing.assert_array_equal(found[name], expected[name], strict=True)
        assert not found[name].flags.writeable


def test_columns_of_a_part_of_the_rows_are_not_kept():
    sequence = make_sequence((60, 80, 0.0, 1.0))
    with wire.columns_written() as written:
        wire.extend(sequence, "notes", pitch=np.array([62]))
        other = make_sequence()
        wire.extend(other, "notes", pitch=np.array([64]))
        wire.extend(other, "notes", pitch=np.array([65]))
    for message, pitches in ((sequence, [60, 62]), (other, [64, 65])):
        with wire.columns_kept(message, written):
            found = wire.columns(message, "notes", "pitch")["pitch"]
        assert found.tolist() == pitches
