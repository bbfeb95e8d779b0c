"""The key of a piece, by music21's key profiles, and what follows from it."""

import dataclasses
import functools
import re

import numpy as np

from tfmusic.errors import DropError, UserError
from tfmusic.notes import NoteSequence
from tfmusic.notes.grid import TempoMap
from tfmusic.notes.transforms import transpose

_MODES = ("major", "minor")
_MINOR_MODES = (
    NoteSequence.KeySignature.MINOR,
    NoteSequence.KeySignature.DORIAN,
    NoteSequence.KeySignature.PHRYGIAN,
    NoteSequence.KeySignature.LOCRIAN,
)
_SCALES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}
_TONICS = {
    "major": ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B"),
    "minor": ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "G#", "A", "Bb", "B"),
}
_TONIC_WITHOUT_ACCIDENTALS = {"major": 0, "minor": 9}


@dataclasses.dataclass(frozen=True)
class Key:
    """A key.

    Attributes:
        tonic: Pitch class 0..11, C being 0.
        mode: `"major"` or `"minor"`.
        correlation: How well the piece fits, -1..1.
    """

    tonic: int
    mode: str
    correlation: float

    def __str__(self) -> str:
        return f"{_TONICS[self.mode][self.tonic]} {self.mode}"

    @property
    def semitones_to_c(self) -> int:
        """How far, -6..+5, it is to C major or A minor."""
        distance = _TONIC_WITHOUT_ACCIDENTALS[self.mode] - self.tonic
        return (distance + 6) % 12 - 6


def parse_key(text: str) -> Key:
    """Reads the name of a key, such as "G", "Bb", "F#m" or "D minor".

    Raises:
        UserError: It is no such name.
    """
    plain = str(text).strip().replace("♯", "#").replace("♭", "b")
    for word, sign in (("sharp", "#"), ("flat", "b")):
        plain = re.sub(rf"(?i)^([A-G])[ -]?{word}\b", rf"\1{sign}", plain)
    # B- is B flat, as in music21; but B-minor is B minor.
    found = re.fullmatch(
        r"([A-Ga-g])(#|b|-(?!\w{2}))?[ -]*((?i:major|maj|minor|min)|m|M)?", plain
    )
    if not found:
        raise UserError(
            f"key: expected such as G, Bb, F#m or D minor, got {text!r:.60}"
        )
    letter, accidental, mode = found.groups()
    tonic = _SCALES["major"]["CDEFGAB".index(letter.upper())]
    tonic += {"#": 1, None: 0}.get(accidental, -1)
    is_minor = mode == "m" or (mode or "").lower().startswith("min")
    return Key(tonic % 12, "minor" if is_minor else "major", 1.0)


def written_key(sequence: NoteSequence) -> Key | None:
    """The first key that a piece is written in; None where it does not say.

    Files that know of no key say C major, so that says nothing.
    """
    signatures = sorted(sequence.key_signatures, key=lambda s: s.time)
    for signature in signatures[:1]:
        is_minor = signature.mode in _MINOR_MODES
        if is_minor or signature.key:
            return Key(signature.key % 12, _MODES[is_minor], 1.0)
    return None


def best_key(sequence: NoteSequence) -> Key:
    """The key whose profile the pitch classes, weighted by duration, fit best.

    music21's `stream.analyze("key")`: its profiles (Krumhansl & Kessler 1982), the
    correlation over all 24 keys at once instead of a stream to walk. Durations are in
    quarters; drums do not count.

    Raises:
        DropError: `no_notes`: there is nothing to find a key from.
    """
    notes = [n for n in sequence.notes if not n.is_drum]
    if not notes:
        raise DropError("no_notes", "expected notes to find a key from")
    spans = TempoMap.of(sequence).to_quarters(
        np.array([(n.start_time, n.end_time) for n in notes])
    )
    classes = np.array([n.pitch % 12 for n in notes])
    return key_of(np.bincount(classes, spans[:, 1] - spans[:, 0], minlength=12))


def key_of(durations: np.ndarray) -> Key:
    """The key whose profile fits best how long each pitch class sounds, [12]."""
    correlations = key_profiles() @ _standardized(durations)  # [24]
    mode, tonic = divmod(int(np.argmax(correlations)), 12)
    return Key(tonic, _MODES[mode], float(correlations.max()))


@functools.cache
def key_profiles() -> np.ndarray:
    """The standardized weight of every pitch class in every key; [mode * tonic, 12]."""
    # A second to import, and few who read music ask for its key.
    from music21.analysis import discrete

    weights = discrete.analysisClassFromMethodName("key")().getWeights
    return np.stack(
        [
            np.roll(_standardized(np.array(weights(mode))), tonic)
            for mode in _MODES
            for tonic in range(12)
        ]
    )


def _standardized(values: np.ndarray) -> np.ndarray:
    """Values less their mean, of unit length; zeros where they are all alike."""
    centred = values - values.mean()
    length = np.linalg.norm(centred)
    return centred / length if length > 0 else np.zeros_like(centred)


def in_scale_rate(sequence: NoteSequence, key: Key) -> float:
    """The fraction of notes in the key's scale, 0..1; 0 if there are no notes.

    The minor scale is the natural one. Drums do not count.
    """
    scale = {(key.tonic + step) % 12 for step in _SCALES[key.mode]}
    inside = [n.pitch % 12 in scale for n in sequence.notes if not n.is_drum]
    return sum(inside) / max(len(inside), 1)


def transpose_to_c(sequence: NoteSequence) -> NoteSequence:
    """Moves a piece to C major or A minor, by -6..+5 semitones.

    Raises:
        DropError: A note would leave 0..127.
    """
    return transpose(sequence, best_key(sequence).semitones_to_c)
