import json

import numpy as np
import pytest
import tensorflow as tf

from tfmusic.data.features import make_record, parse_record
from tfmusic.representations.base import FeatureSpec

SHAPES = [(), (1,), (7,), (8,), (88,), (3, 5), (2, 88, 2)]


def round_trip(features, specs):
    record = tf.constant(make_record(features, specs, "id"))
    return tf.function(lambda text: parse_record(text, specs))(record)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("num_steps", [1, 13])
def test_boolean_arrays_of_any_size_come_back(shape, num_steps):
    array = np.random.default_rng(0).random((num_steps, *shape)) < 0.5
    parsed = round_trip(
        {"roll": array}, {"roll": FeatureSpec((None, *shape), "bool", "")}
    )
    assert parsed["roll"].dtype == tf.bool
    assert parsed["num_steps"] == num_steps
    np.testing.assert_array_equal(parsed["roll"], array)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "int32"])
def test_integers_come_back_at_the_limits_of_their_type(dtype):
    limits = np.iinfo(dtype)
    array = np.array([limits.min, 0, 1, limits.max], np.int64)
    parsed = round_trip({"tokens": array}, {"tokens": FeatureSpec((None,), dtype, "")})
    assert parsed["tokens"].dtype == tf.int32
    np.testing.assert_array_equal(parsed["tokens"], array)


def test_floats_and_several_features_come_back():
    features = {
        "times": np.linspace(-1, 1, 12).reshape(4, 3).astype(np.float32),
        "tokens": np.arange(4),
    }
    specs = {
        "times": FeatureSpec((None, 3), "float32", ""),
        "tokens": FeatureSpec((None,), "uint8", ""),
    }
    parsed = round_trip(features, specs)
    np.testing.assert_array_equal(parsed["times"], features["times"])
    np.testing.assert_array_equal(parsed["tokens"], features["tokens"])


def test_rolls_take_one_bit_a_key():
    spec = FeatureSpec((None, 2, 88, 2), "bool", "")
    record = make_record({"roll": np.zeros([1000, 2, 88, 2], bool)}, {"roll": spec}, "")
    assert len(record) < 44 * 1000 + 100


def test_record_says_what_is_known_of_the_piece():
    spec = {"tokens": FeatureSpec((None,), "int32", "")}
    record = make_record(
        {"tokens": np.arange(3)}, spec, "bwv1", "corpus", {"title": "Wie schön"}
    )
    feature = tf.train.Example.FromString(record).features.feature
    assert feature["id"].bytes_list.value[0] == b"bwv1"
    assert feature["source"].bytes_list.value[0] == b"corpus"
    assert json.loads(feature["metadata"].bytes_list.value[0])["title"] == "Wie schön"


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ({"tokens": np.array([0, 256])}, "0..256 do not fit its declared type uint8"),
        ({"tokens": np.zeros([2, 3], int)}, "expected shape"),
        ({"other": np.zeros([2], int)}, "expected tokens"),
    ],
)
def test_arrays_that_do_not_match_their_specs_are_refused(features, message):
    with pytest.raises(ValueError, match=message):
        make_record(features, {"tokens": FeatureSpec((None,), "uint8", "")}, "piece")


def test_names_that_records_use_are_refused():
    spec = {"step": FeatureSpec((None,), "int32", "")}
    with pytest.raises(ValueError, match="may not be called 'step'"):
        make_record({"step": np.arange(2)}, spec, "piece")
