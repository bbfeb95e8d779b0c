"""Which split a piece belongs to, by what it sounds like and not by its name.

Pieces with equal notes, in whatever key, have one `content_hash`, and pieces that share
much of their music have similar `content_sketch`es, two performances of a work too.
Both kinds of duplicates land in one split, unless the source itself says otherwise of
both.
"""

import dataclasses
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from tfmusic.data.sketches import SKETCH_SIZE, SketchFile, group_sketches
from tfmusic.notes import NoteSequence, wire
from tfmusic.notes.grid import BeatGrid

SPLITS = ("train", "validation", "test")
# Sixteenths: finer than the ear takes two editions of a piece for different ones.
_GRID = BeatGrid(steps_per_quarter=4)
# A run is so many steps from note to note.
_RUN_STEPS = 8
# Notes less than so many seconds apart are taken from the lowest up: two players do not
# strike a chord in one order.
_TOGETHER = 0.05
# Of fewer pieces than these every split has at least this part of its fraction.
_SMALL = 100
_LEAST_SHARE = 0.75
# A piece joins its like where that is held out from training the most.
_STRICTEST = ("test", "validation", "train")
_HASH = np.dtype("S32")  # a content hash, in bytes


@dataclasses.dataclass(frozen=True)
class Content:
    """What decides the split of a piece.

    Attributes:
        hash: Its `content_hash`.
        sketch: Its `content_sketch`; without one only equal pieces are kept together.
        split: What the source says; empty if it has no say.
    """

    hash: str
    sketch: str = ""
    split: str = ""

    @classmethod
    def of(cls, sequence: NoteSequence, split: str = "") -> "Content":
        """What decides the split of a sequence."""
        strikes = _Strikes.of(sequence)
        return cls(_hash(strikes, True), _sketch(strikes), split)


@dataclasses.dataclass(frozen=True)
class _Strikes:
    """When notes begin, in seconds and in steps, which they are, and whether of drums.

    All `[num_notes]`.
    """

    times: np.ndarray
    steps: np.ndarray
    pitches: np.ndarray
    drums: np.ndarray

    @classmethod
    def of(cls, sequence: NoteSequence) -> "_Strikes":
        notes = wire.columns(sequence, "notes", "start_time", "pitch", "is_drum")
        steps = np.maximum(_GRID.to_steps(sequence, notes["start_time"]), 0)
        return cls(notes["start_time"], steps, notes["pitch"], notes["is_drum"])


def content_hash(sequence: NoteSequence, ignore_transposition: bool = True) -> str:
    """A hash of the notes of a piece: which pitches begin when.

    Two files of one piece have one hash, whatever their names, tempos, dynamics,
    instruments and opening rests; note lengths, which editions differ in, do not count.

    Args:
        sequence: The piece.
        ignore_transposition: Whether the piece in another key has the same hash.

    Returns:
        64 hex digits.
    """
    return _hash(_Strikes.of(sequence), ignore_transposition)


def _hash(strikes: _Strikes, ignore_transposition: bool) -> str:
    starts, pitches, drums = strikes.steps, strikes.pitches, strikes.drums
    if ignore_transposition and not drums.all():
        # A drum's pitch is the kind of drum; it stays when the piece is transposed.
        pitches = np.where(drums, pitches, pitches - pitches[~drums].min())
    starts = starts - starts.min(initial=starts.max(initial=0))
    # One number for a note sorts many times as fast as three.
    notes = np.unique(starts << 8 | drums.astype(np.int64) << 7 | pitches)
    notes = np.stack([notes >> 8, notes >> 7 & 1, notes & 127], axis=1)
    return hashlib.sha256(notes.astype("<i8").tobytes()).hexdigest()


def content_sketch(sequence: NoteSequence) -> str:
    """A small sample of what is played, for finding pieces that are nearly equal.

    The notes are taken in order, those that begin together from the lowest up. Of every
    few steps from note to note a number is made, which does not change if they are
    transposed or played at another pace, and the smallest numbers of a piece are kept
    (Broder, "On the resemblance and containment of documents", 1997). Drums are left
    out.

    Returns:
        Up to 128 numbers of 8 hex digits each, ascending; before them how many there
        are in the piece, in 8 hex digits. Empty if there are none.
    """
    return _sketch(_Strikes.of(sequence))


