"""The tokens of `BarEvents`: what each is and means, and what a row of them says."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tfmusic.representations.bar_lines import (
    MAX_BAR_STEPS,
    METRE_STEPS,
    METRES,
    TEMPOS,
    Bars,
)
from tfmusic.representations.tags import MAX_TAGS
from tfmusic.representations.token_grammar import NOTHING
from tfmusic.representations.vocabulary import NUM_SPECIAL

# What a token is, in the order of their ids; anything else is 0.
TAG, DENSITY, UPBEAT, BAR, CUT, TEMPO, POSITION, INSTRUMENT = range(1, 9)
VELOCITY, DURATION, PITCH, DRUM = range(9, 13)
ENDING = 13
PIANO, DRUMS = 0, 128  # voices: programs, and one more
NUM_VOICES = DRUMS + 1
NUM_VELOCITIES = 127
NUM_PITCHES = 128
# All lengths to a bar of 4/4, then eighths to two bars, then quarters to four.
DURATIONS = np.array([*range(1, 49), *range(54, 97, 6), *range(108, 193, 12)])
DRUM_STEPS = 3
# From how many notes a quarter on each bin is.
DENSITIES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
TINY = 1e-6
# Tokens of these kinds hold until the next of their kind.
RUNNING = (INSTRUMENT, VELOCITY, DURATION)


def _make_tokens() -> dict[int, list[tuple[str, int]]]:
    """Names and values of the tokens of each kind."""

    def numbered(name: str, values: Sequence[int]) -> list[tuple[str, int]]:
        return [(f"{name}{value}", value) for value in values]

    places = range(1, MAX_BAR_STEPS)
    return {
        TAG: numbered("tag", range(MAX_TAGS + 1)),
        DENSITY: numbered("density", range(len(DENSITIES) + 1)),
        UPBEAT: numbered("upbeat", places),
        BAR: [(f"bar{n}/{d}", i) for i, (n, d) in enumerate(METRES)],
        CUT: [("cut", 0)],
        TEMPO: numbered("tempo", range(len(TEMPOS))),
        POSITION: numbered("position", places),
        INSTRUMENT: numbered("instrument", range(128)),
        VELOCITY: numbered("velocity", range(1, 33)),
        DURATION: numbered("duration", DURATIONS.tolist()),
        PITCH: numbered("n", range(NUM_PITCHES)),
        DRUM: numbered("drum", range(NUM_PITCHES)),
    }


_TOKENS = _make_tokens()
NAMES = [name for tokens in _TOKENS.values() for name, _ in tokens]
_SIZES = [NUM_SPECIAL, *map(len, _TOKENS.values())]
# Of every id, what it is and its pitch, steps or number.
KINDS = np.repeat(np.array([NOTHING, *_TOKENS]), _SIZES)
VALUES = np.array([0] * NUM_SPECIAL + [v for t in _TOKENS.values() for _, v in t])
_FIRST_IDS = dict(zip(_TOKENS, np.cumsum(_SIZES)[:-1].tolist(), strict=True))


class BarPlaces(NamedTuple):
    """What each token says of its place in a bar, int `[token]` all.

    Attributes:
        is_bar: 1 where it begins a bar.
        position: The steps from the bar line where it sets these, -1 elsewhere.
        is_note: 1 where it is a note, drums included.
        stage: How far the description of a note has come, 0 to 3.
    """

    is_bar: np.ndarray
    position: np.ndarray
    is_note: np.ndarray
    stage: np.ndarray

    @classmethod
    def of_tokens(cls) -> "BarPlaces":
        """Those of the vocabulary."""
        is_bar, is_position = KINDS == BAR, KINDS == POSITION
        stages = {INSTRUMENT: 1, VELOCITY: 2, DURATION: 3, CUT: 3}
        return cls(
            is_bar.astype(np.int64),
            np.where(is_position, VALUES, np.where(is_bar, 0, -1)),
            np.isin(KINDS, (PITCH, DRUM)).astype(np.int64),
            np.array([stages.get(kind, 0) for kind in KINDS.tolist()]),
        )

    @staticmethod
    def order(position, num_notes, stage):
        """A place in a bar as a number under 2 ** 20 that ascends with the tokens.

        Args:
            position: In steps from the bar line.
            num_notes: Of notes that begin there, up to 255, this one included.
            stage: Of the next note's description.
        """
        return position * 1024 + num_notes * 4 + stage


def ids(kind: int) -> np.ndarray:
    """The ids of the tokens of a kind, in order of their values."""
    return _FIRST_IDS[kind] + np.arange(len(_TOKENS[kind]))


def parse_bars(
    kinds: np.ndarray, values: np.ndarray
) -> tuple[Bars, np.ndarray, np.ndarray]:
    """The bars of tokens, and the bar and the position at each token.

    Args:
        kinds: int64 [num_tokens].
        values: int64 [num_tokens].
    """
    rows = np.flatnonzero(kinds == BAR)
    metres = values[rows]
    bar = np.maximum(np.cumsum(kinds == BAR) - 1, 0)
    places = np.arange(len(kinds))
    last_bar = np.maximum.accumulate(np.where(kinds == BAR, places, -1))
    last_position = np.maximum.accumulate(np.where(kinds == POSITION, places, -1))
    positions = np.where(last_position > last_bar, values[last_position], 0)
    lengths = METRE_STEPS[metres]
    ends = lengths.copy()
    cuts = np.flatnonzero((kinds == CUT) & (positions > 0))
    ends[bar[cuts]] = np.minimum(ends[bar[cuts]], positions[cuts])
    upbeat = 0
    if len(rows):
        ends[-1] = lengths[-1]  # no bar comes early after the last
        begins = values[: rows[0]][kinds[: rows[0]] == UPBEAT][:1]
        upbeat = int(begins[0]) if len(begins) and begins[0] < ends[0] else 0
        ends[0] -= upbeat
    tempos = np.full(len(rows), -1)
    found = np.flatnonzero(kinds == TEMPO)
    tempos[bar[found]] = values[found]
    newest = np.maximum.accumulate(np.where(tempos >= 0, np.arange(len(rows)), -1))
    tempos = np.append(tempos, -1)[newest]
    return Bars(metres, ends, upbeat, tempos), bar, positions


def latest(
    kinds: np.ndarray, values: np.ndarray, kind: int, default: int
) -> np.ndarray:
    """The value of the newest token of a kind at each token, int64 [num_tokens]."""
    places = np.where(kinds == kind, np.arange(len(kinds)), -1)
    # Place -1, none yet, finds the default, which stands last.
    return np.append(values, default)[np.maximum.accumulate(places)]
