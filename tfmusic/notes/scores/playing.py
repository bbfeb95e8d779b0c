"""Written scores, of whatever format, played: from measures to a NoteSequence.

Measures begin together in all parts, and all follow one tempo map. Repeats are played
out, tied notes are one note, each staff of a part is an instrument of its own. What a
NoteSequence has no field for stands in it as text annotations: fermatas as `fermata`,
and what the reader has to say (`remarks`).
"""

import bisect
import collections
import dataclasses
import itertools
import operator
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from note_seq import chord_symbols_lib

from tfmusic.notes import NoteSequence, repairs, wire
from tfmusic.notes.grid import DEFAULT_QPM, DEFAULT_TICKS_PER_QUARTER, TempoMap
from tfmusic.notes.limits import Limits, ReadError, check_limit, check_pauses
from tfmusic.notes.scores.repeats import Bar, play_order

FERMATA = "fermata"
MOST_MEASURES = 20_000  # an opera has a few thousand in an act
# What MuseScore plays and writes as <sound dynamics>.
VELOCITIES = {
    "pppp": 8,
    "ppp": 16,
    "pp": 33,
    "p": 49,
    "mp": 64,
    "mf": 80,
    "f": 96,
    "ff": 112,
    "fff": 126,
    "ffff": 127,
}
_DEFAULT_VELOCITY = VELOCITIES["mf"]
_HANDS = ("right hand", "left hand")
_REMARK = "tfmusic: "
_TINY = 1e-6  # quarter notes; times that differ by less are one
_GAP = 0.1  # that rounded tuplets may leave within a tie

# What a mark's value is: quarter notes a minute; numerator and denominator; pitch class
# and mode, as sounding; a chord symbol; `FERMATA`.
TEMPO, METRE, KEY, CHORD, PAUSE = "tempo", "metre", "key", "chord", "pause"


@dataclasses.dataclass(slots=True)
class Note:
    """A note as it is written; times in quarter notes from the measure's beginning.

    `pitch` is as it sounds; `velocity` is 0 where the level in force counts.
    """

    part: int
    staff: int
    voice: int
    start: float
    end: float
    pitch: int
    velocity: int = 0
    program: int = 0
    is_drum: bool = False
    tied_from: bool = False
    tied_on: bool = False


@dataclasses.dataclass(slots=True)
class Measure:
    """A measure of all parts.

    Attributes:
        length: In quarter notes, as it is, not as the metre wants it.
        notes: Of all parts, in any order.
        marks: (quarter notes from the beginning, kind, value) of all parts.
        bar: What it says of the order of measures.
    """

    length: float = 0.0
    notes: list[Note] = dataclasses.field(default_factory=list)
    marks: list[tuple[float, str, Any]] = dataclasses.field(default_factory=list)
    bar: Bar = dataclasses.field(default_factory=Bar)


class Levels:
    """The dynamics of a part."""

    def __init__(self):
        # By staff, 0 being all: (measure, quarter notes), velocity.
        self._levels = collections.defaultdict(list)
        self._accents: dict[tuple[int, float], int] = {}

    def add(self, index: int, start: float, velocity: int, staff: int = 0) -> None:
        """Sets the velocity from a place on."""
        self._levels[staff].append(((index, start), velocity))

    def add_accent(self, index: int, start: float, velocity: int) -> None:
        """Sets the velocity at one place."""
        self._accents[index, start] = velocity

    def apply(self, notes: Sequence[tuple[int, Note]]) -> None:
        """Gives notes, each with the number of its measure, their velocities.

        Where only one staff has dynamics they hold for all staves.
        """
        common = self._levels.pop(0, [])
        levels = {
            staff: sorted([*common, *found], key=operator.itemgetter(0))
            for staff, found in self._levels.items()
        }
        alone = next(iter(levels.values())) if len(levels) == 1 else None
        for index, note in notes:
            place = index, note.start
            known = alone or levels.get(note.staff, common)
            before = bisect.bisect_right(known, place, key=operator.itemgetter(0))
            level = known[before - 1][1] if before else _DEFAULT_VELOCITY
            note.velocity = note.velocity or self._accents.get(place, level)


