"""How the voices of music in four voices move against each other."""

import itertools

import numpy as np

from tfmusic.evaluation.voices import NUM_VOICES, REST, VoiceGrid

_FIFTH, _OCTAVE = 7, 12
_LABELS = {7: "parallel fifths", 0: "parallel octaves"}


def voice_leading(voices: VoiceGrid) -> dict[str, float]:
    """The voice leading of a piece, by the labels that tables give the values.

    Parallels are counted between neighbouring chords: two voices, both moving in the
    same direction, that are a fifth (an octave or in unison) apart before and after,
    octaves aside.
    """
    chords = voices.chords()
    sounding = chords != REST
    rows = {}
    if len(chords) > 1:
        for interval, label in _LABELS.items():
            count = _parallels(chords, interval)
            per_100 = 100 * count / (len(chords) - 1)
            rows[f"{label}, per 100 chord changes"] = per_100
    moves = np.diff(chords, axis=0)
    moves = np.abs(moves[(moves != 0) & sounding[1:] & sounding[:-1]])
    if len(moves):
        label = "leaps of more than a fifth, % of moves of a voice"
        rows[label] = 100 * float(np.mean(moves > _FIFTH))
    whole = chords[sounding.all(axis=1)]
    if len(whole):
        gaps = whole[:, :-1] - whole[:, 1:]  # [chord, pair of neighbours]
        wide = (gaps[:, :-1] > _OCTAVE).any(axis=1)
        label = "upper voices more than an octave apart, % of chords"
        rows[label] = 100 * float(wide.mean())
        if voices.are_parts:
            crossed = (gaps < 0).any(axis=1)
            rows["voices crossed, % of chords"] = 100 * float(crossed.mean())
    return rows


def _parallels(chords: np.ndarray, interval: int) -> int:
    """How often two voices keep an interval (0..11, octaves aside) as both move."""
    count = 0
    for upper, lower in itertools.combinations(range(NUM_VOICES), 2):
        pair = chords[:, [upper, lower]]
        sounding = (pair != REST).all(axis=1)
        moves = np.diff(pair, axis=0)
        together = np.sign(moves[:, 0]) * np.sign(moves[:, 1]) > 0
        apart = ((pair[:, 0] - pair[:, 1]) % 12 == interval) & sounding
        count += int(np.sum(together & apart[1:] & apart[:-1]))
    return count
