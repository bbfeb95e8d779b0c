import collections
import dataclasses
import importlib.util
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from tests.contracts import assert_same_features, make_sequence
from tests.data.builders import write_dataset
from tests.representations.conftest import CONFIGS, with_controls
from tfmusic.data.augmentation import apply_variants, augment, fitting_variants
from tfmusic.data.dataset import Dataset
from tfmusic.data.settings import DataSettings
from tfmusic.data.windows import Windows
from tfmusic.errors import UserError
from tfmusic.notes.reading import read_file
from tfmusic.notes.transforms import crop, transpose
from tfmusic.representations import make_representation
from tfmusic.representations.variation import Joint

SEMITONES = [0, -30, -7, -1, 1, 6, 30]


@pytest.fixture(scope="module")
def pieces():
    (package,) = importlib.util.find_spec("music21").submodule_search_locations
    chorale = pathlib.Path(package) / "corpus" / "bach" / "bwv66.6.mxl"
    scale = [(57 + i, 40 + 8 * i, i / 2, i / 2 + 0.5) for i in range(9)]
    bass = [(48, 70, 0, 2), (43, 70, 2, 4), (55, 70, 2, 4), (60, 80, 8, 12)]
    return [
        crop(read_file(chorale), 0, 12),
        with_controls(make_sequence(scale, bass), (64, 1, 127), (64, 1.4, 0)),
    ]


def variants(features, variation):
    """Each variant of the features that there is, by its number."""
    parts = variation.parts if isinstance(variation, Joint) else (variation,)
    arrays = {part.feature: features[part.feature] for part in parts}
    arrays = {
        name: tf.constant(array if array.dtype == bool else array.astype(np.int32))
        for name, array in arrays.items()
    }
    fits = np.all(
        [fitting_variants(arrays[p.feature][None], p)[0] for p in parts], axis=0
    )
    return {
        v: features
        | {
            part.feature: apply_variants(arrays[part.feature][None], part, [v])[0]
            .numpy()
            .astype(features[part.feature].dtype)
            for part in parts
        }
        for v in np.flatnonzero(fits)
    }


def closed(kind):
    """The kind without limits to its vocabulary, if it has one."""
    representation = make_representation(CONFIGS[kind])
    if "tokens" not in representation.fitted_fields:
        return representation
    return dataclasses.replace(representation, min_count=1, max_vocabulary=0)


@pytest.mark.parametrize("kind", CONFIGS)
def test_transposed_arrays_are_those_of_the_transposed_piece(kind, pieces):
    representation = closed(kind)
    representation = representation.fit(pieces)
    pieces = [representation.canonicalize(piece) for piece in pieces]
    others = {
        (i, s): transpose(piece, s) for i, piece in enumerate(pieces) for s in SEMITONES
    }
    fitted = closed(kind).fit(others.values())
    variation = fitted.transpositions(SEMITONES)
    num_found = 0
    for i, piece in enumerate(pieces):
        features = fitted.encode(piece)
        found = variants(features, variation)
        assert_same_features(found[0], features)
        for v, varied in found.items():
            assert_same_features(varied, fitted.encode(others[i, SEMITONES[v]]))
        pitches = [note.pitch for note in piece.notes]
        if CONFIGS[kind].get("mode") != "reference":
            inside = [
                fitted.lowest_pitch <= min(pitches) + s
                and max(pitches) + s <= fitted.highest_pitch
                for s in SEMITONES
            ]
            assert list(found) == list(np.flatnonzero(inside))
        num_found += len(found)
    assert num_found > len(pieces) or fitted.num_keys < 40


@pytest.mark.parametrize("kind", [k for k in CONFIGS if "chord" in k])
def test_vocabulary_of_all_keys_lets_every_window_be_transposed(kind, pieces):
    narrow = closed(kind).fit(pieces)
    wide = dataclasses.replace(narrow, tokens=(), fit_semitones=3).fit(pieces)
    # The few chords of pitch classes that these pieces have are always known.
    is_closed = CONFIGS[kind].get("mode") == "reference"
    assert is_closed or set(narrow.tokens) < set(wide.tokens)
    for piece in pieces:
        piece = wide.canonicalize(piece)
        features = wide.encode(piece)
        semitones = [0, -3, -2, -1, 1, 2, 3]
        found = variants(features, wide.transpositions(semitones))
        assert len(found) == len(semitones)
        for v, varied in found.items():
            expected = wide.encode(transpose(piece, semitones[v]))
            assert_same_features(varied, expected)
        fewer = variants(narrow.encode(piece), narrow.transpositions(semitones))
        # What it does not know it spells, with the keys at hand.
        is_closed = is_closed or CONFIGS[kind].get("keys")
        assert is_closed or len(fewer) < len(found)


