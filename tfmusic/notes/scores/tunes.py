"""ABC tunes into written scores, by the standard 2.1.

No library reads them rightly. note-seq's reader refuses rests, chords, tuplets and
voices; music21's takes decorations for notes, divides measures that do not fit their
metre, and loses ties between chords; abc2midi, which symusic carries, plays ornaments,
swings hornpipes, puts tempos before the rests that they follow, and does not tell of
measures. note-seq's does know keys. Signs that are not known are counted.
"""

import copy
import dataclasses
import re
from fractions import Fraction

from note_seq import abc_parser, chord_symbols_lib

from tfmusic.notes.limits import ReadError
from tfmusic.notes.scores import playing
from tfmusic.notes.scores.playing import Levels, Note, Score
from tfmusic.notes.scores.repeats import (
    mark_codas,
    read_passes,
    read_sections,
    read_words,
)

_FIELD = re.compile(r"([A-Za-z+]):(?![|:])\s*(.*)")
_MIDI = re.compile(
    r"(?:%%|I:)\s*MIDI\s*=?\s*(program|channel|transpose)\s"
    r"(?:\s*\d+\s)?\s*([-+]?\d{1,3})\s*$"
)
_NOTE = re.compile(
    r"(?P<sharps>\^\^?|__?|=)?(?P<step>[A-Ga-g])(?P<octaves>[',]*)"
    r"(?P<length>\d{0,4}/{0,5}\d{0,4})(?P<tie>-?)"
)
_PASSES = r"\s*\[?(?P<{}>\d[\d,.\-]*)(?![\d/:])"
_TOKEN = re.compile(
    "|".join(
        [
            r"(?P<field>\[[A-Za-z]:[^\]]*\])",
            r'(?P<text>"[^"]*")',
            r"(?P<sign>![^!\s]+!|\+[^+\s]+\+)",
            r"(?P<grace>\{[^}]*\})",
            rf"(?P<bar>(?:\[?:*\|[|\]]*:*|::+|\[\s*\])(?:{_PASSES.format('passes')})?"
            rf"|\[(?=\d){_PASSES.format('more')})",
            r"(?P<tuplet>\(\d:?\d?:?\d?)",
            r"(?P<chord>\[[^\]|:]*\]\d{0,4}/{0,5}\d{0,4})",
            r"(?P<rest>[zxZX]\d{0,4}/{0,5}\d{0,4})",
            rf"(?P<note>{re.sub(r'[?]P<[a-z]+>', '?:', _NOTE.pattern)})",
            r"(?P<broken><+|>+)",
            r"(?P<tie>-)",
            r"(?P<overlay>&)",
            r"(?P<letter>[H-Wh-w~.])",
            r"(?P<space>[\s()`$\\*;!]|y\d*)",
            r"(?P<unknown>.)",
        ]
    )
)
_STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_ACCIDENTALS = {"^": 1, "^^": 2, "_": -1, "__": -2, "=": 0}
_LETTERS = {"H": "fermata", "O": "coda", "S": "segno"}
_SILENT_LETTERS = "~.LMPTuv"
_TUPLETS = {2: 3, 3: 2, 4: 3, 6: 2, 8: 3}  # of the others it depends on the metre


@dataclasses.dataclass
class _Voice:
    """A voice, and where one is in it; lengths in quarter notes."""

    number: int  # of the part that it is
    name: str = ""
    semitones: int = 0  # from what is written to what sounds
    program: int = 0
    is_drum: bool = False
    altered: dict[str, int] = dataclasses.field(default_factory=dict)  # by the key
    metre: tuple[int, int] | None = None
    unit: Fraction | None = None  # of a note without a number
    index: int = 0  # of the measure
    cursor: Fraction = Fraction(0)  # within it
    extent: Fraction = Fraction(0)  # of it
    layer: int = 0  # which of the overlaid voices
    ending: frozenset[int] = frozenset()  # passes of the bracket over it
    accidentals: dict[str, int] = dataclasses.field(default_factory=dict)
    tied: dict[tuple, int] = dataclasses.field(default_factory=dict)  # to pitches
    last: list[tuple[Note, tuple]] = dataclasses.field(default_factory=list)
    last_length: Fraction = Fraction(0)  # also if it is a rest
    factor: Fraction = Fraction(1)  # of the next length
    tuplet: tuple[Fraction, int] = (Fraction(1), 0)  # factor, for how many places
    signs: list[str] = dataclasses.field(default_factory=list)  # for the next place
    levels: Levels = dataclasses.field(default_factory=Levels)
    notes: list[tuple[int, Note]] = dataclasses.field(default_factory=list)


