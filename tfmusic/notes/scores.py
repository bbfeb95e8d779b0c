"""Written scores, as music21 reads them, into NoteSequences.

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
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from music21 import (
    bar,
    chord,
    converter,
    dynamics,
    expressions,
    instrument,
    key,
    meter,
    note,
    repeat,
    spanner,
    stream,
    tempo,
)
from music21.exceptions21 import Music21Exception
from note_seq import chord_symbols_lib

from tfmusic.notes import NoteSequence, wire
from tfmusic.notes.grid import DEFAULT_QPM, DEFAULT_TICKS_PER_QUARTER, TempoMap
from tfmusic.notes.midi import Limits, ReadError, check_limit
from tfmusic.notes.musicxml import CHORD_MARK, one_line, open_score, prepare
from tfmusic.notes.repeats import Bar, play_order

FERMATA = "fermata"
# What MuseScore plays and writes as <sound dynamics>.
_VELOCITIES = {
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
_DEFAULT_VELOCITY = _VELOCITIES["mf"]
# These hold for the notes that they stand at, and no longer.
_ACCENTS = {"sf": 112, "sfz": 112, "fz": 112, "rf": 112, "rfz": 112, "sffz": 126}
_LOUD_THEN_SOFT = {"fp": ("f", "p"), "sfp": ("ff", "p"), "sfpp": ("ff", "pp")}
_WORDS = {
    "da_capo": re.compile(r"\bd\. ?c\.|\bda capo\b", re.I),
    "dal_segno": re.compile(r"\bd\. ?s\.|\bdal segno\b", re.I),
    "to_coda": re.compile(r"\s*(to|al) coda\b", re.I),
    "coda": re.compile(r"\s*coda\s*$", re.I),
    "segno": re.compile(r"\s*segno\s*$", re.I),
    "fine": re.compile(r"\s*fine\.?\s*$", re.I),
}
_HANDS = ("right hand", "left hand")
_REMARK = "tfmusic: "
_TINY = 1e-6  # quarter notes; times that differ by less are one
# Measures that differ from their metre by less are full: tuplets were rounded.
_ROUNDING = 1 / 16
# What music21 raises on what it does not expect.
_FAULTS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
    Music21Exception,
)
# What a mark's value is: quarter notes a minute; numerator and denominator; pitch class
# and mode, as sounding; a chord symbol; nothing.
_TEMPO, _METRE, _KEY, _CHORD, _PAUSE = "tempo", "metre", "key", "chord", "fermata"


@dataclasses.dataclass(slots=True)
class _Note:
    """A note as it is written; times in quarter notes from the measure's beginning."""

    part: int
    staff: int
    voice: int
    start: float
    end: float
    pitch: int
    velocity: int
    program: int
    is_drum: bool
    tied_from: bool
    tied_on: bool


@dataclasses.dataclass(slots=True)
class _Measure:
    """A measure of all parts.

    Attributes:
        length: In quarter notes, as it is, not as the metre wants it.
        rest: The longest rest that is alone in a part.
        notes: Of all parts, in any order.
        marks: (quarter notes from the beginning, kind, value) of all parts.
        bar: What it says of the order of measures.
    """

    length: float = 0.0
    rest: float = 0.0
    notes: list[_Note] = dataclasses.field(default_factory=list)
    marks: list[tuple[float, str, Any]] = dataclasses.field(default_factory=list)
    bar: Bar = dataclasses.field(default_factory=Bar)


def musicxml_to_sequence(
    data: bytes, limits: Limits, play_repeats: bool = True
) -> NoteSequence:
    """Reads a MusicXML score, plain or compressed (.mxl).

    Args:
        data: The contents of the file.
        limits: What it may hold.
        play_repeats: Whether repeats and jumps are played; else every measure is
            played once, in the order in which they are written.

    Raises:
        ReadError: `bad_musicxml`, `too_large`, `no_notes`, `too_many_notes`,
            `too_many_quarters`, `too_many_seconds`.
    """
    left_out = collections.Counter()
    root = open_score(data, limits)
    title, composers = _title(root), _composers(root)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of music21: on what it makes the best of
            score = converter.parseData(prepare(root, left_out), format="musicxml")
            reader = _ScoreReader(score, left_out)
    except _FAULTS as error:
        raise ReadError("bad_musicxml", one_line(error)) from error
    sequence = _play(reader, limits, play_repeats)
    sequence.source_info.encoding_type = NoteSequence.SourceInfo.MUSIC_XML
    sequence.sequence_metadata.title = title
    sequence.sequence_metadata.composers.extend(composers)
    return sequence


