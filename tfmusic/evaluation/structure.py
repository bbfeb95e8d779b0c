"""How well a part of a piece stands for the whole: the structureness indicator.

Wu and Yang, "The Jazz Transformer on the front line", ISMIR 2020: the greatest value
among segments of some durations in a fitness scape plot (Mueller, Jiang and Grosche,
"A robust fitness measure for capturing repetitions in music recordings", 2013). The
fitness of a segment says how much of the piece its repetitions cover, and how exact
they are; the segment itself counts for nothing. Theirs is of audio; here a frame is the
time for which each pitch class sounds within a quarter note (or a second).
"""

import numpy as np

# A longer piece is judged by its beginning: the longer, the more of it repeats.
MAX_FRAMES = 64
# Durations in frames that are tried: all of them would take ten times as long.
RANGES = {"4 to 8": (4, 6, 8), "9 to 16": (12, 16), "17 to 32": (24, 32)}
# Of similarities the greatest quarter counts; the rest is no repetition.
_KEPT, _PENALTY = 0.25, -2.0
_SMOOTHING = 4  # frames
_IMPOSSIBLE = -np.inf


def structure(chroma: np.ndarray) -> dict[str, float]:
    """The structureness of each range of durations; {} for a piece too short.

    Args:
        chroma: How long each pitch class sounds in each frame, [num_frames, 12].
    """
    chroma = chroma[:MAX_FRAMES]
    if not chroma.any():
        return {}
    similarity = self_similarity(chroma)
    found = {}
    for name, lengths in RANGES.items():
        # What takes more than half of the piece cannot come twice.
        tried = [length for length in lengths if 2 * length <= len(chroma)]
        if tried:
            values = [fitness(similarity, length).max() for length in tried]
            found[name] = float(max(values))
    return found


def self_similarity(chroma: np.ndarray) -> np.ndarray:
    """How alike frames are, [num_frames, num_frames]; 1 for a frame and itself.

    Cosines of frames, the mean over a few frames forwards or backwards. What is not
    among the most similar quarter is set to a penalty.
    """
    lengths = np.linalg.norm(chroma, axis=1, keepdims=True)
    frames = chroma / np.maximum(lengths, 1e-9)
    cosines = frames @ frames.T
    forwards, backwards = np.zeros_like(cosines), np.zeros_like(cosines)
    for shift in range(min(_SMOOTHING, len(cosines))):
        end = len(cosines) - shift
        forwards[:end, :end] += cosines[shift:, shift:] / _SMOOTHING
        backwards[shift:, shift:] += cosines[:end, :end] / _SMOOTHING
    similarity = np.maximum(forwards, backwards)
    least = np.quantile(similarity, 1 - _KEPT)
    scaled = (similarity - least) / max(similarity.max() - least, 1e-9)
    scaled = np.where(similarity >= least, scaled, _PENALTY)
    np.fill_diagonal(scaled, 1.0)
    return scaled


def fitness(similarity: np.ndarray, length: int) -> np.ndarray:
    """The fitness of all segments of a length.

    A path pairs the frames of a segment, in order, with frames of the piece, at half to
    twice the speed. Of all families of paths that do not overlap in time the one with
    the greatest sum of similarities is found, row by row of the matrix, for all
    segments at once.

    Args:
        similarity: See `self_similarity`; [num_frames, num_frames].
        length: In frames.

    Returns:
        By the first frame of the segment, [num_frames - length + 1].
    """
    num_frames = len(similarity)
    segments = np.lib.stride_tricks.sliding_window_view(similarity, length, axis=1)
    # Of the best family up to a row (first axis): its score, the rows that it covers
    # and its number of cells; by segment and column. Column 0 is between paths.
    shape = (3, num_frames - length + 1, length + 1)
    before, last = np.zeros(shape), np.zeros(shape)
    before[0] = last[0] = _IMPOSSIBLE
    last[0, :, 0] = 0.0
    for row in segments:
        new = np.zeros(shape)
        new[:, :, 0] = _best(last[:, :, 0], last[:, :, -1])
        new[:, :, 1] = _step(new[:, :, 0], 1)
        if length > 1:
            new[:, :, 2:] = _step(last[:, :, 1:-1], 1)
            new[:, :, 2:] = _best(new[:, :, 2:], _step(before[:, :, 1:-1], 2))
            new[:, :, 3:] = _best(new[:, :, 3:], _step(last[:, :, 1:-2], 1))
        new[0, :, 1:] += row
        before, last = last, new
    score, covered, cells = _best(last[:, :, 0], last[:, :, -1])
    exactness = (score - length) / np.maximum(cells, 1)
    coverage = (covered - length) / num_frames
    return 2 * exactness * coverage / np.maximum(exactness + coverage, 1e-9)


def _best(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The families with the greater score; `one` where they are equal."""
    return np.where(other[0] > one[0], other, one)


def _step(families: np.ndarray, rows: int) -> np.ndarray:
    """Families with one more cell, so many rows on."""
    return families + np.array([0, rows, 1]).reshape(3, *[1] * (families.ndim - 1))
