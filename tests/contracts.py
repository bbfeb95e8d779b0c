"""Checks that every representation must pass, and pieces to check them on."""

import json

import numpy as np

from tfmusic.notes import NoteSequence
from tfmusic.representations import Representation, make_representation


def make_sequence(*tracks, qpm=120.0, names=(), time_signature=None) -> NoteSequence:
    """A piece in code.

    Args:
        *tracks: Lists of (pitch, velocity, start, end) with times in quarter notes.
        qpm: Tempo.
        names: Names of the tracks, where they have some.
        time_signature: (numerator, denominator), if there is one.
    """
    sequence = NoteSequence(ticks_per_quarter=220)
    sequence.tempos.add(qpm=qpm)
    if time_signature:
        numerator, denominator = time_signature
        sequence.time_signatures.add(numerator=numerator, denominator=denominator)
    for instrument, name in enumerate(names):
        sequence.instrument_infos.add(instrument=instrument, name=name)
    for instrument, notes in enumerate(tracks):
        for pitch, velocity, start, end in notes:
            sequence.notes.add(
                pitch=pitch,
                velocity=velocity,
                start_time=start * 60 / qpm,
                end_time=end * 60 / qpm,
                instrument=instrument,
            )
    sequence.total_time = max((note.end_time for note in sequence.notes), default=0)
    return sequence


def music_of(sequence: NoteSequence) -> dict:
    """What two sequences must share to be the same music, to the last bit."""
    return {
        "notes": sorted(
            (
                note.instrument,
                note.start_time,
                note.pitch,
                note.end_time,
                note.velocity,
                note.program,
                note.is_drum,
            )
            for note in sequence.notes
        ),
        "instruments": [(i.instrument, i.name) for i in sequence.instrument_infos],
        "tempos": [(tempo.time, tempo.qpm) for tempo in sequence.tempos],
        "time_signatures": [
            (s.time, s.numerator, s.denominator) for s in sequence.time_signatures
        ],
        "texts": [(text.time, text.text) for text in sequence.text_annotations],
        "controls": sorted(
            (c.time, c.control_number, c.control_value, c.instrument)
            for c in sequence.control_changes
        ),
        "total_time": sequence.total_time,
    }


def assert_same_music(actual: NoteSequence, expected: NoteSequence) -> None:
    assert music_of(actual) == music_of(expected)


def assert_same_features(actual, expected) -> None:
    assert actual.keys() == expected.keys()
    for name in expected:
        np.testing.assert_array_equal(actual[name], expected[name], err_msg=name)


def check_laws(representation: Representation, sequence: NoteSequence) -> None:
    """The laws of `Representation` on one piece that it can encode."""
    before = sequence.SerializeToString(deterministic=True)
    features = representation.encode(sequence)
    check_specs(representation, features)
    decoded = representation.decode(features)
    canonical = representation.canonicalize(sequence)
    assert sequence.SerializeToString(deterministic=True) == before
    assert_same_music(decoded, canonical)
    assert_same_music(representation.canonicalize(canonical), canonical)
    assert_same_features(representation.encode(decoded), features)
    # What was lost once cannot be lost again.
    assert not representation.losses(canonical)


def check_specs(representation: Representation, features) -> None:
    """Arrays have the shapes and types that `feature_specs` declares."""
    specs = representation.feature_specs
    assert features.keys() == specs.keys()
    assert len({len(array) for array in features.values()}) == 1
    for name, spec in specs.items():
        array = features[name]
        assert array.dtype == np.dtype(spec.dtype), name
        assert spec.shape[0] is None
        assert array.shape[1:] == spec.shape[1:], name
        assert len(array) > 0


def check_config(representation: Representation) -> None:
    """A representation survives JSON, and its fingerprint tells it from others."""
    config = json.loads(json.dumps(representation.to_config()))
    again = make_representation(config)
    assert again == representation
    assert hash(again) == hash(representation)
    assert again.fingerprint() == representation.fingerprint()
    assert again.settings() == representation.settings()
    config["velocity"] = 81 if representation.velocity == 80 else 80
    other = make_representation(config)
    assert other != representation
    assert other.fingerprint() != representation.fingerprint()


def check_decodes_anything(representation: Representation, seed: int = 0) -> None:
    """Any arrays that match the specs are music, though it may be odd."""
    random = np.random.default_rng(seed)
    for num_steps in (0, 1, 40):
        for density in (0.1, 0.5):
            features = {
                name: random_feature(random, spec, num_steps, density)
                for name, spec in representation.feature_specs.items()
            }
            sequence = representation.decode(features)
            for note in sequence.notes:
                assert 0 <= note.pitch <= 127
                assert 1 <= note.velocity <= 127
                assert 0 <= note.start_time < note.end_time <= sequence.total_time
            if sequence.notes:
                check_laws(representation, sequence)


def random_feature(random, spec, num_steps, density):
    shape = (num_steps, *spec.shape[1:])
    if spec.dtype == "bool":
        return random.random(shape) < density
    return random.integers(-2, 400, shape).astype(spec.dtype)
