"""The compiled softmax of tokens, against the one of TensorFlow's operations."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.models import contracts
from tests.models.conftest import make_case
from tests.networks.conftest import levels
from tfmusic.networks import fused
from tfmusic.networks.layers import PitchEmbedding, TiedOutput
from tfmusic.networks.losses import Logits, token_nats_and_hits

pytestmark = pytest.mark.usefixtures("compiled")

# Rows and classes: one of each, vectors that are full and not, more rows than parts of
# them, no row.
SIZES = [(1, 1), (3, 2), (5, 16), (7, 17), (70, 391), (2, 1000), (0, 5)]
HUGE = [
    [1e30, 1e30, 0, -1e30, 3],
    [-1e9, -1e9, -1e9, 80, -90],
    [4e5, 4e5 - 1, 4e5 - 2, 0, 4e5],
    [-np.inf, 0, 1, -np.inf, 2],
    [np.inf, 0, 1, 2, 3],
    [0, 1, np.nan, 2, 3],
    [-np.inf] * 5,
]


def make_tensors(rows, classes, dtype=tf.float32):
    """Products, what all rows share, labels; many logits are the greatest together."""
    products = tf.random.stateless_normal([rows, classes], [1, 2]) * 4
    shared = tf.round(tf.random.stateless_normal([classes], [3, 4]))
    half = rows // 2
    products = tf.concat([tf.round(products[:half]), products[half:]], axis=0)
    labels = tf.random.stateless_uniform([rows], [5, 6], 0, classes, tf.int32)
    best = tf.argmax(products + shared, axis=1, output_type=tf.int32)
    labels = tf.where(tf.range(rows) % 3 == 0, best, labels)
    return tf.cast(products, dtype), shared, labels


def results_and_gradients(products, shared, labels, level, upstream=None):
    """Nats, hits and the gradients of both parts of the logits."""
    if upstream is None:
        upstream = tf.cast(tf.range(tf.size(labels)) % 4, tf.float32) - 1.5
    with pytest.MonkeyPatch.context() as patch, tf.GradientTape() as tape:
        patch.setenv(fused.VARIABLE, level)
        tape.watch([products, shared])
        nats, hits = token_nats_and_hits(labels, Logits(products, shared), True)
        gradients = tape.gradient(nats, [products, shared], upstream)
    assert gradients[0].dtype == products.dtype
    return [tf.cast(part, tf.float32).numpy() for part in (nats, hits, *gradients)]


def assert_close(ours, expected, precision=1e-6):
    np.testing.assert_allclose(ours[0], expected[0], rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(ours[1], expected[1])
    np.testing.assert_allclose(ours[2], expected[2], rtol=2e-5 + precision, atol=1e-6)
    np.testing.assert_allclose(ours[3], expected[3], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [tf.float32, tf.bfloat16])
@pytest.mark.parametrize("rows, classes", SIZES)
def test_nats_hits_and_gradients_are_those_of_tensorflow(rows, classes, dtype):
    tensors = make_tensors(rows, classes, dtype)
    expected = results_and_gradients(*tensors, "0")
    assert rows < 3 or 0 < expected[1].sum() < rows or classes < 3
    # A bfloat16 number may be rounded the other way.
    precision = 0 if dtype == tf.float32 else 2**-7
    for name in levels():
        assert_close(results_and_gradients(*tensors, name), expected, precision)


def test_huge_logits_and_nan_give_what_they_did(level):
    logits = tf.constant(HUGE, tf.float32)
    for label in range(5):
        tensors = logits, tf.zeros(5), tf.fill([len(HUGE)], label)
        expected = results_and_gradients(*tensors, "0")
        ours = results_and_gradients(*tensors, level)
        assert_close([*ours[:1], ours[1][:4], *ours[2:]],
                     [*expected[:1], expected[1][:4], *expected[2:]])  # fmt: skip
    assert np.isnan(ours[0][4:]).all() and np.isnan(ours[2][4:]).all()
    assert np.isfinite(ours[2][:4]).all()
    assert (ours[2][1, :3] == 0).all()  # not just little


def test_steps_of_no_weight_get_no_gradient_but_nan(level):
    logits = tf.constant(HUGE, tf.float32)
    labels = tf.zeros([len(HUGE)], tf.int32)
    gradient = results_and_gradients(
        logits, tf.zeros(5), labels, level, upstream=tf.zeros(len(HUGE))
    )[2]
    np.testing.assert_array_equal(gradient[:4], 0)
    assert np.isnan(gradient[4:]).all()


@pytest.mark.parametrize("label", [-1, 7, 2**31 - 1])
def test_labels_that_no_class_has_are_refused(label):
    products, shared, labels = make_tensors(3, 7)
    labels = tf.tensor_scatter_nd_update(labels, [[1]], [label])
    for name in ("0", *levels()):
        with pytest.raises(tf.errors.InvalidArgumentError, match=str(label)):
            results_and_gradients(products, shared, labels, name)


@pytest.mark.parametrize("dtype", [tf.float32, tf.bfloat16])
def test_any_number_of_threads_gives_the_same_bits(dtype, level):
    tensors = make_tensors(501, 4391, dtype)  # enough for three
    operations, found = fused._load()[0], []
    for num_threads in (1, 2, 3, 7, 200):
        settings = dict(level=fused.level(), num_threads=num_threads)
        nats, hits, saved = operations.tfmusic_softmax(*tensors, **settings)
        back = operations.tfmusic_softmax_gradient(nats, *tensors, saved, **settings)
        found.append([nats, hits, saved, *back])
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_tensors_of_wrong_shapes_are_refused():
    shapes = [[3], [3, 4], [4], [3], [3, 2]]
    types = [tf.float32, tf.float32, tf.float32, tf.int32, tf.float32]
    operations, settings = fused._load()[0], dict(level=3, num_threads=2)
    for call, start, end in [
        (operations.tfmusic_softmax, 1, 4),
        (operations.tfmusic_softmax_gradient, 0, 5),
    ]:
        made = [tf.zeros(*both) for both in zip(shapes, types, strict=True)][start:end]
        call(*made, **settings)
        for i, tensor in enumerate(made):
            shape = tensor.shape.as_list()
            for wrong in (shape[1:], [shape[0] + 1, *shape[1:]], [*shape, 1]):
                tensors = list(made)
                tensors[i] = tf.zeros(wrong, tensor.dtype)
                with pytest.raises(tf.errors.InvalidArgumentError, match="expected"):
                    call(*tensors, **settings)


def train(level, num_steps=50):
    """The weights before and after some steps of tokens by what comes before them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(fused.VARIABLE, level)
        keras.utils.set_random_seed(0)
        embedding = PitchEmbedding(np.eye(37, 128) > 0, 12)
        output = TiedOutput(embedding)
        optimizer = keras.optimizers.Adam(1e-3)
        tokens = tf.random.stateless_uniform([8, 15], [0, 1], 0, 37, tf.int32)
        output(embedding(tokens))
        weights = [*embedding.trainable_weights, *output.weights]
        weights = list({id(weight): weight for weight in weights}.values())
        before = [weight.numpy() for weight in weights]

        @tf.function(autograph=False)
        def step():
            with tf.GradientTape() as tape:
                logits = output(embedding(tokens[:, :-1]), training=True)
                nats, _ = token_nats_and_hits(tokens[:, 1:], logits, True)
                loss = tf.reduce_mean(nats)
            gradients = tape.gradient(loss, [weight.value for weight in weights])
            optimizer.apply([tf.convert_to_tensor(g) for g in gradients], weights)

        optimizer.build(weights)
        for _ in range(num_steps):
            step()
    return before, [weight.numpy() for weight in weights]


