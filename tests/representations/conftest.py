import importlib.util
import pathlib
import zipfile

import pytest

from tests.contracts import make_sequence
from tfmusic.notes.reading import read_bytes, read_file
from tfmusic.representations import make_representation

# Every kind, in its default and its reference form and at the borders of its settings.
CONFIGS = {
    "bar_events": {"name": "bar_events"},
    "bar_events_plain": {
        "name": "bar_events",
        "num_velocity_bins": 0,
        "tempos": False,
        "programs": False,
        "note_steps": 3,
        "qpm": 101.0,
        "lowest_pitch": 21,
        "highest_pitch": 108,
    },
    "binary_roll": {"name": "binary_roll"},
    "binary_roll_without_onsets": {"name": "binary_roll", "onsets": False},
    "binary_roll_metre": {"name": "binary_roll", "metre": True},
    "binary_roll_frames": {
        "name": "binary_roll",
        "steps_per_quarter": 0,
        "steps_per_second": 12.5,
        "velocity": 100,
    },
    "binary_roll_middle": {
        "name": "binary_roll",
        "lowest_pitch": 48,
        "highest_pitch": 72,
        "qpm": 95.0,
        "steps_per_quarter": 3,
    },
    "two_hands_roll": {"name": "two_hands_roll"},
    "two_hands_roll_without_onsets": {"name": "two_hands_roll", "onsets": False},
    "two_hands_roll_metre": {
        "name": "two_hands_roll",
        "metre": True,
        "onsets": False,
        "steps_per_quarter": 3,
    },
    "note_chord_tokens": {"name": "note_chord_tokens"},
    "note_chord_tokens_tight": {
        "name": "note_chord_tokens",
        "max_duration_steps": 3,
        "max_shift_steps": 2,
        "min_count": 5,
        "qpm": 101.0,
    },
    "note_chord_tokens_frames": {
        "name": "note_chord_tokens",
        "steps_per_quarter": 0,
        "steps_per_second": 10,
    },
    "note_chord_tokens_reference": {"name": "note_chord_tokens", "mode": "reference"},
    "chord_frames": {"name": "chord_frames"},
    "chord_frames_metre": {"name": "chord_frames", "metre": True},
    "chord_frames_keys": {
        "name": "chord_frames",
        "keys": True,
        "metre": True,
        "plan": True,
        "min_count": 2,
    },
    "chord_frames_untrimmed": {
        "name": "chord_frames",
        "trim_silence": False,
        "max_vocabulary": 60,
    },
    "chord_frames_reference": {
        "name": "chord_frames",
        "steps_per_quarter": 0,
        "steps_per_second": 2,
        "first_instrument_only": True,
    },
    "event_chunks": {"name": "event_chunks"},
    "event_chunks_reference": {
        "name": "event_chunks",
        "chunk_seconds": 0.25,
        "max_events": 15,
    },
    "event_chunks_split": {
        "name": "event_chunks",
        "chunk_seconds": 0.25,
        "split_pedals": True,
    },
    "event_chunks_tight": {
        "name": "event_chunks",
        "steps_per_second": 100,
        "max_events": 2,
        "pedal_bins": 127,
        "first_instrument_only": True,
    },
    "performance_events": {"name": "performance_events"},
    "performance_events_plain": {
        "name": "performance_events",
        "num_velocity_bins": 0,
        "apply_sustain": False,
        "max_shift_steps": 7,
        "lowest_pitch": 9,
        "highest_pitch": 120,
    },
    "performance_events_beat": {
        "name": "performance_events",
        "steps_per_quarter": 12,
        "steps_per_second": 0,
        "num_velocity_bins": 100,
    },
    "play_articulate": {"name": "play_articulate"},
    "play_articulate_reference": {
        "name": "play_articulate",
        "lowest_pitch": 24,
        "highest_pitch": 101,
    },
    "play_articulate_coarse": {
        "name": "play_articulate",
        "play_only": True,
        "steps_per_quarter": 1,
    },
    "play_articulate_triplets": {"name": "play_articulate", "steps_per_quarter": 3},
    "start_sustain": {"name": "start_sustain"},
    "start_sustain_metre": {
        "name": "start_sustain",
        "metre": True,
        "steps_per_quarter": 1,
    },
    "start_sustain_reference": {
        "name": "start_sustain",
        "steps_per_quarter": 12,
        "first_instrument_only": True,
    },
    "styled_performance_events": {"name": "styled_performance_events"},
    "two_hands_chords": {"name": "two_hands_chords"},
    "two_hands_chords_small": {"name": "two_hands_chords", "max_vocabulary": 40},
    "voice_frames": {"name": "voice_frames"},
    "voice_frames_without_onsets": {
        "name": "voice_frames",
        "onsets": False,
        "lowest_pitch": 1,
        "highest_pitch": 127,
    },
    "voice_frames_duet": {
        "name": "voice_frames",
        "steps_per_quarter": 3,
        "voice_names": ("Upper", "Lower"),
        "qpm": 90.0,
    },
}


@pytest.fixture(params=CONFIGS)
def unfitted(request):
    return make_representation(CONFIGS[request.param])


@pytest.fixture
def representation(unfitted, hand_made):
    return unfitted.fit(hand_made.values())


