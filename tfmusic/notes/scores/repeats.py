"""In which order the measures of a score are played."""

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence

# A score that is played longer than this many times through is not understood.
_MOST_PASSES = 64

_WORDS = {
    "da_capo": re.compile(r"\bd\. ?c\.|\bda ?capo\b", re.I),
    "dal_segno": re.compile(r"\bd\. ?s\.|\bdal ?segno\b", re.I),
    "to_coda": re.compile(r"\s*(to|al|da) ?coda\b", re.I),
    "coda": re.compile(r"\s*coda\s*$", re.I),
    "segno": re.compile(r"\s*segno\s*$", re.I),
    "fine": re.compile(r"\s*fine\.?\s*$", re.I),
}


@dataclasses.dataclass(slots=True)
class Bar:
    """What a measure's bar lines, brackets and words say of the order.

    Attributes:
        forward: A repeat begins with the measure.
        section: So does one that no other sign begins: a double bar in ABC.
        backward: How often the repeat that it ends is played; 0 if it ends none.
        ending: The passes of the volta bracket over it; empty where there is none.
        begins_ending: Whether that bracket begins with it.
        segno: The sign stands at its beginning.
        coda: The coda begins with it.
        to_coda: One leaves for the coda after it.
        fine: The piece ends after it, once one has jumped back.
        jump: `"da_capo"` or `"dal_segno"` after it; else empty.
    """

    forward: bool = False
    section: bool = False
    backward: int = 0
    ending: frozenset[int] = frozenset()
    begins_ending: bool = False
    segno: bool = False
    coda: bool = False
    to_coda: bool = False
    fine: bool = False
    jump: str = ""

    @property
    def is_plain(self) -> bool:
        """Whether it leaves the order as it is written."""
        return not (self.backward or self.ending or self.jump)

    def add(self, name: str) -> None:
        """Adds what a sign or word tells: an attribute, or a jump."""
        if name in ("da_capo", "dal_segno"):
            self.jump = name
        else:
            setattr(self, name, True)


def play_order(bars: Sequence[Bar], most: int) -> list[int] | None:
    """The measures as they are played: repeats, volta brackets, D.C., D.S., coda, fine.

    A repeat without a beginning goes back to the end of the one before it. After a
    jump back repeats are not taken again and the last bracket is played, as players do
    unless told otherwise; after the leap to the coda they are.

    Args:
        bars: Of all measures.
        most: How many measures may be played.

    Returns:
        Numbers of measures; None if a jump has no target, there is no end to it, or
        they are more.
    """
    order, player = [], _Player(bars)
    most = min(most, _MOST_PASSES * len(bars))
    while player.place < len(bars):
        if player.skips_ending():
            continue
        order.append(player.place)
        if len(order) > most:
            return None
        if bars[player.place].fine and player.has_jumped:
            break
        if not player.go_on():
            return None
    return order


class _Player:
    """Where a player is.

    Attributes:
        place: The measure to play next.
        has_jumped: Whether they have jumped back and not yet to the coda.
    """

    def __init__(self, bars: Sequence[Bar]):
        self.place = 0
        self.has_jumped = False
        self._bars = bars
        self._begin = 0  # of what the next end of a repeat goes back to
        self._is_open = False  # whether a sign says that it begins there
        self._pass = 1
        self._was_in_ending = False
        self._jumped: set[int] = set()

    def skips_ending(self) -> bool:
        """Enters a measure; passes over it if it is under another pass's bracket."""
        bar = self._bars[self.place]
        left_ending = self._was_in_ending and not bar.ending
        section = bar.section and not (self._is_open or bar.ending)
        if self.place != self._begin and (bar.forward or left_ending or section):
            self._begin_repeat(self.place)
        self._is_open = self._is_open or bar.forward
        self._was_in_ending = bool(bar.ending)
        which = self._pass
        if bar.ending and self.has_jumped:
            which = _last_pass(self._bars, self.place)
        if not bar.ending or which in bar.ending:
            return False
        self.place = _end_of_bracket(self._bars, self.place)
        return True

    def go_on(self) -> bool:
        """Goes to the next measure; False if there is none where a sign leads."""
        bar = self._bars[self.place]
        if bar.to_coda and self.has_jumped:
            self.has_jumped = False
            return self._leap(_find(self._bars, "coda"))
        if bar.backward and not self.has_jumped:
            last = _last_pass(self._bars, self.place) if bar.ending else bar.backward
            if self._pass < last:
                self._pass += 1
                self.place, self._was_in_ending = self._begin, False
                return True
            if not bar.ending:
                self._begin_repeat(self.place + 1)
        if bar.jump and self.place not in self._jumped:
            self._jumped.add(self.place)
            self.has_jumped = True
            return self._leap(
                0 if bar.jump == "da_capo" else _find(self._bars, "segno")
            )
        self.place += 1
        return True

    def _begin_repeat(self, place: int) -> None:
        self._begin, self._pass, self._is_open = place, 1, False

    def _leap(self, target: int | None) -> bool:
        if target is None:
            return False
        self.place, self._was_in_ending = target, False
        self._begin_repeat(target)
        return True


