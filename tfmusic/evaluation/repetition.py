"""Whether a tune comes back, as tunes do."""

import numpy as np

from tfmusic.evaluation.voices import STEPS_PER_QUARTER, VoiceGrid

_PASSAGE_STEPS = 8 * STEPS_PER_QUARTER
_MIN_PITCHES = 3
_PATTERN_NOTES = 4


def top_voice(frames: np.ndarray, voices: VoiceGrid | None) -> np.ndarray:
    """The highest voice at each step, int64 [num_steps]; -1 where it rests.

    Args:
        frames: See `voices.sounding_frames`.
        voices: Of the same music, if it is in four voices.
    """
    if voices is not None:
        return voices.pitch[:, 0]
    highest = 127 - np.argmax(frames[:, ::-1], axis=1)
    return np.where(frames.any(axis=1), highest, -1)


def passage_returns(pitches: np.ndarray) -> bool:
    """Whether two bars of a voice come twice, with the same pitches and durations.

    The two do not overlap. Passages with fewer than 3 different pitches, such as a
    held note, do not count.

    Args:
        pitches: Of each step; see `top_voice`.
    """
    if len(pitches) < 2 * _PASSAGE_STEPS:
        return False
    passages = np.lib.stride_tricks.sliding_window_view(pitches, _PASSAGE_STEPS)
    first: dict[bytes, int] = {}
    for step, passage in enumerate(passages):
        earlier = first.setdefault(passage.tobytes(), step)
        is_tune = len(np.unique(passage)) >= _MIN_PITCHES
        if step - earlier >= _PASSAGE_STEPS and is_tune:
            return True
    return False


def repeated_patterns(melody: np.ndarray) -> float | None:
    """The fraction of runs of four pitches in a tune that come more than once in it.

    Args:
        melody: See `melody.melody_pitches`. None is returned for fewer than four.
    """
    if len(melody) < _PATTERN_NOTES:
        return None
    patterns = np.lib.stride_tricks.sliding_window_view(melody, _PATTERN_NOTES)
    _, counts = np.unique(patterns, axis=0, return_counts=True)
    return float(counts[counts > 1].sum() / counts.sum())
