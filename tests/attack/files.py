"""Damaged files of music, 10,000 of them, read behind the guard."""

import functools
import pathlib
import random
import re
import string
import tempfile
from collections.abc import Callable

from tests.attack.runner import Case, Choose, Outcome, Report, ignore, run_cases
from tests.contracts import make_sequence
from tests.notes import midi_files
from tfmusic.errors import DropError
from tfmusic.notes.reading import Limits, read_bytes
from tfmusic.notes.writing import to_midi_bytes, write_musicxml
from tfmusic.sandbox import Sandbox

_NUMBER = 10_000
_SECONDS, _MEGABYTES = 20, 512
_ABC = """X:1
T:A tune
M:6/8
L:1/8
Q:3/8=100
K:Edor
|:"Em"e2B BAB|(3efe d2 z|[EGB]3 ~F2{ab}c|1 A3-A2B:|2 _B,,/2>c' z4|]
V:2
E6|z6|
"""


def _read(task: tuple[bytes, str]) -> int:
    """Runs in the sandbox: how many notes there are."""
    return len(read_bytes(*task, Limits()).notes)


@functools.cache
def _sandbox() -> Sandbox:
    return Sandbox(_read, _SECONDS, _MEGABYTES)


def _attempt(data: bytes, name: str) -> None:
    try:
        _sandbox()((data, name))
    except DropError as error:
        # It costs that file, and says why; but no file may be as dear as this.
        if error.reason in ("timeout", "crashed"):
            raise RuntimeError(str(error)) from error


@functools.cache
def _whole() -> list[tuple[str, bytes]]:
    """Good files, one of each kind."""
    notes = [(60 + 5 * i % 17, 80, i / 2, i / 2 + 0.5) for i in range(40)]
    piece = make_sequence([*notes, *((p - 12, v, s, e) for p, v, s, e in notes)])
    rich = midi_files.midi_file(
        midi_files.track(
            (0, midi_files.tempo(500_000)),
            (0, midi_files.time_signature(6, 3)),
            (0, midi_files.key_signature(-3, 1)),
            (9600, midi_files.tempo(300_000)),
        ),
        midi_files.track(
            (0, midi_files.name("right")),
            (0, midi_files.program(24)),
            *(
                event
                for i in range(30)
                for event in (
                    (0, midi_files.on(50 + i)),
                    (5, midi_files.control(64, 127 * (i % 2))),
                    (5, midi_files.bend(100 * i)),
                    (200, midi_files.off(50 + i)),
                )
            ),
        ),
    )
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "score.musicxml"
        write_musicxml(piece, path)
        score = path.read_bytes()
    return [
        ("piece.mid", to_midi_bytes(piece)),
        ("rich.mid", rich),
        ("score.musicxml", score),
        ("tune.abc", _ABC.encode()),
    ]


def _flip(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 2, 8, 64))):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def _cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data))]


def _lose(data: bytes, rng: random.Random) -> bytes:
    begin = rng.randrange(len(data))
    return data[:begin] + data[begin + rng.randrange(1, 200) :]


def _repeat(data: bytes, rng: random.Random) -> bytes:
    begin = rng.randrange(len(data))
    part = data[begin : begin + rng.randrange(1, 400)]
    return data[:begin] + part * rng.choice((2, 20, 2000)) + data[begin:]


def _fill(data: bytes, rng: random.Random) -> bytes:
    begin = rng.randrange(len(data))
    size = rng.choice((2, 4, 16))
    value = bytes([rng.choice((0x00, 0x7F, 0x80, 0xF0, 0xFF))])
    return data[:begin] + value * size + data[begin + size :]


def _number(data: bytes, rng: random.Random) -> bytes:
    """Another number where digits stand, in binary files any place."""
    places = list(re.finditer(rb"\d+", data))
    if not places:
        return _flip(data, rng)
    place = rng.choice(places)
    new = rng.choice((b"0", b"-1", b"99999999", b"1e300", b"nan", b"4294967296", b""))
    return data[: place.start()] + new + data[place.end() :]


def _letters(data: bytes, rng: random.Random) -> bytes:
    begin = rng.randrange(len(data))
    text = "".join(rng.choices(string.printable + "<>&|:[](){}", k=rng.randrange(30)))
    return data[:begin] + text.encode() + data[begin:]


_WAYS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    _flip,
    _cut,
    _lose,
    _repeat,
    _fill,
    _number,
    _letters,
)


def cases(seed: int) -> list[Case]:
    """All of them; a number of a case makes the same file again."""
    return [_case(seed, number) for number in range(_NUMBER)]


def _case(seed: int, number: int) -> Case:
    def attempt() -> None:
        rng = random.Random(f"{seed} {number}")
        data = good
        for _ in range(rng.choice((1, 1, 1, 3))):
            data = way(data, rng) or b"\0"
        _attempt(data, name)

    name, good = _whole()[number % len(_whole())]
    way = _WAYS[number // len(_whole()) % len(_WAYS)]
    return Case(f"{name} {way.__name__.strip('_')} {seed} {number}", attempt)


def run(seed: int, choose: Choose, report: Report = ignore) -> list[Outcome]:
    """Tries them."""
    return run_cases(cases(seed), choose, seconds=120, alone=False, report=report)
