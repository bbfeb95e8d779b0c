"""In which order the measures of a score are played."""

import dataclasses
import re
from collections.abc import Iterable, Sequence

# A score that is played longer than this many times through is not understood.
_MOST_PASSES = 64

_WORDS = {
    "da_capo": re.compile(r"\bd\. ?c\.|\bda capo\b", re.I),
    "dal_segno": re.compile(r"\bd\. ?s\.|\bdal segno\b", re.I),
    "to_coda": re.compile(r"\s*(to|al) coda\b", re.I),
    "coda": re.compile(r"\s*coda\s*$", re.I),
    "segno": re.compile(r"\s*segno\s*$", re.I),
    "fine": re.compile(r"\s*fine\.?\s*$", re.I),
}


@dataclasses.dataclass(slots=True)
class Bar:
    """What a measure's bar lines, brackets and words say of the order.

    Attributes:
        forward: A repeat begins with the measure.
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
        """Adds a sign by its name, which is an attribute or a jump."""
        if name in ("da_capo", "dal_segno"):
            self.jump = name
        else:
            setattr(self, name, True)


def play_order(bars: Sequence[Bar]) -> list[int] | None:
    """The measures as they are played: repeats, volta brackets, D.C., D.S., coda, fine.

    A repeat without a beginning goes back to the end of the one before it. After a
    jump back repeats are not taken again and the last bracket is played, as players do
    unless told otherwise; after the leap to the coda they are. music21's own expander
    plays all brackets then, and each of two repeats without a beginning from the first
    measure; it copies the music for every step.

    Returns:
        Numbers of measures; None if a jump has no target or there is no end to it.
    """
    order, jumped = [], set()
    i = begin = 0
    times, takes_repeats, was_in_ending = 1, True, False
    while i < len(bars):
        if len(order) > _MOST_PASSES * len(bars):
            return None
        bar = bars[i]
        if i != begin and (bar.forward or (was_in_ending and not bar.ending)):
            begin, times = i, 1
        was_in_ending = bool(bar.ending)
        if bar.ending and (times if takes_repeats else _last_pass(bars, i)) not in (
            bar.ending
        ):
            i = _end_of_bracket(bars, i)
            continue
        order.append(i)
        target = None
        if not takes_repeats and bar.fine:
            break
        if not takes_repeats and bar.to_coda:
            target, takes_repeats = _find(bars, "coda"), True
        elif bar.backward and takes_repeats and times < _last_pass(bars, i):
            times, i, was_in_ending = times + 1, begin, False
            continue
        elif bar.jump and i not in jumped:
            jumped.add(i)
            target = 0 if bar.jump == "da_capo" else _find(bars, "segno")
            takes_repeats = False
        else:
            i += 1
            if bar.backward and not bar.ending:
                begin, times = i, 1
            continue
        if target is None:
            return None
        i = begin = target
        times, was_in_ending = 1, False
    return order


def _find(bars: Sequence[Bar], name: str) -> int | None:
    return next((i for i, bar in enumerate(bars) if getattr(bar, name)), None)


def _end_of_bracket(bars: Sequence[Bar], i: int) -> int:
    """The first measure after the bracket over measure i."""
    i += 1
    while i < len(bars) and bars[i].ending and not bars[i].begins_ending:
        i += 1
    return i


def _last_pass(bars: Sequence[Bar], i: int) -> int:
    """The last pass of the repeat that measure i or the bracket over it ends."""
    if not bars[i].ending:
        return bars[i].backward
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
    """What words tell of the order: a name for `Bar.add`, or nothing."""
    return next((name for name, word in _WORDS.items() if word.search(text)), "")


def mark_codas(bars: Sequence[Bar], signs: Iterable[int]) -> None:
    """Tells the coda signs at which one leaves from those at which one arrives.

    Args:
        bars: Of all measures; are changed.
        signs: The measures over which a coda sign stands.
    """
    signs = sorted({i for i in signs if i < len(bars)})
    if len(signs) > 1 and not any(bar.to_coda for bar in bars):
        bars[signs.pop(0)].to_coda = True
    if signs and not any(bar.coda for bar in bars):
        bars[signs[-1]].coda = True
