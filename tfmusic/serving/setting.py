"""What a model leaves open: the length, tempo, key, metre and sound of new music."""

import dataclasses
import re
from collections.abc import Collection, Mapping
from typing import Any

from tfmusic.checks import number, text, whole_number
from tfmusic.errors import UserError, choose
from tfmusic.notes import NoteSequence
from tfmusic.notes.grid import TempoMap
from tfmusic.notes.keys import Key, parse_key
from tfmusic.notes.measures import bars_end, parse_metre
from tfmusic.notes.transforms import crop, stretch, transpose
from tfmusic.representations import Representation

DEFAULT_STEPS = 256
# Controls of models that know the metre, the key, the length.
BAR_QUARTERS, METRE_NUMBER = "bar_quarters", "metre_number"
KEY_NUMBER, HOME_KEY, LENGTH_BARS = "key_number", "home_key", "length_bars"
PHRASES, PHRASE_QUARTERS, STOLLEN = "phrases", "phrase_quarters", "stollen"
# What a setting is called elsewhere.
SYNONYMS = {
    "tempo": "qpm",
    "bpm": "qpm",
    "meter": "metre",
    "time_signature": "metre",
    "length": "bars",
    "instrument": "program",
    "sound": "program",
}
# By control, the field of `Setting` that decides it.
OWNERS = {
    BAR_QUARTERS: "metre",
    METRE_NUMBER: "metre",
    KEY_NUMBER: "key",
    HOME_KEY: "key",
    LENGTH_BARS: "bars",
}
# Of tokens that take no fixed time, as a multiple of what training pieces take.
_MARGIN = 2.0
# Of fewer, what repeats two seldom finds its way home: 11 of 16 pieces of 4 phrases
# end on the tonic, and 15 where nothing repeats.
_FORM_PHRASES = 6
# That a piece without a given length gets at most.
_MOST_STEPS = 2048
_MIDDLE_C = 60


