"""What every network keeps: see docs/architecture.md."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfmusic.errors import UserError
from tfmusic.networks.attention import Transformer, TransformerSettings
from tfmusic.networks.recurrent_stack import RecurrentSettings, RecurrentStack

BATCH, TIME, FEATURES = 3, 11, 5
SMALL = dict(num_layers=2, num_heads=2, hidden_size=8, feed_forward_size=12)


def transformer(**settings):
    return Transformer(TransformerSettings(**{**SMALL, "dropout": 0.0, **settings}))


NETWORKS = {
    "lstm": lambda: RecurrentStack(RecurrentSettings(units=(7, 6))),
    "gru": lambda: RecurrentStack(RecurrentSettings(units=(7, 6), cell="gru")),
    "transformer": transformer,
    "transformer_short_context": lambda: transformer(context_steps=4),
}


@pytest.fixture(params=NETWORKS)
def network(request):
    keras.utils.set_random_seed(0)
    made = NETWORKS[request.param]()
    made(tf.zeros([1, 2, FEATURES]))
    for weight in made.weights:  # norms and biases too, which begin without effect
        weight.assign(weight + tf.random.stateless_normal(weight.shape, [1, 2]) * 0.2)
    return made


@pytest.fixture
def inputs():
    return tf.random.stateless_normal([BATCH, TIME, FEATURES], [3, 4])


def close(a, b):
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_steps_give_what_the_whole_sequence_gives(network, inputs):
    whole = network(inputs)
    assert whole.shape == [BATCH, TIME, network.output_size]
    state = network.initial_state(BATCH, TIME + 5)
    for i in range(TIME):
        output, new = network.step(inputs[:, i], state)
        close(output, whole[:, i])
        for old, part in zip(*map(tf.nest.flatten, (state, new)), strict=True):
            assert (old.shape, old.dtype) == (part.shape, part.dtype)
        state = new


@pytest.mark.parametrize("split", [1, 7])
def test_a_beginning_and_then_steps_give_what_the_whole_gives(network, inputs, split):
    state = network.initial_state(BATCH, TIME)
    first, state = network.run(inputs[:, :split], state)
    second, state = network.run(inputs[:, split : split + 3], state)
    outputs = [first, second]
    for i in range(split + 3, TIME):
        output, state = network.step(inputs[:, i], state)
        outputs.append(output[:, tf.newaxis])
    close(tf.concat(outputs, axis=1), network(inputs))


def test_what_comes_later_changes_nothing_before(network, inputs):
    changed = tf.concat([inputs[:, :6], -inputs[:, 6:]], axis=1)
    before, after = network(inputs), network(changed)
    np.testing.assert_array_equal(before[:, :6], after[:, :6])
    assert np.all(np.any(before[:, 6] != after[:, 6], axis=-1))


def test_what_came_before_matters(network, inputs):
    changed = tf.concat([-inputs[:, :1], inputs[:, 1:]], axis=1)
    assert np.all(np.any(network(inputs)[:, 2] != network(changed)[:, 2], axis=-1))


def test_rows_are_independent(network, inputs):
    close(network(inputs[1:2]), network(inputs)[1:2])
    state = network.initial_state(1, TIME)
    alone, state = network.run(inputs[1:2, :4], state)
    close(alone, network(inputs)[1:2, :4])


def test_rows_may_have_come_to_different_places(network, inputs):
    """As particles do that wait for each other."""
    places = np.array([2, 9, 6])
    state = network.initial_state(BATCH, TIME)
    for i in range(TIME - 1):
        _, new = network.step(inputs[:, i], state)
        state = tf.nest.map_structure(
            lambda new, old, goes=i < places: np.stack(
                [n if g else o for n, o, g in zip(new, old, goes, strict=True)]
            ),
            new,
            state,
        )
    state = tf.nest.map_structure(tf.constant, state)
    output, _ = network.step(tf.gather(inputs, places, batch_dims=1), state)
    close(output, tf.gather(network(inputs), places, batch_dims=1))


def test_the_state_goes_through_a_loop_in_a_graph(network, inputs):
    @tf.function(autograph=False)
    def run(inputs, max_steps):
        state = network.initial_state(tf.shape(inputs)[0], max_steps)

        def body(i, state, last):
            del last
            last, state = network.step(inputs[:, i], state)
            return i + 1, state, last

        first = tf.zeros([tf.shape(inputs)[0], network.output_size])
        return tf.while_loop(lambda i, *_: i < TIME, body, (0, state, first))[2]

    close(run(inputs, TIME), network(inputs)[:, -1])


def test_long_sequences_are_read_in_graphs_too(network):
    inputs = tf.random.stateless_normal([2, 130, FEATURES], [3, 4])
    read = tf.function(lambda inputs: network(inputs), autograph=False)
    close(read(inputs), network(inputs))
    assert np.all(np.any(read(inputs)[:, 1:] != read(inputs)[:, :-1], axis=-1))


def test_steps_beyond_the_context_are_forgotten():
    keras.utils.set_random_seed(0)
    network = transformer(context_steps=4, num_layers=1)
    inputs = tf.random.stateless_normal([1, 9, FEATURES], [3, 4])
    changed = tf.concat([-inputs[:, :2], inputs[:, 2:]], axis=1)
    before, after = network(inputs), network(changed)
    np.testing.assert_array_equal(before[:, 5:], after[:, 5:])  # 2..5 are four steps
    assert np.any(before[:, 4] != after[:, 4])


def test_memory_is_bounded_by_the_context():
    keys = transformer(context_steps=4).initial_state(2, 100_000).keys
    assert keys.shape == [2, 2, 4, 2, 4]


def test_attention_depends_on_distances_alone():
    keras.utils.set_random_seed(0)
    network = transformer(num_layers=1, context_steps=3)
    three = tf.random.stateless_normal([1, 3, FEATURES], [3, 4])
    before = tf.random.stateless_normal([1, 5, FEATURES], [5, 6])
    later = network(tf.concat([before, three], axis=1))
    close(later[:, -1], network(three)[:, -1])
    turned = network(tf.reverse(three[:, :2], [1]))
    assert np.any(np.abs(turned[:, 1] - network(three)[:, 0]) > 1e-3)


def test_attention_works_under_mixed_precision(mixed_precision):
    network = transformer()
    outputs, state = network.run(
        tf.zeros([2, 5, FEATURES]), network.initial_state(2, 5)
    )
    assert outputs.dtype == tf.bfloat16
    assert state.keys.dtype == tf.bfloat16


@pytest.mark.parametrize(
    ("is_exact", "dtype"), [(False, "bfloat16"), (True, "float32")]
)
def test_attention_reads_exactly_where_it_should(is_exact, dtype, mixed_precision):
    settings = TransformerSettings(**SMALL)
    network = Transformer(settings, exact_inputs=is_exact)
    assert network.read.compute_dtype == dtype
    assert transformer().read.compute_dtype == "bfloat16"


def test_width_that_heads_cannot_share():
    with pytest.raises(UserError, match="hidden_size: expected a multiple of .*6"):
        transformer(num_heads=3)
