"""ABC tunebooks into NoteSequences, through note-seq's reader and music21's.

note-seq knows no rests, chords, tuplets, grace notes and endings. Tunes that it refuses
are read by music21, which takes far longer, passes over what it does not know, or takes
it for a C: they are refused too unless it finds as many notes as are written.
"""

import re

import numpy as np
from note_seq import abc_parser

from tfmusic.notes import NoteSequence
from tfmusic.notes.grid import DEFAULT_QPM, DEFAULT_TICKS_PER_QUARTER, TempoMap
from tfmusic.notes.midi import Limits, ReadError
from tfmusic.notes.scores import SCORE_FAULTS, checked, one_line

_VELOCITY = 90  # note-seq's, mezzo forte
# All that is not notes, rests and bars: comments, fields, chord names, decorations,
# grace notes.
_NOT_NOTES = re.compile(
    r'%.*|^[A-Za-z]:.*|"[^"]*"|![^!\n]*!|\+[^+\n]*\+|\{[^}]*\}', re.M
)
# What music21 reads wrong: several voices, and fields within a line; overlays, and all
# letters but those of notes, of rests and of the decorations that it knows.
_FIELDS_MISREAD = re.compile(r"^V:|\[[A-Za-z]:", re.M)
_NOTES_MISREAD = re.compile("[HIJKNQRU-Zh-tw-y&]")


def abc_to_sequences(data: bytes, limits: Limits) -> list[NoteSequence | ReadError]:
    """Reads the tunes of an ABC tunebook, in the book's order.

    A tune reaches from its reference number (`X:`) to the next empty line; what stands
    before the first tune holds for all. Repeats are not written out.

    Returns:
        Of each tune the music, or why it cannot be read: `bad_abc`, `bad_pitch`,
        `too_many_notes`, `no_notes`.

    Raises:
        ReadError: No tune can be read: why the first cannot, or `bad_abc`.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    text = "\n".join(line.strip() for line in text.splitlines())
    tunes = re.findall(r"^X:.*(?:\n(?!X:).+)*", text, re.M)
    if not tunes:
        raise ReadError("bad_abc", "expected a tune that begins with X:, found none")
    before = re.split("^X:", text, maxsplit=1, flags=re.M)[0]
    header = "\n".join([*re.findall("^[A-Za-z]:.*", before, re.M), ""])
    found = []
    for tune in tunes:
        try:
            found.append(checked(_read_tune(header + tune), limits))
        except ReadError as error:
            found.append(error)
    if all(isinstance(tune, ReadError) for tune in found):
        raise found[0]
    return found


def _read_tune(text: str) -> NoteSequence:
    try:
        return abc_parser.ABCTune(text.splitlines()).note_sequence
    except (*SCORE_FAULTS, abc_parser.ABCParseError) as error:
        notes = _NOT_NOTES.sub("", text)
        if _FIELDS_MISREAD.search(text) or _NOTES_MISREAD.search(notes):
            raise ReadError("bad_abc", one_line(error)) from error
    return _read_by_music21(text, len(re.findall("[A-Ga-g]", notes)))


def _read_by_music21(text: str, num_notes: int) -> NoteSequence:
    # Takes a second to import: only where it is needed.
    from music21 import converter
    from music21.exceptions21 import Music21Exception

    sequence = NoteSequence(ticks_per_quarter=DEFAULT_TICKS_PER_QUARTER)
    source = sequence.source_info
    source.source_type, source.encoding_type = source.SCORE_BASED, source.ABC
    source.parser = source.MUSIC21
    try:
        number = re.search(r"^X:\s*(\d*)", text, re.M)[1]
        sequence.reference_number = int(number or 0)
        if not re.search("^[LM]:", text, re.M):
            text = "L:1/8\n" + text  # by the standard; music21 knows no default
        score = converter.parseData(text, format="abc")
        sequence.sequence_metadata.title = score.metadata.title or ""
        # Chord names and grace notes take no time.
        found = [n.pitches for n in score.recurse().notes if n.quarterLength]
        score.stripTies(inPlace=True)  # a copy would take a third of the time
        part = score.parts[0].flatten()
        _add_marks(sequence, part)
        tempo_map = TempoMap.of(sequence)
        for chord in (chord for chord in part.notes if chord.quarterLength):
            start, end = chord.offset, chord.offset + chord.quarterLength
            start, end = tempo_map.to_seconds(np.array([start, end], np.float64))
            for pitch in chord.pitches:
                sequence.notes.add(
                    pitch=pitch.midi, velocity=_VELOCITY, start_time=start, end_time=end
                )
    except (*SCORE_FAULTS, Music21Exception) as error:
        raise ReadError("bad_abc", one_line(error)) from error
    if (num_found := sum(map(len, found))) != num_notes:
        raise ReadError(
            "bad_abc", f"expected {num_notes} notes, music21 can read {num_found}"
        )
    sequence.total_time = max((note.end_time for note in sequence.notes), default=0.0)
    return sequence


def _add_marks(sequence: NoteSequence, part) -> None:
    """Adds the tempos of a flat part of music21, and the signatures at their times."""
    quarters, seconds, qpm = 0.0, 0.0, DEFAULT_QPM
    for mark in part.getElementsByClass("MetronomeMark"):
        seconds += (mark.offset - quarters) * 60 / qpm
        quarters, qpm = mark.offset, mark.getQuarterBPM() or qpm
        sequence.tempos.add(time=seconds, qpm=qpm)
    tempo_map = TempoMap.of(sequence)
    for metre in part.getElementsByClass("TimeSignature"):
        sequence.time_signatures.add(
            time=tempo_map.to_seconds(metre.offset),
            numerator=metre.numerator,
            denominator=metre.denominator,
        )
    for key in part.getElementsByClass("Key"):
        sequence.key_signatures.add(
            time=tempo_map.to_seconds(key.offset),
            key=key.tonic.pitchClass,
            mode=key.mode.upper(),
        )
