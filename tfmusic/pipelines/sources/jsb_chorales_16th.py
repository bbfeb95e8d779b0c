"""`jsb_chorales_16th:FILE.json`: Bach's chorales in sixteenths, as Coconet reads them.

The set of Boulanger-Lewandowski et al., ICML 2012, with its split, from the scores
again: four voices, in the keys they were written in, for Huang et al., "Counterpoint by
Convolution", ISMIR 2017.
"""

import functools
import json
import os
from collections.abc import Iterator

import numpy as np

from tfmusic.errors import DropError, UserError
from tfmusic.pipelines.parsing import parse_note_sequence
from tfmusic.pipelines.sources.files import in_sandbox, load_file
from tfmusic.pipelines.sources.items import SourceItem
from tfmusic.representations.voice_frames import REST, VoiceFrames

SPLIT_NAMES = {"train": "train", "valid": "validation", "test": "test"}
_KIND = VoiceFrames(onsets=False, lowest_pitch=1, highest_pitch=127)


def list_jsb_chorales_16th(path: str) -> Iterator[SourceItem]:
    """The chorales, each in its published split.

    A step becomes a sixteenth, at 120 quarter notes per minute, in bars of 4/4, as the
    file tells no metre. Steps of one pitch become one note, as it tells no onsets
    either; `voice_frames` without onsets gives the steps back exactly.

    Raises:
        UserError: The file is not this one.
    """
    stem = os.path.splitext(os.path.basename(path))[0]
    try:
        sizes = in_sandbox(path, functools.partial(_count, path))
    except DropError as error:
        raise UserError(
            f"jsb_chorales_16th:{path}: expected the published JSON file, but "
            f"{error.detail}"
        ) from error
    for name, split in SPLIT_NAMES.items():
        for number in range(sizes[name]):
            yield SourceItem(
                f"{stem}/{split}/{number:04d}",
                functools.partial(_load_sequence, path, name, number),
                path,
                split=split,
                parse=parse_note_sequence,
            )


def _load_sequence(path: str, name: str, number: int, max_bytes: int) -> bytes:
    del max_bytes  # the whole set is in memory
    pitch = _read_pieces(path)[name][number]
    position = np.arange(len(pitch)) % 16
    length = np.full(len(pitch), 16)
    features = {"pitch": pitch, "bar_position": position, "bar_length": length}
    return _KIND.decode(features).SerializeToString()


def _count(path: str) -> dict[str, int]:
    return {name: len(pieces) for name, pieces in _read_pieces(path).items()}


@functools.lru_cache(maxsize=1)
def _read_pieces(path: str) -> dict[str, list[np.ndarray]]:
    """Pitches, int64 [time, voice], of each piece, by the names of `SPLIT_NAMES`.

    Raises:
        DropError: The file is another one.
    """
    try:
        data = json.loads(load_file(path, 2**28))
        pieces = {
            name: [np.array(piece, np.int64) for piece in data[name]]
            for name in SPLIT_NAMES
        }
    except (KeyError, OverflowError, RecursionError, TypeError, ValueError) as error:
        raise DropError(
            "no_chorales",
            "train, valid and test must be lists of pieces, of which a step has four "
            f"pitches: {type(error).__name__}: {error}",
        ) from error
    for pitch in (piece for split in pieces.values() for piece in split):
        if pitch.ndim != 2 or pitch.shape[1] != _KIND.num_voices:
            raise DropError("no_chorales", "steps must have four pitches, -1 for rests")
    return {
        name: [np.where(pitch < 0, REST, pitch) for pitch in split]
        for name, split in pieces.items()
    }
