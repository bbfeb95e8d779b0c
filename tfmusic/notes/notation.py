"""NoteSequences as scores of music21, which writes them as MusicXML."""

import dataclasses
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from music21 import (
    bar,
    chord,
    clef,
    duration,
    key,
    layout,
    metadata,
    meter,
    note,
    pitch,
    stream,
    tempo,
    tie,
)
from music21.musicxml.m21ToXml import ScoreExporter

from tfmusic.errors import UserError
from tfmusic.notes import NoteSequence
from tfmusic.notes.beats import onto_beat
from tfmusic.notes.grid import TempoMap
from tfmusic.notes.keys import best_key
from tfmusic.notes.measures import QUARTER, Grid, Measure, fraction_on_grid, measures_of
from tfmusic.notes.rhythm import Symbol, write_measure
from tfmusic.notes.staves import ScorePart, clean_text, find_parts, make_instrument
from tfmusic.notes.voices import Chord, by_measure, make_chords, split_voices
from tfmusic.notes.writing import DRUM_CHANNEL

_LOWEST_FRACTION = 0.9  # of notes on the grid, below which there is no beat
_FEW_TEMPOS = 8  # beyond one in each measure
_LEAST_TEMPO_CHANGE = 0.1  # of a measure's mean tempo, where it changes all the time
_FIRST_VOICES = (1, 5)  # of each staff: what notation programs number them by

_Signature = NoteSequence.KeySignature
# Name of a mode in music21, and how many fifths its signature is from the major one.
_MODES = {
    _Signature.MAJOR: ("major", 0),
    _Signature.MINOR: ("minor", -3),
    _Signature.DORIAN: ("dorian", -2),
    _Signature.PHRYGIAN: ("phrygian", -4),
    _Signature.LYDIAN: ("lydian", 1),
    _Signature.MIXOLYDIAN: ("mixolydian", -1),
    _Signature.LOCRIAN: ("locrian", -5),
}


@dataclasses.dataclass(frozen=True)
class _Key:
    """A key as it is spelled.

    Attributes:
        tonic: Steps from C on the line of fifths: 1 is G, -1 is F.
        fifths: Sharps of the signature, or flats if below 0.
        mode: music21's name of it.
    """

    tonic: int
    fifths: int
    mode: str

    @classmethod
    def of(cls, tonic: int, mode: int) -> "_Key":
        """The spelling with the fewest accidentals.

        Args:
            tonic: Pitch class.
            mode: Number in a NoteSequence.
        """
        name, shift = _MODES.get(mode, _MODES[_Signature.MAJOR])
        place = tonic * 7 % 12
        place = min((place, place - 12), key=lambda fifths: abs(fifths + shift))
        return cls(place, place + shift, name)

    def spell(self, midi: int) -> pitch.Pitch:
        """A pitch as it is written in this key."""
        # From the lowered third of the major key to the raised fifth; in minor, from
        # the lowered second to the leading note of the dominant.
        lowest = self.fifths - 3 + (self.mode == "minor")
        step, accidental = _name(lowest + (midi * 7 - lowest) % 12)
        octave = (midi - accidental) // 12 - 1
        return pitch.Pitch(step=step, accidental=accidental or None, octave=octave)


def _name(fifths: int) -> tuple[str, int]:
    """The letter and the sharps of a place on the line of fifths."""
    return "FCGDAEB"[(fifths + 1) % 7], (fifths + 1) // 7


class _SharedChannels(list):
    """The MIDI channels that are taken, for music21: none, as there are only 15."""

    def __contains__(self, channel: int) -> bool:
        return False


def to_musicxml(sequence: NoteSequence, title: str = "") -> bytes:
    """The sequence as a MusicXML file; see `to_score`.

    Raises:
        UserError: See there.
    """
    exporter = ScoreExporter(to_score(sequence, title), makeNotation=False)
    exporter.midiChannelList = _SharedChannels()
    root = exporter.parse()
    identification = root.find("identification")
    for creator in identification.findall("creator"):
        if not sequence.sequence_metadata.composers:
            identification.remove(creator)  # music21 names itself
    encoding = identification.find("encoding")
    # The same music gives the same file, today and tomorrow.
    encoding.remove(encoding.find("encoding-date"))
    for name in ("movement-title", "movement-name"):
        if not (title or sequence.sequence_metadata.title):
            for element in root.findall(name):
                root.remove(element)
    return exporter.asBytes()


