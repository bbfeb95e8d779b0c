"""What tokens at the beginning say of a whole piece, and a user may ask for."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class Condition:
    """One of the first tokens of every piece.

    Attributes:
        control: The name of the control that chooses it.
        ids: int [num_values], the tokens; the first stands for any value.
        limits: From which value of the control on each token but the first holds,
            ascending.
        names: What the tokens but the first mean, where the training pieces decide
            that.
    """

    control: str
    ids: np.ndarray
    limits: tuple[float, ...]
    names: tuple[str, ...] | None = None
