import random
import time

import pytest

from tests.notes import midi_files as m
from tests.notes.midi_reading import ONE_NOTE, piano_midi_de, random_track, refusal
from tests.notes.sequences import tuples
from tfmusic.errors import UserError
from tfmusic.notes.reading import Limits, ReadError, read_bytes, read_file


def test_header_is_checked_before_anything_is_parsed():
    good = m.midi_file(ONE_NOTE)
    assert refusal(b"") == "empty"
    assert refusal(b"MThx" + good[4:]) == "not_midi"
    assert refusal(b"RIFF____RMID") == "not_midi"
    assert refusal(good[:10]) == "truncated"
    assert refusal(good[:-1]) == "truncated"
    assert refusal(good[:20]) == "truncated"
    assert refusal(m.midi_file(ONE_NOTE, division=0)) == "bad_division"
    assert refusal(m.midi_file(ONE_NOTE, division=0xE700)) == "bad_division"
    assert refusal(m.midi_file(ONE_NOTE, division=0xFF28)) == "bad_division"
    assert refusal(m.midi_file()) == "no_notes"
    assert refusal(m.midi_file(m.track((0, bytes([0x90, 200, 80]))))) == "bad_events"


def test_running_status_is_that_of_the_same_track():
    running = m.track((0, m.name("x")), (0, b"\x3c\x50"), (480, m.off(60)))
    assert refusal(m.midi_file(running)) == "bad_events"
    assert refusal(m.midi_file(ONE_NOTE, running)) == "bad_events"
    assert refusal(m.midi_file(m.track(), running, ONE_NOTE)) == "bad_events"


def test_a_riff_wrapper_unknown_chunks_and_bytes_behind_are_passed_over():
    good = m.midi_file(ONE_NOTE)
    expected = tuples(read_bytes(good, "x.mid"))
    wrapped = b"RIFF\x40\0\0\0RMIDdata\x30\0\0\0" + good
    assert tuples(read_bytes(wrapped, "x.rmi")) == expected
    unknown = good[:14] + b"XFIH\0\0\0\x02ab" + good[14:] + b"junk"
    assert tuples(read_bytes(unknown, "x.mid")) == expected


def test_limits_bound_bytes_tracks_notes_and_length():
    good = m.midi_file(ONE_NOTE, ONE_NOTE)
    assert refusal(good, max_bytes=len(good) - 1) == "too_large"
    assert refusal(good, max_tracks=1) == "too_many_tracks"
    assert refusal(good, max_notes=1) == "too_many_notes"
    assert refusal(good, max_quarters=0.5) == "too_many_quarters"
    assert refusal(good, max_seconds=0.25) == "too_many_seconds"
    assert len(read_bytes(good, "x.mid", Limits(len(good), 2, 2, 1, 0.5)).notes) == 2


@pytest.mark.parametrize("num_waits", [1, 7, 8, 9, 17])
def test_a_tick_that_would_exhaust_memory_is_refused_at_once(num_waits):
    waits = [(2**28 - 1, m.control(1, 1))] * num_waits
    data = m.midi_file(m.track(*waits, (0, m.on(60)), (1, m.off(60))))
    begin = time.perf_counter()
    assert refusal(data) == "too_many_quarters"
    assert time.perf_counter() - begin < 1


def test_a_missing_file_is_refused_by_name(tmp_path):
    with pytest.raises(UserError, match=r"missing.*nowhere\.mid"):
        read_file(tmp_path / "nowhere.mid")


def damaged_copies(data: bytes, generator: random.Random, num_copies: int):
    for _ in range(num_copies):
        copy = bytearray(data)
        for _ in range(generator.choice([1, 3, 20])):
            place = generator.randrange(len(copy))
            copy[place] = generator.choice([0, 127, 128, 255, generator.randrange(256)])
        yield bytes(
            copy[: generator.choice([len(copy), generator.randrange(len(copy))])]
        )


def test_damaged_copies_are_read_or_refused():
    data = m.midi_file(*[random_track(random.Random(seed)) for seed in range(3)])
    for copy in damaged_copies(data, random.Random(1), 500):
        try:
            read_bytes(copy, "x.mid")
        except ReadError as error:
            assert error.reason


def test_damaged_copies_of_real_files_are_read_or_refused(shared_data):
    generator = random.Random(2)
    for _, data in list(piano_midi_de(shared_data))[::34]:
        for copy in damaged_copies(data, generator, 30):
            try:
                read_bytes(copy, "x.mid")
            except ReadError as error:
                assert error.reason
