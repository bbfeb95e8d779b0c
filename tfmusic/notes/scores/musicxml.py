"""MusicXML scores through music21's reader."""

import collections
import contextlib
import io
import warnings
import zipfile
import zlib
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement
from xml.parsers import expat

import music21
from music21.musicxml.xmlToM21 import MusicXMLImporter
from note_seq import chord_symbols_lib

from tfmusic.notes import NoteSequence
from tfmusic.notes.limits import Limits, ReadError, check_limit
from tfmusic.notes.scores import playing
from tfmusic.notes.scores.playing import Levels, Note, Score
from tfmusic.notes.scores.repair import CHORD_MARK, NO_PITCH, repair
from tfmusic.notes.scores.repeats import mark_codas, read_words

# What damaged archives and files end in.
_FILE_FAULTS = (
    EOFError,
    LookupError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    ElementTree.ParseError,
    expat.ExpatError,
    zipfile.BadZipFile,
    zlib.error,
)
# What music21 raises on what it does not expect.
_READER_FAULTS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
    music21.Music21Exception,
)
_CONTAINER = "META-INF/container.xml"
_MEDIA_TYPE = "application/vnd.recordare.musicxml"
# These hold for the notes that they stand at, and no longer.
_ACCENTS = {"sf": 112, "sfz": 112, "fz": 112, "rf": 112, "rfz": 112, "sffz": 126}
# Loud at the note, soft from there on.
_LOUD_THEN_SOFT = {"fp": ("f", "p"), "sfp": ("ff", "p"), "sfpp": ("ff", "pp")}
# Measures that differ from their metre by less are full: tuplets were rounded.
_ROUNDING = 1 / 16


def musicxml_to_sequence(
    data: bytes, limits: Limits, play_repeats: bool = True
) -> NoteSequence:
    """Reads a MusicXML score, plain or compressed (.mxl).

    Raises:
        ReadError: `bad_musicxml`, `too_large`, and those of `playing.play`.
    """
    root = _open(data, limits)
    score = Score(title=_title(root), composers=_composers(root))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of music21: on what it makes the best of
            importer = MusicXMLImporter()
            importer.xmlRootToScore(repair(root, score), importer.stream)
            _ScoreReader(score).read(importer.stream)
    except _READER_FAULTS as error:
        raise ReadError("bad_musicxml", _one_line(error)) from error
    sequence = playing.play(score, limits, play_repeats)
    sequence.source_info.parser = NoteSequence.SourceInfo.MUSIC21
    sequence.source_info.encoding_type = NoteSequence.SourceInfo.MUSIC_XML
    return sequence


def _open(data: bytes, limits: Limits) -> Element:
    """The score-partwise element of a MusicXML file, plain or compressed (.mxl).

    Raises:
        ReadError: `bad_musicxml`, `too_large`, `too_many_notes`, `too_many_measures`.
    """
    try:
        if data[:2] == b"PK":
            data = _unpack(data, limits)
        data = data.lstrip(b" \t\r\n")
        _refuse_entities(data)
        root = ElementTree.fromstring(data)
    except ReadError:
        raise
    except _FILE_FAULTS as error:
        raise ReadError("bad_musicxml", _one_line(error)) from error
    for element in root.iter():
        element.tag = str(element.tag).rpartition("}")[2]
    check_limit("notes", sum(1 for _ in root.iter("note")), limits)
    if root.tag == "score-timewise":
        _to_partwise(root)
    elif root.tag != "score-partwise":
        raise ReadError("bad_musicxml", f"expected a score, found <{root.tag}>")
    for part in root.iterfind("part"):
        playing.check_measures(sum(1 for _ in part.iterfind("measure")))
    return root


def _refuse_entities(data: bytes) -> None:
    """Refuses XML whose head says what entities stand for: a bomb, not a score.

    Raises:
        ReadError: `bad_musicxml`.
        ExpatError: It is no XML.
    """

    def refuse(*_) -> None:
        raise ReadError("bad_musicxml", "expected music, found entities")

    def stop(*_) -> None:
        raise StopIteration

    parser = expat.ParserCreate()
    parser.EntityDeclHandler = refuse
    parser.StartElementHandler = stop
    with contextlib.suppress(StopIteration):
        parser.Parse(data, True)


