"""Graph code does as `event_vectors` does, and each part has the loss that suits it."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tfmusic.models.event_encoding import EventEncoding
from tfmusic.representations import make_representation
from tfmusic.representations.event_vectors import ENCODINGS, parts

DAMPER = 88


@pytest.fixture(scope="module")
def chunks():
    return make_representation(
        {"name": "event_chunks", "duration_lognormal": (1.126, 84.32)}
    )


def every_event():
    ids = np.arange(91)
    starts = np.linspace(0, 479, 91).astype(int)
    durations = np.geomspace(1, 5000, 91).astype(int)
    intensities = np.linspace(1, 127, 91).astype(int)
    return np.stack([ids, starts, durations, intensities], axis=-1).astype(np.int32)


@pytest.mark.parametrize("name", ENCODINGS)
def test_vectors_are_those_of_the_representation(chunks, name):
    events = every_event().reshape(7, 13, 4)
    vectors = EventEncoding(chunks, name).vectors(tf.constant(events))
    assert vectors.shape == (7, 13, ENCODINGS[name])
    np.testing.assert_allclose(vectors, chunks.to_vectors(events, name), atol=2e-6)


@pytest.mark.parametrize("name", ENCODINGS)
def test_what_is_said_is_read_as_by_the_representation(chunks, name):
    encoding = EventEncoding(chunks, name)
    noise = np.random.default_rng(0).normal(0, 1.5, (200, ENCODINGS[name]))
    exact = encoding.vectors(tf.constant(every_event())).numpy()
    for outputs in (exact, noise.astype(np.float32)):
        events = encoding.events(tf.constant(outputs)).numpy()
        expected = chunks.from_vectors(outputs, name)
        np.testing.assert_array_equal(events[:, [0, 1, 3]], expected[:, [0, 1, 3]])
        np.testing.assert_allclose(events[:, 2], expected[:, 2], atol=1)
    np.testing.assert_array_equal(encoding.events(tf.constant(exact)), every_event())


@pytest.mark.parametrize("name", ENCODINGS)
def test_what_is_expected_of_a_sure_network_is_what_it_is_sure_of(chunks, name):
    encoding = EventEncoding(chunks, name)
    exact = encoding.vectors(tf.constant(every_event())).numpy()
    # Logits of classes are far apart; numbers are said as they are.
    is_class = [size > 1 for size in parts(name).values() for _ in range(size)]
    is_class += [False] * 3
    outputs = np.where(is_class, 60.0 * exact, exact).astype(np.float32)
    np.testing.assert_allclose(encoding.expected(outputs), exact, atol=1e-5)


def test_pedals_that_are_split_meet_between_chunks(chunks):
    split = dataclasses.replace(chunks, split_pedals=True)
    events = np.array(
        [
            [DAMPER, 7, 471, 90],  # all of a chunk of 480 steps, nearly
            [DAMPER, 200, 300, 90],  # a little beyond its end
            [DAMPER, 200, 500, 90],  # stretched, and so far beyond it
            [DAMPER, 40, 400, 90],  # up for 40 steps before and after: as it is
            [39, 7, 471, 90],  # a key's note stays
        ],
        np.int32,
    )
    encoding = EventEncoding(split, "ponOHE", "logarithm")
    found = encoding.events(encoding.vectors(tf.constant(events))).numpy()
    assert found[:, 1:3].tolist() == [
        *[[0, 480], [200, 280], [200, 500], [40, 400], [7, 471]]
    ]
    whole = EventEncoding(chunks, "ponOHE", "logarithm")
    found = whole.events(whole.vectors(tf.constant(events)))
    np.testing.assert_array_equal(found, events)


def test_logarithms_tell_long_durations_apart(chunks):
    """Among shares an error of 0.01 makes a second of half a minute."""
    events = every_event()
    events[:, 2] = np.geomspace(1, 65535, 91)
    encoding = EventEncoding(chunks, "pon", "logarithm")
    vectors = encoding.vectors(tf.constant(events)).numpy()
    np.testing.assert_allclose(encoding.events(vectors)[:, 2], events[:, 2], atol=1)
    assert np.abs(vectors[:, -2]).max() < 2
    vectors[:, -2] += 0.01
    longer = encoding.events(vectors)[:, 2].numpy()[20:-1]
    np.testing.assert_allclose(longer, events[20:-1, 2] * np.exp(0.03378), rtol=0.1)
    wild = tf.constant([[0.0, 0, 0, 0, sign * 1e9, 0] for sign in (-1, 1)])
    assert encoding.events(wild)[:, 2].numpy().tolist() == [1, 65535]


def as_logits(vectors, name):
    """One-hot parts so sure that they cost nothing."""
    scale = np.ones(ENCODINGS[name], np.float32)
    scale[: {"pnOHE": 4, "ponOHE": 24, "OHE": 91}.get(name, 0)] = 100
    if name == "pnOHE":
        scale[5:17] = 100
    return vectors * scale


@pytest.mark.parametrize("name", ENCODINGS)
def test_the_truth_costs_nothing(chunks, name):
    encoding = EventEncoding(chunks, name)
    vectors = encoding.vectors(tf.constant(every_event())).numpy()
    which, continuous = encoding.losses(vectors, as_logits(vectors, name))
    np.testing.assert_allclose(which, 0, atol=1e-6)
    np.testing.assert_allclose(continuous, 0, atol=1e-6)


@pytest.mark.parametrize("name", ENCODINGS)
@pytest.mark.parametrize("column", [-3, -2, -1])
def test_start_duration_and_intensity_cost_their_squared_error(chunks, name, column):
    encoding = EventEncoding(chunks, name)
    vectors = encoding.vectors(tf.constant(every_event())).numpy()
    outputs = as_logits(vectors, name)
    outputs[:, column] += 0.3
    which, continuous = encoding.losses(vectors, outputs)
    np.testing.assert_allclose(which, 0, atol=1e-6)
    np.testing.assert_allclose(continuous, 0.09 / 3, rtol=1e-4)


# What a key's event costs (id 15: octave 1, note 3) if all that says which is 0.
NOTHING_SAID = {
    "none": (2 * 15 / 90 - 1) ** 2,
    "pon": ((1 - 3.5) / 3.5) ** 2 + ((3 - 5.5) / 5.5) ** 2,
    "pnOHE": np.log(4) + ((1 - 3.5) / 3.5) ** 2 + np.log(12),
    "ponOHE": np.log(4) + np.log(8) + np.log(12),
    "OHE": np.log(91),
}
# And a pedal's: octave and note mean nothing there.
PEDAL_UNSAID = {
    "none": (2 * DAMPER / 90 - 1) ** 2,
    "pon": 1 / 9,
    "pnOHE": np.log(4),
    "ponOHE": np.log(4),
    "OHE": np.log(91),
}


@pytest.mark.parametrize("name", ENCODINGS)
@pytest.mark.parametrize(
    ("number", "expected"), [(15, NOTHING_SAID), (DAMPER, PEDAL_UNSAID)]
)
def test_each_part_has_its_own_loss(chunks, name, number, expected):
    encoding = EventEncoding(chunks, name)
    vectors = encoding.vectors(tf.constant(every_event()[number]))
    outputs = tf.concat([tf.zeros(ENCODINGS[name] - 3), vectors[-3:]], axis=0)
    which, _ = encoding.losses(vectors, outputs)
    np.testing.assert_allclose(which, expected[name], rtol=1e-5)
