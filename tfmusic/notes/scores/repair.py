"""MusicXML as music21 can read it.

music21 refuses a whole score over one element that it cannot use, and has no place for
some of what sounds. Elements that it cannot use are left out and counted; where it
loses something, that is written in a form that it keeps: `repair` names them all.
"""

import re
from collections.abc import Iterator
from xml.etree.ElementTree import Element, SubElement

from music21 import instrument
from music21.exceptions21 import Music21Exception
from note_seq import musicxml_parser

from tfmusic.notes.scores.playing import Score
from tfmusic.notes.scores.repeats import read_passes

CHORD_MARK = "chord symbol: "
NO_PITCH = 999  # of what sounds without one, and is left out

# What sounds, and what tells when. Without the rest music21 is three times as fast, and
# cannot fail over a colour.
_KEPT = re.compile(
    "alter|attributes|backup|barline|beat-type|beat-unit|beat-unit-dot|beats|chord|"
    "chromatic|coda|cue|direction|direction-type|divisions|duration|dynamics|ending|"
    "fermata|fifths|forward|grace|harmony|instrument|key|metronome|midi-instrument|mode|notations|note|"
    "octave|octave-change|offset|per-minute|pitch|repeat|rest|segno|senza-misura|sound|"
    "staff|step|tie|tied|time|transpose|unpitched|voice|words"
)
_KEPT_WHOLE = ("dynamics", "harmony", "midi-instrument")
_KEPT_ATTRIBUTES = re.compile(
    "coda|dacapo|dalsegno|direction|dynamics|fine|id|implicit|location|number|segno|"
    "tempo|times|tocoda|type"
)
_COUNTED = {
    "arpeggiate": "arpeggios",
    "glissando": "glissandos",
    "measure-repeat": "signs that repeat a measure",
    "ornaments": "ornaments",
    "pedal": "pedal marks",
    "slide": "glissandos",
    "wedge": "hairpins",
}
_ENDS = ("stop", "continue", "change")
# What the texts of elements look like; numbers are of ordinary length, since music21
# counts up to some of them.
_NUMBER = r"[+-]?\d{1,12}(\.\d{0,12})?"
_POSITIVE = r"(?=.*[1-9])\d{1,12}(\.\d{0,12})?"
_WHOLE = r"[+-]?\d{1,3}"
_FORMS = {
    "alter": r"[+-]?[0-4](\.\d{0,12})?",
    "beat-type": r"(1|2|4|8|16|32|64|128)",
    "beat-unit": r"(maxima|long|breve|whole|half|quarter|eighth|16th|32nd|64th|128th)",
    "beats": r"(?=.*[1-9])\d{1,2}( *\+ *\d{1,2}){0,9}",
    "chromatic": _WHOLE,
    "divisions": _POSITIVE,
    "duration": r"\d{1,12}(\.\d{0,12})?",
    "fifths": r"[+-]?\d",
    "octave": _WHOLE,
    "octave-change": _WHOLE,
    "offset": _NUMBER,
    "staff": r"[1-9]\d?",
    "step": "[A-G]",
}
_FORMS = {tag: re.compile(form) for tag, form in _FORMS.items()}
_DRUM_CHANNEL = 9
# music21 reads jumps from words and signs; <sound> tells the same.
_JUMPS = {
    "coda": "Coda",
    "dacapo": "D.C.",
    "dalsegno": "D.S.",
    "fine": "Fine",
    "segno": "Segno",
    "tocoda": "To Coda",
}


def repair(root: Element, score: Score) -> Element:
    """Writes what sounds of a score so that music21 reads all of it.

    Args:
        root: A score-partwise element; is changed.
        score: Where repeats are added, and what cannot be used is counted.

    Returns:
        A score-partwise element, in which

        *   the `<voice>` of a note is `staff voice program kind`: music21 copies all
            marks into every staff, and knows one instrument in a part; kind is `pitch`,
            `drum` or `cue`;
        *   the `<display-octave>` of a hit is its pitch in MIDI or `NO_PITCH`;
        *   the names of dynamics are `sign-staff-percent`; staff 0 are all;
        *   chord symbols are `<words>` that begin with `CHORD_MARK`;
        *   `<forward>`, which music21 does not count into the measure, is a rest;
        *   what `<sound>` tells of tempos and jumps stands for what is written.
    """
    for element in root.iter():
        if element.tag in _COUNTED and element.get("type") not in _ENDS:
            score.left_out[_COUNTED[element.tag]] += 1
    heads = {head.get("id"): head for head in root.iterfind("part-list/score-part")}
    new = Element("score-partwise")
    new_heads = SubElement(new, "part-list")
    for number, part in enumerate(root.iterfind("part")):
        head = heads.get(part.get("id"), Element("score-part"))
        new_head = SubElement(new_heads, "score-part", id=f"P{number}")
        _add(new_head, "part-name", " ".join(head.findtext("part-name", "").split()))
        repairer = _PartRepairer(head, score)
        new_part = SubElement(new, "part", id=f"P{number}")
        for measure in part.iterfind("measure"):
            new_measure = SubElement(new_part, "measure", number="1")
            # music21 forgets the voice where a measure has only one.
            _add(SubElement(new_measure, "forward"), "voice", "0")
            if len(new_part) == 1:
                _add(SubElement(new_measure, "attributes"), "divisions", "1")
            new_measure.extend(list(repairer.repair(measure)))
    return new