@dataclasses.dataclass(frozen=True, kw_only=True)
class Setting:
    """What new music is to be set in. Fields that are None are left to the model.

    With a primer its own tempo, metre and instruments hold, and `key` says which key
    the primer is in, where that is not what its notes seem to say.

    Attributes:
        num_steps: Length at most in steps of the model (frames or tokens).
        bars: Length at most in bars, instead.
        seconds: Length at most in seconds, instead.
        qpm: Tempo, quarter notes a minute.
        key: Such as "G", "Bb", "F#m" or "D minor"; for models that know one key alone
            and those that can be asked for one.
        metre: Such as "3/4".
        program: Sound of all notes, 0..127 of General MIDI: 0 piano, 40 violin.
    """

    num_steps: int | None = None
    bars: float | None = None
    seconds: float | None = None
    qpm: float | None = None
    key: str | None = None
    metre: str | None = None
    program: int | None = None

    def __post_init__(self):
        lengths = ("num_steps", "bars", "seconds")
        given = [name for name in lengths if getattr(self, name) is not None]
        if len(given) > 1:
            raise UserError(
                f"{given[1]}: leave it out with {given[0]}: both are the length"
            )
        self._check_types()
        for name in ("bars", "seconds"):
            value = getattr(self, name)
            if value is not None and not 0 < value <= 100_000:
                raise UserError(
                    f"{name}: expected more than 0 and at most 100,000, got {value:g}"
                )
        if self.qpm is not None and not 10 <= self.qpm <= 1000:
            raise UserError(f"qpm: expected 10 to 1000, got {self.qpm:g}")
        # Both complain of what they cannot read.
        _ = self.tonality, self.beats

    def _check_types(self) -> None:
        for name in ("bars", "seconds", "qpm"):
            if getattr(self, name) is not None:
                number(name, getattr(self, name))
        if self.program is not None:
            whole_number("program", self.program, 0, 127)
        for name in ("key", "metre"):
            if getattr(self, name) is not None:
                text(name, getattr(self, name))

    @property
    def tonality(self) -> Key | None:
        """The key."""
        return None if self.key is None else parse_key(self.key)

    @property
    def beats(self) -> tuple[int, int] | None:
        """Numerator and denominator of the metre."""
        return None if self.metre is None else parse_metre(self.metre)

    def check(
        self,
        card: Mapping[str, Any],
        primer: NoteSequence | None,
        steps_per_quarter: int = 0,
    ) -> None:
        """Refuses what neither the model nor the primer leaves open.

        Args:
            card: The model's.
            primer: What the music continues, if anything.
            steps_per_quarter: Of the model; 0: it has no beat.

        Raises:
            UserError: There is such a field.
        """
        known = card.get("controls") or {}
        if self.beats and BAR_QUARTERS in known:
            quarters, spec = _quarters(self.beats), known[BAR_QUARTERS]
            fits = spec["minimum"] <= quarters <= spec["maximum"]
            if not fits or quarters * steps_per_quarter % 1:
                raise UserError(
                    f"metre: expected bars of {spec['minimum']:g} to "
                    f"{spec['maximum']:g} quarter notes, in whole "
                    f"1/{4 * steps_per_quarter} notes, got {self.metre}"
                )
        if primer is not None:
            for name in ("qpm", "metre", "program"):
                if getattr(self, name) is not None:
                    raise UserError(
                        f"{name}: leave it out with a primer: the music goes on in the "
                        "primer's own"
                    )
        if self.key and not (
            knows_one_key(card) or {KEY_NUMBER, HOME_KEY}.intersection(known)
        ):
            raise UserError(
                "key: leave it out: this model learned from music in many keys "
                "and chooses by itself, or goes on in that of what it is given"
            )

    def controls(self, known: Mapping[str, Any]) -> dict[str, float]:
        """What metre, key and length are to those controls that a model has.

        Raises:
            UserError: A metre that the model does not know.
        """
        values = {}
        if self.beats and BAR_QUARTERS in known:
            values[BAR_QUARTERS] = _quarters(self.beats)
        if self.beats and METRE_NUMBER in known:
            numbers = named_values(known[METRE_NUMBER])
            metre = "{}/{}".format(*self.beats)
            values[METRE_NUMBER] = numbers[choose("metre", metre, numbers)]
        if self.tonality and KEY_NUMBER in known:
            is_minor = self.tonality.mode == "minor"
            values[KEY_NUMBER] = 1.0 + 12 * is_minor + self.tonality.tonic
        if self.tonality and HOME_KEY in known:
            # In C major or A minor, which such models know best; `apply` moves it.
            values[HOME_KEY] = 22.0 if self.tonality.mode == "minor" else 1.0
        if self.bars and LENGTH_BARS in known:
            values[LENGTH_BARS] = float(self.bars)
        return values

    def phrases(
        self, known: Mapping[str, Any], bar_quarters: float
    ) -> dict[str, float]:
        """A plan of phrases that ends with the last of the bars, if a model has one.

        Args:
            known: The model's controls.
            bar_quarters: Length of a bar in quarter notes.
        """
        if not self.bars or PHRASES not in known:
            return {}
        quarters, usual = self.bars * bar_quarters, known[PHRASE_QUARTERS]["default"]
        number = max(round(quarters / usual), 1)
        length = quarters / number
        spec = known[PHRASE_QUARTERS]
        if not spec["minimum"] <= length <= spec["maximum"]:
            return {}
        plan = {PHRASES: float(number), PHRASE_QUARTERS: length}
        if STOLLEN in known and number < _FORM_PHRASES:
            plan[STOLLEN] = 0.0
        return plan

    def bar_quarters(
        self,
        primer: NoteSequence | None,
        controls: Mapping[str, float],
        known: Mapping[str, Any],
    ) -> float:
        """Length of a bar of new music, in quarter notes.

        Args:
            primer: What the music continues, if anything.
            controls: Their values.
            known: The model's controls.
        """
        if primer is not None and primer.time_signatures:
            last = primer.time_signatures[-1]
            return _quarters((last.numerator, last.denominator))
        if self.beats:
            return _quarters(self.beats)
        if number := controls.get(METRE_NUMBER):
            for metre, other in named_values(known[METRE_NUMBER]).items():
                if other == int(number):
                    return _quarters(parse_metre(metre))
        return controls.get(BAR_QUARTERS, 4.0)

    def limit_seconds(
        self,
        representation: Representation,
        primer: NoteSequence | None,
        bar_quarters: float = 4.0,
    ) -> float | None:
        """The length in seconds of the model's own tempo; None where it is in steps."""
        if self.num_steps is not None or self.bars is self.seconds is None:
            return None
        own = representation.qpm if representation.steps_per_quarter else None
        qpm = self.qpm or own or 120.0
        if primer is not None:
            qpm = primer.tempos[-1].qpm if primer.tempos else 120.0
        if self.seconds is not None:
            return self.seconds * qpm / own if own else self.seconds
        return self.bars * bar_quarters * 60 / (own or qpm)

    def steps(
        self,
        card: Mapping[str, Any],
        representation: Representation,
        limit_seconds: float | None,
    ) -> int:
        """How many steps to ask for; where they vary in length, more than are needed.

        Raises:
            UserError: The length is not in steps, and nothing tells how long those are.
        """
        train = ((card.get("data") or {}).get("splits") or {}).get("train") or {}
        if limit_seconds is None and self.num_steps is not None:
            return self.num_steps
        if limit_seconds is None:
            ends = LENGTH_BARS in card.get("controls", ())
            if not ends or not train.get("num_pieces"):
                return DEFAULT_STEPS
            # Pieces end by themselves; most are shorter than this.
            usual = round(_MARGIN * train["num_steps"] / train["num_pieces"])
            return min(max(usual, DEFAULT_STEPS), _MOST_STEPS)
        if step := representation.step_seconds:
            return max(round(limit_seconds / step), 1)
        if not train.get("seconds"):
            raise UserError(
                f"{card['name']}: its steps vary in length and its card does not say "
                "how long they are; give the length as num_steps"
            )
        rate = train["num_steps"] / train["seconds"]
        return max(round(_MARGIN * rate * limit_seconds), 64)

    def apply(
        self, piece: NoteSequence, own_qpm: float | None, known: Collection[str] = ()
    ) -> NoteSequence:
        """Sets a piece that was made without a primer in tempo, key, metre and sound.

        Args:
            piece: In the model's own tempo and key.
            own_qpm: The model's tempo; None where it has no beat.
            known: Names of the model's controls: key and metre that it has been asked
                for are the piece's own.
        """
        if self.tonality:
            if KEY_NUMBER not in known:
                semitones = -self.tonality.semitones_to_c
                piece = transpose(piece, _up_or_down(piece, semitones))
            del piece.key_signatures[:]
            mode = NoteSequence.KeySignature.Mode.Value(self.tonality.mode.upper())
            piece.key_signatures.add(key=self.tonality.tonic, mode=mode)
        if self.qpm and own_qpm:
            piece = stretch(piece, own_qpm / self.qpm)
        elif self.qpm:
            del piece.tempos[:]
            piece.tempos.add(time=0, qpm=self.qpm)
        if self.beats and METRE_NUMBER not in known:
            # What a model with a metre wrote says where its bars begin.
            if not piece.time_signatures:
                piece.time_signatures.add()
            for signature in piece.time_signatures:
                signature.numerator, signature.denominator = self.beats
        if self.program is not None:
            for events in (piece.notes, piece.control_changes, piece.pitch_bends):
                for event in events:
                    event.program = self.program
        return piece

    def cut_to_bars(self, piece: NoteSequence) -> NoteSequence:
        """As many bars as are wanted, of those that the piece has: its own metre."""
        if self.bars is None:
            return piece
        end = bars_end(piece, self.bars)
        return shorten(piece, float(TempoMap.of(piece).to_seconds(end)))


