"""Written rhythm: the note values, dots, tuplets and ties of one voice in a measure."""

import dataclasses
from collections.abc import Iterable, Sequence

from tfmusic.notes.measures import BINARY, HALF_BEAT, QUARTER, TERNARY, Measure
from tfmusic.notes.voices import Chord, Tone

# Note values that are written without a tie: length to (name, dots).
_NAMES = {
    12 * 32: "breve",
    12 * 16: "whole",
    12 * 8: "half",
    12 * 4: "quarter",
    12 * 2: "eighth",
    12: "16th",
    6: "32nd",
    3: "64th",
}
_VALUES = {length: (name, 0) for length, name in _NAMES.items()}
_VALUES |= {3 * n // 2: (_NAMES[n], 1) for n in _NAMES if n % 2 == 0}


@dataclasses.dataclass(frozen=True)
class Symbol:
    """A note, chord or rest as it is written.

    Attributes:
        start: In units.
        length: In units, as it sounds.
        value: Name of the note value, such as `"quarter"`; empty for a rest that fills
            a whole measure.
        dots: Of the note value.
        tuplet: Name of the value of which three stand for two, or nothing.
        tuplet_ends: `"start"`, `"stop"` or nothing: whether it is the first or last of
            its tuplet.
        chord: What it is a part of, or None for a rest.
    """

    start: int
    length: int
    value: str
    dots: int
    tuplet: str
    tuplet_ends: str
    chord: Chord | None

    def tie(self, tone: Tone) -> str:
        """The tie of a note of the chord: `"start"`, `"continue"`, `"stop"` or none."""
        goes_on = self.start + self.length < tone.end
        if self.start > tone.start:
            return "continue" if goes_on else "stop"
        return "start" if goes_on else ""


@dataclasses.dataclass(frozen=True)
class _Piece:
    """What of a chord (or of silence) lies from one place to another."""

    start: int
    end: int
    chord: Chord | None

    def cut(self, place: int) -> tuple["_Piece", "_Piece"]:
        return (
            dataclasses.replace(self, end=place),
            dataclasses.replace(self, start=place),
        )


def write_measure(chords: Sequence[Chord], measure: Measure) -> list[Symbol]:
    """The symbols of one voice in one measure, rests included.

    Args:
        chords: Of the voice that sound in the measure, in order.
        measure: Which one.
    """
    pieces = list(_fill(chords, measure))
    is_full = measure.length == measure.full_length
    if is_full and len(pieces) == 1 and pieces[0].chord is None:
        return [Symbol(measure.start, measure.length, "", 0, "", "", None)]
    tuplets = _tuplets(pieces, measure)
    for start, end, _ in tuplets:
        for place in (start, end):
            pieces = [
                part
                for piece in pieces
                for part in (
                    piece.cut(place) if piece.start < place < piece.end else [piece]
                )
            ]
    symbols = []
    inside = {start: (end, name) for start, end, name in tuplets}
    stop, name = measure.start, ""
    for piece in pieces:
        if piece.start in inside:
            stop, name = inside[piece.start]
        if piece.start < stop:
            symbols += _in_tuplet(piece, name, stop)
        else:
            symbols += _plain(piece, measure)
    return symbols


def _fill(chords: Sequence[Chord], measure: Measure) -> Iterable[_Piece]:
    """Pieces from bar line to bar line."""
    place = measure.start
    for chord in chords:
        start = max(chord.start, measure.start)
        end = min(chord.end, measure.end)
        if start < end:
            if place < start:
                yield _Piece(place, start, None)
            yield _Piece(start, end, chord)
            place = end
    if place < measure.end:
        yield _Piece(place, measure.end, None)


def _tuplets(pieces: Sequence[_Piece], measure: Measure) -> list[tuple[int, int, str]]:
    """Start, end and value of each: three of that value stand for two.

    Triplets of quarters take two beats, those of eighths one, those of sixteenths half
    of one.
    """
    bounds = sorted({piece.start for piece in pieces} - {measure.start})
    found, beats = [], measure.beats()
    within = [
        [bound - start for bound in bounds if start < bound < end]
        for start, end in beats
    ]
    for i, (start, end) in enumerate(beats):
        if found and start < found[-1][1]:
            continue
        own = within[i]
        if not any(place % BINARY for place in own):
            continue
        following = []
        if i + 1 < len(beats) and beats[i + 1][1] - end == QUARTER:
            following = within[i + 1]
        is_whole = end - start == QUARTER
        if own == [32] and following == [16] and end not in bounds:
            found.append((start, end + QUARTER, "quarter"))
        elif is_whole and HALF_BEAT not in own and not any(p % TERNARY for p in own):
            found.append((start, end, "eighth"))
        else:
            for half in (0, HALF_BEAT):
                inner = [p - half for p in own if half < p < half + HALF_BEAT]
                if any(place % BINARY for place in inner):
                    found.append((start + half, start + half + HALF_BEAT, "16th"))
    return found


def _in_tuplet(piece: _Piece, name: str, stop: int) -> Iterable[Symbol]:
    """Symbols of a piece in a tuplet that ends at a place."""
    unit = next(n for n, value in _NAMES.items() if value == name)  # as it is written
    total = 2 * unit  # as it sounds
    while True:
        offset = piece.start - (stop - total)
        if (piece.end - piece.start) * 3 // 2 in _VALUES:
            part, rest = piece, None
        else:
            # The cut is where one of the three begins: late, or else soon.
            step = total // 3
            end = piece.end - (stop - total)
            number = (end - 1) // step if offset % step == 0 else offset // step + 1
            part, rest = piece.cut(stop - total + number * step)
        value, dots = _VALUES[(part.end - part.start) * 3 // 2]
        ends = "start" if offset == 0 else "stop" if part.end == stop else ""
        length = part.end - part.start
        yield Symbol(part.start, length, value, dots, name, ends, part.chord)
        if rest is None:
            return
        piece = rest


def _plain(piece: _Piece, measure: Measure) -> Iterable[Symbol]:
    """Symbols of a piece outside tuplets, cut so that the beats can be seen."""
    # An upbeat is counted from its end.
    shift = -measure.length % measure.pulse if measure.is_upbeat else 0
    start = piece.start - measure.start + shift
    end = piece.end - measure.start + shift
    is_rest = piece.chord is None
    if _is_legible(start, end, measure, is_rest):
        value, dots = _VALUES[end - start]
        yield Symbol(piece.start, end - start, value, dots, "", "", piece.chord)
        return
    pulse = measure.pulse
    while (first := start // pulse + 1) > (last := -(-end // pulse) - 1):
        # No beat is crossed: halves of it, or thirds of a dotted one.
        pulse = pulse // 3 if pulse % 9 == 0 else pulse // 2
    if is_rest:  # at the strongest beat
        place = max(range(first, last + 1), key=lambda beat: beat & -beat)
    else:
        place = last if start % pulse == 0 else first
    for part in piece.cut(piece.start + place * pulse - start):
        yield from _plain(part, measure)


def _is_legible(start: int, end: int, measure: Measure, is_rest: bool) -> bool:
    """Whether one symbol from one place of a measure to another reads well."""
    length, pulse = end - start, measure.pulse
    if length not in _VALUES:
        return False
    if start // pulse == (end - 1) // pulse:  # within a beat
        return not is_rest or length == pulse or _VALUES[length][1] == 0
    if is_rest:
        in_twos = measure.metre[0] % 2 == 0
        return in_twos and start % length == 0 and length % pulse == 0
    if pulse % 9 == 0:  # dotted beats show always
        return start % pulse == end % pulse == 0
    if start % pulse == 0:
        return True
    half = pulse // 2
    return start % half == end % half == 0 and length <= 2 * pulse
