"""Which split a piece belongs to, by what it sounds like and not by its name.

Pieces with equal notes, in whatever key, have one `content_hash`, and pieces that share
much of their music have similar `content_sketch`es, two performances of a work too.
Both kinds of duplicates land in one split, unless the source itself says otherwise of
both.
"""

import collections
import dataclasses
import hashlib
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

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
# Of Bach's 365 four-part chorales ten pairs are versions of one another: these share
# 40 % or more of their runs, all but seven other pairs less than 20 %. Two performances
# of a long piece share fewer, 15 % in the median, but two long pieces hardly any:
# groups of MAESTRO's 1,276 performances never lie in two of its own splits, which keep
# works apart, and all but 21 of its 203 titles with several are in one group.
_SHARED, _SHARED_IF_LONG = 0.3, 0.06
_LONG = 400  # different runs
_SKETCH_SIZE = 128
_NUM_KEYS = 64  # of a sketch, for finding pairs to compare: four are common to 6 %
# Of fewer pieces than these every split has at least this part of its fraction.
_SMALL = 100
_LEAST_SHARE = 0.75
# A piece joins its like where that is held out from training the most.
_STRICTEST = ("test", "validation", "train")


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
    kept = np.append(len(numbers), numbers[:_SKETCH_SIZE])
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


def assign_splits(
    contents: Iterable[Content], fractions: Sequence[float]
) -> dict[str, str]:
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
        contents: All pieces.
        fractions: The size of each of `SPLITS`; they sum to 1.

    Returns:
        The split by content hash. Of a piece that the source has put elsewhere, what
        the source says counts.
    """
    contents = list(contents)
    groups = group_alike(contents)
    told = collections.defaultdict(set)
    for content in contents:
        told[groups[content.hash]].add(content.split)
    splits = {}
    for group in sorted(told):
        known = (split for split in _STRICTEST if split in told[group])
        splits[group] = next(known, "") or assign_split(group, fractions)
    used = {content.split for content in contents}
    for name, fraction in zip(SPLITS, fractions, strict=True):
        if not fraction or name in used:
            continue
        sizes = collections.Counter(splits.values())
        least = 1
        if len(splits) < _SMALL:
            least = max(least, int(_LEAST_SHARE * fraction * len(splits)))
        largest = max(SPLITS, key=lambda split: sizes[split])
        free = [g for g in splits if splits[g] == largest and told[g] == {""}]
        can_give = len(free) if name == "train" else sizes[largest] - 1
        if name != largest:
            for group in free[: max(min(least - sizes[name], can_give), 0)]:
                splits[group] = name
    return {content: splits[group] for content, group in groups.items()}


def find_leaks(
    contents: Sequence[Content], splits: Mapping[str, str]
) -> dict[int, int]:
    """Which training pieces have their like in another split, and where.

    Only the source can have put them there.

    Args:
        contents: All pieces.
        splits: What `assign_splits` gave.

    Returns:
        By the place of a training piece in `contents` that of the first other piece.
    """
    groups = group_alike(contents)
    homes = [content.split or splits[content.hash] for content in contents]
    places = range(len(contents))
    held_out = {
        groups[contents[i].hash]: i for i in reversed(places) if homes[i] != "train"
    }
    alike = {i: held_out.get(groups[contents[i].hash]) for i in places}
    return {i: j for i, j in alike.items() if homes[i] == "train" and j is not None}


def group_alike(contents: Iterable[Content]) -> dict[str, str]:
    """Finds the pieces that are equal or nearly so.

    Two are alike if they share 30 % of their runs, or 6 % where both are long, as far
    as the sketches tell, and so are those between which others stand that are alike.

    Returns:
        By content hash the smallest hash of those that are alike; most often itself.
    """
    known = {content.hash: content.sketch for content in contents}
    hashes = sorted(known)
    sketches = [np.frombuffer(bytes.fromhex(known[h]), ">u4") for h in hashes]
    is_long = [sketch[:1].sum() >= _LONG for sketch in sketches]
    sketches = [sketch[1:] for sketch in sketches]
    groups = list(range(len(hashes)))

    def group_of(piece: int) -> int:
        while groups[piece] != piece:
            groups[piece] = piece = groups[groups[piece]]
        return piece

    for pair in _candidates(sketches):
        first, second = sorted(map(group_of, pair))
        least = _SHARED_IF_LONG if all(is_long[i] for i in pair) else _SHARED
        if first != second and _resemblance(*(sketches[i] for i in pair)) >= least:
            groups[second] = first
    return {hashes[i]: hashes[group_of(i)] for i in range(len(hashes))}


def _candidates(sketches: Sequence[np.ndarray]) -> set[tuple[int, int]]:
    """Pairs of pieces that share one of their smallest numbers."""
    heads = [sketch[:_NUM_KEYS] for sketch in sketches]
    owners = np.repeat(np.arange(len(heads)), [len(head) for head in heads])
    numbers = np.concatenate([np.zeros(0, ">u4"), *heads])
    order = np.lexsort((owners, numbers))
    numbers, owners = numbers[order], owners[order]
    same = numbers[1:] == numbers[:-1]
    return set(zip(owners[:-1][same].tolist(), owners[1:][same].tolist(), strict=True))


def _resemblance(one: np.ndarray, other: np.ndarray) -> float:
    """The share of all numbers of two pieces that both have, from their sketches."""
    # A full sketch says nothing of larger numbers.
    ends = [sketch[-1] for sketch in (one, other) if len(sketch) == _SKETCH_SIZE]
    limit = min(ends, default=np.iinfo(np.uint32).max)
    one, other = (set(sketch[sketch <= limit].tolist()) for sketch in (one, other))
    return len(one & other) / max(len(one | other), 1)
