"""The signatures of a SavedModel, as TensorFlow Serving's metadata tells of them."""

import os
from typing import Any

import tensorflow as tf
from google.protobuf import json_format
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import saved_model_pb2

from tfmusic.serving.catalogue import is_packed, open_packed

_FILE = "saved_model.pb"


def read_signatures(path: str) -> dict[str, Any]:
    """The signatures by name.

    Args:
        path: A version's directory, or an export in one file.
    """
    if is_packed(path):
        with open_packed(path) as archive:
            data = archive.read(_FILE)
    else:
        with tf.io.gfile.GFile(os.path.join(path, _FILE), "rb") as file:
            data = file.read()
    model = saved_model_pb2.SavedModel.FromString(data)
    return {
        name: {
            "inputs": {key: _tensor(info) for key, info in signature.inputs.items()},
            "outputs": {key: _tensor(info) for key, info in signature.outputs.items()},
            "method_name": signature.method_name,
            "defaults": {
                key: json_format.MessageToDict(value, preserving_proto_field_name=True)
                for key, value in signature.defaults.items()
            },
        }
        for name, signature in model.meta_graphs[0].signature_def.items()
    }


def _tensor(info) -> dict[str, Any]:
    # As protobuf writes JSON: 64-bit integers are strings.
    dims = [{"size": str(d.size), "name": d.name} for d in info.tensor_shape.dim]
    return {
        "dtype": types_pb2.DataType.Name(info.dtype),
        "tensor_shape": {"dim": dims, "unknown_rank": info.tensor_shape.unknown_rank},
        "name": info.name,
    }