def to_score(sequence: NoteSequence, title: str = "") -> stream.Score:
    """A score to print, with a part for each instrument.

    Times are moved to the nearest thirty-second or sixteenth triplet of the tempo map.
    Pianos have two staves for the hands unless one is enough; notes that overlap within
    a staff are in voices. Where no metre is known it is 4/4, and where no key is known
    it is found from the notes. Drums are left out. Music beside the beat of its file is
    written on its own (`tfmusic.notes.beats`).

    Args:
        sequence: Any sequence that follows a beat.
        title: Used where its metadata has none.

    Returns:
        The score; tempo marks are in its first staff.

    Raises:
        UserError: It has no notes, or follows no beat, as performances do.
    """
    sequence = onto_beat(sequence)
    rows = np.flatnonzero([not note.is_drum for note in sequence.notes])
    if not len(rows):
        raise UserError(
            "expected notes to write as a score, found none (drums are left out)"
        )
    tempo_map = TempoMap.of(sequence)
    spans = np.array([(n.start_time, n.end_time) for n in sequence.notes])
    starts, ends = np.maximum(tempo_map.to_quarters(spans.T), 0)
    _check_beat(starts[rows])
    starts, ends = starts * QUARTER, ends * QUARTER
    last = np.maximum(ends, starts + QUARTER / 8)[rows].max()
    measures = measures_of(sequence, tempo_map, int(np.ceil(last)))
    writer = _Writer(sequence, tempo_map, measures)
    writer.set_times(starts, ends)
    score = stream.Score()
    score.metadata = metadata.Metadata()
    score.metadata.title = clean_text(sequence.sequence_metadata.title or title)
    if sequence.sequence_metadata.composers:
        names = ", ".join(sequence.sequence_metadata.composers)
        score.metadata.composer = clean_text(names)
    for number, part in enumerate(find_parts(sequence, rows), 1):
        staves = writer.write(part, number)
        for staff in staves:
            score.insert(0, staff)
        if len(staves) > 1:
            score.insert(0, layout.StaffGroup(staves, name=part.name, symbol="brace"))
    return score


def _check_beat(quarters: np.ndarray) -> None:
    fraction = fraction_on_grid(quarters)
    if fraction < _LOWEST_FRACTION:
        raise UserError(
            "expected music that follows a beat, to write it as a score, but only "
            f"{fraction:.0%} of its notes begin on a thirty-second or a triplet, as in "
            "a performance whose beat is not known; leave the score out, or quantize "
            "the music"
        )


