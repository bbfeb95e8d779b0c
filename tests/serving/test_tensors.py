"""Numbers in JSON, as TensorFlow Serving reads and writes them."""

import numpy as np
import pytest

from tfmusic.errors import UserError
from tfmusic.serving.server.tensors import (
    parse_body,
    read_columns,
    to_array,
    to_json,
)

NOISE = {"dtype": "float32", "shape": [None, 2]}


def test_numbers_that_are_none_are_read_and_written_unquoted():
    body = parse_body(b'{"inputs": {"noise": [[NaN, -Infinity], [1, 2.5]]}}')
    array = to_array("noise", read_columns(body, {"noise": NOISE})["noise"], NOISE)
    np.testing.assert_array_equal(array, [[np.nan, -np.inf], [1, 2.5]])
    assert to_json({"noise": array}, as_rows=False) == (
        b'{"outputs": [[NaN, -Infinity], [1.0, 2.5]]}'
    )


def test_one_input_may_come_without_its_name():
    for body in ({"instances": [[1, 2], [3, 4]]}, {"inputs": [[1, 2], [3, 4]]}):
        columns = read_columns(body, {"noise": NOISE})
        np.testing.assert_array_equal(columns["noise"], [[1, 2], [3, 4]])


def test_rows_of_unequal_length_are_refused():
    with pytest.raises(UserError, match="noise: expected lists of equal length"):
        to_array("noise", [[1, 2], [3]], NOISE)


def test_outputs_that_are_not_a_row_each_are_refused_as_rows():
    outputs = {"music": np.zeros([3, 2]), "length": np.zeros([2])}
    with pytest.raises(UserError, match="send 'inputs', not 'instances'"):
        to_json(outputs, as_rows=True)
    with pytest.raises(UserError, match="send 'inputs', not 'instances'"):
        to_json({"music": np.zeros([])}, as_rows=True)
