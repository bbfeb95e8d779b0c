"""How an encoded piece is varied without being decoded, for augmentation."""

import dataclasses
from collections.abc import Sequence

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class Variation:
    """Several variants of one array; in variant v, number n becomes `table[v, n]`.

    Zeros stand for nothing (padding, silence) and stay what they are.

    Attributes:
        feature: The array's name.
        table: int32 [num_variants, size]; -1 where a number becomes nothing that the
            array can hold, so that an array with that number has no such variant.
            Variant 0 changes nothing.
        of: What the numbers are: "values", the array's values; "keys", places on its
            last axis but one, whose contents move; or "rows", one of the values in each
            row of the last axis, whose first value is an id; a row of zeros is padding.
        column: Of "rows", which value.
        num_ids: Of "rows", those with ids from this on stay as they are; 0 for none.
    """

    feature: str
    table: np.ndarray
    of: str = "values"
    column: int = 0
    num_ids: int = 0


@dataclasses.dataclass(frozen=True, eq=False)
class Joint:
    """Several arrays varied together: a variant is that of each of them.

    Attributes:
        parts: Of one array each, with as many variants.
    """

    parts: tuple[Variation, ...]


@dataclasses.dataclass(frozen=True)
class EventStretch:
    """Several variants of events in chunks of time, played slower or faster.

    Attributes:
        events: The name of the array, see `tfmusic.representations.events`.
        counts: The name of the array that says how many events a chunk has.
        chunk_steps: Steps of a chunk.
        factors: How many times as long each variant lasts; the first is 1.
    """

    events: str
    counts: str
    chunk_steps: int
    factors: tuple[float, ...]


def move(places: np.ndarray, steps: int, num_places: int) -> np.ndarray:
    """Places 0..num_places - 1 after a move, -1 where they leave that range."""
    moved = places + steps
    return np.where((moved >= 0) & (moved < num_places), moved, -1)


def stack(rows: Sequence[np.ndarray]) -> np.ndarray:
    """Rows [size] of a table as int32 [num_variants, size]."""
    return np.stack(rows).astype(np.int32)