@pytest.fixture(scope="session")
def hand_made():
    """Pieces that are hard in one way each."""
    scale = [(60 + i, 60 + i, i / 2, i / 2 + 0.5) for i in range(8)]
    bass = [(48, 70, 0, 2), (43, 70, 2, 4)]
    chord = [(pitch, 80, 0, 2) for pitch in (48, 55, 64, 72)]
    waltz = [(60 + i, 80, i, i + 1) for i in range(6)]
    return {
        "scale": make_sequence(scale),
        "chord": make_sequence(chord),
        "single_note": make_sequence([(64, 1, 0, 1)]),
        "octave": make_sequence([(60, 80, 0, 1), (72, 80, 0, 1)]),
        "named_hands": make_sequence(bass, scale, names=("Piano left", "Piano right")),
        "other_tempo": make_sequence(scale, bass, qpm=73.0),
        "waltz": make_sequence(waltz, qpm=90.0, time_signature=(3, 8)),
        "leading_rest": make_sequence([(62, 80, 9.25, 10)]),
        "long_rest": make_sequence([(62, 80, 0, 1), (64, 80, 70, 71)]),
        "long_note": make_sequence([(62, 80, 0, 50), (64, 80, 1, 2)]),
        "restrikes": make_sequence([(60, 80, i / 4, (i + 1) / 4) for i in range(9)]),
        "short_notes": make_sequence([(60, 80, i, i + 0.01) for i in range(4)]),
        "off_grid": make_sequence([(60, 80, 0.13, 0.37), (62, 80, 0.38, 0.88)]),
        "overlap": make_sequence([(60, 80, 0, 4)], [(60, 90, 2, 3), (60, 90, 6, 7)]),
        "unison": make_sequence([(60, 80, 0, 4)], [(60, 90, 0, 2)]),
        "borders": make_sequence([(21, 80, 0, 1), (60, 80, 0, 1), (108, 80, 1, 2)]),
        "outside": make_sequence([(9, 80, 0, 1), (60, 80, 0, 1), (120, 80, 1, 2)]),
        "metres": with_metres(
            scale, (0, 3, 4), (3, 6, 8), (5.5, 5, 32), (6.25, 1, 64), (6.5, 2, 2)
        ),
        "pedals": with_controls(
            make_sequence(scale, bass, [(60, 80, 4.5, 5)]),
            *[(64, i / 8, 9 * i) for i in range(15)],
            *[(64, 1, 0), (64, 1, 127), (66, 0.1, 70), (66, 0.6, 69), (67, 1.9, 1)],
        ),
        "pedal_after_the_end": with_controls(
            make_sequence(scale), (64, 1.9, 64), (64, 3, 0), (67, 1e9, 127)
        ),
        "long_pedal": with_controls(
            make_sequence([(60, 80, i, i + 150) for i in (0, 200, 400)]), (67, 1, 50)
        ),
        "fermatas": with_fermatas(make_sequence(scale, bass), 1, 1.5, 3.5, 9),
        "three_tracks": make_sequence(bass, scale, [(76, 80, 0, 4), (77, 80, 4, 5)]),
    }


def with_metres(notes, *metres):
    """A piece whose time signatures are (quarter note, numerator, denominator)."""
    sequence = make_sequence(notes)
    for quarter, numerator, denominator in metres:
        sequence.time_signatures.add(
            time=quarter / 2, numerator=numerator, denominator=denominator
        )
    return sequence


def with_fermatas(sequence, *quarters):
    """The sequence with fermatas as well, at 120 quarter notes a minute."""
    for quarter in quarters:
        sequence.text_annotations.add(time=quarter / 2, text="fermata")
    return sequence


def with_controls(sequence, *controls, instrument=0):
    """The sequence with these (control number, seconds, value) as well."""
    for number, seconds, value in controls:
        sequence.control_changes.add(
            time=seconds,
            control_number=number,
            control_value=value,
            instrument=instrument,
        )
    return sequence


def read_archive(path, limit, largest=1 << 30):
    """Pieces from all over an archive, as many as the limit; small ones on request."""
    with zipfile.ZipFile(path) as archive:
        names = sorted(
            entry.filename
            for entry in archive.infolist()
            if entry.filename.endswith((".mid", ".midi")) and entry.file_size < largest
        )
        names = names[:: len(names) // limit][:limit]
        return [read_bytes(archive.read(name), name) for name in names]


@pytest.fixture(scope="session")
def chorale_paths():
    """Bach chorales, which music21 carries; found without its slow import."""
    (package,) = importlib.util.find_spec("music21").submodule_search_locations
    paths = sorted((pathlib.Path(package) / "corpus" / "bach").glob("bwv*.mxl"))
    assert len(paths) > 300
    return paths


@pytest.fixture(scope="session")
def chorales(chorale_paths):
    return [read_file(path) for path in chorale_paths[:: len(chorale_paths) // 8]]


@pytest.fixture(scope="session")
def piano_paths(shared_data):
    paths = sorted((shared_data / "piano_midi_de").rglob("*.mid"))
    assert len(paths) == 337
    return paths


@pytest.fixture(scope="session")
def piano_pieces(piano_paths):
    return [read_file(path) for path in piano_paths[:: len(piano_paths) // 6]]


@pytest.fixture(scope="session")
def performances(shared_data):
    """Short ones, with every pedal."""
    return read_archive(shared_data / "maestro-v3.0.0-midi.zip", 3, largest=12_000)


@pytest.fixture(scope="session")
def songs(shared_data):
    return read_archive(shared_data / "pop909-midi.zip", 2)
