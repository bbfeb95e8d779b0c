import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfmusic.networks import fused
from tfmusic.networks.recurrence import LSTM, make_step

# Sums of float32 products in another order; gradients add up over all steps.
CLOSE = dict(rtol=2e-5, atol=2e-6)


@pytest.fixture(params=["compiled", "loop"])
def both_loops(request, monkeypatch):
    """Runs a test by each of the time loops of training."""
    monkeypatch.setenv(fused.VARIABLE, "0" if request.param == "loop" else "")
    if request.param == "compiled" and not fused.is_used():
        pytest.skip(fused.description())


def make_pair(units=12, size=7, seed=0, **settings):
    """The layer and Keras' own with the same weights."""
    layers = []
    for make in (LSTM, keras.layers.LSTM):
        keras.utils.set_random_seed(seed)
        layer = make(
            units, return_sequences=True, return_state=True, seed=5, **settings
        )
        layer.build((None, None, size))
        layers.append(layer)
    return layers


def outputs_and_gradients(layer, inputs, state, training=False):
    """Outputs and last state; gradients of inputs, first state and weights."""
    weights = [weight.value for weight in layer.trainable_variables]

    @tf.function(autograph=False)
    def run(inputs, state):
        with tf.GradientTape() as tape:
            tape.watch([inputs, state])
            results = layer(inputs, initial_state=state, training=training)
            # Each result counts, at every place differently.
            loss = tf.add_n(
                tf.reduce_sum(tf.cast(part, tf.float32) * _ramp(part))
                for part in results
            )
        return results, tape.gradient(loss, [inputs, *state, *weights])

    return run(inputs, state)


def _ramp(tensor):
    size = tf.size(tensor)
    return tf.reshape(tf.sin(tf.cast(tf.range(size), tf.float32)), tf.shape(tensor))


def make_inputs(batch=4, time=9, size=7, units=12):
    inputs = tf.random.stateless_normal([batch, time, size], [0, 1])
    state = [tf.random.stateless_normal([batch, units], [0, i]) for i in (2, 3)]
    return inputs, state


def test_weights_are_those_of_keras():
    ours, stock = make_pair()
    for a, b in zip(ours.weights, stock.weights, strict=True):
        assert (a.name, a.shape) == (b.name, b.shape)
        np.testing.assert_array_equal(a, b)


# Layers of 64 units or a multiple compute a product for each gate, others one.
@pytest.mark.parametrize(
    "units, time", [(12, 1), (12, 2), (12, 9), (12, 40), (64, 1), (64, 20)]
)
def test_results_and_gradients_are_those_of_keras(units, time, both_loops):
    inputs, state = make_inputs(time=time, units=units)
    ours, stock = (
        outputs_and_gradients(layer, inputs, state, training=True)
        for layer in make_pair(units)
    )
    tf.nest.map_structure(
        lambda a, b: np.testing.assert_allclose(a, b, **CLOSE), ours, stock
    )


def test_recurrent_dropout_is_that_of_keras(both_loops):
    inputs, state = make_inputs()
    pair = make_pair(recurrent_dropout=0.4)
    ours, stock = (
        outputs_and_gradients(layer, inputs, state, training=True) for layer in pair
    )
    tf.nest.map_structure(
        lambda a, b: np.testing.assert_allclose(a, b, **CLOSE), ours, stock
    )
    plain, _ = outputs_and_gradients(pair[0], inputs, state)
    assert np.any(np.abs(plain[0] - ours[0][0]) > 0.01)


def test_gradients_are_those_of_differences(both_loops):
    layer, _ = make_pair(units=3, size=2)
    inputs, state = make_inputs(2, 4, 2, 3)
    theory, numeric = tf.test.compute_gradient(
        lambda inputs, *state: layer(inputs, initial_state=list(state), training=True)[
            0
        ],
        [inputs, *state],
        delta=1e-2,
    )
    for a, b in zip(theory, numeric, strict=True):
        np.testing.assert_allclose(a, b, atol=2e-3)


