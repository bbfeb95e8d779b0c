"""Requests of several clients in one call, each with the music that it has alone.

`generate` takes one seed for all pieces of a call. `generate_rows` takes one for each,
and the piece's place among those that `generate` makes of it, so that the random
numbers are the same in both. Families that do not have it answer one request a call.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from tfmusic.serving.player import Player

Arrays = Mapping[str, np.ndarray]
_OWN = ("seed", "num_outputs")  # what requests of one call may differ in


def kind_of(
    signature: str, inputs: Arrays, card: Mapping[str, Any]
) -> tuple[Hashable, ...] | None:
    """What requests of one call must have in common; None: this one is alone.

    Args:
        signature: What is called.
        inputs: All inputs, checked.
        card: The model's.
    """
    if signature != "generate" or "generate_rows" not in card["endpoints"]:
        return None
    specs = card["endpoints"][signature]["inputs"]
    return tuple(
        (name, float(np.asarray(inputs[name], specs[name]["dtype"])))
        for name in sorted(specs)
        if name not in _OWN
    )


def generate_together(
    player: Player, requests: Sequence[Arrays]
) -> list[dict[str, np.ndarray]]:
    """What `generate` gives for each of some requests of one kind.

    Args:
        player: The model.
        requests: The inputs of each.
    """
    counts = [int(inputs["num_outputs"]) for inputs in requests]
    common = {n: value for n, value in requests[0].items() if n not in _OWN}
    rows = {
        "seed": np.repeat([int(inputs["seed"]) for inputs in requests], counts),
        "place": np.concatenate([np.arange(count) for count in counts]),
    }
    outputs = player.call("generate_rows", {**common, **rows})
    ends = np.cumsum(counts)[:-1]
    parts = {name: np.split(array, ends) for name, array in outputs.items()}
    return [{n: part[i] for n, part in parts.items()} for i in range(len(requests))]
