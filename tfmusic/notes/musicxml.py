"""MusicXML as music21 can read it: the score in a file, repaired.

music21 refuses a whole score over one element that it cannot use, and has no place for
some of what sounds. Elements that it cannot use are left out and counted; where it
loses something, that is written in a form that it keeps. `prepare` names them all.
"""

import collections
import io
import re
import zipfile
import zlib
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from music21 import instrument
from music21.exceptions21 import Music21Exception
from note_seq import musicxml_parser

from tfmusic.notes.midi import Limits, ReadError, check_limit

CHORD_MARK = "chord symbol: "

# What a damaged archive or file shows as.
_ARCHIVE_FAULTS = (
    EOFError,
    LookupError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    ElementTree.ParseError,
    zipfile.BadZipFile,
    zlib.error,
)
_CONTAINER = "META-INF/container.xml"
_MEDIA_TYPE = "application/vnd.recordare.musicxml"
# What sounds, and what tells when. Without the rest music21 is three times as fast, and
# cannot fail over a colour.
_KEPT = frozenset(
    """
    alter attributes backup barline beat-type beat-unit beat-unit-dot beats chord
    chromatic coda cue direction direction-type display-octave display-step divisions
    duration dynamics ending fermata fifths forward grace harmony instrument key
    metronome mode notations note octave octave-change offset per-minute pitch repeat
    rest segno senza-misura sound staff step tie tied time transpose unpitched voice
    words
    """.split()
)
_KEPT_WHOLE = ("dynamics", "harmony")
_ENDS = ("stop", "continue", "change")
_DRUM_CHANNEL = 9
_NO_PITCH = 999  # of a drum that has no number in MIDI
_KEPT_ATTRIBUTES = frozenset(
    """
    coda dacapo dalsegno direction dynamics fine id implicit location measure number
    segno tempo times tocoda type
    """.split()
)
_COUNTED = {
    "arpeggiate": "arpeggios",
    "glissando": "glissandos",
    "ornaments": "ornaments",
    "pedal": "pedal marks",
    "slide": "glissandos",
    "wedge": "hairpins",
}
# What the texts of elements look like; numbers are of ordinary length, since music21
# counts up to some of them.
_NUMBER = r"[+-]?\d{1,12}(\.\d{0,12})?"
_POSITIVE = rf"(?=.*[1-9])\+?\d{{1,12}}(\.\d{{0,12}})?"
_WHOLE = r"[+-]?\d{1,3}"
_FORMS = {
    "alter": r"[+-]?[0-4](\.\d{0,12})?",
    "beat-type": r"(1|2|4|8|16|32|64|128)",
    "beat-unit": r"(maxima|long|breve|whole|half|quarter|eighth|16th|32nd|64th|128th)",
    "beats": r"(?=.*[1-9])\d{1,2}( *\+ *\d{1,2}){0,9}",
    "chromatic": _WHOLE,
    "divisions": _POSITIVE,
    "duration": _POSITIVE,
    "fifths": r"[+-]?\d",
    "octave": _WHOLE,
    "octave-change": _WHOLE,
    "offset": _NUMBER,
    "staff": r"[1-9]\d?",
    "step": "[A-G]",
}
_FORMS = {tag: re.compile(form) for tag, form in _FORMS.items()}
# music21 reads jumps from words and signs; <sound> tells the same.
_JUMPS = {
    "coda": "Coda",
    "dacapo": "D.C.",
    "dalsegno": "D.S.",
    "fine": "Fine",
    "segno": "Segno",
    "tocoda": "To Coda",
}


def open_score(data: bytes, limits: Limits) -> Element:
    """The score-partwise element of a MusicXML file, plain or compressed (.mxl).

    Raises:
        ReadError: `bad_musicxml`, `too_large`, `too_many_notes`.
    """
    try:
        if data[:2] == b"PK":
            data = _unpack(data, limits)
        if b"<!ENTITY" in data.replace(b"\0", b""):  # also in UTF-16
            raise ReadError("bad_musicxml", "expected music, found entities")
        root = ElementTree.fromstring(data.lstrip(b" \t\r\n"))
    except ReadError:
        raise
    except _ARCHIVE_FAULTS as error:
        raise ReadError("bad_musicxml", one_line(error)) from error
    for element in root.iter():
        element.tag = str(element.tag).rpartition("}")[2]
    check_limit("notes", sum(1 for _ in root.iter("note")), limits)
    if root.tag == "score-timewise":
        _to_partwise(root)
    elif root.tag != "score-partwise":
        raise ReadError("bad_musicxml", f"expected a score, found <{root.tag}>")
    return root


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