def _title(root) -> str:
    texts = [root.findtext("work/work-title"), root.findtext("movement-title")]
    for credit in root.iterfind("credit"):
        if credit.findtext("credit-type") == "title":
            texts.append(credit.findtext("credit-words"))
    # What music21 writes where there is none.
    texts = [" ".join((text or "").split()) for text in texts]
    return next((t for t in texts if t and not t.startswith("Music21")), "")


def _composers(root) -> list[str]:
    names = [
        " ".join((creator.text or "").split())
        for creator in root.iterfind("identification/creator")
        if creator.get("type", "composer") == "composer"
    ]
    return [name for name in names if name and name != "Music21"]


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


class _ScoreReader:
    """Gathers what the parts of a score hold.

    Attributes:
        measures: In the order in which they are written.
        part_names: Of each part.
        left_out: What was written and cannot be represented, and how often.
    """

    def __init__(self, score: stream.Score, left_out: collections.Counter):
        self.measures: list[_Measure] = []
        self.part_names = []
        self.left_out = left_out
        self._codas: list[int] = []
        for number, part in enumerate(score.getElementsByClass(stream.Part)):
            self.part_names.append(part.partName or "")
            self._read_part(number, part)
        self._mark_codas()
        self._finish_measures()

    def _read_part(self, number: int, part: stream.Part) -> None:
        moved = [(0.0, 0)]  # from where on it sounds how many semitones higher
        if not part.atSoundingPitch:
            for found in part.getElementsByClass(instrument.Instrument):
                if found.transposition is not None:
                    semitones = found.transposition.semitones
                    moved.append((part.elementOffset(found), semitones))
        place = operator.itemgetter(0)
        notes, keys = [], []
        levels = collections.defaultdict(list)  # by staff; 0 holds for all
        accents = {}
        for index, measure in enumerate(part.getElementsByClass(stream.Measure)):
            if index == len(self.measures):
                self.measures.append(_Measure())
            target = self.measures[index]
            begin = part.elementOffset(measure)
            semitones = moved[bisect.bisect_right(moved, begin, key=place) - 1][1]
            streams = (measure, *measure.voices)
            events = [(s.elementOffset(e), e) for s in streams for e in s.elements]
            found = self._read_notes(number, semitones, events, target)
            notes += [(index, note) for note in found]
            for offset, element in events:
                if isinstance(element, key.KeySignature) and element.sharps is not None:
                    keys.append((index, (offset, _KEY, _key_of(element, semitones))))
                elif isinstance(element, dynamics.Dynamic):
                    self._read_dynamic(element.value, (index, offset), levels, accents)
                else:
                    self._read_mark(index, offset, element, semitones)
            self._read_bars(index, measure)
        self._read_brackets(part)
        _set_velocities(notes, levels, accents)
        if not all(note.is_drum for _, note in notes):
            for index, mark in keys:  # drums have none, whatever is written
                self.measures[index].marks.append(mark)

    def _read_notes(self, part: int, semitones: int, events, measure) -> list[_Note]:
        """Adds notes and rests to a measure; gives the notes."""
        events = [(o, e) for o, e in events if isinstance(e, note.GeneralNote)]
        found = []
        for start, element in events:
            start = float(start)
            end = start + float(element.quarterLength)
            if any(isinstance(e, expressions.Fermata) for e in element.expressions):
                measure.marks.append((start, _PAUSE, FERMATA))
            if element.isRest and len(events) == 1:
                # Programs write a whole rest in whatever metre.
                measure.rest = max(measure.rest, end)
                continue
            measure.length = max(measure.length, end)
            if element.isRest:
                continue
            voice = element.activeSite.id.split()
            for single in (
                element.notes if isinstance(element, chord.ChordBase) else [element]
            ):
                if voice[3] == "cue":
                    self.left_out["cue notes"] += 1
                    continue
                is_drum = voice[3] == "drum"
                if isinstance(single, note.Unpitched):
                    pitch = single.displayOctave
                    missing = "drum hits without a MIDI number"
                else:
                    pitch = round(single.pitch.ps) + (0 if is_drum else semitones)
                    missing = "notes outside of MIDI's range"
                if not 0 <= pitch <= 127:
                    self.left_out[missing] += 1
                    continue
                velocity = 0
                if single.hasVolumeInformation():
                    velocity = round(single.volume.velocityScalar * 127)
                tie = single.tie.type if single.tie is not None else ""
                found.append(
                    _Note(
                        part=part,
                        staff=int(voice[0]),
                        voice=int(voice[1]),
                        start=start,
                        end=end,
                        pitch=pitch,
                        velocity=velocity,
                        program=int(voice[2]),
                        is_drum=is_drum,
                        tied_from=tie in ("stop", "continue"),
                        tied_on=tie in ("start", "continue"),
                    )
                )
        measure.notes += found
        return found

    def _read_mark(self, index: int, offset: float, element, semitones: int) -> None:
        measure = self.measures[index]
        if isinstance(element, tempo.MetronomeMark):
            qpm = element.getQuarterBPM()
            if qpm:
                measure.marks.append((offset, _TEMPO, float(qpm)))
        elif isinstance(element, meter.TimeSignature):
            metre = element.numerator, element.denominator
            measure.marks.append((offset, _METRE, metre))
        elif isinstance(element, repeat.RepeatExpression):
            self._read_words(index, element.getText())
        elif isinstance(element, expressions.TextExpression):
            text = element.content
            if not text.startswith(CHORD_MARK):
                self._read_words(index, text)
                return
            try:
                text = _sounding_chord(text.removeprefix(CHORD_MARK), semitones)
                measure.marks.append((offset, _CHORD, text))
            except chord_symbols_lib.ChordSymbolError:
                self.left_out["chord symbols"] += 1

    def _read_dynamic(self, value: str, place, levels, accents) -> None:
        name, staff, percent = value.split("-")
        levels = levels[int(staff)]
        given = min(max(round(float(percent) * 0.9), 1), 127) if percent else 0
        if name in _LOUD_THEN_SOFT:
            loud, soft = _LOUD_THEN_SOFT[name]
            accents[place] = _VELOCITIES[loud]
            levels.append((place, _VELOCITIES[soft]))
        elif name in _ACCENTS:
            accents[place] = given or _ACCENTS[name]
        elif given or name in _VELOCITIES:
            levels.append((place, given or _VELOCITIES[name]))
        else:
            self.left_out["dynamics of other names"] += 1

    # --- the order of measures ---

    def _read_words(self, index: int, text: str) -> None:
        signs = self.measures[index].bar
        name = next((name for name, word in _WORDS.items() if word.search(text)), "")
        if name in ("da_capo", "dal_segno"):
            signs.jump = name
        elif name == "coda":
            self._codas.append(index)
        elif name:
            setattr(signs, name, True)

    def _read_bars(self, index: int, measure: stream.Measure) -> None:
        for line, shift in ((measure.leftBarline, 0), (measure.rightBarline, 1)):
            if isinstance(line, bar.Repeat):
                if line.direction == "start":
                    if index + shift == len(self.measures):
                        self.measures.append(_Measure())
                    self.measures[index + shift].bar.forward = True
                else:
                    target = self.measures[max(index + shift - 1, 0)].bar
                    target.backward = max(line.times or 2, 2)

    def _read_brackets(self, part: stream.Part) -> None:
        numbers = {
            id(m): i for i, m in enumerate(part.getElementsByClass(stream.Measure))
        }
        for bracket in part.getElementsByClass(spanner.RepeatBracket):
            spanned = [numbers[id(m)] for m in bracket.getSpannedElements()]
            for index in range(min(spanned), max(spanned) + 1):
                self.measures[index].bar.ending = frozenset(bracket.numberRange)
            self.measures[min(spanned)].bar.begins_ending = True

    def _mark_codas(self) -> None:
        """Tells the coda signs at which one leaves from those at which one arrives."""
        bars = [measure.bar for measure in self.measures]
        codas = sorted(set(self._codas))
        if len(codas) > 1 and not any(bar.to_coda for bar in bars):
            bars[codas.pop(0)].to_coda = True
        if codas:
            bars[codas[-1]].coda = True

    def _finish_measures(self) -> None:
        """Sets the lengths of measures, and gives late marks to the ones that follow."""
        metre = None
        while self.measures and not (self.measures[-1].notes or self.measures[-1].rest):
            self.measures.pop()  # only announced by a repeat sign
        for measure, following in itertools.pairwise([*self.measures, _Measure()]):
            metre = _lasting(measure).get((0.0, _METRE), metre)
            full = _bar_quarters(metre) if metre else 0.0
            if not measure.length:
                measure.length = min(measure.rest, full or measure.rest)
            elif abs(measure.length - full) < _ROUNDING:
                measure.length = full
            late = [mark for mark in measure.marks if mark[0] >= measure.length]
            measure.marks = [mark for mark in measure.marks if mark[0] < measure.length]
            following.marks += [(o - measure.length, *mark) for o, *mark in late]