def _unpack(data: bytes, limits: Limits) -> bytes:
    """What an archive's container names as a score, or the only file that can be."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        unpacked = sum(entry.file_size for entry in archive.infolist())
        if unpacked > limits.max_bytes:
            raise ReadError("too_large", f"unpacks to {unpacked} bytes")
        if _CONTAINER in archive.namelist():
            container = ElementTree.fromstring(archive.read(_CONTAINER))
            for file in container.iterfind(".//{*}rootfile"):
                # Without a media type it is MusicXML.
                if file.get("media-type", _MEDIA_TYPE).startswith(_MEDIA_TYPE):
                    return archive.read(file.get("full-path"))
        names = [
            name
            for name in archive.namelist()
            if name.lower().endswith((".musicxml", ".xml"))
            and not name.startswith(("META-INF/", "__MACOSX/"))
        ]
        if len(names) != 1:
            found = ", ".join(names[:3]) or "none"
            raise ReadError("bad_musicxml", f"expected one score, found {found}")
        return archive.read(names[0])


def _to_partwise(root: Element) -> None:
    """Turns measures of parts into parts of measures."""
    parts = {}
    for column in root.iterfind("measure"):
        for cell in column.iterfind("part"):
            part = parts.setdefault(cell.get("id"), Element("part", id=cell.get("id")))
            SubElement(part, "measure", column.attrib).extend(cell)
    root.extend(parts.values())


def _one_line(error: Exception) -> str:
    """What a parser complained of."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _title(root: Element) -> str:
    texts = [root.findtext("work/work-title"), root.findtext("movement-title")]
    for credit in root.iterfind("credit"):
        if credit.findtext("credit-type") == "title":
            texts.append(credit.findtext("credit-words"))
    # What music21 writes where there is none.
    texts = [" ".join((text or "").split()) for text in texts]
    return next((t for t in texts if t and not t.startswith("Music21")), "")


def _composers(root: Element) -> list[str]:
    names = [
        " ".join((creator.text or "").split())
        for creator in root.iterfind("identification/creator")
        if creator.get("type", "composer") == "composer"
    ]
    return [name for name in names if name and name != "Music21"]


