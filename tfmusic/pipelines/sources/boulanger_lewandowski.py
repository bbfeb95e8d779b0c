"""`boulanger_lewandowski:FILE.mat`: the four sets of piano rolls of that paper.

Boulanger-Lewandowski et al., "Modeling Temporal Dependencies in High-Dimensional
Sequences: Application to Polyphonic Music Generation and Transcription", ICML 2012:
JSB Chorales, MuseData, Nottingham and Piano-midi.de.
"""

import functools
import io
import os
from collections.abc import Iterator

import numpy as np

from tfmusic.errors import DropError, UserError
from tfmusic.pipelines.parsing import parse_note_sequence
from tfmusic.pipelines.sources.files import in_sandbox, load_file
from tfmusic.pipelines.sources.items import SourceItem
from tfmusic.representations.binary_roll import BinaryRoll

SPLIT_NAMES = {"traindata": "train", "validdata": "validation", "testdata": "test"}
_NUM_KEYS = 88
_MOST_BYTES = 2**28


def list_boulanger_lewandowski(path: str) -> Iterator[SourceItem]:
    """The sequences of a set, each as a piece in its published split.

    A frame becomes an eighth note, at 120 quarter notes per minute, or a quarter note
    in the set whose file is named after JSB. `binary_roll` without onsets and
    `play_articulate` with `play_only`, at 2 steps a quarter (JSB: 1), give the frames
    back exactly, silent ones at both ends included. Runs of frames become one note,
    as the rolls do not tell re-strikes.

    The pieces stand in C major or A minor already. Those of JSB are an octave too high
    as published, and stay there.

    Raises:
        UserError: The file is not one of these.
    """
    stem = os.path.splitext(os.path.basename(path))[0]
    sizes = _check(path)
    for variable, split in SPLIT_NAMES.items():
        for number in range(sizes[variable]):
            yield SourceItem(
                f"{stem}/{split}/{number:04d}",
                functools.partial(_load_sequence, path, variable, number),
                path,
                split=split,
                parse=parse_note_sequence,
            )


def frames_per_quarter(path: str) -> int:
    """How many frames of a set are a quarter note."""
    return 1 if "jsb" in os.path.basename(path).lower() else 2


def _load_sequence(path: str, variable: str, number: int, max_bytes: int) -> bytes:
    del max_bytes  # the whole set is in memory
    roll = _read_rolls(path)[variable][number]
    representation = BinaryRoll(
        onsets=False, steps_per_quarter=frames_per_quarter(path)
    )
    # [time, key] -> [time, key, channel]
    return representation.decode({"roll": roll[..., np.newaxis]}).SerializeToString()


def _check(path: str) -> dict[str, int]:
    """How many sequences there are, by the names of `SPLIT_NAMES`.

    Raises:
        UserError: The file is another one.
    """
    try:
        return in_sandbox(path, functools.partial(_count, path))
    except DropError as error:
        raise UserError(
            f"boulanger_lewandowski:{path}: expected the published MATLAB file, but "
            f"{error.detail}"
        ) from error


def _count(path: str) -> dict[str, int]:
    return {name: len(rolls) for name, rolls in _read_rolls(path).items()}


# What scipy raises on a damaged file goes far beyond its documentation; it is only met
# in a process that may end of it.
@functools.lru_cache(maxsize=1)
def _read_rolls(path: str) -> dict[str, list[np.ndarray]]:
    """Bool [time, key] of each sequence, by the names of `SPLIT_NAMES`.

    Raises:
        DropError: The file is another one.
    """
    import scipy.io  # takes long, and is needed for this alone

    data = scipy.io.loadmat(io.BytesIO(load_file(path, _MOST_BYTES)))
    if missing := SPLIT_NAMES.keys() - data.keys():
        raise DropError("no_rolls", f"found none of {', '.join(sorted(missing))}")
    rolls = {name: list(data[name].reshape(-1)) for name in SPLIT_NAMES}
    for name, sequences in rolls.items():
        for roll in sequences:
            if roll.shape != (len(roll), _NUM_KEYS) or not np.isin(roll, (0, 1)).all():
                raise DropError(
                    "no_rolls",
                    f"{name} must be arrays [time, {_NUM_KEYS}] of 0 and 1",
                )
    return {name: [roll > 0 for roll in rolls[name]] for name in rolls}
