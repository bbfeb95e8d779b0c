"""NoteSequences into other NoteSequences; the argument is never changed."""

import itertools
import re

import numpy as np

from tfmusic.errors import DropError, UserError
from tfmusic.notes import NoteSequence, wire

RIGHT, LEFT = 0, 1
SUSTAIN = 64  # the control number of the damper pedal

_NAMES = (
    re.compile(r"right|upper|treble|rechts?\b|droite|destra|\br\.? ?h\b", re.I),
    re.compile(r"left|lower|bass|links?\b|gauche|sinistra|\bl\.? ?h\b", re.I),
)
_HAND_SPAN = 14  # semitones: beyond a ninth, a hand is stretched
_CHORD_SECONDS = 0.03  # notes that start closer together are struck as one


def transpose(sequence: NoteSequence, semitones: int) -> NoteSequence:
    """Moves notes, key signatures and chord symbols; drums and silence stay.

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
    from note_seq import sequences_lib  # takes a fifth of a second

    result, _ = sequences_lib.transpose_note_sequence(result, semitones, in_place=True)
    result.total_time = sequence.total_time  # note-seq ends it with its last note
    return result


def stretch(sequence: NoteSequence, factor: float) -> NoteSequence:
    """Makes every time `factor` times as long, and the tempos as much slower.

    Raises:
        UserError: The factor is not above zero.
    """
    if not factor > 0:
        raise UserError(f"stretch: expected a factor above 0, not {factor}")
    from note_seq import sequences_lib

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
    from note_seq import sequences_lib

    result = sequences_lib.extract_subsequence(sequence, start_seconds, end_seconds)
    result.ClearField("subsequence_info")
    return result


def apply_sustain(sequence: NoteSequence) -> NoteSequence:
    """Lets notes sound as long as the sustain pedal holds them.

    A held note ends where its key is struck again; of notes struck together on one
    key while the pedal is down, only the last stays. The pedal's events go.
    """
    result = NoteSequence()
    result.CopyFrom(sequence)
    others = [c for c in result.control_changes if c.control_number != SUSTAIN]
    del result.control_changes[:]
    result.control_changes.extend(others)
    ends = sustained_ends(sequence).tolist()
    for note, end in zip(result.notes, ends, strict=True):
        note.end_time = end
    if any(note.end_time <= note.start_time for note in result.notes):
        kept = [note for note in result.notes if note.end_time > note.start_time]
        del result.notes[:]
        result.notes.extend(kept)
    result.total_time = max([result.total_time, *ends])
    return result


def sustained_ends(sequence: NoteSequence) -> np.ndarray:
    """When notes end if the sustain pedal holds them.

    Each instrument has its pedal, down from a value of 64 on; several that are on one
    MIDI channel were given the same one when they were read. A note that ends while
    it is down lasts until it goes up, or to the last event of the piece where it
    never does, or until the same key is struck again. At one time the pedal goes down
    before it goes up, and both before keys move. The rules are those of note-seq's
    `apply_sustain_control_changes`.

    Returns:
        Seconds, float64 [num_notes], in the order of `sequence.notes`. Of notes
        struck together on one key while the pedal is down, all but the last end
        where they start.
    """
    notes = wire.columns(
        sequence, "notes", "instrument", "pitch", "start_time", "end_time", "is_drum"
    )
    pedal = wire.columns(
        sequence,
        "control_changes",
        *("instrument", "time", "control_number", "control_value"),
    )
    pedal = {k: v[pedal["control_number"] == SUSTAIN] for k, v in pedal.items()}
    ends = notes["end_time"].copy()
    times = [notes["start_time"], notes["end_time"], pedal["time"]]
    last = max(time.max(initial=0) for time in times)
    for instrument in np.unique(pedal["instrument"]).tolist():
        rows = np.flatnonzero((notes["instrument"] == instrument) & ~notes["is_drum"])
        own = pedal["instrument"] == instrument
        ends[rows] = _pedalled_ends(
            *(notes[name][rows] for name in ("pitch", "start_time", "end_time")),
            pedal["time"][own],
            pedal["control_value"][own] >= 64,
            last,
        )
    return ends


def _pedalled_ends(
    pitches: np.ndarray,
    starts: np.ndarray,
    ends: np.ndarray,
    times: np.ndarray,
    is_down: np.ndarray,
    last: float,
) -> np.ndarray:
    """`sustained_ends` of an instrument: its notes, its pedal, the end of the piece."""
    order = np.lexsort((~is_down, times))
    times, is_down = times[order], is_down[order]

    def held(seconds: np.ndarray) -> np.ndarray:
        # Index -1, before the first event, finds the pedal up.
        return np.append(is_down, False)[np.searchsorted(times, seconds, "right") - 1]

    lifts = np.append(times[~is_down], last)
    next_lift = lifts[np.searchsorted(lifts[:-1], ends, "right")]
    ends = np.where(held(ends), next_lift, ends)

    order = np.lexsort((starts, pitches))
    num_notes = len(order)
    # Where each key is next struck with the pedal down: the nearest row below.
    strikes = np.where(held(starts[order]), np.arange(num_notes), num_notes)
    following = np.minimum.accumulate(np.append(strikes[1:], num_notes)[::-1])[::-1]
    rows = np.flatnonzero(following < num_notes)
    rows = rows[pitches[order][rows] == pitches[order][following[rows]]]
    this, restrike = order[rows], order[following[rows]]
    ends[this] = np.minimum(ends[this], starts[restrike])
    return ends


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
    notes = wire.columns(sequence, "notes", "pitch", "instrument", "start_time")
    pitches, instruments = notes["pitch"], notes["instrument"]
    present = np.unique(instruments)
    means = {i: pitches[instruments == i].mean() for i in present.tolist()}
    hands = _hands_by_name(sequence, means)
    if not hands and len(present) == 2:
        right = max(means, key=means.get)
        hands = {i: RIGHT if i == right else LEFT for i in means}
    if hands:
        return np.array([hands[i] for i in instruments.tolist()], np.int64)
    return _hands_by_position(notes["start_time"], pitches)


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


def _hands_by_position(starts: np.ndarray, pitches: np.ndarray) -> np.ndarray:
    order = np.lexsort((pitches, starts))
    breaks = np.diff(starts[order]) > _CHORD_SECONDS
    chord = np.concatenate([[0], np.cumsum(breaks)]) if len(order) else order
    order = order[np.lexsort((pitches[order], chord))]  # within a chord by pitch
    notes = pitches[order].tolist()
    bounds = [0, *(np.flatnonzero(breaks) + 1).tolist(), len(notes)]
    hands = []
    left, right = 50.0, 70.0  # where the hands are: pitches, moving with the music
    for begin, end in itertools.pairwise(bounds):
        chord = notes[begin:end]
        num_left = _place_to_divide(chord, left, right)
        hands += [LEFT] * num_left + [RIGHT] * (len(chord) - num_left)
        left += 0.3 * (_mean(chord[:num_left], left) - left)
        right += 0.3 * (_mean(chord[num_left:], right) - right)
    result = np.empty(len(notes), np.int64)
    result[order] = hands
    return result


def _place_to_divide(chord: list[int], left: float, right: float) -> int:
    """How many notes of a chord, ascending, the left hand takes."""
    if len(chord) == 1:  # most are
        return int(abs(chord[0] - left) < abs(chord[0] - right))
    strains = [
        _strain(chord[:cut], left) + _strain(chord[cut:], right)
        for cut in range(len(chord) + 1)
    ]
    return strains.index(min(strains))


def _strain(notes: list[int], position: float) -> float:
    """How far a hand has to reach: notes ascending, position where it was."""
    if not notes:
        return 0.0
    stretched = max(notes[-1] - notes[0] - _HAND_SPAN, 0)
    return sum(abs(note - position) for note in notes) + 4 * stretched


def _mean(notes: list[int], default: float) -> float:
    return sum(notes) / len(notes) if notes else default