@dataclasses.dataclass
class Score:
    """A piece as it is written.

    Attributes:
        measures: In the order in which they are written.
        part_names: Of each part.
        title: Empty if there is none.
        composers: Their names.
        sections: First measures and ends of the sections, in the order in which they
            are played; empty for the whole piece.
        left_out: What was written and cannot be represented, and how often.
    """

    measures: list[Measure] = dataclasses.field(default_factory=list)
    part_names: list[str] = dataclasses.field(default_factory=list)
    title: str = ""
    genres: list[str] = dataclasses.field(default_factory=list)
    composers: Sequence[str] = ()
    sections: Sequence[tuple[int, int]] = ()
    left_out: collections.Counter = dataclasses.field(
        default_factory=collections.Counter
    )

    def measure(self, index: int) -> Measure:
        """A measure, which is added with those before it if it is not there yet.

        Raises:
            ReadError: `too_many_measures`.
        """
        if index >= len(self.measures):
            check_measures(index + 1)
        while index >= len(self.measures):
            self.measures.append(Measure())
        return self.measures[index]


def remarks(sequence: NoteSequence) -> dict[str, str]:
    """What the reader of a score has to say of it.

    Returns:
        `repeats` (`played` or `as written`) where there are any, and `left out` with
        what cannot be represented, such as `2 grace notes, 1 ornaments`.
    """
    found = {}
    for annotation in sequence.text_annotations:
        if annotation.text.startswith(_REMARK):
            name, _, text = annotation.text.removeprefix(_REMARK).partition(": ")
            found[name] = text
    return found


def bar_quarters(metre: tuple[int, int]) -> float:
    """The length of a full measure."""
    return 4 * metre[0] / metre[1]


def sounding_chord(text: str, semitones: int) -> str:
    """A chord symbol moved by semitones.

    Raises:
        ChordSymbolError: note-seq does not know it, so it could not be moved later.
    """
    if text == "N.C.":
        return text
    chord_symbols_lib.chord_symbol_pitches(text)
    if semitones % 12:
        return chord_symbols_lib.transpose_chord_symbol(text, semitones)
    return text


def play(score: Score, limits: Limits, play_repeats: bool) -> NoteSequence:
    """Plays a score.

    Raises:
        ReadError: `no_notes`, `too_many_notes`, `too_many_quarters`,
            `too_many_seconds`, `too_long_pause`, `too_many_controls`.
    """
    order, said = _order(score, play_repeats)
    measures = [score.measures[i] for i in order]
    num_notes = sum(len(measure.notes) for measure in measures)
    if not num_notes:
        raise ReadError("no_notes", "the score has none")
    check_limit("notes", num_notes, limits)
    check_limit("controls", sum(len(measure.marks) for measure in measures), limits)
    starts = [0.0, *itertools.accumulate(measure.length for measure in measures)]
    check_limit("quarters", starts[-1], limits)

    sequence = NoteSequence(ticks_per_quarter=DEFAULT_TICKS_PER_QUARTER)
    sequence.source_info.source_type = NoteSequence.SourceInfo.SCORE_BASED
    sequence.sequence_metadata.title = score.title
    sequence.sequence_metadata.composers.extend(score.composers)
    sequence.sequence_metadata.genre.extend(score.genres)
    written = _states(score.measures)
    states = [written[i] for i in order]
    tempo_map = _add_tempos(sequence, measures, starts, states)
    _add_metres(sequence, measures, starts, states, tempo_map)
    _add_keys(sequence, measures, starts, states, tempo_map)
    _add_texts(sequence, measures, starts, tempo_map)
    _add_notes(sequence, score.part_names, measures, starts, tempo_map, limits)
    left_out = sorted(score.left_out.items())
    for name, number in left_out:
        repairs.count(f"{name} left out", number)
    lost = ", ".join(f"{number} {name}" for name, number in left_out if number)
    for name, text in (("repeats", said), ("left out", lost)):
        if text:
            sequence.text_annotations.add(text=f"{_REMARK}{name}: {text}")
    return sequence


