"""Damaged archives of music that are built into a dataset: 60 of them."""

import functools
import json
import pathlib
import random
import struct
import zipfile
from collections.abc import Callable

from tests.attack.artefacts import cut, empty, flip, noise
from tests.attack.runner import (
    Case,
    Choose,
    Outcome,
    Report,
    ignore,
    process,
    run_cases,
)
from tests.attack.victims import scratch, victims

_NUM_MEMBERS = 8
_COMPRESSIONS = {
    "stored": zipfile.ZIP_STORED,
    "deflate": zipfile.ZIP_DEFLATED,
    "bzip2": zipfile.ZIP_BZIP2,
    "lzma": zipfile.ZIP_LZMA,
}
_BOMB_BYTES = 2**30


@functools.cache
def _members() -> dict[str, bytes]:
    """Files of an archive: music of different notes."""
    data = pathlib.Path(victims().music).read_bytes()
    rng = random.Random(0)
    return {
        f"folder/{i}.mid": bytes(
            byte + rng.randrange(3) if 50 <= byte < 60 else byte for byte in data
        )
        for i in range(_NUM_MEMBERS)
    }


def _write(path: pathlib.Path, members: dict[str, bytes], compression: int) -> None:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def within(file: pathlib.Path, chance: random.Random) -> str:
    """Other bytes within the packed data of some members, whose list stays whole."""
    data = bytearray(file.read_bytes())
    with zipfile.ZipFile(file) as archive:
        members = chance.sample(archive.infolist(), chance.choice((1, 3)))
    for member in members:
        name, extra = struct.unpack_from("<HH", data, member.header_offset + 26)
        begin = member.header_offset + 30 + name + extra
        for _ in range(chance.choice((1, 10))):
            data[begin + chance.randrange(member.compress_size)] ^= chance.randrange(
                1, 256
            )
    file.write_bytes(data)
    return f"{len(members)} members damaged"


def lie(file: pathlib.Path, chance: random.Random) -> str:
    """Other numbers in the list of members: sizes, checks, methods, places."""
    data = bytearray(file.read_bytes())
    begin = data.index(b"PK\x01\x02")
    for _ in range(chance.choice((1, 5))):
        data[chance.randrange(begin + 4, len(data))] = chance.randrange(256)
    file.write_bytes(data)
    return "another list"


_DAMAGES = (within, within, within, cut, flip, empty, noise, lie, lie)


def _damaged(name: str, damage, seed: str) -> Case:
    def attempt() -> None:
        file = pathlib.Path(scratch("archive_")).with_suffix(".zip")
        _write(file, _members(), _COMPRESSIONS[name])
        how = damage(file, random.Random(seed))
        try:
            _build(file, _NUM_MEMBERS if damage is within else None)
        except Exception as error:
            error.add_note(how)
            raise

    return Case(f"{name} {damage.__name__} {seed}", attempt)


def _odd(name: str, make: Callable[[pathlib.Path], None], number: int) -> Case:
    def attempt() -> None:
        file = pathlib.Path(scratch("archive_")).with_suffix(".zip")
        make(file)
        _build(file, number)

    return Case(name, attempt)


def _build(file: pathlib.Path, number: int | None) -> None:
    """Builds; raises where not each of so many files is kept or dropped, once."""
    directory = pathlib.Path(scratch("built_"))
    arguments = f"--config={victims().config}", f"--source={file}"
    before = set(file.parent.iterdir())
    process("build", *arguments, f"--output_dir={directory}", "--num_workers=1")
    if written := set(file.parent.iterdir()) - before - {directory.parent}:
        raise ValueError(f"files beside the dataset: {written}")
    info = json.loads((directory / "dataset_info.json").read_text())
    kept = sum(split["num_pieces"] for split in info["splits"].values())
    dropped = len((directory / "dropped.jsonl").read_text().splitlines())
    if number is not None and kept + dropped != number:
        raise ValueError(f"of {number} files {kept} are kept and {dropped} dropped")


def _bomb(file: pathlib.Path) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in _members().items():
            archive.writestr(name, data)
        with archive.open("bomb.mid", "w") as stream:
            for _ in range(_BOMB_BYTES >> 20):
                stream.write(bytes(2**20))


def _paths(file: pathlib.Path) -> None:
    names = ("../out.mid", "/tmp/out.mid", "a/../../b.mid", "C:\\x.mid", "a\x01b.mid")
    data = list(_members().values())
    _write(file, dict(zip(names, data, strict=False)), zipfile.ZIP_STORED)


def _nested(file: pathlib.Path) -> None:
    inner = file.with_name(f"{file.stem}_inner.zip")
    _write(inner, _members(), zipfile.ZIP_STORED)
    members = {**_members(), "inner.zip": inner.read_bytes()}
    inner.unlink()
    _write(file, members, zipfile.ZIP_STORED)


def _locked(file: pathlib.Path) -> None:
    """Members that say they are encrypted."""
    _write(file, _members(), zipfile.ZIP_DEFLATED)
    data = bytearray(file.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = data.find(mark)
        data[place + offset] |= 1
    file.write_bytes(data)


def cases(seed: int) -> list[Case]:
    """56 damaged ones, and four that are odd."""
    _members()  # once, and not in each child
    found = [
        _odd("a bomb of zeros", _bomb, _NUM_MEMBERS + 1),
        _odd("names outside the folder", _paths, 5),
        _odd("an archive within", _nested, _NUM_MEMBERS),
        _odd("encrypted", _locked, _NUM_MEMBERS),
    ]
    names = list(_COMPRESSIONS)
    found += [
        _damaged(names[i % 4], _DAMAGES[i // 4 % len(_DAMAGES)], f"{seed} {i}")
        for i in range(56)
    ]
    return found


def run(seed: int, choose: Choose, report: Report = ignore) -> list[Outcome]:
    """Tries them."""
    return run_cases(cases(seed), choose, seconds=120, report=report)