class Tune:
    """Reads a tune line by line.

    Attributes:
        number: Its reference number.
    """

    def __init__(self):
        self.number = 0
        self._score = Score()
        self._left_out = self._score.left_out
        self._voices: dict[str, _Voice] = {}
        self._voice = self._defaults = _Voice(0)
        self._in_header = True
        self._letters = dict(_LETTERS)
        self._codas: list[int] = []
        self._order = ""  # of sections, such as "ABA"
        self._sections: dict[str, int] = {}  # the measures that they begin with

    # --- lines and fields ---

    def read(self, line: str) -> None:
        """Reads a line."""
        if match := _MIDI.match(line):
            self._midi(match[1], int(match[2]))
            return
        line = re.sub(r"(?<!\\)%.*", "", line)
        if match := _FIELD.match(line):
            self._field(match[1], match[2].strip())
        elif line:
            self._begin_body()
            for match in _TOKEN.finditer(line):
                self._on(match.lastgroup, match[0])

    def _begin_body(self) -> None:
        if self._in_header:
            self._in_header = False
            for voice in self._voices.values():
                voice.altered = dict(self._defaults.altered)
                voice.metre, voice.unit = self._defaults.metre, self._defaults.unit
            self._voice = self._find_voice(next(iter(self._voices), ""))

    def _find_voice(self, name: str) -> _Voice:
        if list(self._voices) == [""] and not self._voices[""].notes:
            self._voices[name] = self._voices.pop("")  # nothing was in it yet
        if name not in self._voices:
            self._voices[name] = copy.deepcopy(self._defaults)
            self._voices[name].number = len(self._voices) - 1
        return self._voices[name]

    def _field(self, letter: str, text: str) -> None:
        if letter == "X":
            self.number = int((re.match(r"\d{1,9}", text) or ["0"])[0])
        elif letter == "T":
            self._score.title = self._score.title or text
        elif letter == "C":
            self._score.composers = [*self._score.composers, text]
        elif letter == "R" and text:
            self._score.genres = [*self._score.genres, text]
        elif letter == "U":
            name, _, sign = text.partition("=")
            self._letters[name.strip()] = sign.strip().strip("!+")
        elif letter == "L":
            if match := re.match(r"(\d{1,3})(?:\s*/\s*(\d{1,3}))?", text):
                self._voice.unit = Fraction(4 * int(match[1]), int(match[2] or 1) or 1)
        elif letter == "M":
            self._metre(text)
        elif letter == "Q":
            self._tempo(re.sub(r'"[^"]*"', "", text).strip())
        elif letter == "V":
            self._change_voice(text)
        elif letter == "K":
            self._key(text)
        elif letter == "I":
            self.read(f"%%{text}")
        elif letter == "P" and self._in_header:
            self._order = text
        elif letter == "P":
            self._sections.setdefault(text[:1], self._voice.index)

    def _mark(self, kind: str, value) -> None:
        measure = self._score.measure(self._voice.index)
        measure.marks.append((float(self._voice.cursor), kind, value))

    def _metre(self, text: str) -> None:
        text = {"C": "4/4", "C|": "2/2"}.get(text, text)
        metre = None
        if match := re.fullmatch(r"\(?([\d+ ]{1,9})\)?\s*/\s*(\d{1,3})", text):
            metre = sum(int(n or 0) for n in match[1].split("+")), int(match[2])
            metre = metre if 0 < metre[0] < 256 and 0 < metre[1] <= 256 else None
        if metre is not None:
            self._mark(playing.METRE, metre)
        elif text.lower() not in ("none", ""):
            self._left_out["time signatures"] += 1
            return
        self._voice.metre = metre

    def _tempo(self, text: str) -> None:
        beat, number = Fraction(0), ""
        if match := re.fullmatch(r"((?:\d+/\d+\s*)+)=\s*(\d+(?:\.\d+)?)", text):
            beats = re.findall(r"(\d{1,3})/(\d{1,3})", match[1])
            beat = sum(Fraction(4 * int(n), int(d) or 1) for n, d in beats)
            number = match[2]
        elif match := re.fullmatch(r"C(\d?)\s*=\s*(\d+)", text):
            beat, number = self._unit() * int(match[1] or 1), match[2]
        elif re.fullmatch(r"\d+", text):
            beat, number = Fraction(1), text  # as abc2midi has it: quarter notes
        elif text:
            self._left_out["tempos"] += 1
        if beat and float(number[:9]) > 0:
            self._mark(playing.TEMPO, float(beat) * float(number[:9]))

    def _key(self, text: str) -> None:
        self._parameters(text)
        text = "Amix" if text[:2] in ("HP", "Hp") else text  # the bagpipes' own
        text = re.sub(r"^([A-G][#b]?)M\b", r"\1maj", text)
        is_named = re.match("[A-G]", text) is not None
        if is_named or re.match(r"none|exp|[=_^]|$", text):
            try:
                altered, tonic, mode = abc_parser.ABCTune.parse_key(
                    text if is_named else "C exp" + text.removeprefix("none")
                )
            except (abc_parser.ABCParseError, KeyError):
                self._left_out["key signatures"] += 1
            else:
                self._voice.altered, self._voice.accidentals = altered, {}
                if is_named and "exp" not in text:
                    tonic = (tonic + self._voice.semitones) % 12
                    self._mark(playing.KEY, (tonic, mode))
        self._begin_body()

    def _change_voice(self, text: str) -> None:
        name, _, parameters = text.partition(" ")
        before, self._voice = self._voice, self._find_voice(name)
        if match := re.search(r'\b(?:name|nm)\s*=\s*"?([^"]*)"?', parameters):
            self._voice.name = match[1].strip()
        self._parameters(parameters)
        if self._in_header:
            self._voice = before

    def _parameters(self, text: str) -> None:
        """Reads what says that another octave or key sounds than is written."""
        text = re.sub(r'"[^"]*"', "", text)
        moves = [12 * int(sign + "1") for sign in re.findall(r"([+-])8\b", text)]
        moves += [12 * int(n) for n in re.findall(r"\boctave\s*=\s*([+-]?\d)\b", text)]
        moves += map(int, re.findall(r"\btranspose\s*=\s*([+-]?\d{1,2})\b", text))
        if moves or re.search(r"\bclef\s*=", text):
            self._voice.semitones = sum(moves)

    def _midi(self, name: str, number: int) -> None:
        for voice in [self._voice, *(self._voices.values() if self._in_header else ())]:
            if name == "program":
                voice.program = min(max(number, 0), 127)
            elif name == "channel":
                voice.is_drum = number == 10
            else:
                voice.semitones = number

    # --- music ---

    def _on(self, kind: str, text: str) -> None:
        voice = self._voice
        if kind == "note":
            note = self._pitch(_NOTE.match(text))
            self._place([note], note[2])
        elif kind == "bar":
            self._bar(*re.match(r"(\[(?=\d)|[^\d]*?)\s*\[?(\d.*)?$", text).groups())
        elif kind == "rest":
            self._rest(text[0], _read_length(text[1:]))
        elif kind == "chord":
            self._chord(text)
        elif kind == "tie":
            self._tie(voice.last)
        elif kind == "broken":
            self._broken(text)
        elif kind == "tuplet":
            self._begin_tuplet([int(n or 0) for n in text[1:].split(":")])
        elif kind == "text":
            self._annotation(text.strip('"').strip())
        elif kind == "field":
            self._field(text[1], text[3:-1].strip())
        elif kind == "sign":
            voice.signs.append(text.strip("!+").lower())
        elif kind == "letter" and text in self._letters:
            voice.signs.append(self._letters[text].lower())
        elif kind == "grace":
            self._left_out["grace notes"] += len(re.findall("[A-Ga-g]", text))
        elif kind == "overlay":
            voice.layer += 1
            voice.cursor, voice.last = Fraction(0), []
        elif kind == "unknown" or (kind == "letter" and text not in _SILENT_LETTERS):
            self._left_out["unknown signs"] += 1

    def _unit(self) -> Fraction:
        if self._voice.unit is None:
            metre = self._voice.metre
            short = metre is not None and playing.bar_quarters(metre) < 3
            self._voice.unit = Fraction(1, 4) if short else Fraction(1, 2)
        return self._voice.unit

    def _pitch(self, match: re.Match) -> tuple[int, tuple, Fraction, bool]:
        """Pitch, step and octave, length in units, whether it is tied on."""
        voice, step = self._voice, match["step"].upper()
        octave = 4 + match["step"].islower()
        octave += match["octaves"].count("'") - match["octaves"].count(",")
        if match["sharps"]:
            voice.accidentals[step] = _ACCIDENTALS[match["sharps"]]
        altered = voice.accidentals.get(step, voice.altered.get(step, 0))
        pitch = 12 * (octave + 1) + _STEPS[step] + altered + voice.semitones
        if not match["sharps"]:
            pitch = voice.tied.get((step, octave), pitch)
        return pitch, (step, octave), _read_length(match["length"]), bool(match["tie"])

    def _place(self, pitches: list[tuple], length: Fraction) -> None:
        """Places notes that begin together; `length` leads on to the next ones."""
        voice = self._voice
        self._use_signs(voice.index)
        factor = self._factor()
        tied, voice.tied = voice.tied, {}
        last, ties = [], []
        for pitch, name, own, is_tied in pitches:
            if not 0 <= pitch <= 127:
                self._left_out["notes outside of MIDI's range"] += 1
            if not 0 <= pitch <= 127 or not own:
                continue
            note = Note(
                part=voice.number,
                staff=1,
                voice=1 + voice.layer,
                start=float(voice.cursor),
                end=float(voice.cursor + factor * own),
                pitch=pitch,
                program=voice.program,
                is_drum=voice.is_drum,
                tied_from=tied.get(name) == pitch,
            )
            last.append((note, name))
            ties += [(note, name)] * is_tied
        voice.notes += [(voice.index, note) for note, _ in last]
        self._score.measure(voice.index).notes.extend(note for note, _ in last)
        self._advance(last, factor * length)
        self._tie(ties)

    def _factor(self) -> Fraction:
        """Quarter notes of a unit at this place, which it takes."""
        voice = self._voice
        factor, voice.factor = self._unit() * voice.factor, Fraction(1)
        by, places = voice.tuplet
        if places:
            factor *= by
            voice.tuplet = by, places - 1
        return factor

    def _advance(self, notes: list, length: Fraction) -> None:
        voice = self._voice
        voice.last, voice.last_length = notes, length
        voice.cursor += length
        voice.extent = max(voice.extent, voice.cursor)

    def _tie(self, notes: list) -> None:
        for note, name in notes:
            note.tied_on = True
            self._voice.tied[name] = note.pitch

    def _chord(self, text: str) -> None:
        inside, _, length = text[1:].partition("]")
        pitches = [self._pitch(match) for match in _NOTE.finditer(inside)]
        if pitches:
            length = _read_length(length)
            pitches = [(*p[:2], p[2] * length, p[3]) for p in pitches]
            self._place(pitches, pitches[0][2])

    def _rest(self, sign: str, length: Fraction) -> None:
        voice = self._voice
        voice.tied = {}
        if sign in "zx":
            self._use_signs(voice.index)
            self._advance([], length * self._factor())
            return
        full = playing.bar_quarters(voice.metre) if voice.metre else 4
        for i in range(min(int(length), 999)):
            if i:
                self._bar("|")
            self._advance([], Fraction(full))

    def _broken(self, text: str) -> None:
        voice = self._voice
        small = Fraction(1, 2 ** min(len(text), 8))
        first, second = (2 - small, small) if text[0] == ">" else (small, 2 - small)
        if voice.cursor:  # else there is no note before it
            for note, _ in voice.last:
                note.end = note.start + (note.end - note.start) * float(first)
            voice.cursor += voice.last_length * (first - 1)
            if not voice.layer:
                voice.extent = voice.cursor
        voice.factor = second

    def _begin_tuplet(self, numbers: list[int]) -> None:
        notes, time, places = [*numbers, 0, 0][:3]
        metre = self._voice.metre
        compound = metre is not None and metre[0] % 3 == 0 and metre[0] > 3
        time = time or _TUPLETS.get(notes, 3 if compound else 2)
        if notes:
            self._voice.tuplet = Fraction(time, notes), places or notes

    # --- signs and bars ---

    def _annotation(self, text: str) -> None:
        if read_words(words := text.lstrip("^_<>@")):
            self._voice.signs.append(words)
        elif text[:1] in tuple("ABCDEFG"):
            try:
                self._mark(
                    playing.CHORD, playing.sounding_chord(text, self._voice.semitones)
                )
            except chord_symbols_lib.ChordSymbolError:
                self._left_out["chord symbols"] += 1

    def _use_signs(self, index: int) -> None:
        """Does what the signs say that stand before a note or bar line."""
        voice = self._voice
        for sign in voice.signs:
            name = read_words(sign)
            if sign == "fermata":
                self._mark(playing.PAUSE, playing.FERMATA)
            elif sign in playing.VELOCITIES:
                velocity = playing.VELOCITIES[sign]
                voice.levels.add(index, float(voice.cursor), velocity)
            elif name == "coda":
                self._codas.append(index)
            elif name:
                self._score.measure(index).bar.add(name)
        voice.signs = []

    def _bar(self, text: str, passes: str | None = None) -> None:
        """Ends a measure, unless nothing has been in it yet."""
        voice, score = self._voice, self._score
        last = voice.index - (not voice.extent)
        if last >= 0:
            self._use_signs(last)
            if ends := _count_colons(text):
                score.measure(last).bar.backward = ends + 1
        if voice.extent:
            measure = score.measure(voice.index)
            measure.length = max(measure.length, float(voice.extent))
            measure.bar.ending = voice.ending or measure.bar.ending
            voice.index += 1
            voice.cursor = voice.extent = Fraction(0)
            voice.layer, voice.accidentals = 0, {}
        if text not in ("|", "[", "[]"):
            voice.ending = frozenset()
            score.measure(voice.index).bar.section = True
        if _count_colons(text[::-1]):
            score.measure(voice.index).bar.forward = True
        if passes:
            voice.ending = read_passes(passes)
            score.measure(voice.index).bar.begins_ending = bool(voice.ending)

    def finish(self) -> Score:
        """The tune.

        Raises:
            ReadError: `bad_abc`: most of it is not music.
        """
        score, voices = self._score, list(self._voices.items())
        for name, voice in voices:
            self._voice = voice
            self._bar("|")
            voice.levels.apply(voice.notes)
            many = len(voices) > 1
            score.part_names.append(voice.name or (many and name) or "")
        while score.measures and not score.measures[-1].length:
            score.measures.pop()
        num_notes = sum(len(voice.notes) for _, voice in voices)
        unknown = self._left_out["unknown signs"]
        if unknown > num_notes > 0:
            raise ReadError(
                "bad_abc",
                f"expected a tune, found {num_notes} notes among {unknown} unknown "
                "signs",
            )
        bars = [measure.bar for measure in score.measures]
        mark_codas(bars, self._codas)
        try:
            score.sections = read_sections(self._order, self._sections, len(bars))
        except ValueError:
            self._left_out["orders of sections"] += 1
        return score


def _read_length(text: str) -> Fraction:
    """The length that is written behind a note, in units."""
    times, slashes, parts = re.fullmatch(r"(\d*)(/*)(\d*)", text).groups()
    length = Fraction(int(times or 1))
    if slashes:
        length /= (int(parts) or 1) if parts else 2 ** len(slashes)
    return length


def _count_colons(text: str) -> int:
    """How many repeats a bar line ends; from behind, begins."""
    if text and not text.strip(":"):
        return len(text) // 2
    return len(re.match(r"\[?(:*)\|?", text)[1])