def check_measures(number: int) -> None:
    """Refuses a score of more measures than any piece has.

    Raises:
        ReadError: `too_many_measures`.
    """
    if number > MOST_MEASURES:
        raise ReadError(
            "too_many_measures",
            f"expected at most {MOST_MEASURES} measures, found {number}",
            number,
        )


def _order(score: Score, play_repeats: bool) -> tuple[Sequence[int], str]:
    """Which measures to play, and what to say of repeats.

    Where too many would be played the score is played as it is written.
    """
    bars = [measure.bar for measure in score.measures]
    as_written = range(len(bars))
    sections = score.sections or [(0, len(bars))]
    if len(sections) == 1 and all(bar.is_plain for bar in bars):
        return as_written, ""
    order = []
    for begin, end in sections:
        part = play_order(bars[begin:end], MOST_MEASURES) if play_repeats else None
        if part is None or len(order) + len(part) > MOST_MEASURES:
            return as_written, "as written"
        order += [begin + i for i in part]
    return order, "played"


def lasting_marks(measure: Measure, kind: str) -> list[tuple[float, Any]]:
    """Tempos, metres or keys by place: of several, what most parts say."""
    found = collections.defaultdict(collections.Counter)
    for offset, mark, value in measure.marks:
        if mark == kind:
            found[max(offset, 0.0)][value] += 1
    return [(offset, found[offset].most_common(1)[0][0]) for offset in sorted(found)]


def _states(measures: Sequence[Measure]) -> list[dict[str, Any]]:
    """The tempo, metre and key in force where each measure begins.

    Those are the marks up to there in the order of writing: who jumps back also goes
    back to the tempo of that place.
    """
    states, state = [], {TEMPO: DEFAULT_QPM, METRE: None, KEY: None}
    for measure in measures:
        start = dict(state)
        for kind in state:
            for offset, value in lasting_marks(measure, kind):
                state[kind] = value
                if not offset:
                    start[kind] = value
        states.append(start)
    return states


def _changes(kind: str, measures, starts, states):
    """(quarters, value) wherever a measure begins or a mark stands, in order."""
    for measure, start, state in zip(measures, starts, states, strict=False):
        yield start, state[kind]
        for offset, value in lasting_marks(measure, kind):
            if offset:
                yield start + offset, value


def _add_tempos(sequence: NoteSequence, measures, starts, states) -> TempoMap:
    qpm = quarters = seconds = 0.0
    for place, value in _changes(TEMPO, measures, starts, states):
        if value != qpm:
            if qpm:
                seconds += (place - quarters) * 60 / qpm
            quarters, qpm = place, value
            sequence.tempos.add(time=seconds, qpm=qpm)
    return TempoMap.of(sequence)


def _add_metres(sequence: NoteSequence, measures, starts, states, tempo_map) -> None:
    """Adds metres where they change, and where measures do not follow the last one.

    A bar begins with every time signature (`tfmusic.notes.grid.bars`). An upbeat has
    none: the first one stands where the first full measure begins.
    """
    metre, begin = None, 0.0
    places = list(zip(measures, starts, states, strict=False))
    is_full = [
        state[METRE] is not None and measure.length > bar_quarters(state[METRE]) - _TINY
        for measure, _, state in places
    ] + [False]
    for i, (measure, start, state) in enumerate(places):
        found = [(o, value) for o, value in lasting_marks(measure, METRE) if o]
        if value := state[METRE]:
            is_upbeat = is_full[i + 1] and not is_full[i]
            bars = (start - begin) / bar_quarters(value)
            strays = is_full[i] and abs(bars - round(bars)) > _TINY
            if strays or (value != metre and not is_upbeat):
                found.insert(0, (0.0, value))
        for offset, value in found:
            metre, begin = value, start + offset
            time = tempo_map.to_seconds(begin)
            sequence.time_signatures.add(
                time=time, numerator=value[0], denominator=value[1]
            )


def _add_keys(sequence: NoteSequence, measures, starts, states, tempo_map) -> None:
    last = None
    for place, value in _changes(KEY, measures, starts, states):
        if value is not None and value != last:
            last = value
            time = tempo_map.to_seconds(place)
            sequence.key_signatures.add(time=time, key=value[0], mode=value[1])