def _sketch(strikes: _Strikes) -> str:
    times, pitches = strikes.times[~strikes.drums], strikes.pitches[~strikes.drums]
    order = np.argsort(times, kind="stable")
    begins = np.diff(times[order], prepend=-np.inf) >= _TOGETHER
    rows = np.unique(np.cumsum(begins) << 7 | pitches[order])
    steps = _mix(np.diff(rows & 127) + 128)
    num_runs = len(steps) - _RUN_STEPS + 1
    if num_runs < 1:
        return ""
    runs = np.zeros(num_runs, np.uint64)
    for i in range(_RUN_STEPS):
        runs = _mix(runs + steps[i : i + num_runs])
    numbers = np.unique(_mix(runs) >> np.uint64(32))
    kept = np.append(len(numbers), numbers[:SKETCH_SIZE])
    return kept.astype(">u4").tobytes().hex()


def _mix(numbers: np.ndarray) -> np.ndarray:
    """Scatters integers over 64 bits (the last steps of SplitMix64)."""
    mixed = numbers.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def assign_split(content: str, fractions: Sequence[float]) -> str:
    """The split of a piece; other pieces have no say in it.

    Args:
        content: Its `content_hash`: equal pieces land in one split.
        fractions: The size of each of `SPLITS`; they sum to 1.
    """
    place = int(content[:16], 16) / 2**64
    bounds = np.cumsum(fractions)
    return SPLITS[min(int(np.searchsorted(bounds, place, "right")), len(SPLITS) - 1)]


class Splits(Mapping[str, str]):
    """The split of every piece of a dataset; see `assign_splits`.

    By content hash, that is: of a piece that the source has put elsewhere, what the
    source says counts, as in `homes`. It takes some 60 bytes a piece.
    """

    def __init__(self, groups: "_Groups", of_group: np.ndarray):
        """Of arrays: see `_Groups`; int8 [num_hashes], places in `SPLITS`."""
        self._groups = groups
        self._of_group = of_group

    def __getitem__(self, content: str) -> str:
        raw = np.array(bytes.fromhex(content), _HASH)
        hashes = self._groups.hashes
        place = int(np.searchsorted(hashes, raw))
        if place == len(hashes) or hashes[place] != raw:
            raise KeyError(content)
        return SPLITS[self._of_group[self._groups.roots[place]]]

    def __len__(self) -> int:
        return len(self._groups.hashes)

    def __iter__(self) -> Iterator[str]:
        return map(self._groups.hash, range(len(self)))

    def homes(self) -> np.ndarray:
        """Where each piece belongs, in their order: int8 [num_pieces].

        Places in `SPLITS`: as the source has it, or else as its content has it.
        """
        told = self._groups.told
        by_content = self._of_group[self._groups.of_pieces()]
        return np.where(told >= 0, told, by_content)

    def leaks(self) -> dict[int, int]:
        """Which training pieces have their like in another split, and where.

        Only the source can have put them there.

        Returns:
            By the place of a training piece among all that of the first other piece.
        """
        homes, groups = self.homes(), self._groups.of_pieces()
        held_out = np.flatnonzero(homes != 0)
        first = np.full(len(self), len(homes))
        np.minimum.at(first, groups[held_out], held_out)
        first = first[groups]
        leaking = np.flatnonzero((homes == 0) & (first < len(homes)))
        return dict(zip(leaking.tolist(), first[leaking].tolist(), strict=True))


