import keras
import pytest
import tensorflow as tf

from tfmusic.errors import UserError
from tfmusic.recurrence import LSTM
from tfmusic.training import precision


@pytest.fixture(autouse=True)
def keep_switch(monkeypatch):
    monkeypatch.setattr(LSTM, "enabled", LSTM.enabled)


def test_precision_follows_the_config():
    assert precision.choose_computation("none", True) == "float32"
    policy = precision.choose_computation("bfloat16", True)
    assert policy == "mixed_bfloat16"
    assert precision.choose_computation("auto", True) in ("float32", policy)


def test_an_unknown_precision_is_named():
    with pytest.raises(UserError, match="config.train.mixed_precision: unknown 'bf16'"):
        precision.choose_computation("bf16", True)


def test_the_layers_can_be_chosen():
    for fast in (False, True):
        precision.choose_computation("none", fast)
        assert LSTM.enabled == fast


def test_only_layers_made_inside_get_the_policy():
    with precision.dtype_policy("mixed_bfloat16"):
        layer = keras.layers.Dense(3)
    assert layer(tf.zeros([1, 2])).dtype == tf.bfloat16
    assert keras.layers.Dense(3)(tf.zeros([1, 2])).dtype == tf.float32
