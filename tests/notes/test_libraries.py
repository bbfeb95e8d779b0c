"""What is read here is what note-seq, music21 and mido read, where they are right.

On music of music21's corpus, and on a file built here, so that it holds everywhere.
"""

import pytest
from music21 import corpus
from music21.midi.translate import music21ObjectToMidiFile

from tests.notes import midi_files as m
from tests.notes.midi_reference import Reference, find_differences
from tests.notes.sequences import differences, read_by_note_seq
from tfmusic.notes.grid import TempoMap
from tfmusic.notes.reading import read_bytes, read_file

# Four voices with an upbeat; a trio with continuo; piano; three voices of 1400.
WORKS = (
    "bach/bwv66.6",
    "corelli/opus3no1/1grave",
    "schoenberg/opus19/movement2",
    "ciconia/quod_jactatur",
)


@pytest.fixture(scope="module", params=WORKS)
def work(request):
    """A file of the corpus, and what music21 makes of it."""
    return corpus.getWork(request.param), corpus.parse(request.param)


def test_midi_that_music21_writes_is_read_as_note_seq_and_mido_read_it(work):
    data = music21ObjectToMidiFile(work[1]).writestr()
    sequence = read_bytes(data, "x.mid")
    assert len(sequence.notes) > 80
    # Bends are for all tracks of their channel; to note-seq for their own alone.
    assert differences(sequence, read_by_note_seq(data)) <= {"pitch_bends"}
    assert not find_differences(sequence, Reference(data))


def test_scores_have_the_notes_that_music21_finds_in_them(work):
    path, score = work
    expected = sorted(
        (float(element.offset), float(element.offset + element.quarterLength), p.midi)
        for element in score.stripTies().flatten().notes
        for p in element.pitches
        if element.quarterLength  # no grace note
    )
    sequence = read_file(path, play_repeats=False)
    tempo_map = TempoMap.of(sequence)
    found = sorted(
        (*tempo_map.to_quarters([note.start_time, note.end_time]).tolist(), note.pitch)
        for note in sequence.notes
    )
    assert [row[2] for row in found] == [row[2] for row in expected]
    for ours, theirs in zip(found, expected, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-3)


def hand(name: str, channel: int, *pitches: int) -> bytes:
    """A track of a piano: legato eighths of 480 ticks a quarter, under a pedal."""
    events = [
        (0, m.name(name)),
        (0, m.program(0, channel)),
        (0, m.control(64, 127, channel)),
    ]
    for number, pitch in enumerate(pitches):
        events += [(0, m.on(pitch, 60 + number, channel)), (240, m.off(pitch, channel))]
    events.append((0, m.control(64, 0, channel)))
    return m.track(*events)


def test_a_piano_built_event_by_event_is_read_as_note_seq_and_mido_read_it():
    conductor = m.track(
        (0, m.tempo(500_000)),
        (0, m.time_signature(3, 2)),
        (0, m.key_signature(-3, 1)),
        (720, m.tempo(750_000)),
        (720, m.time_signature(4, 2)),
    )
    data = m.midi_file(
        conductor,
        hand("right", 0, 72, 74, 75, 77, 79, 80, 82, 84),
        hand("left", 1, 48, 55, 60, 55, 48, 55, 60, 55),
        m.track(
            (0, m.program(40, 2)),
            (0, m.bend(512, 2)),
            (0, m.on(67, 90, 2)),
            (960, m.off(67, 2)),
        ),
        m.track((480, m.on(36, 100, 9)), (60, m.off(36, 9))),
    )
    sequence = read_bytes(data, "x.mid")
    assert len(sequence.notes) == 18
    assert len(sequence.tempos) == len(sequence.time_signatures) == 2
    assert len(sequence.control_changes) == 4
    assert not differences(sequence, read_by_note_seq(data))
    assert not find_differences(sequence, Reference(data))
