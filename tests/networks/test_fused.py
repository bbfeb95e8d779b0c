"""The compiled time loop of LSTM layers, against the one of TensorFlow's operations.

`test_fused_softmax.py` has the softmax of tokens.
"""

import os
import pathlib
import shutil
import subprocess

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.networks.conftest import levels
from tfmusic.errors import UserError
from tfmusic.networks import fused
from tfmusic.networks.recurrence import lstm
from tfmusic.networks.recurrent_stack import RecurrentSettings, RecurrentStack

pytestmark = pytest.mark.usefixtures("compiled")

CSRC = pathlib.Path(fused.__file__).with_name("csrc")
# Units, batch and time: one of each, vectors and tiles that are not full, no row.
SIZES = [
    (1, 1, 1),
    (7, 3, 5),
    (36, 33, 5),
    (150, 7, 3),
    (256, 50, 2),
    (5, 0, 3),
]


def make_tensors(units, batch, time, dtype=tf.float32, is_masked=False, size=5):
    """Arguments of `lstm`."""
    shapes = [
        [time, batch, size],
        [size, 4 * units],
        [units, 4 * units],
        [4 * units],
        [batch, units],
        [batch, units],
    ]
    scales = [1.0, 0.5, 1.5 / units**0.5, 1.0, 0.7, 1.0]
    tensors = [
        tf.random.stateless_normal(shape, [7, i]) * scale
        for i, (shape, scale) in enumerate(zip(shapes, scales, strict=True))
    ]
    *others, cell = tensors
    masks = []
    if is_masked:
        uniform = tf.random.stateless_uniform([4, batch, units], [7, 9])
        masks = tf.unstack(tf.cast(uniform < 0.7, dtype) / tf.cast(0.7, dtype))
    return [tf.cast(tensor, dtype) for tensor in others] + [cell], masks


def results_and_gradients(tensors, masks, level):
    """Outputs and the last cell; gradients of all arguments through both."""
    with pytest.MonkeyPatch.context() as patch, tf.GradientTape() as tape:
        patch.setenv(fused.VARIABLE, level)
        tape.watch(tensors)
        results = lstm(*tensors, masks)
        loss = tf.add_n(
            tf.reduce_sum(
                tf.cast(part, tf.float32)
                * tf.random.stateless_normal(tf.shape(part), [8, 8])
            )
            for part in results
        )
        gradients = tape.gradient(loss, tensors)
    return [tf.cast(part, tf.float32).numpy() for part in (*results, *gradients)]


def relative_errors(ours, theirs):
    for a, b in zip(ours, theirs, strict=True):
        assert a.shape == b.shape
        yield np.linalg.norm(a - b) / max(np.linalg.norm(b), 1e-30)


@pytest.mark.parametrize("is_masked", [False, True])
@pytest.mark.parametrize("units, batch, time", SIZES)
def test_results_and_gradients_are_those_of_the_loop(units, batch, time, is_masked):
    tensors, masks = make_tensors(units, batch, time, is_masked=is_masked)
    expected = results_and_gradients(tensors, masks, "0")
    for level in levels():
        ours = results_and_gradients(tensors, masks, level)
        assert max(relative_errors(ours, expected)) < 1e-5, level


@pytest.mark.parametrize("is_masked", [False, True])
@pytest.mark.parametrize("units, batch, time", SIZES[1:4])
def test_bfloat16_is_as_near_to_float32_as_the_loop_is(units, batch, time, is_masked):
    tensors, masks = make_tensors(units, batch, time, tf.bfloat16, is_masked)
    wide = [tf.cast(tensor, tf.float32) for tensor in tensors]
    wide_masks = [tf.cast(mask, tf.float32) for mask in masks]
    exact = results_and_gradients(wide, wide_masks, "0")
    loop = max(relative_errors(results_and_gradients(tensors, masks, "0"), exact))
    for level in levels():
        ours = results_and_gradients(tensors, masks, level)
        assert max(relative_errors(ours, exact)) < max(1.2 * loop, 0.005), level


def test_gates_hold_at_the_ends_of_their_ranges(level):
    values = np.array([-1e30, -100, -88, -20, -1e-4, 0, 1e-6, 0.3, 9, 88, 100, 1e30])
    units = len(values)
    projected = np.tile(values, 4).astype(np.float32)[None, None]
    zeros = tf.zeros([1, units])
    outputs, cell, _ = fused.forward(
        tf.constant(projected), tf.zeros([units, 4 * units]), zeros, zeros, ()
    )
    gate = 1 / (1 + np.exp(-np.clip(values, -700, 700)))
    expected = gate * np.tanh(values)
    np.testing.assert_allclose(cell[0], expected, rtol=1e-6, atol=1e-37)
    expected = gate * np.tanh(expected)
    np.testing.assert_allclose(outputs[0, 0], expected, rtol=1e-6, atol=1e-37)
    broken = fused.forward(
        tf.constant(projected * np.nan), tf.zeros([units, 4 * units]), zeros, zeros, ()
    )
    assert np.isnan(broken[0]).all() and np.isnan(broken[1]).all()