def _add_texts(sequence: NoteSequence, measures, starts, tempo_map) -> None:
    kinds = {
        CHORD: NoteSequence.TextAnnotation.CHORD_SYMBOL,
        PAUSE: NoteSequence.TextAnnotation.UNKNOWN,
    }
    found = {
        (start + offset, kind, text)
        for measure, start in zip(measures, starts, strict=False)
        for offset, kind, text in measure.marks
        if kind in kinds
    }
    for place, kind, text in sorted(found):
        sequence.text_annotations.add(
            time=tempo_map.to_seconds(float(place)),
            text=text,
            annotation_type=kinds[kind],
        )


def _add_notes(
    sequence: NoteSequence,
    part_names: Sequence[str],
    measures,
    starts,
    tempo_map,
    limits: Limits,
) -> None:
    """Adds the notes, by instrument, start and pitch, and the names of parts."""
    instruments = _add_instruments(sequence, part_names, measures)
    names = [field.name for field in dataclasses.fields(Note)]
    rows = [
        (
            instruments[note.part, note.staff],
            begin,
            *(getattr(note, name) for name in names),
        )
        for measure, begin in zip(measures, starts, strict=False)
        for note in measure.notes
    ]
    columns = map(np.array, zip(*rows, strict=True))
    notes = dict(zip(["instrument", "begin", *names], columns, strict=True))
    notes["start"] += notes["begin"]
    notes["end"] += notes["begin"]
    kept = _join_ties(notes)
    order = np.lexsort([notes[name][kept] for name in ("pitch", "start", "instrument")])
    kept = kept[order]
    spans = tempo_map.to_seconds(np.stack([notes["start"][kept], notes["end"][kept]]))
    check_limit("seconds", float(spans[1].max()), limits)
    check_pauses(spans[0], spans[1], limits)
    fields = ("instrument", "part", "voice", "pitch", "velocity", "program", "is_drum")
    wire.extend(
        sequence,
        "notes",
        start_time=spans[0],
        end_time=spans[1],
        **{name: notes[name][kept] for name in fields},
    )
    sequence.total_time = float(spans[1].max())


def _join_ties(notes: Mapping[str, np.ndarray]) -> np.ndarray:
    """Lengthens the first note of a tie by the others; gives what remains."""
    ends = notes["end"]
    gone = []
    waiting = collections.defaultdict(list)
    tied = np.flatnonzero(notes["tied_from"] | notes["tied_on"])
    for i in tied[np.argsort(notes["start"][tied], kind="stable")].tolist():
        open_notes = waiting[notes["part"][i], notes["pitch"][i]]
        first = i
        if notes["tied_from"][i]:
            before = [j for j in open_notes if abs(ends[j] - notes["start"][i]) < _GAP]
            # Where two voices hold one pitch, each goes on with its own.
            before.sort(key=lambda j: notes["voice"][j] != notes["voice"][i])
            if before:
                first = before[0]
                open_notes.remove(first)
                ends[first] = ends[i]
                gone.append(i)
        if notes["tied_on"][i]:
            open_notes.append(first)
    return np.setdiff1d(np.arange(len(ends)), gone)


def _add_instruments(
    sequence: NoteSequence, part_names: Sequence[str], measures
) -> dict[tuple[int, int], int]:
    """Names parts and instruments; gives the number of each part's staff."""
    used = sorted({(n.part, n.staff) for measure in measures for n in measure.notes})
    num_staves = {part: staff for part, staff in used}  # the last
    for part in num_staves:
        sequence.part_infos.add(part=part, name=part_names[part])
    for number, (part, staff) in enumerate(used):
        name = part_names[part]
        if num_staves[part] > 1:
            # So that the hands are found, however the staves cross.
            place = _HANDS[staff - 1] if num_staves[part] == 2 else f"staff {staff}"
            name = f"{name} ({place})" if name else place
        if name:
            sequence.instrument_infos.add(instrument=number, name=name)
    return {place: number for number, place in enumerate(used)}
