"""Reading MIDI files that a test makes."""

import random

import pytest

from tests.notes import midi_files as m
from tfmusic.notes import repairs
from tfmusic.notes.reading import Limits, ReadError, read_bytes

# In all tests but some: 480 ticks are a quarter note of half a second.
ONE_NOTE = m.track((0, m.on(60)), (480, m.off(60)))


def read(*tracks: bytes, **header):
    return read_bytes(m.midi_file(*tracks, **header), "x.mid")


def refusal(data: bytes, name: str = "x.mid", **limits) -> str:
    with pytest.raises(ReadError) as caught:
        read_bytes(data, name, Limits(**limits))
    assert "\n" not in str(caught.value)
    return caught.value.reason


def spans(sequence) -> list[tuple]:
    """(pitch, start, end) of every note in order, times to the millisecond."""
    return sorted(
        (n.pitch, round(n.start_time, 3), round(n.end_time, 3)) for n in sequence.notes
    )


def repaired(data: bytes) -> tuple[list[tuple], dict[str, int]]:
    with repairs.counted() as found:
        sequence = read_bytes(data, "x.mid")
    return spans(sequence), dict(found)


def random_events(generator: random.Random):
    channel, pitch = generator.choice([0, 0, 1, 9]), generator.choice([60, 60, 62])
    return generator.choices(
        [
            m.on(pitch, generator.randint(1, 127), channel),
            m.off(pitch, channel),
            m.on(pitch, 0, channel),
            m.program(generator.randint(0, 3), channel),
            m.control(
                generator.choice([7, 64, 64]), generator.choice([0, 127]), channel
            ),
            m.bend(generator.randint(-5, 5), channel),
            bytes([0xD0 | channel, 5]),
            m.tempo(generator.choice([0, 400_000, 500_000])),
            m.time_signature(generator.choice([3, 4]), 2),
            m.key_signature(generator.randint(-7, 7), generator.randint(0, 1)),
            m.port(generator.randint(0, 1)),
            b"\xf0\x03\x43\x12\xf7",
            m.name("x" * generator.randint(1, 100)),
        ],
        [40, 25, 5, 8, 8, 2, 2, 3, 2, 2, 1, 1, 1],
    )[0]


def random_track(generator: random.Random) -> bytes:
    events, status = [], None
    for _ in range(generator.randint(1, 40)):
        wait = generator.choice([0, 0, 0, 1, 2, 30, 200, 20_000])
        event = random_events(generator)
        is_running = event[0] == status and generator.random() < 0.7
        status = event[0] if event[0] < 0xF0 else None
        events.append((wait, event[1:] if is_running else event))
    return m.track(*events)


def piano_midi_de(shared_data):
    for path in sorted(shared_data.glob("piano_midi_de/**/*.mid")):
        yield path.name, path.read_bytes()
