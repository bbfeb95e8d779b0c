"""TensorFlow Serving's JSON: rows or columns in, arrays; arrays, rows or columns out.

`{"instances": [{"seed": 1}, {"seed": 2}]}` are rows, `{"inputs": {"seed": [1, 2]}}` the
same as columns. A signature with one input or output may leave its name out. NaN and
Infinity stand unquoted, as TensorFlow Serving reads and writes them. No export takes
or gives strings, so a `{"b64": ...}` is refused here as it is there for numbers.
"""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from tfmusic.errors import UserError, choose

# Kinds of numpy that are taken for one; an integer is a number, true is not.
_KINDS = {"b": "b", "i": "iu", "f": "iuf"}
_WORDS = {"b": "true or false", "i": "whole numbers", "f": "numbers"}


def parse_body(data: bytes) -> dict[str, Any]:
    """The JSON object of a request.

    Raises:
        UserError: It is none.
    """
    try:
        body = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UserError(f"JSON Parse error: {error}") from error
    if not isinstance(body, dict):
        raise UserError(f"expected a JSON object, got a {type(body).__name__}")
    return body


def read_columns(body: Mapping[str, Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The values of each input that a request names, for all rows together.

    Args:
        body: With either `instances` or `inputs`.
        inputs: The signature's, by name, as a model's card describes them.

    Raises:
        UserError: The body is of neither form.
    """
    if ("instances" in body) == ("inputs" in body):
        raise UserError("expected one of 'instances' (rows) and 'inputs' (columns)")
    if "inputs" in body:
        return _named(body["inputs"], inputs)
    rows = body["instances"]
    if not isinstance(rows, list) or not rows:
        raise UserError("instances: expected a list of at least one row")
    rows = [_named(row, inputs) for row in rows]
    for number, row in enumerate(rows):
        if row.keys() != rows[0].keys():
            raise UserError(
                f"instances: expected the same inputs in each row, got "
                f"{', '.join(rows[0])} in the first and {', '.join(row) or 'none'} in "
                f"row {number + 1}"
            )
    return {name: [row[name] for row in rows] for name in rows[0]}


def _named(values: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(values, dict):
        return values
    if len(inputs) != 1:
        raise UserError(f"expected an object with {', '.join(inputs)}")
    return {next(iter(inputs)): values}


def to_array(name: str, value: Any, spec: Mapping[str, Any]) -> np.ndarray:
    """The array of an input; numbers are as they came, not yet in the graph's type.

    Args:
        name: The input's.
        value: Of the request.
        spec: `dtype` and `shape` of the input.

    Raises:
        UserError: It has another type or shape, or does not fit the type.
    """
    dtype = np.dtype(spec["dtype"])
    try:
        array = np.array(value)
    except ValueError as error:
        raise UserError(
            f"{name}: expected lists of equal length, got {error}"
        ) from None
    kinds = _KINDS[dtype.kind]
    if array.size and array.dtype.kind not in kinds:
        found = f"{array.dtype.name} values" if array.ndim else f"{value!r:.60}"
        raise UserError(f"{name}: expected {_WORDS[dtype.kind]}, got {found}")
    if dtype.kind == "i" and array.size:
        for number in (int(array.min()), int(array.max())):
            if not np.iinfo(dtype).min <= number <= np.iinfo(dtype).max:
                raise UserError(f"{name}: expected an {dtype.name}, got {number}")
    shape = spec["shape"]
    fits = array.ndim == len(shape) and array.shape[:1] != (0,)
    if not fits or any(n not in (None, m) for n, m in zip(shape, array.shape)):  # noqa: B905
        raise UserError(f"{name}: expected {_shape(shape)}, got {_shape(array.shape)}")
    return array


def _shape(shape) -> str:
    if not len(shape):
        return "one number for the whole request"
    return f"shape [{', '.join('n' if n is None else str(n) for n in shape)}]"


def to_json(outputs: Mapping[str, np.ndarray], as_rows: bool) -> bytes:
    """The answer, in the form of the question.

    Raises:
        UserError: Rows were asked for, and the outputs have no rows in common.
    """
    values = {name: array.tolist() for name, array in outputs.items()}
    if as_rows and len({array.shape[:1] for array in outputs.values()} | {()}) != 2:
        raise UserError(
            "the outputs are not a row each; send 'inputs', not 'instances'"
        )
    if len(values) == 1:
        (answer,) = values.values()
    elif as_rows:
        rows = zip(*values.values(), strict=True)
        answer = [dict(zip(values, row, strict=True)) for row in rows]
    else:
        answer = values
    return json.dumps({"predictions" if as_rows else "outputs": answer}).encode()


def signature_of(body: Mapping[str, Any], endpoints: Mapping[str, Any]) -> str:
    """The signature that a request names, or the default one.

    Raises:
        UserError: There is no such signature.
    """
    name = body.get("signature_name") or "serving_default"
    return choose("Serving signature name", str(name), endpoints)