def test_sequences_of_any_length_share_one_trace():
    layer, stock = make_pair()
    traces = []

    @tf.function(input_signature=[tf.TensorSpec([None, None, 7])], autograph=False)
    def run(inputs):
        traces.append(inputs)
        return layer(inputs)[0]

    for batch, time in ((1, 3), (5, 1), (2, 20)):
        inputs, _ = make_inputs(batch, time)
        outputs = run(inputs)
        np.testing.assert_allclose(outputs, stock(inputs)[0], **CLOSE)
    assert len(traces) == 1


# Logical devices have to be made before TensorFlow does anything else.
REPLICAS = """
import keras, numpy as np, tensorflow as tf
from tfmusic.networks.recurrent_stack import RecurrentSettings, RecurrentStack
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(
    cpu, [tf.config.LogicalDeviceConfiguration()] * 2
)
inputs = np.random.default_rng(0).normal(size=[8, 9, 7]).astype(np.float32)
targets = np.random.default_rng(1).normal(size=[8, 9, 12]).astype(np.float32)
data = tf.data.Dataset.from_tensors((inputs, targets)).repeat()
weights = []
two = tf.distribute.MirroredStrategy(["cpu:0", "cpu:1"])
assert two.num_replicas_in_sync == 2
for strategy in (two, tf.distribute.get_strategy()):
    keras.utils.set_random_seed(0)
    with strategy.scope():
        settings = RecurrentSettings(units=(10, 12), dropout=0.0)
        model = keras.Sequential([RecurrentStack(settings)])
        model.compile(keras.optimizers.SGD(0.5), "mse", jit_compile=False)
        model.build([None, None, 7])
    before = model.get_weights()
    model.fit(data.unbatch().batch(8), epochs=1, steps_per_epoch=4, verbose=0)
    weights.append(model.get_weights())
for start, a, b in zip(before, *weights):
    np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6)
    assert np.any(abs(a - start) > 1e-4)
"""


def test_two_replicas_learn_as_one():
    done = subprocess.run(
        [sys.executable, "-c", REPLICAS], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("units", [12, 32, 64])
def test_mixed_precision_computes_nearly_the_same(units, both_loops):
    inputs, state = make_inputs(batch=16, time=30, units=units)
    exact, _ = make_pair(units)
    mixed, _ = make_pair(units, dtype="mixed_bfloat16")
    expected, expected_gradients = outputs_and_gradients(exact, inputs, state)
    results, gradients = outputs_and_gradients(
        mixed, inputs, [tf.cast(part, tf.bfloat16) for part in state], training=True
    )
    assert results[0].dtype == tf.bfloat16
    np.testing.assert_allclose(tf.cast(results[0], tf.float32), expected[0], atol=0.03)
    for a, b in zip(gradients, expected_gradients, strict=True):
        error = np.linalg.norm(tf.cast(a, tf.float32) - b) / np.linalg.norm(b)
        assert error < 0.03


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_steps_one_by_one_are_those_of_keras(dtype):
    inputs, state = make_inputs()
    layer, stock = make_pair(dtype=dtype)
    ours, theirs = make_step(layer), stock.cell
    assert make_step(stock) is theirs
    state = [tf.cast(part, layer.compute_dtype) for part in state]
    states = [state, state]
    for t in range(inputs.shape[1]):
        now = tf.cast(inputs[:, t], layer.compute_dtype)
        pairs = [
            step(now, old) for step, old in zip((ours, theirs), states, strict=True)
        ]
        (a, _), (b, _) = pairs
        assert a.dtype == b.dtype
        close = CLOSE if dtype == "float32" else dict(atol=0.02)
        np.testing.assert_allclose(
            tf.cast(a, tf.float32), tf.cast(b, tf.float32), **close
        )
        states = [new for _, new in pairs]
        assert [part.dtype for part in states[0]] == [part.dtype for part in state]


def test_masked_sequences_are_read_as_keras_reads_them():
    inputs, _ = make_inputs()
    mask = tf.sequence_mask([3, 9, 1, 5], 9)
    ours, stock = (layer(inputs, mask=mask) for layer in make_pair())
    tf.nest.map_structure(np.testing.assert_array_equal, ours, stock)
