"""What a request may ask for; refused before any of it reaches a graph."""

import dataclasses
import math
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from tfmusic.errors import UserError, choose
from tfmusic.serving.requests import check_controls, default_of, known_controls
from tfmusic.serving.server.tensors import to_array

_COUNTS = ("num_outputs", "beam_width", "particles")


@dataclasses.dataclass(frozen=True)
class Limits:
    """Bounds of what a server takes on.

    Attributes:
        max_steps: Steps of a piece.
        max_outputs: Pieces, rows or beams of a request.
        max_values: Numbers in an answer: as JSON each takes 2 to 20 bytes.
        max_bytes: Of a request.
        read_seconds: From the head of a request to the end of its body.
        timeout_seconds: From a whole request to its answer.
        num_threads: Requests that are worked on at a time.
        max_waiting: Requests that wait for a thread; more are sent away.
        max_joined: Pieces of several requests that one call makes at most.
    """

    max_steps: int = 10_000
    max_outputs: int = 64
    max_values: int = 20_000_000
    max_bytes: int = 64 * 2**20
    read_seconds: float = 20.0
    timeout_seconds: float = 600.0
    num_threads: int = min(os.cpu_count() or 1, 4)
    max_waiting: int = 32
    max_joined: int = 32


def read_inputs(
    columns: Mapping[str, Any], signature: str, card: Mapping[str, Any], limits: Limits
) -> dict[str, np.ndarray]:
    """The inputs of a signature, all of them and each within its bounds.

    Args:
        columns: What a request gives; controls that it leaves out have the defaults of
            the model's card.
        signature: The signature's name.
        card: The model's.
        limits: Those of the server.

    Raises:
        UserError: An unknown or a missing input, or a value that cannot be.
    """
    endpoint = card["endpoints"][signature]
    specs = endpoint["inputs"]
    for name in columns:
        choose(f"input of {signature}", name, specs)
    arrays = {name: to_array(name, columns[name], specs[name]) for name in columns}
    # A beam search has defaults of its own for controls that sampling has too.
    kind = "search_controls" if "beam_width" in specs else "controls"
    kind = "infill_controls" if "particles" in specs else kind
    num_rows = max((len(array) for array in arrays.values() if array.ndim), default=1)
    if known_controls(card, kind):
        arrays = _with_controls(arrays, num_rows, specs, card, kind)
    for name, spec in specs.items():
        if name not in arrays and "default" in spec:
            arrays[name] = default_of(spec, num_rows)
    if missing := [name for name in specs if name not in arrays]:
        raise UserError(
            f"Missing named input: {', '.join(missing)}; {signature} takes "
            f"{', '.join(specs)}"
        )
    _check_sizes(signature, arrays, endpoint, limits)
    return arrays


def _with_controls(
    arrays: Mapping[str, np.ndarray],
    num_rows: int,
    specs: Mapping[str, Any],
    card: Mapping[str, Any],
    kind: str,
) -> dict[str, np.ndarray]:
    """All inputs of a request, with the defaults of controls that it leaves out."""
    known = known_controls(card, kind)
    given = {name: array for name, array in arrays.items() if name in known}
    # Also of rows, the least and the greatest; either is NaN if one value is.
    check_controls(card, {n: a.max() for n, a in given.items()}, kind)
    values = check_controls(card, {n: a.min() for n, a in given.items()}, kind)
    defaults = {
        name: default_of({**specs[name], "default": value}, num_rows)
        for name, value in values.items()
        if name in specs and name not in given
    }
    return {**arrays, **defaults}


def _check_sizes(
    signature: str,
    arrays: Mapping[str, np.ndarray],
    endpoint: Mapping[str, Any],
    limits: Limits,
) -> None:
    """Refuses what would be too much to make."""
    rows = {name: len(array) for name, array in arrays.items() if array.ndim}
    if len(set(rows.values())) > 1:
        raise UserError(f"{signature}: expected inputs with as many rows, got {rows}")
    num_pieces = max(rows.values(), default=1)
    _check_range("rows", num_pieces, limits.max_outputs)
    for name in _COUNTS:
        if name in arrays:
            _check_range(name, int(arrays[name]), limits.max_outputs)
            num_pieces *= int(arrays[name])
    if "place" in arrays:  # as many are drawn as come before it
        _check_range("place", int(arrays["place"].min()), limits.max_outputs - 1, 0)
        _check_range("place", int(arrays["place"].max()), limits.max_outputs - 1, 0)
    # Where music comes with a length for each piece, that is how much of it counts.
    times = [array.shape[1] for array in arrays.values() if array.ndim > 1]
    num_steps = max(times, default=1)
    if "num_steps" in arrays:
        lengths = arrays["num_steps"]
        longest = num_steps if lengths.ndim and times else limits.max_steps
        _check_range("num_steps", int(lengths.min()), longest)
        _check_range("num_steps", int(lengths.max()), longest)
        num_steps = int(lengths.max())
    size = num_pieces * sum(
        math.prod(n for n in spec["shape"] if n is not None)
        * (num_steps if None in spec["shape"][1:] else 1)
        for spec in endpoint["outputs"].values()
    )
    if size > limits.max_values:
        raise UserError(
            f"{signature}: {num_pieces:,} pieces of {num_steps:,} steps are {size:,} "
            f"numbers, of which an answer holds {limits.max_values:,}; ask for fewer "
            "or shorter pieces"
        )


def _check_range(name: str, value: int, highest: int, lowest: int = 1) -> None:
    if not lowest <= value <= highest:
        raise UserError(f"{name}: expected {lowest} to {highest:,}, got {value:,}")
