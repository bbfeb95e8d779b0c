"""ABC tunebooks through abc2midi, the reference player, which symusic carries.

abc2midi tells when which notes sound. It gets each tune without repeats, ornaments and
chord names; instead of those, controllers tell where measures begin and marks stand, so
that `playing` does the rest as for other scores.
"""

import bisect
import collections
import dataclasses
import os
import pathlib
import re
import subprocess
import tempfile
from typing import Any

import symusic
from note_seq import abc_parser, chord_symbols_lib

from tfmusic.notes import NoteSequence
from tfmusic.notes.midi import Limits, ReadError
from tfmusic.notes.scores.playing import (
    CHORD,
    FERMATA,
    KEY,
    METRE,
    PAUSE,
    TEMPO,
    VELOCITIES,
    Levels,
    Note,
    Score,
    play,
    sounding_chord,
)
from tfmusic.notes.scores.repeats import mark_codas, read_passes, read_words

_SECONDS = 20  # for a tune, of which abc2midi plays thousands in that time
# Controllers without a meaning in MIDI.
_MARK, _OVERLAY = 20, 21
_MOST_VOICES = 100
_FIELD = re.compile(r"([A-Za-z+]):(?![|:])\s*(.*)")
# Fields that say what sounds. R: is not among them: abc2midi plays hornpipes dotted.
_PLAYED_FIELDS = "XMLQK"
_MIDI = re.compile(r"(?:%%|I:)\s*MIDI\s*=?\s*((program|channel|transpose)\b[-+\d\s]*)$")
_PASSES = r"\s*\[?(?P<{}>\d[\d,.\-]*)(?![\d/:])"
_TOKEN = re.compile(
    "|".join(
        [
            r"(?P<field>\[[A-Za-z]:[^\]]*\])",
            r'(?P<text>"[^"]*")',
            r"(?P<sign>![^!\s]+!|\+[^+\s]+\+)",
            r"(?P<grace>\{[^}]*\})",
            r"(?P<bar>\[?:*\|[|\]]*:*|::+|\[\s*\])(?:"
            + _PASSES.format("passes")
            + ")?",
            r"(?P<ending>\[(?=\d)" + _PASSES.format("more") + ")",
            r"(?P<letter>[H-Wh-w~.])",
            r"(?P<overlay>&)",
            r"(?P<ignored>[\s`$\\*;y!)]|\((?!\d))",
            r"(?P<music>\(\d[:\d]*|[\^_=]*[A-Ga-gzxZX][',]*[\d/]*|[\^_=\[\]\-<>\d/])",
            r"(?P<unknown>.)",
        ]
    )
)
_LETTERS = {"H": "fermata", "O": "coda", "S": "segno"}
_SILENT_LETTERS = "~.JKLMPRTkuv"
_JUMPS = {
    "d.c.": "da_capo",
    "dacapo": "da_capo",
    "d.s.": "dal_segno",
    "dacoda": "to_coda",
    "coda": "coda",
    "fine": "fine",
    "segno": "segno",
}


