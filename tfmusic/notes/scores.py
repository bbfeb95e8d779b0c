"""Scores, MusicXML and ABC, into NoteSequences: through note-seq's readers.

What those leave wrong is mended: tied notes are one note, every part is an instrument
of its own with its name, programs count from 0 as in MIDI, and grace notes, which
come without a length, are left out.
"""

import io
import tempfile
import zipfile
import zlib

from note_seq import abc_parser, musicxml_parser, musicxml_reader

from tfmusic.notes import NoteSequence
from tfmusic.notes.midi import Limits, ReadError

# The readers do not check what they look up or convert: a missing element, a word
# for a number or a damaged archive shows as any of these.
_SCORE_FAULTS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
    musicxml_parser.MusicXMLParseError,
)
_ARCHIVE_FAULTS = (
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
)


def musicxml_to_sequence(data: bytes, limits: Limits) -> NoteSequence:
    """Reads a MusicXML score, plain or compressed (.mxl).

    Raises:
        ReadError: `bad_musicxml`, `too_large`, `too_many_notes`, `no_notes`.
    """
    compressed = data[:2] == b"PK"
    if compressed:
        _check_archive(data, limits)
    try:
        # The reader takes the path of a file and nothing else.
        suffix = ".mxl" if compressed else ".xml"
        with tempfile.NamedTemporaryFile(suffix=suffix) as file:
            file.write(data)
            file.flush()
            document = musicxml_parser.MusicXMLDocument(file.name)
        sequence = musicxml_reader.musicxml_to_sequence_proto(document)
    except _SCORE_FAULTS as error:
        raise ReadError("bad_musicxml", _one_line(error)) from error
    _join_ties(sequence, document)
    for part in sequence.part_infos:
        sequence.instrument_infos.add(instrument=part.part, name=part.name)
    for note in sequence.notes:
        note.instrument = note.part
        note.program = max(note.program - 1, 0)
    return _checked(sequence, limits)


def abc_to_sequences(data: bytes, limits: Limits) -> list[NoteSequence]:
    """Reads the tunes of an ABC tunebook, in order of their reference numbers.

    Tunes that note-seq's reader cannot read (several voices, chords, tuplets) are
    left out.

    Raises:
        ReadError: `bad_abc`: no tune can be read; `too_many_notes`, `no_notes`.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    try:
        tunes, faults = abc_parser.parse_abc_tunebook(text)
    except (*_SCORE_FAULTS, abc_parser.ABCParseError) as error:
        raise ReadError("bad_abc", _one_line(error)) from error
    if not tunes:
        detail = _one_line(faults[0]) if faults else "there is no tune in it"
        raise ReadError("bad_abc", detail)
    return [_checked(tunes[number], limits) for number in sorted(tunes)]


def _check_archive(data: bytes, limits: Limits) -> None:
    """Refuses a damaged archive, and one that unpacks to too much."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
            damaged = unpacked <= limits.max_bytes and archive.testzip()
    except _ARCHIVE_FAULTS as error:
        raise ReadError("bad_musicxml", _one_line(error)) from error
    if unpacked > limits.max_bytes:
        raise ReadError("too_large", f"unpacks to {unpacked} bytes")
    if damaged:
        raise ReadError("bad_musicxml", f"{damaged} in the archive is damaged")


def _join_ties(
    sequence: NoteSequence, document: musicxml_parser.MusicXMLDocument
) -> None:
    """Lengthens the first note of a tie by the others, which go.

    The document's notes, without the rests, are those of the sequence, in order.
    """
    elements = [
        note.xml_note
        for part in document.parts
        for measure in part.measures
        for note in measure.notes
        if not note.is_rest
    ]
    kept, tied = [], {}
    for note, element in zip(sequence.notes, elements, strict=True):
        ties = {tie.get("type") for tie in element.findall("tie")}
        key = note.part, note.pitch
        first = tied.pop(key, None) if "stop" in ties else None
        if first is not None and abs(first.end_time - note.start_time) < 1e-6:
            first.end_time = note.end_time
            # The written value was that of the first note alone.
            first.numerator = first.denominator = 0
        else:
            first = note
            kept.append(note)
        if "start" in ties:
            tied[key] = first
    kept = [note for note in kept if note.end_time > note.start_time]
    notes = NoteSequence(notes=kept).notes
    del sequence.notes[:]
    sequence.notes.extend(notes)


def _checked(sequence: NoteSequence, limits: Limits) -> NoteSequence:
    if not sequence.notes:
        raise ReadError("no_notes", "the score has none")
    if len(sequence.notes) > limits.max_notes:
        raise ReadError("too_many_notes", f"{len(sequence.notes)}")
    for note in sequence.notes:
        if not 0 <= note.pitch <= 127:
            raise ReadError("bad_pitch", f"expected 0..127, found {note.pitch}")
    return sequence


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
