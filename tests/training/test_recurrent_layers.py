"""What a run on a GPU says of its recurrent layers is what Keras does with them."""

import keras
import pytest
import tensorflow as tf

from tests.experiments import CONFIGS, load_config, made_up_piece
from tests.latents import make_latents
from tfmusic.models import MODELS, make_model
from tfmusic.networks.recurrence import LSTM, recurrent_layers
from tfmusic.representations import make_representation
from tfmusic.training.distribution import describe_recurrent_layers

GRU = keras.layers.GRU


@pytest.fixture(autouse=True)
def as_on_a_gpu(monkeypatch):
    """Lets Keras trace what it would trace if there were one."""
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: [kind])


def reaches_cudnn(layer):
    """Whether Keras puts cuDNN's kernel into the graph of a layer that trains."""
    small = type(layer).from_config(layer.get_config() | {"units": 2})
    small.use_cudnn = layer.use_cudnn  # which no config of Keras' layers holds
    inputs = tf.zeros([1, 3, 2])
    small.build(inputs.shape)
    trace = tf.function(lambda x: small(x, training=True)).get_concrete_function
    return "CudnnRNN" in str(trace(inputs).graph.as_graph_def())


@pytest.mark.parametrize(
    ("kind", "settings", "verdict"),
    [
        (LSTM, {}, "cuDNN"),
        (GRU, {}, "cuDNN"),
        (LSTM, {"dropout": 0.1, "go_backwards": True}, "cuDNN"),
        (LSTM, {"recurrent_dropout": 0.1}, "no cuDNN (it has recurrent dropout)"),
        (LSTM, {"activation": "relu"}, "no cuDNN (its activation is not tanh)"),
        (
            GRU,
            {"recurrent_activation": "hard_sigmoid"},
            "no cuDNN (its recurrent activation is not the sigmoid)",
        ),
        (
            LSTM,
            {"use_bias": False, "unroll": True},
            "no cuDNN (it is unrolled, it has no bias)",
        ),
        (GRU, {"reset_after": False}, "no cuDNN (it resets before the product)"),
        (LSTM, {"use_cudnn": False}, "no cuDNN (its use_cudnn is off)"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_layer_is_said_to_reach_cudnn_or_why_it_does_not(kind, settings, verdict):
    layer = kind(2, name="recurrent", **settings)
    model = keras.Sequential([keras.Input([3, 2]), layer], name="model")
    assert describe_recurrent_layers(model) == [f"model/recurrent: {verdict}"]
    assert reaches_cudnn(layer) == (verdict == "cuDNN")


# Their sources gave no settings for what they learn.
WITHOUT_REFERENCE = ("bar_lstm", "two_hands_chords")


def recurrent_experiments():
    yield "latent_wgan", "recurrent"
    for name in CONFIGS:
        network = MODELS[load_config(name, "").model.name].network
        if name not in ("latent_wgan", "set_autoencoder") and (
            network is None or network.is_recurrent
        ):
            yield name, ""
            if name not in WITHOUT_REFERENCE:
                yield name, "reference"


@pytest.mark.parametrize(("name", "variant"), list(recurrent_experiments()))
def test_every_family_is_told_what_keras_does_with_its_layers(name, variant):
    config = load_config(name, variant)
    if config.representation.name == "latents":
        representation, _ = make_latents(latent_size=config.representation.latent_size)
    else:
        kind = make_representation(config.representation)
        representation = kind.fit([made_up_piece(i) for i in range(4)])
    model = make_model(representation, config.model)
    said = [line.endswith(": cuDNN") for line in describe_recurrent_layers(model)]
    done = [reaches_cudnn(layer) for layer in recurrent_layers(model)]
    assert said == done
    assert done
