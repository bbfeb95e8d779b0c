import numpy as np
import pytest
import tensorflow as tf

from tfmusic.networks.convolution import ConvolutionSettings, DilatedConvolutions


@pytest.mark.parametrize(
    ("num_layers", "reach"),
    [(1, 1), (3, 1 + 2 + 4), (6, 1 + 2 + 4 + 8 + 16 + 1)],
)
def test_an_output_hears_as_far_to_both_sides_as_the_dilations_add_up_to(
    num_layers, reach
):
    network = DilatedConvolutions(
        ConvolutionSettings(num_layers=num_layers, hidden_size=8)
    )
    length, place = 81, 40
    inputs = tf.random.stateless_normal([1, length, 3], [1, 2])
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = network(inputs, tf.ones([1, length], tf.bool))
        # Not the sum of its features, which normalisation keeps as it is.
        heard = tf.reduce_sum(outputs[0, place] * tf.range(8.0))
    gradient = np.abs(tape.gradient(heard, inputs)[0]).sum(axis=-1)
    assert np.flatnonzero(gradient).tolist() == list(
        range(place - reach, place + reach + 1)
    )
    assert network.reach == reach