def _key_of(signature: key.KeySignature, semitones: int) -> tuple[int, int]:
    """Pitch class of the tonic and mode, as they sound."""
    if not isinstance(signature, key.Key):
        signature = signature.asKey("major")
    mode = {"ionian": "MAJOR", "aeolian": "MINOR"}.get(signature.mode)
    mode = NoteSequence.KeySignature.Mode.Value(mode or signature.mode.upper())
    return (signature.tonic.pitchClass + semitones) % 12, mode


def _sounding_chord(text: str, semitones: int) -> str:
    """A chord symbol moved by semitones.

    Raises:
        ChordSymbolError: It is none that note-seq knows, so it could not be moved later.
    """
    if text == "N.C.":
        return text
    chord_symbols_lib.chord_symbol_pitches(text)
    if semitones % 12:
        return chord_symbols_lib.transpose_chord_symbol(text, semitones)
    return text


def _set_velocities(notes, levels, accents) -> None:
    """Gives every note of a part the level that is in force where it starts.

    Where only one staff has dynamics they hold for all staves.
    """
    common = levels.pop(0, [])
    by_staff = {staff: sorted([*common, *found]) for staff, found in levels.items()}
    alone = next(iter(by_staff.values())) if len(by_staff) == 1 else None
    for index, note in notes:
        place = index, note.start
        known = alone or by_staff.get(note.staff, common)
        before = bisect.bisect_right(known, place, key=operator.itemgetter(0))
        level = known[before - 1][1] if before else _DEFAULT_VELOCITY
        note.velocity = note.velocity or accents.get(place, level)


