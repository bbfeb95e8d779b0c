"""NoteSequences into other NoteSequences; the argument is never changed."""

import re

import numpy as np
from note_seq import sequences_lib

from tfmusic.errors import DropError, UserError
from tfmusic.notes import NoteSequence

RIGHT, LEFT = 0, 1

_NAMES = (
    re.compile(r"right|upper|treble|rechts?\b|droite|destra|\br\.? ?h\b", re.I),
    re.compile(r"left|lower|bass|links?\b|gauche|sinistra|\bl\.? ?h\b", re.I),
)
_HAND_SPAN = 14  # semitones: beyond a ninth, a hand is stretched
_CHORD_SECONDS = 0.03  # notes that start closer together are struck as one


def transpose(sequence: NoteSequence, semitones: int) -> NoteSequence:
    """Moves notes, key signatures and chord symbols; drums stay.

    Raises:
        DropError: `pitch_range`: a note would leave 0..127.
    """
    pitches = [note.pitch for note in sequence.notes if not note.is_drum]
    low, high = min(pitches, default=60), max(pitches, default=60)
    if low + semitones < 0 or high + semitones > 127:
        raise DropError(
            "pitch_range",
            f"pitches {low}..{high} moved by {semitones:+d} would leave 0..127",
        )
    result = NoteSequence()
    result.CopyFrom(sequence)
    return sequences_lib.transpose_note_sequence(result, semitones, in_place=True)[0]


def stretch(sequence: NoteSequence, factor: float) -> NoteSequence:
    """Makes every time `factor` times as long, and the tempos as much slower.

    Raises:
        UserError: The factor is not above zero.
    """
    if not factor > 0:
        raise UserError(f"stretch: expected a factor above 0, not {factor}")
    return sequences_lib.stretch_note_sequence(sequence, factor)


def crop(
    sequence: NoteSequence, start_seconds: float, end_seconds: float
) -> NoteSequence:
    """The part from start to end, beginning at 0.

    Notes that start before it are left out, notes that last beyond it are cut, and
    the tempo, signatures and pedals in force at its start are those at its 0.

    Raises:
        UserError: The part is empty, or lies outside the sequence.
    """
    if not 0 <= start_seconds < min(end_seconds, sequence.total_time):
        raise UserError(
            f"crop: expected a part of 0..{sequence.total_time:g} s, not "
            f"{start_seconds:g}..{end_seconds:g}"
        )
    result = sequences_lib.extract_subsequence(sequence, start_seconds, end_seconds)
    result.ClearField("subsequence_info")
    return result


def apply_sustain(sequence: NoteSequence) -> NoteSequence:
    """Lets notes sound as long as the sustain pedal holds them.

    A held note ends where its key is struck again. The pedal's events go.
    """
    return sequences_lib.apply_sustain_control_changes(sequence)


def without_drums(sequence: NoteSequence) -> NoteSequence:
    """Leaves out the drums: notes, controls, pitch bends and names."""
    result = NoteSequence()
    result.CopyFrom(sequence)
    for events in (result.notes, result.control_changes, result.pitch_bends):
        kept = [event for event in events if not event.is_drum]
        del events[:]
        events.extend(kept)
    gone = {note.instrument for note in sequence.notes if note.is_drum}
    gone -= {note.instrument for note in result.notes}
    infos = [info for info in result.instrument_infos if info.instrument not in gone]
    del result.instrument_infos[:]
    result.instrument_infos.extend(infos)
    result.total_time = max((note.end_time for note in result.notes), default=0.0)
    return result


def assign_hands(sequence: NoteSequence) -> np.ndarray:
    """Which hand plays each note.

    1.  Instruments whose names tell (right, upper, treble, RH, rechts, droite, destra
        and their opposites) are that hand, if there is one of each; those whose names
        do not tell are the hand whose mean pitch is nearer.
    2.  Of two instruments without such names, the one higher on average is the right.
    3.  Otherwise (one instrument, or many) every chord is divided at the place that
        keeps both hands nearest to where they last were and within a ninth.

    Returns:
        int64 [num_notes], 0 right and 1 left, in the order of `sequence.notes`.
    """
    pitches = np.array([note.pitch for note in sequence.notes], np.int64)
    instruments = np.array([note.instrument for note in sequence.notes], np.int64)
    present = np.unique(instruments)
    means = {i: pitches[instruments == i].mean() for i in present.tolist()}
    hands = _hands_by_name(sequence, means)
    if not hands and len(present) == 2:
        right = max(means, key=means.get)
        hands = {i: RIGHT if i == right else LEFT for i in means}
    if hands:
        return np.array([hands[i] for i in instruments.tolist()], np.int64)
    return _hands_by_position(sequence, pitches)


def _hands_by_name(
    sequence: NoteSequence, means: dict[int, float]
) -> dict[int, int] | None:
    """The hand of each instrument, or nothing where the names do not tell."""
    hands = {}
    for info in sequence.instrument_infos:
        found = [hand for hand in (RIGHT, LEFT) if _NAMES[hand].search(info.name)]
        if len(found) == 1 and info.instrument in means:
            hands[info.instrument] = found[0]
    centres = [
        np.mean([means[i] for i in hands if hands[i] == hand])
        for hand in (RIGHT, LEFT)
        if hand in hands.values()
    ]
    if len(centres) < 2:
        return None
    for i in means.keys() - hands.keys():
        distances = [abs(means[i] - centre) for centre in centres]
        hands[i] = int(np.argmin(distances))
    return hands


def _hands_by_position(sequence: NoteSequence, pitches: np.ndarray) -> np.ndarray:
    starts = np.array([note.start_time for note in sequence.notes], np.float64)
    order = np.lexsort((pitches, starts))
    breaks = np.flatnonzero(np.diff(starts[order]) > _CHORD_SECONDS) + 1
    hands = np.full(len(pitches), RIGHT, np.int64)
    left, right = 50.0, 70.0  # where the hands are: pitches, moving with the music
    for chord in np.split(order, breaks):
        chord = chord[np.argsort(pitches[chord], kind="stable")]
        notes = pitches[chord].tolist()
        strains = [
            _strain(notes[:cut], left) + _strain(notes[cut:], right)
            for cut in range(len(notes) + 1)
        ]
        num_left = strains.index(min(strains))
        hands[chord[:num_left]] = LEFT
        left += 0.3 * (_mean(notes[:num_left], left) - left)
        right += 0.3 * (_mean(notes[num_left:], right) - right)
    return hands


def _strain(notes: list[int], position: float) -> float:
    """How far a hand has to reach: notes ascending, position where it was."""
    if not notes:
        return 0.0
    stretched = max(notes[-1] - notes[0] - _HAND_SPAN, 0)
    return sum(abs(note - position) for note in notes) + 4 * stretched


def _mean(notes: list[int], default: float) -> float:
    return sum(notes) / len(notes) if notes else default