def _find(bars: Sequence[Bar], name: str) -> int | None:
    return next((i for i, bar in enumerate(bars) if getattr(bar, name)), None)


def _end_of_bracket(bars: Sequence[Bar], i: int) -> int:
    """The first measure after the bracket over measure i."""
    i += 1
    while i < len(bars) and bars[i].ending and not bars[i].begins_ending:
        i += 1
    return i


def _last_pass(bars: Sequence[Bar], i: int) -> int:
    """The last pass of the repeat that the bracket over measure i belongs to."""
    while i and bars[i - 1].ending:
        i -= 1
    brackets = []
    while i < len(bars) and bars[i].ending:
        brackets.append(bars[i].ending)
        i = _end_of_bracket(bars, i)
        if bars[i - 1].backward == 0:
            break  # the last: what follows is no longer repeated
    # A first ending alone: the second time one plays on behind it.
    alone = len(brackets) == 1 and bars[i - 1].backward > 0
    return max(map(max, brackets)) + alone


def read_passes(text: str) -> frozenset[int]:
    """The passes that a volta bracket is for: `1`, `1, 2` or `1-3`."""
    passes = set()
    for first, last in re.findall(r"(\d{1,2})(?:\s*-\s*(\d{1,2}))?", text):
        passes.update(range(int(first), int(last or first) + 1))
    return frozenset(passes)


def read_words(text: str) -> str:
    """What words tell of the order: a name for `Bar.add`; else empty."""
    return next((name for name, word in _WORDS.items() if word.search(text)), "")


def mark_codas(bars: Sequence[Bar], signs: Iterable[int]) -> None:
    """Tells the coda signs at which one leaves from those at which one arrives.

    Args:
        bars: Of all measures; are changed.
        signs: The measures over which a coda sign stands.
    """
    signs = sorted({i for i in signs if i < len(bars)})
    if not any(bar.to_coda for bar in bars) and len(signs) > 1:
        bars[signs.pop(0)].to_coda = True
    if not any(bar.coda for bar in bars) and signs:
        bars[signs[-1]].coda = True


def read_sections(
    order: str, begins: Mapping[str, int], num_measures: int
) -> list[tuple[int, int]]:
    """The sections that an order such as `ABA`, `A2B` or `(AB)3C` asks for.

    Args:
        order: Empty for none.
        begins: The first measure of each section.
        num_measures: Of the piece.

    Returns:
        Their first measures and ends.

    Raises:
        ValueError: It is no such order, names what there is not, or is endless.
    """
    order = re.sub(r"[\s.,]", "", order)
    while match := re.search(r"\((\w*)\)(\d{0,2})|([A-Za-z])(\d{1,2})", order):
        inner, times = (match[1], match[2]) if match[3] is None else match.group(3, 4)
        order = order[: match.start()] + inner * int(times or 1) + order[match.end() :]
        if len(order) > _MOST_PASSES:
            raise ValueError(f"expected an order of sections, found {order[:20]}...")
    if not set(order) <= set(begins):
        raise ValueError(f"expected sections {''.join(begins)}, found {order}")
    ends = sorted([*begins.values(), num_measures])
    return [
        (begins[name], next((e for e in ends if e > begins[name]), num_measures))
        for name in order
    ]