def _bar_quarters(metre: tuple[int, int]) -> float:
    """The length of a full measure."""
    return 4 * metre[0] / metre[1]


# --- playing ---


def _play(reader: _ScoreReader, limits: Limits, play_repeats: bool) -> NoteSequence:
    """Plays what was read.

    Raises:
        ReadError: `no_notes`, `too_many_notes`, `too_many_quarters`,
            `too_many_seconds`.
    """
    written = reader.measures
    bars = [measure.bar for measure in written]
    order, said = range(len(bars)), ""
    if any(bar.backward or bar.ending or bar.jump for bar in bars):
        played = play_order(bars) if play_repeats else None
        order, said = (order, "as written") if played is None else (played, "played")
    measures = [written[i] for i in order]
    num_notes = sum(len(measure.notes) for measure in measures)
    if not num_notes:
        raise ReadError("no_notes", "the score has none")
    check_limit("notes", num_notes, limits)
    starts = [0.0, *itertools.accumulate(measure.length for measure in measures)]
    check_limit("quarters", starts[-1], limits)

    sequence = NoteSequence(ticks_per_quarter=DEFAULT_TICKS_PER_QUARTER)
    sequence.source_info.source_type = NoteSequence.SourceInfo.SCORE_BASED
    sequence.source_info.parser = NoteSequence.SourceInfo.MUSIC21
    states = _states(written)
    states = [states[i] for i in order]
    tempo_map = _add_tempos(sequence, measures, starts, states)
    _add_metres(sequence, measures, starts, states, tempo_map)
    _add_keys(sequence, measures, starts, states, tempo_map)
    _add_texts(sequence, measures, starts, tempo_map)
    _add_notes(sequence, reader.part_names, measures, starts, tempo_map)
    check_limit("seconds", sequence.total_time, limits)
    left_out = sorted(reader.left_out.items())
    lost = ", ".join(f"{number} {name}" for name, number in left_out if number)
    for name, text in (("repeats", said), ("left out", lost)):
        if text:
            sequence.text_annotations.add(text=f"{_REMARK}{name}: {text}")
    return sequence