def abc_to_sequences(
    data: bytes, limits: Limits, play_repeats: bool = True
) -> list[NoteSequence | ReadError]:
    """Reads the tunes of an ABC tunebook, in the book's order.

    A tune reaches from its reference number (`X:`) to the next empty line; what stands
    before the first tune holds for all.

    Returns:
        Of each tune the music, or why it cannot be read: `bad_abc`, and what
        `playing.play` raises.

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
    header = re.findall(r"^(?:[A-Za-z]:|%%).*", before, re.M)
    found = []
    for tune in tunes:
        try:
            found.append(_read_tune([*header, *tune.split("\n")], limits, play_repeats))
        except ReadError as error:
            found.append(error)
    if all(isinstance(tune, ReadError) for tune in found):
        raise found[0]
    return found


def _read_tune(lines: list[str], limits: Limits, play_repeats: bool) -> NoteSequence:
    tune = _Tune()
    for line in lines:
        tune.read(line)
    _place(tune, _play_by_abc2midi(tune.finish()))
    sequence = play(tune.score, limits, play_repeats)
    sequence.source_info.encoding_type = NoteSequence.SourceInfo.ABC
    sequence.reference_number = tune.number
    return sequence


@dataclasses.dataclass
class _Voice:
    """A voice, and where one is in it.

    Attributes:
        number: Of the part that it is.
        name: Of the voice.
        semitones: From what is written to what sounds.
        index: Number of the measure.
        is_open: Whether something has been in the measure.
        is_overlaid: Whether one is in a voice over the first of the measure.
        ending: Passes of the bracket over the measure.
        signs: Names of `Bar.add` that wait for the next note or bar line.
        marks: What each controller stands for: measure, kind, value.
    """

    number: int
    name: str
    semitones: int = 0
    index: int = -1
    is_open: bool = False
    is_overlaid: bool = False
    ending: frozenset[int] = frozenset()
    signs: list[str] = dataclasses.field(default_factory=list)
    marks: list[tuple[int, str, Any]] = dataclasses.field(default_factory=list)


class _Tune:
    """Goes through a tune line by line.

    Attributes:
        number: Its reference number.
        score: What it holds, but for the notes.
        voices: By name.
        has_metre: Whether it names one.
        num_notes: Written ones, those in chords and at the ends of ties too.
    """

    def __init__(self):
        self.number = 0
        self.score = Score()
        self.voices: dict[str, _Voice] = {}
        self.has_metre = False
        self.num_notes = 0
        self._lines: list[str] = []  # for abc2midi
        self._voice: _Voice | None = None
        self._in_header = True
        self._in_chord = False
        self._letters = dict(_LETTERS)
        self._codas: list[int] = []
        self._semitones = 0

    # --- lines and fields ---

    def read(self, line: str) -> None:
        """Reads a line."""
        if match := _MIDI.match(line):
            self._lines.append("%%MIDI " + match[1])
            if match[2] == "transpose":
                self._transpose(int(re.search(r"[-+]?\d+", match[1])[0]))
            return
        line = re.sub(r"(?<!\\)%.*", "", line)
        if match := _FIELD.match(line):
            if field := self._field(match[1], match[2].strip()):
                self._lines.append(field)
        elif line.strip():
            self._begin_body()
            self._lines.append(self._music(line))

    def _begin_body(self) -> None:
        if self._in_header:
            self._in_header = False
            self._voice = self._find_voice(next(iter(self.voices), ""))
            self._voice.semitones += self._semitones

    def _find_voice(self, name: str) -> _Voice:
        if name not in self.voices:
            if len(self.voices) == _MOST_VOICES:
                raise ReadError("bad_abc", f"more than {_MOST_VOICES} voices")
            self.voices[name] = _Voice(len(self.voices), name)
        return self.voices[name]

    def _transpose(self, semitones: int) -> None:
        if self._voice is None:
            self._semitones = semitones
        else:
            self._voice.semitones = semitones

    def _field(self, letter: str, text: str) -> str:
        """What abc2midi is to read of a field."""
        if letter == "X":
            self.number = int((re.match(r"\d{1,9}", text) or ["0"])[0])
            return "X:1"
        if letter == "T" and not self.score.title:
            self.score.title = text
        elif letter == "C":
            self.score.composers = [*self.score.composers, text]
        elif letter == "U":
            name, _, sign = text.partition("=")
            self._letters[name.strip()] = sign.strip().strip("!+")
        elif letter == "P" and self._in_header and len(text) > 1:
            self.score.left_out["orders of parts"] += 1
        elif letter == "V":
            return self._change_voice(text)
        elif letter in _PLAYED_FIELDS:
            self.has_metre = self.has_metre or (letter == "M" and text != "none")
            if letter == "K":
                return f"{letter}:{text}" + self._change_key(text)
            return f"{letter}:{text}"
        return ""

    def _change_voice(self, text: str) -> str:
        name, _, parameters = text.partition(" ")
        voice = self._find_voice(name)
        if match := re.search(r'\b(?:name|nm)\s*=\s*"?([^"]*)"?', parameters):
            voice.name = match[1].strip()
        for semitones in re.findall(r"\btranspose\s*=\s*([+-]?\d{1,2})", parameters):
            voice.semitones = int(semitones)
        self._voice = voice
        return f"V:{voice.number + 1} {parameters}"

    def _change_key(self, text: str) -> str:
        for semitones in re.findall(r"\btranspose\s*=\s*([+-]?\d{1,2})", text):
            self._transpose(int(semitones))
        was_header = self._in_header
        self._begin_body()
        try:
            _, tonic, mode = abc_parser.ABCTune.parse_key(text)
        except (abc_parser.ABCParseError, KeyError):
            return ""
        value = ((tonic + self._voice.semitones) % 12, mode)
        if was_header:
            self.score.measure(0).marks.append((0.0, KEY, value))
            return ""
        return "\n" + self._begin_measure() + self._marker(KEY, value)

    # --- music ---

    def _music(self, line: str) -> str:
        """A line of music, as abc2midi is to read it."""
        return "".join(map(self._on, _TOKEN.finditer(line)))

    def _on(self, match: re.Match) -> str:
        kind = match.lastgroup
        ...
