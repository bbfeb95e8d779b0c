"""One encoded piece as a `tf.train.Example`, and back as graph code.

A record holds `id`, `source`, `metadata` (JSON), `num_steps` and one bytes feature per
array of the representation, packed by `tfmusic.data.packing`.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tfmusic.data.packing import Specs, num_values, pack, stored_size, stored_type
from tfmusic.files import replacing
from tfmusic.representations.base import FeatureSpec

Tensors = dict[str, tf.Tensor]


def make_record(
    features: Mapping[str, np.ndarray],
    specs: Specs,
    piece_id: str,
    source: str = "",
    metadata: Mapping[str, Any] | None = None,
) -> bytes:
    """Serialises one encoded piece.

    Args:
        features: The arrays that `specs` describe, all with the same number of steps.
        specs: The representation's `feature_specs`.
        piece_id: What the piece is called, the same whenever the job runs.
        source: Where it came from.
        metadata: Anything else that is known of it, such as its title.

    Raises:
        ValueError: The arrays do not match the specs.
    """
    packed = pack(features, specs)
    num_steps = len(next(iter(features.values())))
    return record_of_packed(packed, num_steps, piece_id, source, metadata)


def record_of_packed(
    packed: Mapping[str, bytes],
    num_steps: int,
    piece_id: str,
    source: str = "",
    metadata: Mapping[str, Any] | None = None,
) -> bytes:
    """Serialises one piece whose arrays are packed already; see `make_record`."""
    example = tf.train.Example()
    values = {
        "id": piece_id.encode(),
        "source": source.encode(),
        "metadata": json.dumps(dict(metadata or {}), sort_keys=True).encode(),
        **packed,
    }
    for name, value in values.items():
        example.features.feature[name].bytes_list.value.append(value)
    example.features.feature["num_steps"].int64_list.value.append(num_steps)
    # The order of map entries, and with it the file's bytes, is otherwise left open.
    return example.SerializeToString(deterministic=True)


def write_records(
    path: str, records: Iterable[bytes], compression: str, work_dir: str
) -> None:
    """Writes a shard, in `work_dir` until it is whole; killed jobs leave theirs there.

    Raises:
        WriteError: It cannot be written.
    """
    with (
        replacing(path, work_dir) as partial,
        tf.io.TFRecordWriter(partial, compression.upper()) as writer,
    ):
        for record in records:
            writer.write(record)


def parse_stored(serialized: tf.Tensor, specs: Specs) -> Tensors:
    """Parses a record and leaves its arrays as they are stored; graph code.

    Args:
        serialized: What `make_record` gave, string [].
        specs: The specs that it was made with.

    Returns:
        `id`, `source` and `metadata` (string []), `num_steps` (int32 []), and each
        array as [num_steps, k] in its stored type: bytes of 8 booleans, or numbers.
    """
    texts = ("id", "source", "metadata")
    text = tf.io.FixedLenFeature([], tf.string)
    schema = dict.fromkeys([*texts, *specs], text)
    schema["num_steps"] = tf.io.FixedLenFeature([], tf.int64)
    parsed = tf.io.parse_single_example(serialized, schema)
    tensors = {name: parsed[name] for name in texts}
    tensors["num_steps"] = tf.cast(parsed["num_steps"], tf.int32)
    for name, spec in specs.items():
        flat = tf.io.decode_raw(parsed[name], stored_type(spec))
        # [num_steps * k] -> [num_steps, k]
        tensors[name] = tf.reshape(flat, [parsed["num_steps"], stored_size(spec)])
    return tensors


def unpack(stored: tf.Tensor, spec: FeatureSpec) -> tf.Tensor:
    """Turns stored steps into the array of the spec; graph code.

    Args:
        stored: Any number of steps of `parse_stored`'s array, [..., k].
        spec: The array's spec.

    Returns:
        bool, int32 or float32 [..., *spec.shape[1:]].
    """
    shape = tf.concat([tf.shape(stored)[:-1], spec.shape[1:]], axis=0)
    static_shape = stored.shape[:-1].concatenate(spec.shape[1:])
    if spec.dtype == "bool":
        # [..., bytes] -> [..., bytes, 8] -> [..., bytes * 8], without the last padding
        bits = tf.bitwise.bitwise_and(stored[..., None], _BIT_VALUES) > 0
        bits = tf.reshape(
            bits, tf.concat([tf.shape(stored)[:-1], [8 * stored_size(spec)]], 0)
        )
        values = bits[..., : num_values(spec)]
    else:
        values = tf.cast(stored, tf.float32 if "float" in spec.dtype else tf.int32)
    # [..., values of a step] -> [..., the axes of a step]
    return tf.ensure_shape(tf.reshape(values, shape), static_shape)


def parse_record(serialized: tf.Tensor, specs: Specs) -> Tensors:
    """Parses a record; graph code.

    Args:
        serialized: What `make_record` gave, string [].
        specs: The specs that it was made with.

    Returns:
        `id`, `source` and `metadata` (string []), `num_steps` (int32 []), and each
        array as bool, int32 or float32 [num_steps, ...].
    """
    stored = parse_stored(serialized, specs)
    arrays = {name: unpack(stored[name], spec) for name, spec in specs.items()}
    return {**stored, **arrays}


# Of the eight booleans in a byte the first is the highest bit, as in np.packbits.
_BIT_VALUES = np.array([128, 64, 32, 16, 8, 4, 2, 1], np.uint8)