def _lasting(measure: _Measure) -> dict[tuple[float, str], Any]:
    """Tempos, metres and keys by place: of several, what most parts say."""
    found = collections.defaultdict(collections.Counter)
    for offset, kind, value in measure.marks:
        if kind in (_TEMPO, _METRE, _KEY):
            found[max(float(offset), 0.0), kind][value] += 1
    return {place: found[place].most_common(1)[0][0] for place in sorted(found)}


def _states(measures: Sequence[_Measure]) -> list[dict[str, Any]]:
    """The tempo, metre and key in force where each measure begins.

    Those are the marks up to there in the order of writing: who jumps back also goes
    back to the tempo of that place.
    """
    states, state = [], {_TEMPO: DEFAULT_QPM, _METRE: None, _KEY: None}
    for measure in measures:
        start = dict(state)
        for (offset, kind), value in _lasting(measure).items():
            state[kind] = value
            if not offset:
                start[kind] = value
        states.append(start)
    return states


def _changes(kind: str, measures, starts, states):
    """(quarters, value) wherever a measure begins or a mark stands, in order."""
    for measure, start, state in zip(measures, starts, states, strict=False):
        yield start, state[kind]
        for (offset, found), value in _lasting(measure).items():
            if found == kind and offset:
                yield start + offset, value


def _add_tempos(sequence: NoteSequence, measures, starts, states) -> TempoMap:
    qpm = quarters = seconds = 0.0
    for place, value in _changes(_TEMPO, measures, starts, states):
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
    fulls = [state[_METRE] and _bar_quarters(state[_METRE]) for state in states]
    is_full = [
        full is not None and measure.length > full - _TINY
        for full, measure in zip(fulls, measures, strict=True)
    ]
    for i, (measure, place) in enumerate(zip(measures, starts, strict=False)):
        found = [
            (offset, value)
            for (offset, kind), value in _lasting(measure).items()
            if offset and kind == _METRE
        ]
        value = states[i][_METRE]
        if value is not None:
            upbeat = not any(is_full[i : i + 1]) and any(is_full[i + 1 : i + 2])
            past = (place - begin) / fulls[i]
            strays = is_full[i] and abs(past - round(past)) > _TINY
            if (value != metre and not upbeat) or strays:
                found.insert(0, (0.0, value))
        for offset, value in found:
            metre, begin = value, place + offset
            sequence.time_signatures.add(
                time=tempo_map.to_seconds(begin),
                numerator=value[0],
                denominator=value[1],
            )


def _add_keys(sequence: NoteSequence, measures, starts, states, tempo_map) -> None:
    last = None
    for place, value in _changes(_KEY, measures, starts, states):
        if value is not None and value != last:
            last = value
            time = tempo_map.to_seconds(place)
            sequence.key_signatures.add(time=time, key=value[0], mode=value[1])


def _add_texts(sequence: NoteSequence, measures, starts, tempo_map) -> None:
    kinds = {
        _CHORD: NoteSequence.TextAnnotation.CHORD_SYMBOL,
        _PAUSE: NoteSequence.TextAnnotation.UNKNOWN,
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
    sequence: NoteSequence, part_names: Sequence[str], measures, starts, tempo_map
) -> None:
    """Adds the notes, by instrument, start and pitch, and the names of parts."""
    instruments = _add_instruments(sequence, part_names, measures)
    names = [field.name for field in dataclasses.fields(_Note)]
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
    order = np.argsort(notes["start"], kind="stable")
    for i in order.tolist():
        before = waiting[notes["part"][i], notes["pitch"][i]]
        found = [j for j in before if abs(ends[j] - notes["start"][i]) < _TINY]
        # Where two voices hold one pitch, each goes on with its own. Some programs
        # write only where a tie begins.
        same = [j for j in found if notes["voice"][j] == notes["voice"][i]]
        first = i
        if same or (found and notes["tied_from"][i]):
            first = (same or found)[0]
            before.remove(first)
            ends[first] = ends[i]
            gone.append(i)
        if notes["tied_on"][i]:
            before.append(first)
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
        sequence.instrument_infos.add(instrument=number, name=name)
    return {place: number for number, place in enumerate(used)}
