import struct

import pytest

from tests.notes import midi_files as m
from tests.notes.midi_reading import ONE_NOTE, refusal, repaired
from tfmusic.notes.guarded import read_input

TWO_TRACKS = [
    m.track((0, m.on(60)), (480, m.off(60))),
    m.track((0, m.on(72)), (480, m.off(72))),
]
TWO_NOTES = [(60, 0, 0.5), (72, 0, 0.5)]


@pytest.mark.parametrize("number", [0, 1, 3, 65535])
def test_a_wrong_number_of_tracks_is_repaired(number):
    data = m.midi_file(*TWO_TRACKS)
    data = data[:10] + struct.pack(">H", number) + data[12:]
    assert repaired(data) == (TWO_NOTES, {"files with a wrong number of tracks": 1})
    assert repaired(m.midi_file(*TWO_TRACKS)) == (TWO_NOTES, {})


def test_tracks_of_type_2_are_played_at_once_and_that_is_said():
    said = {"files of type 2, their tracks played at once": 1}
    assert repaired(m.midi_file(*TWO_TRACKS, kind=2)) == (TWO_NOTES, said)


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("length", [0, 1, 5, 12, 14, 17, 20, 35, 10_000, 2**32 - 1])
def test_a_track_of_a_wrong_length_is_read_to_where_it_says_that_it_ends(which, length):
    tracks = list(TWO_TRACKS)
    body = tracks[which][8:]
    assert len(body) == 13
    tracks[which] = b"MTrk" + struct.pack(">I", length) + body
    found = repaired(m.midi_file(*tracks))
    assert found == (TWO_NOTES, {"tracks of a wrong length": 1})


def test_a_length_that_takes_in_the_next_track_is_wrong():
    first, second = TWO_TRACKS
    both = b"MTrk" + struct.pack(">I", len(first + second) - 8) + first[8:]
    expected = (TWO_NOTES, {"tracks of a wrong length": 1})
    assert repaired(m.midi_file(both, second)) == expected


def test_a_track_may_lack_its_end_and_bytes_behind_its_end_are_passed_over():
    first, second = TWO_TRACKS
    without = m.chunk(first[8:-4])
    assert repaired(m.midi_file(without, second)) == (TWO_NOTES, {})
    assert repaired(m.midi_file(second, without)) == (TWO_NOTES, {})
    behind = m.chunk(first[8:] + bytes(5))
    assert repaired(m.midi_file(behind, second)) == (TWO_NOTES, {})


def test_another_file_behind_a_file_is_passed_over():
    data = m.midi_file(*TWO_TRACKS)
    assert repaired(data + m.midi_file(ONE_NOTE)) == (TWO_NOTES, {})


def test_what_is_cut_short_is_refused():
    data = m.midi_file(*TWO_TRACKS)
    # Cut between its tracks, it is like a file with a wrong number of tracks.
    whole = 14, 14 + len(TWO_TRACKS[0])
    for end in set(range(14, len(data))) - set(whole):
        assert refusal(data[:end]) == "truncated"
    # So is one whose last track says nowhere that it ends.
    without = m.midi_file(m.chunk(TWO_TRACKS[0][8:-4]))
    longer = without[:18] + struct.pack(">I", 1000) + without[22:]
    assert refusal(longer) == "truncated"


def test_repairs_are_said_where_a_file_is_named_on_a_command_line(tmp_path, caplog):
    path = tmp_path / "x.mid"
    path.write_bytes(
        m.midi_file(m.track((0, m.on(60)), (480, m.on(62)), (0, m.off(62))))
    )
    assert len(read_input(str(path), "primer").notes) == 2
    (record,) = caplog.records
    assert record.getMessage() == (
        f"--primer={path}: changed in reading: 1 notes without length, "
        "1 notes without an end"
    )
