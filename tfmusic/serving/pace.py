"""How long a model may take, found by a short call before the long one."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

# What an endpoint's time grows with; the first one that it takes decides.
_GROWS_WITH = ("gibbs_steps", "num_steps")
_SHORT, _PROBE = 4, 24
# Shorter calls are not worth a look.
_FEW = 64


def expected_seconds(
    call: Callable[[str, Mapping[str, np.ndarray]], Any],
    endpoint: str,
    inputs: Mapping[str, np.ndarray],
) -> float | None:
    """About how long a call will take at most; None where it is short in any case.

    Pieces may end before their longest length, and then it takes less.

    Args:
        call: Calls an endpoint, as `Player.call` does.
        endpoint: Its name.
        inputs: Of the call.
    """
    name = next((name for name in _GROWS_WITH if name in inputs), None)
    if name is None or inputs[name] < _FEW:
        return None

    def seconds(amount: int) -> float:
        start = time.monotonic()
        few = {name: np.asarray(amount, np.asarray(inputs[name]).dtype)}
        call(endpoint, {**inputs, **few})
        return time.monotonic() - start

    seconds(_SHORT)  # the first call of all prepares the graph
    base = seconds(_SHORT)
    rate = max(seconds(_PROBE) - base, 0.0) / (_PROBE - _SHORT)
    return base + rate * (float(inputs[name]) - _SHORT)