def test_vocabulary_of_all_keys_stays_within_the_range():
    representation = make_representation(
        {"name": "chord_frames", "fit_semitones": 2, "highest_pitch": 65}
    )
    fitted = representation.fit_counts({"rest": 3, "60.64": 5})
    chords = set(fitted.tokens[4:])  # after the special ones and the rest
    assert chords == {"58.62", "59.63", "60.64", "61.65"}


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("chord_frames", {"rest": 3, "60.64": 5, "70.75": 5}),
        ("two_hands_chords", {"right60.64": 5, "left60.64": 5, "left70.75": 5}),
    ],
)
def test_chords_are_of_one_kind_with_themselves_at_another_pitch(name, counts):
    representation = make_representation({"name": name, "fit_semitones": 2})
    fitted = representation.fit_counts(counts)
    tokens_by_kind = {}
    for token, kind in zip(fitted.tokens, fitted.token_kinds(), strict=True):
        tokens_by_kind.setdefault(kind, []).append(token)
    of_several = {
        frozenset(tokens) for tokens in tokens_by_kind.values() if len(tokens) > 1
    }
    moved = {}  # by hand: 60.64 and what it is two semitones up and down
    for chord in counts:
        if "." in chord:
            hand = chord.rstrip("0123456789.")
            low, high = map(int, chord.removeprefix(hand).split("."))
            moved[chord] = frozenset(
                f"{hand}{low + s}.{high + s}" for s in range(-2, 3)
            )
    assert of_several == set(moved.values())
    plain = make_representation({"name": name}).fit_counts(counts)
    assert len(set(plain.token_kinds())) == len(plain.tokens)


def test_times_are_stretched_to_the_nearest_step():
    representation = make_representation({"name": "performance_events"})
    variation = representation.stretches([1, 0.95, 1.05])
    ids = representation.vocabulary.ids_of

    def stretched(*shifts):
        tokens = [t for s in shifts for t in (f"shift{s}", "velocity9", "on60")]
        found = variants({"tokens": ids(tokens)}, variation)
        tokens = {
            v: [representation.vocabulary.token_of(i) for i in varied["tokens"]]
            for v, varied in found.items()
        }
        assert all(row[1::3] == ["velocity9"] * len(shifts) for row in tokens.values())
        assert all(row[2::3] == ["on60"] * len(shifts) for row in tokens.values())
        return {v: [int(t[5:]) for t in row[::3]] for v, row in tokens.items()}

    assert stretched(1, 10, 50, 95) == {
        0: [1, 10, 50, 95],
        1: [1, 10, 48, 90],
        2: [1, 11, 53, 100],
    }
    assert stretched(99) == {0: [99], 1: [94]}  # 104 steps are more than one shift
    assert stretched(10, 100) == {0: [10, 100]}  # another may follow


@pytest.mark.parametrize(("num_bins", "bin_size"), [(32, 4), (100, 2), (127, 1)])
def test_velocities_move_by_whole_bins(num_bins, bin_size):
    representation = make_representation(
        {"name": "performance_events", "num_velocity_bins": num_bins}
    )
    notes = [(60 + i, velocity, i, i + 1) for i, velocity in enumerate((9, 64, 121))]
    features = representation.encode(make_sequence(notes))
    before = velocities(representation.decode(features))
    shifts = [0, -8, -4, 4, 8]
    found = variants(features, representation.velocity_shifts(shifts))
    assert list(found) == [0, 1, 2, 3]  # 121 + 8 is too loud
    for v, varied in found.items():
        after = velocities(representation.decode(varied))
        np.testing.assert_array_equal(after - before, shifts[v])


def velocities(sequence):
    return np.array([note.velocity for note in sequence.notes])


@pytest.mark.parametrize(
    ("kind", "settings", "setting", "value"),
    [
        ("binary_roll", {}, "stretch", 0.1),
        ("chord_frames", {}, "velocity_shift", 4),
        ("performance_events", {"num_velocity_bins": 0}, "velocity_shift", 4),
    ],
)
def test_what_cannot_be_varied_is_a_users_error(kind, settings, setting, value):
    representation = make_representation({"name": kind, **settings})
    with pytest.raises(UserError, match=f"data.{setting}: representation {kind} can"):
        DataSettings(**{setting: value}).variations(representation)


