import numpy as np
import pytest
import tensorflow as tf

from tests.contracts import assert_same_features, make_sequence
from tests.data.builders import write_dataset
from tests.representations.conftest import with_controls
from tfmusic.data.augmentation import augment, steps_to_vary
from tfmusic.data.dataset import Dataset
from tfmusic.data.settings import DataSettings
from tfmusic.data.stretching import apply_stretch, fitting_stretches
from tfmusic.data.windows import Windows
from tfmusic.notes.transforms import stretch
from tfmusic.representations import make_representation

CHUNKS = make_representation({"name": "event_chunks", "max_events": 4})
FACTORS = [1, 0.9, 0.95, 1.05, 1.1]


def window(features, start, size):
    """One window of a piece, as `cut_windows` gives it."""
    num_steps = len(features["events"])
    step = start + np.arange(size)
    inside = (step >= 0) & (step < num_steps)
    cut = {
        name: np.where(
            inside.reshape([-1] + [1] * (array.ndim - 1)),
            array[np.clip(step, 0, num_steps - 1)],
            0,
        )
        for name, array in features.items()
    }
    cut |= {"step": step, "num_steps": np.array(num_steps)}
    return {name: tf.constant(array[None], tf.int32) for name, array in cut.items()}


@pytest.fixture(scope="module")
def piece():
    scale = [(57 + i, 40 + 8 * i, i / 2, i / 2 + 0.7) for i in range(12)]
    bass = [(48, 70, 0, 2), (43, 70, 2.01, 4), (43, 70, 4, 4.2), (36, 80, 5, 9)]
    played = make_sequence(scale, bass)
    return CHUNKS.canonicalize(with_controls(played, (64, 1, 127), (64, 1.4, 0)))


@pytest.mark.parametrize("start", [0, -1])
def test_stretched_chunks_are_those_of_the_stretched_piece(piece, start):
    features = CHUNKS.encode(piece)
    stretches = CHUNKS.stretches(FACTORS)
    size = 2 * len(features["events"])  # more than any variant takes
    whole = window(features, start, size)
    assert fitting_stretches(whole, stretches, size).numpy().all()
    for v, factor in enumerate(FACTORS):
        found = apply_stretch(whole, stretches, [v], size)
        expected = CHUNKS.encode(stretch(piece, factor))
        (num_steps,) = found["num_steps"].numpy()
        assert num_steps == len(expected["events"])
        music = slice(-start, num_steps - start)
        assert_same_features(
            {
                name: found[name][0, music].numpy().astype(array.dtype)
                for name, array in features.items()
            },
            expected,
        )
        assert not found["num_events"][0, num_steps - start :].numpy().any()
        assert not found["num_events"][0, :-start].numpy().any()
    assert len({len(CHUNKS.encode(stretch(piece, f))["events"]) for f in FACTORS}) > 2


def test_windows_within_a_piece_are_filled_by_what_follows():
    notes = [(60 + i % 12, 80, i / 2, i / 2 + 0.5) for i in range(80)]
    features = CHUNKS.encode(make_sequence(notes))
    variations = [CHUNKS.stretches([1, 0.5])]
    assert steps_to_vary(variations, 8) == 16
    found = apply_stretch(window(features, 4, 16), variations[0], [1], 8)
    assert found["events"].shape == (1, 8, 4, 4)
    np.testing.assert_array_equal(found["num_events"], [[4] * 8])
    np.testing.assert_array_equal(found["step"], [range(4, 12)])
    np.testing.assert_array_equal(found["num_steps"], [40])
    ids = found["events"][0, ..., 0].numpy().ravel()
    np.testing.assert_array_equal(ids, 39 + np.arange(8, 40) % 12)


def test_chunks_that_would_overflow_are_not_played_faster():
    chord = [(60 + i, 80, 0.5, 0.9) for i in range(4)]
    features = CHUNKS.encode(
        make_sequence([*chord, (72, 80, 1.02, 2), (72, 80, 9, 10)])
    )
    stretches = CHUNKS.stretches(FACTORS)
    fits = fitting_stretches(window(features, 0, 30), stretches, 25)
    # The note would get into the chunk of the chord, which is full.
    assert fits.numpy().tolist() == [[True, False, False, True, True]]


def test_notes_that_would_last_too_long_are_not_played_slower():
    # 65 seconds.
    features = CHUNKS.encode(make_sequence([(60, 80, 0, 130), (72, 80, 1, 2)]))
    fits = fitting_stretches(window(features, 0, 8), CHUNKS.stretches(FACTORS), 6)
    assert fits.numpy().tolist() == [[True, True, True, True, False]]


def test_windows_that_end_with_the_piece_are_not_played_faster():
    """Silence would be taken for music; those that reach beyond the end may."""
    features = CHUNKS.encode(make_sequence([(60, 80, i, i + 1) for i in range(40)]))
    stretches = CHUNKS.stretches(FACTORS)
    for start, expected in ((30, False), (25, True), (35, True)):
        fits = fitting_stretches(window(features, start, 12), stretches, 10)
        assert fits.numpy().tolist() == [[True, expected, expected, True, True]]


def test_training_windows_are_stretched_and_of_one_length(tmp_path):
    notes = [(60 + i % 12, 80, i / 2, i / 2 + 0.5) for i in range(200)]
    features = CHUNKS.encode(make_sequence(notes))
    write_dataset(
        tmp_path,
        {"train": [100]},
        CHUNKS,
        lambda num_steps, number: features,
    )
    dataset = Dataset.open(str(tmp_path)).train(
        Windows(DataSettings(window_steps=11, stretch=0.1, velocity_shift=5)),
        lambda features, seed: (
            features["events"],
            features["num_events"],
            features["step"],
        ),
        batch_size=8,
        seed=1,
    )
    durations, intensities = set(), set()
    for events, counts, steps in dataset.take(20).as_numpy_iterator():
        assert events.shape == (8, 12, 4, 4)
        assert steps.shape == counts.shape == (8, 12)
        used = np.arange(4) < counts[..., None]
        assert not events[~used].any()
        durations |= set(events[used][:, 2].tolist())
        for one, its in zip(events, used, strict=True):
            (intensity,) = set(one[its][:, 3].tolist())  # of a window
            intensities.add(intensity)
    # A quarter second of 240 steps, times 0.9, 0.95, 1, 1.05 and 1.1.
    assert durations == {216, 228, 240, 252, 264}
    assert intensities == set(range(75, 86))


def test_stretches_and_keys_are_drawn_from_the_seed(piece):
    features = CHUNKS.encode(piece)
    variations = DataSettings(transpose_semitones=2, stretch=0.1).variations(CHUNKS)
    batch = {
        name: tf.repeat(array, 50, axis=0)
        for name, array in window(features, 0, steps_to_vary(variations, 10)).items()
    }
    first, again, other = (
        augment(batch, variations, tf.constant([seed, 0]), 10)["events"].numpy()
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert len({window.tobytes() for window in first}) > 15
