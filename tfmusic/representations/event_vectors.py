"""Events as vectors for a network, in five encodings, and back."""

import dataclasses

import numpy as np

from tfmusic.errors import choose
from tfmusic.representations.events import (
    DURATION,
    ID,
    INTENSITY,
    LARGEST_INTENSITY,
    LONGEST,
    NUM_IDS,
    NUM_KEYS,
    START,
)

# Sizes of the parts that say which key or pedal; three numbers follow in each.
_PARTS = {
    "none": (1,),
    "pon": (1, 1, 1),
    "pnOHE": (4, 1, 12),
    "ponOHE": (4, 8, 12),
    "OHE": (NUM_IDS,),
}
NUM_CONTINUOUS = 3
ENCODINGS = {name: sum(sizes) + NUM_CONTINUOUS for name, sizes in _PARTS.items()}
# What a part of size 1 stands for: 0..largest as low..1; here the largest and low.
SPANS = {
    "id": (NUM_IDS - 1, -1),
    "pedal": (3, 0),
    "octave": (7, -1),
    "note": (11, -1),
}


@dataclasses.dataclass(frozen=True)
class EventScale:
    """What start and duration are measured by.

    Attributes:
        chunk_steps: Steps of a chunk.
        shape: Standard deviation of the logarithm of durations.
        median: Median of durations, in steps.
    """

    chunk_steps: int
    shape: float
    median: float


def parts(encoding: str) -> dict[str, int]:
    """The parts of an encoding that say which key or pedal it is, and their sizes.

    Those of size 1 are numbers, the others one-hot.
    """
    sizes = _PARTS[encoding]
    names = ("id",) if len(sizes) == 1 else ("pedal", "octave", "note")
    return dict(zip(names, sizes, strict=True))


def to_vectors(events: np.ndarray, encoding: str, scale: EventScale) -> np.ndarray:
    """Events as vectors.

    Which key or pedal it is comes first, in one of these `ENCODINGS`:

        none    id, from -1 (lowest key) to 1 (soft pedal)
        pon     pedal 0 (a key), 1/3 damper, 2/3 sostenuto, 1 soft; octave -1..1 and
                note within it -1..1, counted from the lowest key; 0 for pedals
        pnOHE   pedal one-hot (4), octave -1..1, note one-hot (12; zeros for pedals)
        ponOHE  pedal (4), octave (8) and note (12), each one-hot
        OHE     id, one-hot (91)

    Then come start in the chunk, -1..1; duration by the cumulative distribution of
    the log-normal one, 0..1; and intensity, (v - 64) / 64.

    Args:
        events: int [..., 4]: id 0..90, start in the chunk, duration, intensity.
        encoding: A name of `ENCODINGS`.
        scale: The measures of start and duration.

    Returns:
        float64 [..., `ENCODINGS[encoding]`].
    """
    choose("encoding", encoding, ENCODINGS)
    events = np.asarray(events, np.int64)
    ids = events[..., ID]
    is_key = ids < NUM_KEYS
    pedals = np.where(is_key, 0, ids - NUM_KEYS + 1)
    octaves, notes = np.divmod(np.where(is_key, ids, 0), 12)
    scalars = {
        "id": 2 * ids / (NUM_IDS - 1) - 1,
        "pedal": pedals / 3,
        "octave": np.where(is_key, (octaves - 3.5) / 3.5, 0),
        "note": np.where(is_key, (notes - 5.5) / 5.5, 0),
    }
    one_hot = {
        "id": np.eye(NUM_IDS)[ids],
        "pedal": np.eye(4)[pedals],
        "octave": np.eye(8)[octaves] * is_key[..., None],
        "note": np.eye(12)[notes] * is_key[..., None],
    }
    which = [
        scalars[name][..., None] if size == 1 else one_hot[name]
        for name, size in parts(encoding).items()
    ]
    from scipy.special import ndtr  # half of the time of importing representations

    durations = np.maximum(events[..., DURATION], 1)
    continuous = [
        2 * events[..., START] / scale.chunk_steps - 1,
        ndtr(np.log(durations / scale.median) / scale.shape),
        (events[..., INTENSITY] - 64) / 64,
    ]
    return np.concatenate([*which, np.stack(continuous, axis=-1)], axis=-1)


def from_vectors(vectors: np.ndarray, encoding: str, scale: EventScale) -> np.ndarray:
    """The events nearest to vectors, whatever these hold but NaN.

    Undoes `to_vectors` as far as the precision of the vectors can tell durations
    apart: in float64 all of them, in float32 those below some seconds.

    Args:
        vectors: float [..., `ENCODINGS[encoding]`].
        encoding: A name of `ENCODINGS`.
        scale: The measures of start and duration.

    Returns:
        int64 [..., 4]; ids 0..90, starts 0..chunk_steps - 1, durations 1..`LONGEST`,
        intensities 1..127.
    """
    choose("encoding", encoding, ENCODINGS)
    *values_of, continuous = np.split(vectors, np.cumsum(_PARTS[encoding]), axis=-1)
    values = {}
    for name, part in zip(parts(encoding), values_of, strict=True):
        if part.shape[-1] > 1:
            values[name] = part.argmax(axis=-1)
        else:
            largest, low = SPANS[name]
            values[name] = _whole(
                (part[..., 0] - low) / (1 - low) * largest, 0, largest
            )
    if "id" in values:
        ids = values["id"]
    else:
        keys = np.minimum(12 * values["octave"] + values["note"], NUM_KEYS - 1)
        pedals = values["pedal"]
        ids = np.where(pedals > 0, NUM_KEYS - 1 + pedals, keys)
    from scipy.special import ndtri

    starts, shares, intensities = np.moveaxis(continuous, -1, 0)
    # The ends of the distribution are infinitely long and short.
    limits = np.finfo(continuous.dtype)
    shares = np.clip(shares, limits.tiny, 1 - limits.epsneg).astype(np.float64)
    durations = scale.median * np.exp(scale.shape * ndtri(shares))
    return np.stack(
        [
            ids,
            _whole((starts + 1) / 2 * scale.chunk_steps, 0, scale.chunk_steps - 1),
            _whole(durations, 1, LONGEST),
            _whole(64 * intensities + 64, 1, LARGEST_INTENSITY),
        ],
        axis=-1,
    )


def _whole(values: np.ndarray, least: int, largest: int) -> np.ndarray:
    return np.clip(np.rint(values), least, largest).astype(np.int64)