def _add(parent: Element, tag: str, text: str = "") -> Element:
    element = SubElement(parent, tag)
    element.text = text
    return element


class _PartRepairer:
    """Repairs the measures of a part."""

    def __init__(self, head: Element, score: Score):
        self._score = score
        self._left_out = score.left_out
        self._names = {
            element.get("id"): " ".join(element.findtext("instrument-name", "").split())
            for element in head.iterfind("score-instrument")
        }
        # Numbers by instrument and tag, as MIDI counts.
        self._midi: dict[str | None, dict[str, int]] = {}
        for element in head.iterfind("midi-instrument"):
            self._set_midi(element)
        self._index = -1  # of the measure
        self._ending: frozenset[int] = frozenset()
        self._ending_stops = False
        self._repairs = {
            "attributes": self._attributes,
            "barline": self._barline,
            "direction": self._direction,
            "harmony": self._harmony,
            "note": self._note,
            "sound": self._direction,
        }

    def _set_midi(self, element: Element) -> None:
        numbers = self._midi.setdefault(element.get("id"), {})
        for child in element:
            if re.fullmatch(r"\d{1,3}", child.text or ""):
                numbers[child.tag] = min(max(int(child.text) - 1, 0), 127)

    def repair(self, measure: Element) -> Iterator[Element]:
        """What sounds of a measure."""
        self._level_chords(measure)
        self._prune(measure)
        self._index += 1
        self._ending_stops = False
        for element in measure:
            if element.tag == "note" and element.find("grace") is not None:
                self._left_out["grace notes"] += 1
            elif element.tag == "attributes" or self._is_readable(element):
                if element.tag == "forward" and measure.get("implicit") != "yes":
                    # Not in an upbeat, which Finale fills up to the metre.
                    element.tag = "note"
                    SubElement(element, "rest")
                if element.tag in self._repairs:
                    element = self._repairs[element.tag](element)
                if element is not None:
                    yield element
        if self._ending:
            self._score.measure(self._index).bar.ending = self._ending
        if self._ending_stops:
            self._ending = frozenset()

    def _level_chords(self, measure: Element) -> None:
        """Makes notes that look alike equally long; programs err in the number."""
        head = looks = None
        for note in measure.iterfind("note"):
            found = note.findtext("type"), len(note.findall("dot"))
            if note.find("chord") is None:
                head, looks = note.find("duration"), found
            elif found == looks and found[0] and head is not None:
                for duration in note.iterfind("duration"):
                    duration.text = head.text

    def _prune(self, element: Element) -> None:
        """Takes away what music21 has no use for."""
        kept = []
        for child in element:
            if _KEPT.fullmatch(child.tag):
                kept.append(child)
                if child.tag not in _KEPT_WHOLE:
                    self._prune(child)
        element[:] = kept
        for name in list(element.attrib):
            if not _KEPT_ATTRIBUTES.fullmatch(name):
                del element.attrib[name]

    def _is_readable(self, element: Element) -> bool:
        """Whether all numbers and words in an element are; else it is counted."""
        bad = set()
        for child in element.iter():
            if child.tag in _FORMS:
                # Whole numbers may be written as decimals.
                child.text = re.sub(r"\.0*$", "", (child.text or "").strip())
                if not _FORMS[child.tag].fullmatch(child.text):
                    bad.add(child.tag)
        if bad:
            self._left_out[f"unreadable <{element.tag}>"] += 1
        if bad and bad <= {"step", "alter", "octave"} and element.tag == "note":
            for child in element.findall("pitch"):
                element.remove(child)  # but it takes its time
            return True
        return not bad

    def _note(self, note: Element) -> Element:
        name = next(iter([*self._names, *self._midi]), "")
        for element in note.findall("instrument"):
            name = element.get("id") if element.get("id") in self._names else name
            note.remove(element)
        midi = self._midi.get(name, {})
        has_pitch = note.find("pitch") is not None
        hits = note.findall("unpitched")
        kind = "pitch"
        if hits or midi.get("midi-channel") == _DRUM_CHANNEL:
            kind = "drum"
            if has_pitch and "midi-unpitched" in midi:
                note.remove(note.find("pitch"))
                has_pitch = False
        if not has_pitch and note.find("rest") is None:
            for hit in hits:
                note.remove(hit)
            hit = SubElement(note, "unpitched")
            _add(hit, "display-step", "C")
            _add(
                hit,
                "display-octave",
                str(self._drum(name) if kind == "drum" else NO_PITCH),
            )
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
        if not re.fullmatch(_POSITIVE, note.get("dynamics", "1")):
            del note.attrib["dynamics"]
        voice = note.find("voice")
        if voice is None:
            voice = SubElement(note, "voice")
        number = (re.findall(r"\d{1,3}", voice.text or "") or ["1"])[0]
        staff = note.findtext("staff", "1")
        voice.text = f"{staff} {number} {midi.get('midi-program', 0)} {kind}"
        return note

    def _drum(self, name: str) -> int:
        """The number of a drum: the file's, or by its name."""
        pitch = self._midi.get(name, {}).get("midi-unpitched")
        if pitch is None and self._names.get(name):
            try:
                found = instrument.fromString(self._names[name])
                pitch = getattr(found, "percMapPitch", None)
            except Music21Exception:
                pass
        if pitch is None:
            self._left_out["drum hits without a MIDI number"] += 1
            return NO_PITCH
        return pitch

    # --- marks ---

    def _attributes(self, attributes: Element) -> Element:
        first = {}
        for element in attributes:
            # Keys and metres may differ by staff; the uppermost is the one that counts.
            if element.tag not in first and self._is_readable(element):
                first[element.tag] = element
        if (time := first.get("time")) is not None:
            counts = {len(time.findall(tag)) for tag in ("beats", "beat-type")}
            if 0 in counts or len(counts) > 1:  # as in music without a metre
                del first["time"]
        attributes[:] = first.values()
        for transpose in attributes.iterfind("transpose"):
            semitones = int(transpose.findtext("chromatic", "0"))
            semitones += 12 * int(transpose.findtext("octave-change", "0"))
            transpose.clear()
            _add(transpose, "chromatic", str(semitones))
        return attributes

    def _barline(self, barline: Element) -> None:
        """Reads repeats and brackets, of which music21 mistakes some."""
        location = barline.get("location", "right")
        bar = self._score.measure(self._index).bar
        for ending in barline.iterfind("ending"):
            if ending.get("type") != "start":
                self._ending_stops = True
            else:
                passes = read_passes(ending.get("number") or ending.text or "")
                self._ending, self._ending_stops = passes, False
                bar.begins_ending = bool(passes)
        for repeat in barline.iterfind("repeat"):
            times = repeat.get("times", "2")
            if location == "middle":
                self._left_out["repeats within a measure"] += 1
            elif repeat.get("direction") == "forward":
                following = self._index + (location == "right")
                begun = self._score.measure(following).bar
                begun.forward = True
                if location != "right" and not begun.begins_ending:
                    self._ending = frozenset()  # a bracket that nothing has ended
            else:
                self._ending_stops = True
                before = self._score.measure(self._index - (location == "left"))
                number = int(times) if re.fullmatch(r"\d{1,12}", times) else 2
                before.bar.backward = max(number, 2)

    def _harmony(self, harmony: Element) -> Element | None:
        """Turns a chord symbol into words, which are simpler to read and to move."""
        offsets = harmony.findall("offset")
        for offset in offsets:
            harmony.remove(offset)
        try:
            state = musicxml_parser.MusicXMLParserState()
            text = musicxml_parser.ChordSymbol(harmony, state).get_figure_string()
        except (musicxml_parser.MusicXMLParseError, TypeError):
            self._left_out["chord symbols"] += 1
            return None
        new = Element("direction")
        _add(SubElement(new, "direction-type"), "words", CHORD_MARK + text)
        new.extend(offsets)
        return new

    def _direction(self, old: Element) -> Element:
        said = dict(old.attrib) if old.tag == "sound" else {}
        for sound in old.iterfind("sound"):
            said.update(sound.attrib)
        for element in old.iter("midi-instrument"):
            self._set_midi(element)
        for name in ("tempo", "dynamics"):
            if not re.fullmatch(_POSITIVE, said.get(name, "1").strip()):
                # Some programs write -1 where they set no loudness.
                self._left_out["unreadable <sound>"] += name == "tempo"
                del said[name]
        new = Element("direction")
        kept = SubElement(new, "direction-type")
        for name, words in _JUMPS.items():
            if said.get(name, "no") != "no":
                _add(kept, "words", words)
        is_told = len(kept) > 0
        for mark in old.iterfind("direction-type/*"):
            if mark.tag == "metronome" and "tempo" not in said:
                text = mark.findtext("per-minute", "")
                number = re.search(r"[1-9]\d{0,5}(\.\d{1,6})?", text)
                if number is not None and len(mark.findall("beat-unit")) == 1:
                    mark.find("per-minute").text = number[0]
                    kept.append(mark)
                else:
                    self._left_out["metronome marks without a number"] += 1
            elif mark.tag in ("segno", "coda", "words") and not is_told:
                kept.append(mark)
        signs = [
            s.text if s.tag == "other-dynamics" else s.tag
            for s in old.iterfind("direction-type/dynamics/*")
        ]
        percent = said.get("dynamics", "")
        for sign in signs or (["n"] if percent else []):
            name = re.sub("[^a-z]", "", sign or "") or "n"
            staff = old.findtext("staff", "0")
            dynamics = SubElement(kept, "dynamics")
            SubElement(dynamics, f"{name}-{staff}-{percent.strip()}")
        if "tempo" in said:
            SubElement(new, "sound", tempo=said["tempo"])
        new.extend(old.findall("offset"))
        return new