class _Writer:
    """Writes the staves of a piece, measure by measure."""

    def __init__(
        self,
        sequence: NoteSequence,
        tempo_map: TempoMap,
        measures: Sequence[Measure],
    ):
        self._sequence = sequence
        self._tempo_map = tempo_map
        self._measures = measures
        self._grid = Grid(measures)
        self._spellings = self._find_keys()

    def set_times(self, starts: np.ndarray, ends: np.ndarray) -> None:
        """Moves all notes, in units [num_notes], to the grid."""
        self._starts, self._ends = self._grid.snap(starts, ends)
        # A key that was let go before it is struck again stays so.
        keys = np.array([(n.instrument, n.pitch) for n in self._sequence.notes])
        order = np.lexsort((starts, *keys.T))
        now, then = order[:-1], order[1:]
        apart = (keys[now] == keys[then]).all(axis=1)
        apart &= ends[now] <= starts[then] + 1
        apart &= self._starts[now] < self._starts[then]
        limits = self._starts[then[apart]]
        self._ends[now[apart]] = np.minimum(self._ends[now[apart]], limits)

    def write(self, part: ScorePart, number: int) -> list[stream.Part]:
        """The staves of a part."""
        staves = []
        for i, rows in enumerate(part.staves):
            kind = stream.PartStaff if len(part.staves) > 1 else stream.Part
            staff = kind(id=f"P{number}-{i + 1}")
            staff.partName = part.name
            player = make_instrument(part.program)
            player.partName, player.partId = part.name, f"P{number}"
            if part.name != player.instrumentName:
                player.partAbbreviation = player.instrumentAbbreviation = ""
            player.instrumentId = f"P{number}-I1"
            channel = (number - 1) % 15
            player.midiChannel = channel + (channel >= DRUM_CHANNEL)
            staff.insert(0, player)
            voice = _FIRST_VOICES[i] if len(part.staves) > 1 else None
            self._write_staff(staff, rows, voice)
            if len(part.staves) > 1:
                mark = clef.BassClef() if i else clef.TrebleClef()
            else:
                mark = clef.bestClef(staff, recurse=True)
            staff[stream.Measure].first().insert(0, mark)
            if number == 1 and i == 0:
                self._write_tempos(staff)
            staff.makeAccidentals(inPlace=True)
            staff.makeBeams(inPlace=True, setStemDirections=False)
            staves.append(staff)
        return staves

    def _write_staff(
        self, staff: stream.Part, rows: np.ndarray, first_voice: int | None
    ) -> None:
        """Adds measures; voices are numbered from the first one, if it is given."""
        voices = [
            by_measure(voice, self._measures) for voice in self._voices(rows) or [[]]
        ]
        for i, measure in enumerate(self._measures):
            written = self._new_measure(i)
            used = [k for k, chords in enumerate(voices) if k == 0 or chords[i]]
            for k in used:
                target = written
                if len(used) > 1 or first_voice:
                    target = stream.Voice(id=str((first_voice or 1) + k))
                    written.insert(0, target)
                for symbol in write_measure(voices[k][i], measure):
                    element = _element(symbol, self._spellings[i])
                    # Beside the first voice, silence needs no sign.
                    if k > 0 and symbol.chord is None:
                        element.style.hideObjectOnPrint = True
                    target.insert(_quarters(symbol.start - measure.start), element)
            staff.insert(_quarters(measure.start), written)

    def _voices(self, rows: np.ndarray) -> list[list[Chord]]:
        notes = [self._sequence.notes[i] for i in rows]
        chords = make_chords(
            self._starts[rows],
            self._ends[rows],
            [note.pitch for note in notes],
            [note.velocity for note in notes],
            self._grid,
        )
        return split_voices(chords)

    def _new_measure(self, i: int) -> stream.Measure:
        """A measure with its number and signatures, without notes."""
        measure = self._measures[i]
        result = stream.Measure(number=i + (not self._measures[0].is_upbeat))
        if measure.is_upbeat:
            result.showNumber = stream.enums.ShowNumber.NEVER
            full = 4 * Fraction(*measure.metre)
            result.paddingLeft = full - _quarters(measure.length)
        if i == 0 or measure.metre != self._measures[i - 1].metre:
            result.insert(0, meter.TimeSignature("{}/{}".format(*measure.metre)))
        if i == 0 or self._spellings[i] != self._spellings[i - 1]:
            result.insert(0, _signature(self._spellings[i]))
        if i == len(self._measures) - 1:
            result.rightBarline = bar.Barline("final")
        return result

    def _write_tempos(self, staff: stream.Part) -> None:
        written = list(staff[stream.Measure])
        bounds = [measure.start for measure in self._measures]
        for place, qpm in self._find_tempos():
            i = int(np.searchsorted(bounds, place, "right")) - 1
            number = round(qpm) if abs(qpm - round(qpm)) < 0.01 else round(qpm, 2)
            mark = tempo.MetronomeMark(number=number, numberSounding=qpm)
            mark.placement = "above"
            written[i].insert(_quarters(place - bounds[i]), mark)

    def _find_tempos(self) -> list[tuple[int, float]]:
        """Places, in units, and quarters a minute."""
        tempos = self._tempo_map
        places = np.round(tempos.quarters * QUARTER).astype(int).tolist()
        if len(places) <= _FEW_TEMPOS + len(self._measures):
            end = self._measures[-1].end
            pairs = zip(places, tempos.qpm.tolist(), strict=True)
            return [(place, qpm) for place, qpm in pairs if place < end]
        # A performance, whose marks nobody could read: the mean of each measure.
        result = []
        for measure in self._measures:
            bounds = np.array([measure.start, measure.end]) / QUARTER
            seconds = np.diff(tempos.to_seconds(bounds))[0]
            qpm = 60 * measure.length / QUARTER / seconds
            change = abs(qpm / result[-1][1] - 1) if result else 1.0
            if change >= _LEAST_TEMPO_CHANGE:
                result.append((measure.start, max(round(qpm), 1)))
        return result

    def _find_keys(self) -> list[_Key]:
        """The key of each measure: changes go to the nearest bar line."""
        starts = np.array([measure.start for measure in self._measures])
        found = {}
        for signature in sorted(self._sequence.key_signatures, key=lambda s: s.time):
            quarters = float(self._tempo_map.to_quarters(max(signature.time, 0.0)))
            nearest = int(np.argmin(np.abs(starts - quarters * QUARTER)))
            found[nearest] = _Key.of(signature.key, signature.mode)
        if not found:
            best = best_key(self._sequence)
            found[0] = _Key.of(best.tonic, _Signature.Mode.Value(best.mode.upper()))
        # What comes before the first signature is in its key.
        result = [found[min(found)]]
        for i in range(1, len(starts)):
            result.append(found.get(i, result[-1]))
        return result


def _signature(spelling: _Key) -> key.Key:
    step, accidental = _name(spelling.tonic)
    return key.Key(step + "-#"[accidental > 0] * abs(accidental), spelling.mode)


def _element(symbol: Symbol, spelling: _Key) -> note.GeneralNote:
    """The note, chord or rest that a symbol stands for."""
    length = _duration(symbol)
    if symbol.chord is None:
        element = note.Rest(duration=length)
        if not symbol.value:
            element.fullMeasure = True
        return element
    notes = []
    for tone in symbol.chord.tones:
        notes.append(note.Note(spelling.spell(tone.pitch), duration=length))
        if kind := symbol.tie(tone):
            notes[-1].tie = tie.Tie(kind)
    element = notes[0] if len(notes) == 1 else chord.Chord(notes, duration=length)
    element.volume.velocity = symbol.chord.velocity
    return element


def _duration(symbol: Symbol) -> duration.Duration:
    if not symbol.value:
        return duration.Duration(_quarters(symbol.length))
    result = duration.Duration(type=symbol.value, dots=symbol.dots)
    if symbol.tuplet:
        three = duration.Tuplet(3, 2, symbol.tuplet)
        three.type = symbol.tuplet_ends or None
        result.appendTuplet(three)
    return result


def _quarters(units: int) -> Fraction:
    return Fraction(units, QUARTER)