def named_values(control: Mapping[str, Any]) -> dict[str, int]:
    """The words that a control's numbers from 1 on stand for, such as {"jig": 5}.

    Args:
        control: As a card describes it; nothing comes of one whose numbers are just
            numbers.
    """
    head, _, rest = control["doc"].partition("0: any; ")
    found = re.findall(r"(\d+) ([^;]+?)(?:;|\.?$)", rest)
    numbers = [int(number) for number, _ in found]
    if not head or numbers != list(range(1, int(control["maximum"]) + 1)):
        return {}
    return {word.strip(): int(number) for number, word in found}


def _quarters(metre: tuple[int, int]) -> float:
    """Length of a bar."""
    return 4 * metre[0] / metre[1]


def knows_one_key(card: Mapping[str, Any]) -> bool:
    """Whether a model learned from music that was all moved to C major or A minor."""
    return (card.get("config") or {}).get("data", {}).get("key") == "C"


def shorten(piece: NoteSequence, seconds: float | None) -> NoteSequence:
    """The beginning of a piece, or all of it."""
    if seconds is None or piece.total_time <= seconds:
        return piece
    return crop(piece, 0.0, seconds)


def _up_or_down(piece: NoteSequence, semitones: int) -> int:
    """A fourth or a tritone, or the other way into the same key.

    That which leaves the piece nearer to middle C, around which voices and hands lie.
    """
    other = semitones - 12 if semitones > 0 else semitones + 12
    if not piece.notes or abs(other) > 7:
        return semitones
    pitches = [note.pitch for note in piece.notes]
    middle = (min(pitches) + max(pitches)) / 2
    return min(semitones, other, key=lambda moved: abs(middle + moved - _MIDDLE_C))
