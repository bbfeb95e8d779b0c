import collections
import random
import zipfile

import numpy as np
import pytest

from tests.notes import midi_files as m
from tests.notes.midi_reading import piano_midi_de, random_track
from tests.notes.midi_reference import Reference, find_differences
from tfmusic.notes import repairs, wire
from tfmusic.notes.reading import ReadError, read_bytes, read_file
from tfmusic.notes.transforms import sustained_ends


def check_equal(files) -> None:
    """Reads files as the reference does, which goes through all events one by one."""
    for name, data in files:
        found = find_differences(read_bytes(data, name), Reference(data))
        assert not found, f"{name}: {found}"


def test_equals_an_independent_reading_of_random_files():
    generator = random.Random(3)
    for number in range(300):
        tracks = [random_track(generator) for _ in range(generator.randint(1, 4))]
        data = m.midi_file(m.track((0, m.on(60)), (9, m.off(60))), *tracks)
        with repairs.counted() as found:
            sequence = read_bytes(data, "x.mid")
        reference = Reference(data)
        assert not find_differences(sequence, reference), number
        assert found["notes without length"] == reference.num_without_length
        assert found["notes without an end"] == reference.num_without_end


def from_zip(path, num_files):
    with zipfile.ZipFile(path) as archive:
        names = sorted(n for n in archive.namelist() if n.endswith((".mid", ".midi")))
        for name in names[:: len(names) // num_files][:num_files]:
            yield name, archive.read(name)


def test_equals_an_independent_reading_of_some_real_files(shared_data):
    check_equal(list(piano_midi_de(shared_data))[::34])
    check_equal(from_zip(shared_data / "maestro-v3.0.0-midi.zip", 2))
    check_equal(from_zip(shared_data / "pop909-midi.zip", 5))


@pytest.mark.slow
def test_equals_an_independent_reading_of_all_of_piano_midi_de(shared_data):
    files = list(piano_midi_de(shared_data))
    assert len(files) == 337
    check_equal(files)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["maestro-v3.0.0-midi.zip", "pop909-midi.zip"])
def test_equals_an_independent_reading_of_sixty_files(shared_data, name):
    check_equal(from_zip(shared_data / name, 60))


@pytest.mark.slow
def test_equals_an_independent_reading_of_odd_files(shared_data):
    unread_by_mido = set()
    for path in sorted((shared_data / "odd_midi").rglob("*.mid*")):
        data = path.read_bytes()
        try:
            sequence = read_bytes(data, path.name)
        except ReadError:
            continue
        try:
            reference = Reference(data)
        except IndexError:
            unread_by_mido.add(path.name)
            continue
        assert not find_differences(sequence, reference), path.name
    assert unread_by_mido == {"Levels.mid"}  # for its key signature


def test_every_note_that_the_pedal_of_its_channel_holds_is_held(shared_data):
    files = list(piano_midi_de(shared_data))[::20]
    counts = collections.Counter()
    for name, data in files:
        sequence = read_bytes(data, name)
        ends = wire.columns(sequence, "notes", "end_time")["end_time"]
        counts["notes"] += len(ends)
        counts["held"] += int(np.sum(sustained_ends(sequence) - ends > 1e-6))
        first = [c for c in sequence.control_changes if c.instrument == 0]
        counts["pedals"] += sum(c.control_number == 64 for c in first)
    # The pedal is on a track of its own, beside one for each hand.
    assert counts == {"notes": 48_184, "held": 26_383, "pedals": 7_645}


def test_odd_files_are_read_or_refused_with_a_reason(shared_data):
    reasons = {}
    for path in sorted((shared_data / "odd_midi").rglob("*.*")):
        if path.suffix not in (".mid", ".midi", ".rmi"):
            continue
        try:
            assert read_file(path).notes
        except ReadError as error:
            reasons[path.name] = error.reason
    assert reasons == {
        "Issue104_Bizarre_Love_Triangle2.mid": "bad_events",
        "PiDamaged.mid": "truncated",
        "SysExTest.mid": "no_notes",
        "ValueError_Control168.mid": "bad_events",
        "empty.mid": "no_notes",
        "multiple-copyrights.mid": "no_notes",
        "negative-ticks-per-beat.mid": "bad_division",
        "ticks-per-beat-480.mid": "no_notes",
        "type2.mid": "no_notes",
        "zero-ticks-per-beat.mid": "bad_division",
    }
