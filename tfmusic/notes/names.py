"""Names in files that do not say in which encoding they are.

The name of a MIDI track is in the encoding of the system that wrote it. All names of a
file are decoded alike, as one is often too short to tell by; libraries that guess
encodings (charset-normalizer, chardet) need more text, and are wrong about most names.
"""

import re
from collections.abc import Sequence

_WIDE = re.compile(r"[^\x00-\x7f]+")


def decode_names(names: Sequence[bytes]) -> list[str]:
    """Decodes names: as UTF-8, or else as Shift-JIS, GBK or Latin-1.

    Of these three that is taken in which the largest fraction of the characters
    beyond ASCII is common; of equals the first.
    """
    strange = [name for name in names if not _is_utf8(name)]
    encoding = _choose_encoding(b"\n".join(strange)) if strange else ""
    return [
        name.decode("utf-8" if _is_utf8(name) else encoding).strip("\0")
        for name in names
    ]


def _is_utf8(name: bytes) -> bool:
    try:
        name.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _choose_encoding(text: bytes) -> str:
    best, highest = "latin-1", 0.0
    for encoding, likelihood in _LIKELIHOODS.items():
        try:
            decoded = text.decode(encoding)
        except UnicodeDecodeError:
            continue
        scores = [
            likelihood(character, match)
            for match in _WIDE.finditer(decoded)
            for character in match[0]
        ]
        if (mean := sum(scores) / len(scores)) > highest:
            best, highest = encoding, mean
    return best


def _japanese(character: str, run: re.Match) -> float:
    """1 for kana, punctuation and frequent kanji; less for the others.

    Args:
        character: Beyond ASCII.
        run: The characters beyond ASCII that it stands among.
    """
    code = character.encode("cp932")
    if len(code) == 1 or _is_within_word(run):  # half-width kana; no Japanese
        return 0.5 * (len(code) == 1)
    if 0x81 <= code[0] <= 0x83 or 0x88 <= code[0] <= 0x98:
        return 1.0
    return 0.5 * (0x99 <= code[0] <= 0x9F or 0xE0 <= code[0] <= 0xEA)


def _chinese(character: str, run: re.Match) -> float:
    """Likewise, for GBK: 1 for punctuation and frequent hanzi."""
    code = character.encode("gbk")
    if len(code) != 2 or code[1] < 0xA1 or _is_within_word(run):
        return 0.0
    if 0xA1 <= code[0] <= 0xA3 or 0xB0 <= code[0] <= 0xD7:
        return 1.0
    return 0.5 * (0xD8 <= code[0] <= 0xF7)


def _western(character: str, run: re.Match) -> float:
    """1 for letters with accents, one or two in a word, and for punctuation."""
    if len(run[0]) > 2 or (len(run[0]) == 2 and not _touches_letters(run)):
        return 0.0
    return float(character.isalpha() or character in "¡¿«»·´°©®‘’“”–—…")


_LIKELIHOODS = {"cp932": _japanese, "gbk": _chinese, "cp1252": _western}


def _is_within_word(run: re.Match) -> bool:
    """Whether one character alone stands next to letters of ASCII."""
    return len(run[0]) == 1 and _touches_letters(run)


def _touches_letters(run: re.Match) -> bool:
    around = run.string[max(run.start() - 1, 0) : run.start()]
    around += run.string[run.end() : run.end() + 1]
    return any(character.isalpha() for character in around)