@pytest.mark.parametrize(
    "settings", [{"transpose_semitones": -1}, {"stretch": 0.5}, {"velocity_shift": 127}]
)
def test_impossible_augmentation_is_a_users_error(settings):
    with pytest.raises(UserError, match=f"data.{next(iter(settings))}: expected "):
        DataSettings(**settings)


def test_nothing_is_varied_unless_the_config_says_so():
    representation = make_representation({"name": "performance_events"})
    assert not DataSettings().variations(representation)
    every = DataSettings(transpose_semitones=3, stretch=0.05, velocity_shift=8)
    sizes = [len(v.table) for v in every.variations(representation)]
    assert sizes == [7, 5, 17]


# Keys 30..33, and in piece 1 key 87: that one cannot go up.
ROLL = make_representation({"name": "binary_roll", "onsets": False})
LENGTHS = {"train": [40, 40, 12], "validation": [20]}


def narrow_piece(num_steps, number):
    roll = np.zeros([num_steps, 88, 1], bool)
    roll[np.arange(num_steps), 30 + np.arange(num_steps) % 4] = True
    roll[:, 87] = number == 1
    return {"roll": roll}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    path = tmp_path_factory.mktemp("dataset")
    write_dataset(path, LENGTHS, ROLL, narrow_piece)
    return str(path)


def training_batches(data_dir, count, semitones=2, **settings):
    dataset = Dataset.open(data_dir).train(
        Windows(DataSettings(window_steps=8, transpose_semitones=semitones)),
        lambda features, seed: (features["roll"], features["step"], seed),
        batch_size=4,
        **{"seed": 3, **settings},
    )
    return list(dataset.take(count).as_numpy_iterator())


def test_every_fitting_shift_is_drawn_and_no_other(data_dir):
    shifts = collections.Counter()
    for rolls, steps, _ in training_batches(data_dir, 100):
        for roll, step in zip(rolls[..., 0], steps, strict=True):
            inside = (step >= 0) & roll.any(axis=1)
            assert not roll[step < 0].any()
            keys = roll[inside].argmax(axis=1)
            (shift,) = set(keys - 30 - step[inside] % 4)
            counts = roll[inside].sum(axis=1)
            assert len(set(counts)) == 1
            shifts[shift.item(), counts[0] == 2] += 1
    assert set(shifts) == {(s, False) for s in range(-2, 3)} | {
        (s, True) for s in range(-2, 1)
    }
    # Evenly: 400 windows in all.
    assert min(shifts.values()) > 20


def test_augmented_stream_is_the_same_wherever_it_begins(data_dir):
    whole = training_batches(data_dir, 12)
    resumed = training_batches(data_dir, 5, skip_batches=7)
    for expected, found in zip(whole[7:], resumed, strict=True):
        tf.nest.map_structure(np.testing.assert_array_equal, expected, found)
    other = training_batches(data_dir, 12, seed=4)
    assert any((a[0] != b[0]).any() for a, b in zip(whole, other, strict=True))


def test_only_the_arrays_are_varied(data_dir):
    plain = training_batches(data_dir, 12, semitones=0)
    varied = training_batches(data_dir, 12)
    assert any((a[0] != b[0]).any() for a, b in zip(plain, varied, strict=True))
    for a, b in zip(plain, varied, strict=True):
        tf.nest.map_structure(np.testing.assert_array_equal, a[1:], b[1:])


def test_validation_is_never_varied(data_dir):
    dataset = Dataset.open(data_dir).evaluation(
        "validation",
        Windows(DataSettings(window_steps=21, transpose_semitones=2)),
        lambda features, seed: features["roll"],
        batch_size=1,
    )
    (roll,) = dataset.as_numpy_iterator()
    expected = narrow_piece(20, 0)["roll"]
    np.testing.assert_array_equal(roll[0, 1:-1], expected)


def test_keys_and_dynamics_are_drawn_independently():
    representation = make_representation({"name": "performance_events"})
    variations = DataSettings(transpose_semitones=1, velocity_shift=4).variations(
        representation
    )
    tokens = representation.vocabulary.ids_of(["velocity9", "on60"])
    features = {"tokens": tf.constant(np.tile(tokens, (200, 1)))}
    varied = augment(features, variations, tf.constant([5, 6]), 2)["tokens"].numpy()
    pairs = {tuple(row) for row in varied - tokens}
    assert len(pairs) == 9