def assign_splits(contents: Iterable[Content], fractions: Sequence[float]) -> Splits:
    """The split of every piece of a dataset that its source does not give one.

    As `assign_split` has it, but
    -   pieces that are equal or nearly so are together: where the smallest of their
        hashes belongs, or where the source has put one of them, in test before
        validation before training;
    -   if the dataset is small (fewer than 100 pieces), a split that would have no
        piece, or less than three quarters of its fraction, takes some (with their like)
        from the largest split, training before the others.
    So a piece that joins a larger dataset moves none but its like.

    Args:
        contents: All pieces; looked at once, and not kept.
        fractions: The size of each of `SPLITS`; they sum to 1.
    """
    groups = _Groups.of(contents)
    told = np.zeros(len(groups.hashes), np.uint8)  # a bit for each split, and for none
    np.bitwise_or.at(told, groups.of_pieces(), 1 << (groups.told + 1).astype(np.uint8))
    roots = np.flatnonzero(groups.roots == np.arange(len(groups.roots)))
    told = told[roots]
    homes = _place(groups.hashes[roots], fractions)
    for name in reversed(_STRICTEST):
        homes[told & _bit(name) != 0] = SPLITS.index(name)
    used = np.bitwise_or.reduce(told, initial=0)
    for number, (name, fraction) in enumerate(zip(SPLITS, fractions, strict=True)):
        if not fraction or used & _bit(name):
            continue
        sizes = np.bincount(homes, minlength=len(SPLITS))
        least = 1
        if len(homes) < _SMALL:
            least = max(least, int(_LEAST_SHARE * fraction * len(homes)))
        largest = int(np.argmax(sizes))
        free = np.flatnonzero((homes == largest) & (told == _UNTOLD))
        can_give = len(free) if name == "train" else sizes[largest] - 1
        if number != largest:
            homes[free[: max(min(least - sizes[number], can_give), 0)]] = number
    of_group = np.zeros(len(groups.hashes), np.int8)
    of_group[roots] = homes
    return Splits(groups, of_group)


_UNTOLD = 1  # the bit of pieces that the source puts nowhere


def _bit(split: str) -> int:
    return 2 << SPLITS.index(split)


def _place(hashes: np.ndarray, fractions: Sequence[float]) -> np.ndarray:
    """As `assign_split`, of many at once: int8 [num_hashes], places in `SPLITS`."""
    raw = np.ascontiguousarray(hashes).view(np.uint8).reshape(-1, hashes.itemsize)
    begins = np.ascontiguousarray(raw[:, :8]).view(">u8")[:, 0]
    places = begins.astype(np.float64) / 2**64
    found = np.searchsorted(np.cumsum(fractions), places, "right")
    return np.minimum(found, len(SPLITS) - 1).astype(np.int8)


def group_alike(contents: Iterable[Content]) -> dict[str, str]:
    """Finds the pieces that are equal or nearly so.

    Two are alike if they share 30 % of their runs, or 6 % where both are long, as far
    as the sketches tell, and so are those between which others stand that are alike.

    Returns:
        By content hash the smallest hash of those that are alike; most often itself.
    """
    groups = _Groups.of(contents)
    roots = groups.roots.tolist()
    return {groups.hash(i): groups.hash(root) for i, root in enumerate(roots)}


@dataclasses.dataclass(frozen=True)
class _Groups:
    """Which pieces are alike.

    Attributes:
        hashes: bytes [num_hashes], the content hashes, ascending.
        roots: int32 [num_hashes], the place of the smallest hash that is alike.
        places: int32 [num_pieces], the place of each piece's own.
        told: int8 [num_pieces], where the source puts it: a place in `SPLITS`, or -1.
    """

    hashes: np.ndarray
    roots: np.ndarray
    places: np.ndarray
    told: np.ndarray

    @classmethod
    def of(cls, contents: Iterable[Content]) -> "_Groups":
        """The groups among pieces, which are looked at once."""
        hashes, told = bytearray(), bytearray()
        with SketchFile() as sketches:
            for content in contents:
                hashes += bytes.fromhex(content.hash)
                told.append(SPLITS.index(content.split) + 1 if content.split else 0)
                sketches.append(content.sketch)
            hashes = np.frombuffer(hashes, _HASH)
            order = np.argsort(hashes, kind="stable")
            is_last = np.append(hashes[order[1:]] != hashes[order[:-1]], True)
            is_last = is_last[: len(order)]
            places = np.empty(len(order), np.int32)
            places[order] = np.cumsum(is_last) - is_last
            rows = order[is_last].astype(np.int32)  # of equal pieces the last
            roots = group_sketches(sketches, rows)
        told = np.frombuffer(told, np.int8) - np.int8(1)
        return cls(hashes[rows], roots, places, told)

    def of_pieces(self) -> np.ndarray:
        """The group of each piece, by the place of its root: int32 [num_pieces]."""
        return self.roots[self.places]

    def hash(self, place: int) -> str:
        """A content hash."""
        # NumPy leaves zeros at the end out.
        return bytes(self.hashes[place]).ljust(_HASH.itemsize, b"\0").hex()
