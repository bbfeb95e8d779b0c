"""The arrays of an encoded piece as they lie on disk; numpy alone.

Integers and floats in the type that their spec declares, little-endian, and booleans
bit-packed. Each step of a boolean array begins a new byte, so that steps can be cut out
while they are packed.
"""

from collections.abc import Mapping

import numpy as np

from tfmusic.representations.base import FeatureSpec

# What a record holds beside the representation's arrays, and what windows add.
RESERVED_NAMES = frozenset({"id", "source", "metadata", "num_steps", "step"})
_STORED_TYPES = ("uint8", "int8", "uint16", "int16", "int32", "float32")

Specs = Mapping[str, FeatureSpec]


def pack(features: Mapping[str, np.ndarray], specs: Specs) -> dict[str, bytes]:
    """Packs the arrays of a piece.

    Args:
        features: The arrays that `specs` describe, all with the same number of steps.
        specs: The representation's `feature_specs`.

    Raises:
        ValueError: The arrays do not match the specs.
    """
    lengths = {name: len(array) for name, array in features.items()}
    if lengths.keys() != specs.keys() or len(set(lengths.values())) != 1:
        raise ValueError(
            f"expected {', '.join(specs)}, all with the same number of steps; got "
            f"{lengths}"
        )
    return {name: _to_bytes(name, features[name], specs[name]) for name in specs}


def _to_bytes(name: str, array: np.ndarray, spec: FeatureSpec) -> bytes:
    if name in RESERVED_NAMES:
        raise ValueError(f"a feature may not be called {name!r}; records use that name")
    if array.shape[1:] != spec.shape[1:]:
        raise ValueError(
            f"{name}: expected shape {spec.shape}, got {array.shape}; None is any size"
        )
    if spec.dtype == "bool":
        return np.packbits(_flat_steps(array).astype(bool), axis=1).tobytes()
    dtype = np.dtype(stored_type(spec)).newbyteorder("<")
    if dtype.kind != "f" and array.size:
        limits = np.iinfo(dtype)
        if array.min() < limits.min or array.max() > limits.max:
            raise ValueError(
                f"{name}: values {array.min()}..{array.max()} do not fit its declared "
                f"type {spec.dtype}"
            )
    return array.astype(dtype).tobytes()


def num_values(spec: FeatureSpec) -> int:
    """Values in a step."""
    return int(np.prod(spec.shape[1:], dtype=np.int64))


def stored_size(spec: FeatureSpec) -> int:
    """Bytes of booleans, or numbers, that a step is stored as."""
    return -(-num_values(spec) // 8) if spec.dtype == "bool" else num_values(spec)


def stored_type(spec: FeatureSpec) -> str:
    """The type that an array is stored in.

    Raises:
        ValueError: There is none.
    """
    if spec.dtype == "bool":
        return "uint8"
    if spec.dtype not in _STORED_TYPES:
        raise ValueError(
            f"expected a feature of type bool, {', '.join(_STORED_TYPES)}; got "
            f"{spec.dtype!r}"
        )
    return spec.dtype


def _flat_steps(array: np.ndarray) -> np.ndarray:
    # [num_steps, ...] -> [num_steps, values of a step]
    return array.reshape(len(array), int(np.prod(array.shape[1:], dtype=np.int64)))
