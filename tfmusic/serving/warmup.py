"""Requests that TensorFlow Serving plays to itself before it lets clients in."""

import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

# The place and name that TensorFlow Serving looks for.
REQUESTS = os.path.join("assets.extra", "tf_serving_warmup_requests")
_NUM_STEPS = 2  # enough to run the body of every loop


def write_warmup_requests(
    path: str, model_name: str, endpoints: Mapping[str, Any], controls: Mapping
) -> bool:
    """Writes a small request for each endpoint, so that no client waits for the first.

    Args:
        path: The SavedModel's directory.
        model_name: What the requests call the model.
        endpoints: The card's: their inputs by name, with `dtype` and `shape`.
        controls: The card's: their defaults.

    Returns:
        False where tensorflow-serving-api, which has the messages, is not installed.
    """
    try:
        from tensorflow_serving.apis import prediction_log_pb2
    except ModuleNotFoundError:
        return False
    with tf.io.TFRecordWriter(os.path.join(path, REQUESTS)) as writer:
        for name, endpoint in endpoints.items():
            log = prediction_log_pb2.PredictionLog()
            request = log.predict_log.request
            request.model_spec.name = model_name
            request.model_spec.signature_name = name
            for key, value in small_inputs(endpoint["inputs"], controls):
                request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
            writer.write(log.SerializeToString(deterministic=True))
    return True


def small_inputs(
    inputs: Mapping[str, Any], controls: Mapping
) -> Iterator[tuple[str, np.ndarray]]:
    """A value for each input: one piece of two steps, controls as usual."""
    for name, spec in inputs.items():
        value = controls[name]["default"] if name in controls else 1
        if name == "num_steps":
            value = _NUM_STEPS
        batch, *rest = spec["shape"] or [None]
        shape = [batch or 1, *(_NUM_STEPS if n is None else n for n in rest)]
        array = np.full(shape if spec["shape"] else [], value, spec["dtype"])
        yield name, array