def one_line(error: Exception) -> str:
    """What a parser complained of."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def prepare(root: Element, left_out: collections.Counter) -> str:
    """Writes what sounds of a score so that music21 reads all of it.

    Args:
        root: A score-partwise element; is changed.
        left_out: To count in what cannot be used.

    Returns:
        MusicXML, in which

        *   the `<voice>` of a note is `staff voice program kind`: music21 copies all
            marks into every staff, and knows one instrument in a part; kind is `pitch`,
            `drum` or `cue`;
        *   the `<display-octave>` of a drum is its pitch in MIDI;
        *   the names of dynamics end with the number of their staff, 0 for all;
        *   chord symbols are `<words>` that begin with `CHORD_MARK`;
        *   `<forward>`, which music21 passes over, is a rest;
        *   what `<sound>` tells of tempos and jumps stands for what is written.
    """
    heads = {head.get("id"): head for head in root.iterfind("part-list/score-part")}
    new = Element("score-partwise")
    new_heads = SubElement(new, "part-list")
    for number, part in enumerate(root.iterfind("part")):
        head = heads.get(part.get("id"), Element("score-part"))
        new_head = SubElement(new_heads, "score-part", id=f"P{number}")
        _add(new_head, "part-name", " ".join(head.findtext("part-name", "").split()))
        repairer = _PartRepairer(head, left_out)
        new_part = SubElement(new, "part", id=f"P{number}")
        for measure in part.iterfind("measure"):
            new_measure = SubElement(new_part, "measure", number="1")
            # music21 forgets the voice where a measure has only one.
            _add(SubElement(new_measure, "forward"), "voice", "0")
            if len(new_part) == 1:
                _add(SubElement(new_measure, "attributes"), "divisions", "1")
            new_measure.extend(repairer.repair(measure))
    return ElementTree.tostring(new, encoding="unicode")


def _add(parent: Element, tag: str, text: str = "", **attributes: str) -> Element:
    element = SubElement(parent, tag, attributes)
    element.text = text
    return element


class _PartRepairer:
    """Repairs the measures of a part."""

    def __init__(self, head: Element, left_out: collections.Counter):
        self._left_out = left_out
        self._names = {
            element.get("id"): " ".join(element.findtext("instrument-name", "").split())
            for element in head.iterfind("score-instrument")
        }
        self._midi = {  # numbers by instrument and tag, as MIDI counts
            element.get("id"): {
                child.tag: min(max(int(child.text) - 1, 0), 127)
                for child in element
                if re.fullmatch(r"\d{1,3}", child.text or "")
            }
            for element in head.iterfind("midi-instrument")
        }

    def repair(self, measure: Element) -> list[Element]:
        """What sounds of a measure."""
        self._prune(measure)
        repaired = []
        for element in measure:
            if element.tag == "attributes":
                element[:] = [e for e in element if self._is_readable(e)]
                self._repair_attributes(element)
            elif element.tag == "note" and element.find("grace") is not None:
                self._left_out["grace notes"] += 1
                continue
            elif not self._is_readable(element):
                continue
            elif element.tag == "note":
                self._repair_note(element)
            elif element.tag == "forward" and measure.get("implicit") != "yes":
                # Not in an upbeat, which Finale fills up to the metre.
                element.tag = "note"
                element[:] = [Element("rest"), *element.iterfind("duration")]
                _add(element, "voice", "0")
            elif element.tag == "harmony":
                if not self._repair_harmony(element):
                    continue
            elif element.tag in ("direction", "sound"):
                element = self._repair_direction(element)
            elif element.tag == "barline" and element.get("location") == "middle":
                self._left_out["repeats within a measure"] += bool(len(element))
                continue
            repaired.append(element)
        return repaired

    def _prune(self, element: Element) -> None:
        """Takes away, and counts where it sounds, what music21 has no use for."""
        kept = []
        for child in element:
            if child.tag in _KEPT:
                kept.append(child)
                if child.tag not in _KEPT_WHOLE:
                    self._prune(child)
            elif child.tag in _COUNTED and child.get("type", "start") not in _ENDS:
                self._left_out[_COUNTED[child.tag]] += 1
        element[:] = kept
        for name in element.attrib.keys() - _KEPT_ATTRIBUTES:
            del element.attrib[name]

    def _is_readable(self, element: Element) -> bool:
        """Whether all numbers and words in an element are; else it is counted."""
        for child in element.iter():
            if child.tag in _FORMS:
                # Whole numbers may be written as decimals.
                child.text = re.sub(r"\.0*$", "", (child.text or "").strip())
                if not _FORMS[child.tag].fullmatch(child.text):
                    self._left_out[f"unreadable <{element.tag}>"] += 1
                    return False
        return True

    def _repair_note(self, note: Element) -> None:
        name = next(iter([*self._names, *self._midi]), "")
        for element in note.findall("instrument"):
            name = element.get("id") if element.get("id") in self._names else name
            note.remove(element)
        midi = self._midi.get(name, {})
        pitch, hit = note.find("pitch"), note.find("unpitched")
        kind = "pitch"
        if hit is not None or midi.get("midi-channel") == _DRUM_CHANNEL:
            kind = "drum"
            if hit is None and pitch is not None and "midi-unpitched" in midi:
                pitch.tag, hit = "unpitched", pitch
            if hit is not None:
                hit.clear()
                _add(hit, "display-step", "C")
                _add(hit, "display-octave", str(self._drum(name)))
        for alter in note.iterfind("pitch/alter"):
            if "." in alter.text:
                self._left_out["quarter tones"] += 1
                alter.text = str(round(float(alter.text)))
        for cue in note.findall("cue"):
            kind = "cue"
            note.remove(cue)
        if note.find("tie") is None:
            for tied in note.findall("notations/tied"):
                SubElement(note, "tie", type=tied.get("type", ""))
        voice = note.find("voice")
        if voice is None:
            voice = SubElement(note, "voice")
        number = (re.findall(r"\d{1,3}", voice.text or "") or ["1"])[0]
        staff = note.findtext("staff", "1")
        voice.text = f"{staff} {number} {midi.get('midi-program', 0)} {kind}"

    def _drum(self, name: str) -> int:
        """The number of a drum: the file's, or by its name."""
        pitch = self._midi.get(name, {}).get("midi-unpitched")
        if pitch is None and self._names.get(name):
            try:
                found = instrument.fromString(self._names[name])
                pitch = getattr(found, "percMapPitch", None)
            except Music21Exception:
                pass
        return _NO_PITCH if pitch is None else pitch

    def _repair_attributes(self, attributes: Element) -> None:
        first = {}
        for element in attributes:
            # Keys and metres may differ by staff; the uppermost is the one that counts.
            first.setdefault(element.tag, element)
        if "time" in first and first["time"].find("senza-misura") is not None:
            del first["time"]
        attributes[:] = first.values()
        for transpose in attributes.iterfind("transpose"):
            semitones = int(transpose.findtext("chromatic", "0"))
            semitones += 12 * int(transpose.findtext("octave-change", "0"))
            transpose.clear()
            _add(transpose, "chromatic", str(semitones))

    def _repair_harmony(self, harmony: Element) -> bool:
        """Turns a chord symbol into words, which are simpler to read and to move."""
        offset = harmony.findall("offset")
        for element in offset:
            harmony.remove(element)
        try:
            state = musicxml_parser.MusicXMLParserState()
            text = musicxml_parser.ChordSymbol(harmony, state).get_figure_string()
        except (musicxml_parser.MusicXMLParseError, TypeError):
            self._left_out["chord symbols"] += 1
            return False
        harmony.clear()
        harmony.tag = "direction"
        _add(SubElement(harmony, "direction-type"), "words", CHORD_MARK + text)
        harmony.extend(offset)
        return True

    def _repair_direction(self, old: Element) -> Element:
        said = dict(old.attrib) if old.tag == "sound" else {}
        for sound in old.iterfind("sound"):
            said.update(sound.attrib)
        level = said.get("dynamics", "")
        level = level if re.fullmatch(_POSITIVE, level) else ""
        jumps = [
            words for name, words in _JUMPS.items() if said.get(name, "no") != "no"
        ]
        marks = old.findall("direction-type/*")
        if level and not any(mark.tag == "dynamics" for mark in marks):
            marks.append(Element("dynamics"))
            SubElement(marks[-1], "n")
        new = Element("direction")
        kept = SubElement(new, "direction-type")
        for mark in marks:
            if mark.tag == "dynamics":
                for sign in mark:
                    name = sign.text if sign.tag == "other-dynamics" else sign.tag
                    name = re.sub("[^a-z]", "", name or "") or "n"
                    sign.tag = f"{name}-{old.findtext('staff', '0')}-{level}"
            elif mark.tag == "metronome":
                number = re.search(
                    r"\d{1,6}(\.\d{1,6})?", mark.findtext("per-minute", "")
                )
                if number is None or len(mark.findall("beat-unit")) != 1:
                    self._left_out["metronome marks without a number"] += 1
                    continue
                mark.find("per-minute").text = number[0]
                if "tempo" in said:
                    continue
            elif mark.tag in ("coda", "segno", "words") and jumps:
                continue
            kept.append(mark)
        for words in jumps:
            _add(kept, "words", words)
        if re.fullmatch(_POSITIVE, said.get("tempo", "")):
            SubElement(new, "sound", tempo=said["tempo"])
        new.extend(old.findall("offset"))
        return new
