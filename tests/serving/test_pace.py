import time

import numpy as np
import pytest

from tfmusic.serving.pace import expected_seconds


@pytest.mark.parametrize("name", ["num_steps", "gibbs_steps"])
def test_a_long_call_is_measured_by_short_ones(name):
    asked = []

    def call(endpoint, inputs):
        asked.append(int(inputs[name]))
        time.sleep(0.005 * inputs[name])

    inputs = {"num_steps": np.int32(100), name: np.int32(10_000)}
    expected = expected_seconds(call, "generate", inputs)
    assert expected == pytest.approx(50, rel=0.3)
    assert max(asked) < 50


def test_a_short_call_is_not_worth_a_look():
    def call(endpoint, inputs):
        raise AssertionError("it was called")

    assert expected_seconds(call, "generate", {"num_steps": np.int32(20)}) is None
    assert expected_seconds(call, "score", {}) is None
