"""Which of many pieces are nearly equal, by their sketches, which stay on disk.

A sketch takes half a kilobyte, so a million of them are no thing to keep in memory.
Pieces to compare are found by numbers that they share: the numbers are divided over
temporary files, equal ones into one file, and each is sorted by itself.
"""

import array
import contextlib
import tempfile
from collections.abc import Iterator

import numpy as np

# Of Bach's 365 four-part chorales ten pairs are versions of one another: these share
# 40 % or more of their runs, all but seven other pairs less than 20 %. Two performances
# of a long piece share fewer, 15 % in the median, but two long pieces hardly any:
# groups of MAESTRO's 1,276 performances never lie in two of its own splits, which keep
# works apart, and all but 21 of its 203 titles with several are in one group.
_SHARED, _SHARED_IF_LONG = 0.3, 0.06
_LONG = 400  # different runs
SKETCH_SIZE = 128
_NUM_KEYS = 64  # of a sketch, for finding pairs to compare: four are common to 6 %
_ROW_BYTES = 4 * (1 + SKETCH_SIZE)
# What is in memory at once: rows of sketches; pieces whose numbers share a file.
_ROWS_AT_ONCE = 1024
_PIECES_PER_FILE = 4096
_MOST_FILES = 256


class SketchFile:
    """Sketches in a temporary file, which is gone when it is closed.

    All are added before the first is read.
    """

    def __init__(self):
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 closed by __exit__
        self._length = 0

    def __enter__(self) -> "SketchFile":
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def __len__(self) -> int:
        return self._length

    def append(self, sketch: str) -> None:
        """Adds the sketch of a piece: see `tfmusic.data.splits.content_sketch`."""
        self._file.write(bytes.fromhex(sketch).ljust(_ROW_BYTES, b"\0"))
        self._length += 1

    def read(self, begin: int, end: int) -> np.ndarray:
        """Some rows: uint32 [num_rows, 1 + 128], behind the numbers of each zeros."""
        self._file.seek(begin * _ROW_BYTES)
        data = self._file.read((end - begin) * _ROW_BYTES)
        return np.frombuffer(data, ">u4").reshape(-1, 1 + SKETCH_SIZE)


def group_sketches(sketches: SketchFile, rows: np.ndarray) -> np.ndarray:
    """Groups pieces that are nearly equal.

    Args:
        sketches: Of all pieces.
        rows: int32 [num_pieces], where the sketches are of those that are compared.

    Returns:
        int32 [num_pieces], the first piece of each one's group.
    """
    groups = array.array("i", range(len(rows)))

    def group_of(piece: int) -> int:
        while groups[piece] != piece:
            groups[piece] = piece = groups[groups[piece]]
        return piece

    for pair in _candidates(sketches, rows):
        first, second = sorted(map(group_of, pair))
        if first != second and _is_alike(
            *(sketches.read(rows[i], rows[i] + 1)[0] for i in pair)
        ):
            groups[second] = first
    return np.array([group_of(i) for i in range(len(rows))], np.int32)


def _candidates(sketches: SketchFile, rows: np.ndarray) -> Iterator[tuple[int, int]]:
    """Pairs of pieces that share one of their smallest numbers; may repeat."""
    owners = np.full(len(sketches), -1, np.int64)
    owners[rows] = np.arange(len(rows))
    num_files = min(len(rows) // _PIECES_PER_FILE + 1, _MOST_FILES)
    with contextlib.ExitStack() as stack:
        files = [
            stack.enter_context(tempfile.TemporaryFile()) for _ in range(num_files)
        ]
        for begin in range(0, len(sketches), _ROWS_AT_ONCE):
            found = sketches.read(begin, min(begin + _ROWS_AT_ONCE, len(sketches)))
            owner = owners[begin : begin + len(found), np.newaxis]
            is_there = np.arange(_NUM_KEYS) < found[:, :1]
            numbers = found[:, 1 : 1 + _NUM_KEYS].astype(np.int64)
            codes = (numbers << 31 | owner)[is_there & (owner >= 0)]
            home = (codes >> 31) % num_files
            codes = codes[np.argsort(home, kind="stable")]
            ends = np.cumsum(np.bincount(home, minlength=num_files))
            for file, part in zip(files, np.split(codes, ends[:-1]), strict=True):
                file.write(part.tobytes())
        for file in files:
            file.seek(0)
            codes = np.sort(np.frombuffer(file.read(), np.int64))
            numbers, owner = codes >> 31, codes & (1 << 31) - 1
            same = numbers[1:] == numbers[:-1]
            pairs = np.unique(owner[:-1][same] << 31 | owner[1:][same])
            for pair in pairs.tolist():
                yield pair >> 31, pair & (1 << 31) - 1


def _is_alike(one: np.ndarray, other: np.ndarray) -> bool:
    least = _SHARED_IF_LONG if min(one[0], other[0]) >= _LONG else _SHARED
    sketches = [row[1 : 1 + min(row[0], SKETCH_SIZE)] for row in (one, other)]
    return _resemblance(*sketches) >= least


def _resemblance(one: np.ndarray, other: np.ndarray) -> float:
    """The share of all numbers of two pieces that both have, from their sketches."""
    # A full sketch says nothing of larger numbers.
    ends = [sketch[-1] for sketch in (one, other) if len(sketch) == SKETCH_SIZE]
    limit = min(ends, default=np.iinfo(np.uint32).max)
    one, other = (set(sketch[sketch <= limit].tolist()) for sketch in (one, other))
    return len(one & other) / max(len(one | other), 1)
