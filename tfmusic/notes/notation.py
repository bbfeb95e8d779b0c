"""NoteSequences as scores of music21, which writes them as MusicXML."""

import math
from fractions import Fraction

import numpy as np
from music21 import (
    chord,
    instrument,
    key,
    metadata,
    meter,
    note,
    stream,
    tempo,
)

from tfmusic.notes import NoteSequence
from tfmusic.notes.grid import TempoMap, metres

# A score has sixteenths and eighth triplets; what lies between goes to the nearest.
_DIVISIONS = (4, 3)
_SHORTEST = Fraction(1, 4)


def to_score(sequence: NoteSequence) -> stream.Score:
    """A score with one staff for each instrument.

    Times are moved to the nearest sixteenth or eighth triplet of the tempo map, so
    that the score can be read; no note is shorter than a sixteenth. Drums are left
    out.

    Args:
        sequence: Any sequence.

    Returns:
        A score with tempo marks, time and key signatures in its first part.
    """
    tempo_map = TempoMap.of(sequence)
    parts: dict[int, list] = {}
    for event in sequence.notes:
        if not event.is_drum:
            parts.setdefault(event.instrument, []).append(event)
    names = {info.instrument: info.name for info in sequence.instrument_infos}
    ends = [event.end_time for events in parts.values() for event in events]
    length = math.ceil(max(tempo_map.to_quarters(np.array(ends)), default=0))
    score = stream.Score()
    score.metadata = metadata.Metadata()
    score.metadata.title = sequence.sequence_metadata.title or sequence.filename
    first = min(parts, default=0)
    for index, notes in sorted(parts.items()):
        part = stream.Part(id=f"P{index}")
        part.partName = names.get(index) or f"Instrument {index + 1}"
        part.insert(0, _instrument(notes[0].program, part.partName))
        for offset, element in _signatures(sequence, tempo_map, index == first):
            part.insert(offset, element)
        for offset, element in _chords(notes, tempo_map):
            part.insert(offset, element)
        # Every staff is as long as the longest, so marks find their measures.
        whole = [0.0, float(length)]
        part.makeRests(refStreamOrTimeRange=whole, fillGaps=True, inPlace=True)
        part = part.makeNotation(refStreamOrTimeRange=whole)
        _mark_upbeat(part, metres(sequence, tempo_map)[0])
        score.insert(0, part)
    return score


def _mark_upbeat(part: stream.Part, metre: tuple[float, int, int]) -> None:
    """Gives a first measure that is cut short the metre that follows it."""
    start, numerator, denominator = metre
    first = part.getElementsByClass(stream.Measure).first()
    if start < 0 and first is not None:
        first.timeSignature = meter.TimeSignature(f"{numerator}/{denominator}")
        first.padAsAnacrusis(useInitialRests=False)


def _instrument(program: int, name: str) -> instrument.Instrument:
    try:
        result = instrument.instrumentFromMidiProgram(program)
    except instrument.InstrumentException:
        result = instrument.Piano()
    result.partName = name
    return result


def _signatures(sequence: NoteSequence, tempo_map: TempoMap, with_tempos: bool):
    """(offset in quarters, element) for whatever is written above and before notes."""

    def offset(seconds: float) -> Fraction:
        return _snap(float(tempo_map.to_quarters(max(seconds, 0.0))))

    # By offset: of several signatures at one place the last counts.
    written = {}
    for start, numerator, denominator in metres(sequence, tempo_map):
        written[_snap(max(start, 0.0))] = numerator, denominator
        length = _snap(start + 4 * numerator / denominator)
        if start < 0 < length and length.denominator in (1, 2, 4):
            # An upbeat is a measure of its own length at first.
            written[Fraction(0)] = (length / 4).as_integer_ratio()
            written[length] = numerator, denominator
    keys = {offset(s.time): s for s in sequence.key_signatures}
    for place, (numerator, denominator) in written.items():
        yield place, meter.TimeSignature(f"{numerator}/{denominator}")
    for place, signature in keys.items():
        tonic = ["C", "D-", "D", "E-", "E", "F", "F#", "G", "A-", "A", "B-", "B"]
        mode = "minor" if signature.mode == signature.MINOR else "major"
        yield place, key.Key(tonic[signature.key % 12], mode)
    if with_tempos:
        # Performances change tempo with every note; a score shows the whole numbers.
        last = None
        for seconds, qpm in zip(tempo_map.seconds, tempo_map.qpm, strict=True):
            if last is None or abs(qpm - last) >= 5:
                last = qpm
                yield offset(float(seconds)), tempo.MetronomeMark(number=round(qpm))


def _chords(notes, tempo_map: TempoMap):
    """(offset in quarters, note or chord): what starts and ends together is one."""
    spans = tempo_map.to_quarters(
        np.array([(event.start_time, event.end_time) for event in notes])
    )
    groups: dict[tuple[Fraction, Fraction], list] = {}
    for event, (start, end) in zip(notes, spans.tolist(), strict=True):
        start, end = _snap(max(start, 0.0)), _snap(end)
        length = max(end - start, _SHORTEST)
        groups.setdefault((start, length), []).append(event)
    for (start, length), events in sorted(groups.items(), key=lambda item: item[0]):
        pitches = sorted({event.pitch for event in events})
        element = note.Note(pitches[0]) if len(pitches) == 1 else chord.Chord(pitches)
        element.quarterLength = length
        element.volume.velocity = max(event.velocity for event in events)
        yield start, element


def _snap(quarters: float) -> Fraction:
    """The nearest place on the score's grid; the finer division where they tie."""
    places = [Fraction(round(quarters * d), d) for d in _DIVISIONS]
    return min(places, key=lambda place: abs(float(place) - quarters))
