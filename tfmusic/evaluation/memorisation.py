"""Finds passages of a piece that stand in the training music, in whatever key."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from tfmusic.evaluation.note_arrays import BEAT_DIVISION, NoteArrays
from tfmusic.notes import NoteSequence
from tfmusic.notes.grid import round_steps

# 64 random bits stand for each interval above the lowest note of a stroke; a stroke is
# the sum over its notes. The seed is part of nothing that is kept.
_INTERVAL_BITS = np.random.default_rng(0).integers(2**64, size=128, dtype=np.uint64)
# Odd multipliers that keep the four parts of a move apart in one 64-bit number.
_MIX = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F))


@dataclasses.dataclass(frozen=True)
class CopiedPassage:
    """What a piece has in common with the training music.

    Attributes:
        longest_strokes: Strokes of the longest passage that some training piece holds
            note for note, transposition and tempo aside; 0 if not even two strokes.
        longest_quarters: From the first to the last stroke of that passage.
        start_quarters: Where in the piece it begins.
        source: Index of the training piece that holds it (the first of several), None
            if there is no such passage.
        source_start_quarters: Where in that training piece it begins.
        copied_share: Share of the strokes that lie in a passage of at least
            `min_strokes` strokes that some training piece holds; 0 without strokes.
        min_strokes: The passage length from which on `copied_share` counts.
    """

    longest_strokes: int
    longest_quarters: float
    start_quarters: float
    source: int | None
    source_start_quarters: float
    copied_share: float
    min_strokes: int

    def rows(self) -> dict[str, float]:
        """The values by the label that tables give them."""
        return {
            "longest copied passage, notes or chords": self.longest_strokes,
            "longest copied passage, quarters": self.longest_quarters,
            f"in copied passages of {self.min_strokes} or more notes or chords, %": (
                self.copied_share * 100
            ),
        }


@dataclasses.dataclass(frozen=True)
class TrainingMusic:
    """Training pieces, indexed for the search of copied passages.

    A stroke is a moment in which notes start; a move leads from one to the next and
    holds the notes of both (as intervals), the interval between their lowest notes and
    the time between them. Equal moves in a row are a copied passage in some key. Note
    lengths are not looked at: what is struck when is what one recognises.

    Compare like with like: pieces that a representation has simplified are copies only
    of training pieces that the same representation has simplified.

    Attributes:
        moves: uint64 [num_moves] ascending, the moves of all pieces; equal moves are
            equal numbers (and different ones are, but for one chance in 2**64 a pair).
        places: int64 [num_moves], where each stands in the music laid end to end.
        quarters: float64 [num_places], when the stroke at each place comes.
        pieces: int64 [num_places], which piece it belongs to.
    """

    moves: np.ndarray
    places: np.ndarray
    quarters: np.ndarray
    pieces: np.ndarray

    @classmethod
    def of(cls, sequences: Sequence[NoteSequence]) -> "TrainingMusic":
        """Indexes pieces."""
        moves, places, quarters, pieces = [], [], [], []
        num_places = 0
        for i, sequence in enumerate(sequences):
            piece_quarters, piece_moves = _strokes(NoteArrays.of(sequence))
            # A piece has a move less than strokes: the move at a place leads to the
            # stroke there, and passages cannot run from one piece into the next.
            moves.append(piece_moves)
            places.append(num_places + 1 + np.arange(len(piece_moves)))
            quarters.append(piece_quarters)
            pieces.append(np.full(len(piece_quarters), i))
            num_places += len(piece_quarters)
        moves = np.concatenate([np.zeros(0, np.uint64), *moves])
        order = np.argsort(moves, kind="stable")
        return cls(
            moves=moves[order],
            places=np.concatenate([np.zeros(0, np.int64), *places])[order],
            quarters=np.concatenate([np.zeros(0), *quarters]),
            pieces=np.concatenate([np.zeros(0, np.int64), *pieces]),
        )

    def find(
        self,
        sequence: NoteSequence,
        min_strokes: int = 8,
        apart_from: int | None = None,
    ) -> CopiedPassage:
        """Finds what a piece has in common with the training music.

        Args:
            sequence: The piece.
            min_strokes: The shortest passage that `copied_share` counts. Music of one
                style shares short ones, so judge by what held-out pieces give: of
                Bach's chorales three in four share at most 6 strokes with the others.
            apart_from: Index of a piece that is not looked at, such as this one where
                pieces of one set are set beside each other.
        """
        quarters, moves = _strokes(NoteArrays.of(sequence))
        first = np.searchsorted(self.moves, moves, "left")
        last = np.searchsorted(self.moves, moves, "right")
        # runs[p]: how many moves in a row, up to the present one, equal the moves up
        # to place p. Longest common substring, visiting only places that match.
        runs = np.zeros(len(self.quarters), np.int64)
        longest = np.zeros(len(moves), np.int64)
        ends = np.zeros(len(moves), np.int64)
        before = self.places[:0]
        for i in range(len(moves)):
            here = self.places[first[i] : last[i]]
            if apart_from is not None:
                here = here[self.pieces[here] != apart_from]
            lengths = runs[here - 1] + 1
            runs[before] = 0
            runs[here] = lengths
            before = here
            if len(here):
                best = lengths.argmax()
                longest[i], ends[i] = lengths[best], here[best]
        copied = np.zeros(len(quarters) + 1, np.int64)
        ending = np.flatnonzero(longest + 1 >= max(min_strokes, 2))
        # A run that ends with move i ends on stroke i + 1 and has a stroke more.
        np.add.at(copied, ending + 1 - longest[ending], 1)
        np.add.at(copied, ending + 2, -1)
        share = float((copied.cumsum()[:-1] > 0).mean()) if len(quarters) else 0.0
        if not longest.any():
            return CopiedPassage(0, 0.0, 0.0, None, 0.0, share, min_strokes)
        end = int(longest.argmax())
        length = int(longest[end])
        start = end + 1 - length
        return CopiedPassage(
            longest_strokes=length + 1,
            longest_quarters=float(quarters[end + 1] - quarters[start]),
            start_quarters=float(quarters[start]),
            source=int(self.pieces[ends[end]]),
            source_start_quarters=float(self.quarters[ends[end] - length]),
            copied_share=share,
            min_strokes=min_strokes,
        )


def _strokes(notes: NoteArrays) -> tuple[np.ndarray, np.ndarray]:
    """The strokes of a piece, and the moves between them.

    Returns:
        When each stroke comes in quarters, float64 [num_strokes], and the moves,
        uint64 [num_strokes - 1] (none if there is no stroke).
    """
    steps = round_steps(notes.start_quarters * BEAT_DIVISION)
    # Each pitch of a stroke once, lowest first, however many voices strike it.
    steps, pitches = np.divmod(np.unique(steps * 128 + notes.pitch), 128)
    strokes, first, counts = np.unique(steps, return_index=True, return_counts=True)
    lowest = pitches[first]
    chords = np.zeros(len(strokes), np.uint64)
    if len(strokes):
        bits = _INTERVAL_BITS[pitches - np.repeat(lowest, counts)]
        chords = np.add.reduceat(bits, first)
    intervals = np.diff(lowest).astype(np.uint64) * _MIX[0]
    times = np.diff(strokes).astype(np.uint64) * _MIX[1]
    moves = chords[:-1] ^ (chords[1:] * _MIX[0] + intervals + times) * _MIX[1]
    return strokes / BEAT_DIVISION, moves
