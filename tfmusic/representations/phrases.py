"""Where in its phrase each step lies, as arrays of a representation, and back.

Phrases end where fermatas stand, as in chorales. Readers keep these as text annotations
`fermata`, at the beginning of the chord that is held.
"""

from collections.abc import Mapping

import numpy as np

from tfmusic.notes import NoteSequence
from tfmusic.notes.grid import BeatGrid
from tfmusic.notes.scores import FERMATA
from tfmusic.representations.base import FeatureSpec

SPECS: Mapping[str, FeatureSpec] = {
    "phrase_left": FeatureSpec(
        (None,), "int16", "[time]; steps to the next fermata, plus 1; 0: none, unknown"
    ),
    "last_phrase": FeatureSpec(
        (None,), "int16", "[time]; 1: no other fermata follows; 0: one does, unknown", 1
    ),
}
_LONGEST = np.iinfo(np.int16).max
# Where parts pause one after another, the last one counts.
_SHORTEST_QUARTERS = 3


def encode_phrases(
    sequence: NoteSequence, grid: BeatGrid, begin: int, end: int
) -> dict[str, np.ndarray]:
    """The arrays of `SPECS`, int16 [end - begin], for some steps of a piece.

    Without fermatas the plan is not known and all is 0. After the last one
    `phrase_left` is 0 and `last_phrase` 1.
    """
    times = [a.time for a in sequence.text_annotations if a.text == FERMATA]
    ends = np.unique(grid.to_steps(sequence, np.array(times, np.float64)))
    ends = ends[(ends >= begin) & (ends < end)]
    if not len(ends):
        return {name: np.zeros(end - begin, np.int16) for name in SPECS}
    shortest = _SHORTEST_QUARTERS * grid.steps_per_quarter
    ends = ends[np.diff(ends, append=end + shortest) >= shortest]
    steps = np.arange(begin, end)
    number = np.searchsorted(ends, steps)  # of the phrase, from 0
    left = np.append(ends, -1)[number] - steps + 1
    left = np.where(number < len(ends), np.minimum(left, _LONGEST), 0)
    return {
        "phrase_left": left.astype(np.int16),
        "last_phrase": (number >= len(ends) - 1).astype(np.int16),
    }


def add_fermatas(
    decoded: NoteSequence, grid: BeatGrid, features: Mapping[str, np.ndarray]
) -> None:
    """Writes the phrases of a decoded piece: a fermata wherever one step is left."""
    for step in np.flatnonzero(np.asarray(features["phrase_left"]) == 1).tolist():
        decoded.text_annotations.add(
            time=grid.to_seconds(step),
            text=FERMATA,
            annotation_type=NoteSequence.TextAnnotation.UNKNOWN,
        )