class _ScoreReader:
    """Gathers what the parts of music21's score hold, measure by measure."""

    def __init__(self, score: Score):
        self._score = score
        # Of each measure: how far it reaches in each part with more than a rest, and
        # whether there are notes; the longest rest that is alone in a part.
        self._extents = collections.defaultdict(list)
        self._rests = collections.defaultdict(float)
        self._codas: list[int] = []

    def read(self, read: music21.stream.Score) -> None:
        """Fills the score."""
        for part in read.getElementsByClass(music21.stream.Part):
            self._part(part)
            self._score.part_names.append(part.partName or "")
        bars = [measure.bar for measure in self._score.measures]
        mark_codas(bars, self._codas)
        self._finish_measures()
        self._finish_ties()

    def _part(self, part: music21.stream.Part) -> None:
        # From which offset on it sounds how many semitones above what is written.
        moves = [] if part.atSoundingPitch else part.getElementsByClass("Instrument")
        moves = [
            (part.elementOffset(found), found.transposition.semitones)
            for found in moves
            if found.transposition is not None
        ]
        levels, notes, keys = Levels(), [], []
        for index, measure in enumerate(
            part.getElementsByClass(music21.stream.Measure)
        ):
            begin = part.elementOffset(measure)
            semitones = next((m for o, m in reversed(moves) if o <= begin), 0)
            streams = (measure, *measure.voices)
            events = [(float(s.elementOffset(e)), e) for s in streams for e in s]
            for offset, element in events:
                if isinstance(element, music21.key.KeySignature):
                    keys.append(
                        (index, (offset, playing.KEY, _key_of(element, semitones)))
                    )
                elif isinstance(element, music21.dynamics.Dynamic):
                    self._dynamic(element.value, index, offset, levels)
                else:
                    self._mark(element, index, offset, semitones)
            found = self._notes(events, index, semitones)
            self._score.measure(index).notes += found
            notes += [(index, note) for note in found]
        levels.apply(notes)
        if not all(note.is_drum for _, note in notes):
            for index, mark in keys:  # drums have none, whatever is written
                self._score.measures[index].marks.append(mark)

    # --- notes ---

    def _notes(self, events, index: int, semitones: int) -> list[Note]:
        marks = self._score.measure(index).marks
        events = [(o, e) for o, e in events if isinstance(e, music21.note.GeneralNote)]
        extent, found = 0.0, []
        for start, element in events:
            extent = max(extent, start + float(element.quarterLength))
            if any(
                isinstance(e, music21.expressions.Fermata) for e in element.expressions
            ):
                marks.append((start, playing.PAUSE, playing.FERMATA))
            if isinstance(element, music21.chord.ChordBase):
                found += [
                    self._note(n, element, start, semitones) for n in element.notes
                ]
            elif not element.isRest:
                found.append(self._note(element, element, start, semitones))
        if len(events) == 1 and not found:
            # Programs write a whole rest in whatever metre.
            self._rests[index] = max(self._rests[index], extent)
        else:
            self._extents[index].append((extent, bool(found)))
        return [note for note in found if note is not None]

    def _note(self, single, event, start: float, semitones: int) -> Note | None:
        """A note, or nothing if it cannot be played."""
        staff, voice, program, kind = event.activeSite.id.split()
        if isinstance(single, music21.note.Unpitched):
            pitch = single.displayOctave
        else:
            pitch = round(single.pitch.ps) + semitones * (kind != "drum")
        if kind == "cue":
            self._score.left_out["cue notes"] += 1
            return None
        if not 0 <= pitch <= 127:
            is_counted = pitch == NO_PITCH
            self._score.left_out["notes outside of MIDI's range"] += not is_counted
            return None
        velocity = 0
        if single.hasVolumeInformation():
            velocity = round(single.volume.velocityScalar * 127)
        tie = single.tie.type if single.tie is not None else ""
        return Note(
            part=len(self._score.part_names),
            staff=int(staff),
            voice=int(voice),
            start=start,
            end=start + float(single.quarterLength),
            pitch=pitch,
            velocity=velocity,
            program=int(program),
            is_drum=kind == "drum",
            tied_from=tie in ("stop", "continue"),
            tied_on=tie in ("start", "continue"),
        )

    # --- marks ---

    def _mark(self, element, index: int, offset: float, semitones: int) -> None:
        marks = self._score.measure(index).marks
        if isinstance(element, music21.tempo.MetronomeMark):
            marks.append((offset, playing.TEMPO, float(element.getQuarterBPM())))
        elif isinstance(element, music21.meter.TimeSignature):
            marks.append(
                (offset, playing.METRE, (element.numerator, element.denominator))
            )
        elif isinstance(element, music21.repeat.RepeatExpression):
            self._words(element.getText(), index)
        elif isinstance(element, music21.expressions.TextExpression):
            text = element.content.removeprefix(CHORD_MARK)
            if text == element.content:
                self._words(text, index)
                return
            try:
                marks.append(
                    (offset, playing.CHORD, playing.sounding_chord(text, semitones))
                )
            except chord_symbols_lib.ChordSymbolError:
                self._score.left_out["chord symbols"] += 1

    def _dynamic(self, value: str, index: int, start: float, levels: Levels) -> None:
        name, staff, percent = value.split("-")
        # A percentage of MusicXML's forte, which is 90.
        told = min(max(round(float(percent) * 0.9), 1), 127) if percent else 0
        if name in _LOUD_THEN_SOFT:
            loud, soft = _LOUD_THEN_SOFT[name]
            levels.add_accent(index, start, playing.VELOCITIES[loud])
            levels.add(index, start, playing.VELOCITIES[soft], int(staff))
        elif name in _ACCENTS:
            levels.add_accent(index, start, told or _ACCENTS[name])
        elif told or name in playing.VELOCITIES:
            levels.add(index, start, told or playing.VELOCITIES[name], int(staff))
        else:
            self._score.left_out["dynamics of other names"] += 1

    # --- the order of measures ---

    def _words(self, text: str, index: int) -> None:
        name = read_words(text)
        if name == "coda":
            self._codas.append(index)
        elif name:
            self._score.measure(index).bar.add(name)

    def _finish_measures(self) -> None:
        """Sets the lengths of measures, and gives late marks to the next ones.

        A measure is as long as the music of any part. But where the notes of one part
        fill the metre, what is too long is a mistake.
        """
        measures, metre = self._score.measures, None
        for i, measure in enumerate(measures):
            metres = playing.lasting_marks(measure, playing.METRE)
            metre = metres[0][1] if metres and not metres[0][0] else metre
            full = playing.bar_quarters(metre) if metre else 0.0
            extents = self._extents[i]
            measure.length = max((extent for extent, _ in extents), default=0.0)
            fits = [abs(e - full) < _ROUNDING for e, has_notes in extents if has_notes]
            if not measure.length:
                measure.length = min(self._rests[i], full or self._rests[i])
            elif abs(measure.length - full) < _ROUNDING or (full and any(fits)):
                measure.length = full
            metre = metres[-1][1] if metres else metre
            late = [mark for mark in measure.marks if mark[0] >= measure.length]
            if late and i + 1 < len(measures):
                measure.marks = [m for m in measure.marks if m[0] < measure.length]
                moved = [(o - measure.length, *mark) for o, *mark in late]
                # What stands in the measure itself comes later and counts.
                measures[i + 1].marks = [*moved, *measures[i + 1].marks]
        while measures and not measures[-1].length:
            measures.pop()

    def _finish_ties(self) -> None:
        """Ties to the next note of a voice and pitch, if nothing says where to."""
        waiting: dict[tuple, float] = {}
        begin = 0.0
        for measure in self._score.measures:
            for note in sorted(measure.notes, key=lambda note: note.start):
                place = note.part, note.voice, note.pitch
                if abs(waiting.pop(place, -1.0) - begin - note.start) < _ROUNDING:
                    note.tied_from = True
                if note.tied_on:
                    waiting[place] = begin + note.end
            begin += measure.length


def _key_of(signature: music21.key.KeySignature, semitones: int) -> tuple[int, int]:
    """Pitch class of the tonic and mode, as they sound."""
    if not isinstance(signature, music21.key.Key):
        signature = signature.asKey("major")
    mode = {"ionian": "MAJOR", "aeolian": "MINOR"}.get(signature.mode)
    mode = NoteSequence.KeySignature.Mode.Value(mode or signature.mode.upper())
    return (signature.tonic.pitchClass + semitones) % 12, mode
