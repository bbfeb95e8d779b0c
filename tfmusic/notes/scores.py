"""MusicXML scores into NoteSequences, through note-seq's reader.

What that leaves wrong is mended: every part follows the tempo marks, tied notes are
one note, every part is an instrument of its own with its name, programs count from 0
as in MIDI, and grace notes, which come without a length, are left out.
"""

import io
import tempfile
import zipfile
import zlib
from xml.etree import ElementTree

from note_seq import musicxml_parser, musicxml_reader

from tfmusic.notes import NoteSequence
from tfmusic.notes.grid import DEFAULT_QPM, TempoMap
from tfmusic.notes.midi import Limits, ReadError, check_limit

# note-seq's readers do not check what they look up or convert: a missing element, a
# word for a number or a damaged archive shows as any of these.
SCORE_FAULTS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
    ElementTree.ParseError,
    musicxml_parser.MusicXMLParseError,
)
_ARCHIVE_FAULTS = (
    EOFError,
    NotImplementedError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)


def musicxml_to_sequence(data: bytes, limits: Limits) -> NoteSequence:
    """Reads a MusicXML score, plain or compressed (.mxl).

    Raises:
        ReadError: `bad_musicxml`, `too_large`, `too_many_notes`, `no_notes`.
    """
    if data[:2] == b"PK":
        data = _unpack(data, limits)
    try:
        document, sequence = _read(data)
        if len(document.parts) > 1 and any(t.time > 0 for t in sequence.tempos):
            document, sequence = _read_by_quarters(data, document, sequence)
    except SCORE_FAULTS as error:
        raise ReadError("bad_musicxml", one_line(error)) from error
    _join_ties(sequence, document)
    for part in sequence.part_infos:
        sequence.instrument_infos.add(instrument=part.part, name=part.name)
    for note in sequence.notes:
        note.instrument = note.part
        note.program = max(note.program - 1, 0)
    return checked(sequence, limits)


def _read(data: bytes) -> tuple[musicxml_parser.MusicXMLDocument, NoteSequence]:
    # The reader takes the path of a file and nothing else.
    with tempfile.NamedTemporaryFile(suffix=".xml") as file:
        file.write(data)
        file.flush()
        document = musicxml_parser.MusicXMLDocument(file.name)
    return document, musicxml_reader.musicxml_to_sequence_proto(document)


def _read_by_quarters(data: bytes, document, sequence: NoteSequence):
    """Reads again, so that all parts follow the tempo marks, which stand in one.

    note-seq's reader plays each part at the last tempo of the part before it. What it
    makes of the score without any marks tells the places in quarter notes.
    """
    marks = ([m for m in part.measures if m.tempos] for part in document.parts)
    num_tempos = sum(len(measure.tempos) for measure in next(filter(None, marks)))
    tempos = sequence.tempos[:num_tempos]  # the first part's with marks come first
    tempo_map = TempoMap.of(NoteSequence(tempos=tempos))

    score = ElementTree.fromstring(data)
    for sound in score.iter("sound"):
        sound.attrib.pop("tempo", None)
    document, result = _read(ElementTree.tostring(score))

    def timed(seconds: float) -> float:
        return float(tempo_map.to_seconds(seconds * DEFAULT_QPM / 60))

    del result.tempos[:]
    result.tempos.extend(tempos)
    for events in (
        result.time_signatures,
        result.key_signatures,
        result.text_annotations,
    ):
        for event in events:
            event.time = timed(event.time)
    for note in result.notes:
        note.start_time, note.end_time = timed(note.start_time), timed(note.end_time)
    result.total_time = timed(result.total_time)
    return document, result


def _unpack(data: bytes, limits: Limits) -> bytes:
    """The score in an archive, unless that is damaged or unpacks to too much."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
            if unpacked <= limits.max_bytes:
                container = archive.read("META-INF/container.xml")
                place = ElementTree.fromstring(container).find(".//rootfile")
                return archive.read(place.get("full-path"))
    except (*_ARCHIVE_FAULTS, *SCORE_FAULTS) as error:
        raise ReadError("bad_musicxml", one_line(error)) from error
    raise ReadError("too_large", f"unpacks to {unpacked} bytes")


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


def checked(sequence: NoteSequence, limits: Limits) -> NoteSequence:
    """Gives back what was read of a score, unless it is no music.

    Raises:
        ReadError: `no_notes`, `too_many_notes`, `bad_pitch`.
    """
    if not sequence.notes:
        raise ReadError("no_notes", "the score has none")
    check_limit("notes", len(sequence.notes), limits)
    for note in sequence.notes:
        if not 0 <= note.pitch <= 127:
            raise ReadError("bad_pitch", f"expected 0..127, found {note.pitch}")
    return sequence


def one_line(error: Exception) -> str:
    """What a reader complained of."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