def test_weights_after_training_are_those_of_tensorflow_and_repeatable():
    before, ours = train(fused.LEVELS[-1])
    _, again = train(fused.LEVELS[-1])
    _, theirs = train("0")
    for start, a, b, c in zip(before, ours, again, theirs, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_allclose(a, c, rtol=1e-5, atol=1e-5)
        assert np.abs(a - start).max() > 0.01


@pytest.mark.parametrize("name", ["chords", "tokens"])
def test_training_takes_the_compiled_softmax_and_all_else_does_not(name, monkeypatch):
    case = make_case(name)
    model = case.model
    model.compile_for_training(keras.optimizers.Adam())
    x, y, weight = contracts.whole_pieces(model, case.pieces)

    def softmaxes(training):
        outputs = model(x, training=training)

        def run():
            return model.compute_loss(x, y, outputs, weight, training=training)

        graph = tf.function(run, autograph=False).get_concrete_function().graph
        return {op.type for op in graph.get_operations() if "oftmax" in op.type}

    assert softmaxes(training=True) == {"TfmusicSoftmax"}
    # Of TensorFlow's, it takes another where operations are to be deterministic.
    ours = {"TfmusicSoftmax"}
    assert softmaxes(training=False) and not softmaxes(training=False) & ours
    monkeypatch.setenv(fused.VARIABLE, "0")
    assert softmaxes(training=True) and not softmaxes(training=True) & ours