@pytest.mark.parametrize("dtype", [tf.float32, tf.bfloat16])
def test_any_number_of_threads_gives_the_same_bits(dtype, level):
    (_, _, kernel, _, output, cell), masks = make_tensors(37, 53, 4, dtype, True)
    projected = tf.cast(tf.random.stateless_normal([4, 53, 148], [1, 1]), dtype)
    operations, masks = fused._load()[0], tf.stack(masks)
    found = []
    for num_threads in (1, 2, 3, 7, 200):
        settings = dict(level=fused.level(), num_threads=num_threads)
        outputs, last, cells, gates = operations.tfmusic_lstm(
            projected, kernel, output, cell, masks, **settings
        )
        back = operations.tfmusic_lstm_gradient(
            outputs, last, kernel, cell, masks, cells, gates, **settings
        )
        found.append([outputs, last, cells, gates, *back])
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_rows_do_not_depend_on_their_batch(level):
    tensors, masks = make_tensors(20, 11, 4)
    whole = results_and_gradients(tensors, masks, level)
    tensors[0], tensors[4], tensors[5] = (
        tensors[0][:, 6:7],
        tensors[4][6:7],
        tensors[5][6:7],
    )
    alone = results_and_gradients(tensors, masks, level)
    np.testing.assert_allclose(whole[0][:, 6:7], alone[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(whole[1][6:7], alone[1], rtol=1e-5, atol=1e-6)


def test_tensors_of_wrong_shapes_are_refused():
    time, batch, units = 2, 3, 4
    narrow, wide = [time, batch, units], [time, batch, 4 * units]
    kernel, state = [units, 4 * units], [batch, units]
    operations, settings = fused._load()[0], dict(level=3, num_threads=2)
    calls = {
        operations.tfmusic_lstm: [wide, kernel, state, state, [4, *state]],
        operations.tfmusic_lstm_gradient: [
            narrow, state, kernel, state, [4, *state], narrow, wide,
        ],
    }  # fmt: skip
    for call, shapes in calls.items():
        call(*map(tf.zeros, shapes), **settings)
        for i, shape in enumerate(shapes):
            longer = [shape[0] + 1, *shape[1:]]
            for wrong in (shape[1:], longer, [*shape[:-1], 0], [*shape, 1], []):
                if wrong[:1] == [time + 1] and shape is wide and i == 0:
                    continue  # a longer sequence
                tensors = [tf.zeros(s) for s in shapes]
                tensors[i] = tf.zeros(wrong)
                with pytest.raises(tf.errors.InvalidArgumentError, match="expected"):
                    call(*tensors, **settings)


def train(level, num_steps=50):
    """The weights before and after some steps of two layers with dropout."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(fused.VARIABLE, level)
        keras.utils.set_random_seed(0)
        settings = RecurrentSettings(units=(12,))
        stack, optimizer = RecurrentStack(settings), keras.optimizers.Adam(1e-3)
        inputs = tf.random.stateless_normal([12, 15, 6], [0, 1])
        stack(inputs)
        before = stack.get_weights()

        @tf.function(autograph=False)
        def step():
            with tf.GradientTape() as tape:
                outputs = stack(inputs, training=True)
                loss = tf.reduce_mean((outputs[..., :6] - tf.sin(inputs)) ** 2)
            weights = stack.trainable_variables
            optimizer.apply(tape.gradient(loss, [w.value for w in weights]), weights)

        optimizer.build(stack.trainable_variables)
        for _ in range(num_steps):
            step()
    return before, stack.get_weights()


def test_weights_after_training_are_those_of_the_loop_and_repeatable():
    before, ours = train(fused.LEVELS[-1])
    _, again = train(fused.LEVELS[-1])
    _, loop = train("0")
    for start, a, b, c in zip(before, ours, again, loop, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_allclose(a, c, rtol=1e-5, atol=1e-5)
        assert np.abs(a - start).max() > 0.01


def test_training_takes_the_compiled_loop_and_all_else_does_not(monkeypatch):
    stack = RecurrentStack(RecurrentSettings(units=(6,)))
    spec = tf.TensorSpec([2, 3, 5])

    def operations(training):
        run = tf.function(lambda x: stack(x, training=training), autograph=False)
        names = {
            op.type for op in run.get_concrete_function(spec).graph.get_operations()
        }
        return {name for name in names if name.startswith("Tfmusic")}

    assert operations(training=True) == {"TfmusicLstm"}
    assert not operations(training=False)
    monkeypatch.setenv(fused.VARIABLE, "0")
    assert not operations(training=True)


def test_misspelt_level_is_answered_with_all_of_them(monkeypatch):
    monkeypatch.setenv(fused.VARIABLE, "avx3")
    with pytest.raises(UserError, match="expected 0, plain, avx2, .*got 'avx3'"):
        fused.is_used()


def test_what_layers_train_by_is_told(monkeypatch):
    assert fused.description() == f"a compiled loop ({levels()[-1]})"
    monkeypatch.setenv(fused.VARIABLE, "0")
    assert fused.description() == (
        "a loop of TensorFlow's operations: TFMUSIC_FUSED_LSTM is 0"
    )


@pytest.mark.slow
def test_sanitizers_find_nothing(tmp_path):
    compiler = shutil.which(os.environ.get("CXX", "g++"))
    if not compiler:
        pytest.skip("no C++ compiler")
    program = tmp_path / "check"
    options = ["-std=c++17", "-O2", "-g", "-pthread", "-fsanitize=address,undefined"]
    source = pathlib.Path(__file__).with_name("lstm_check.cc")
    subprocess.run([compiler, *options, f"-I{CSRC}", "-o", program, source], check=True)
    done = subprocess.run([program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
