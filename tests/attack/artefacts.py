"""Damaged files of datasets, runs and exports: 500 of them."""

import json
import os
import pathlib
import random
import shutil
from collections.abc import Callable, Iterator
from typing import Any

from tests.attack.runner import (
    Case,
    Choose,
    Outcome,
    Report,
    command,
    ignore,
    preload,
    run_cases,
)
from tests.attack.victims import Victims, scratch, victims

_TYPES: tuple[Any, ...] = (None, 0, -1, 1e300, "x", [], {}, [1], {"x": 1}, True)


def cut(file: pathlib.Path, chance: random.Random) -> str:
    """Loses the end of a file."""
    size = chance.randrange(file.stat().st_size)
    with file.open("rb+") as stream:
        stream.truncate(size)
    return f"cut to {size}"


def flip(file: pathlib.Path, chance: random.Random) -> str:
    """Changes some bytes."""
    data = bytearray(file.read_bytes())
    number = chance.choice((1, 3, 20))
    for _ in range(number):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    file.write_bytes(data)
    return f"{number} bits turned"


def empty(file: pathlib.Path, chance: random.Random) -> str:
    """Loses all of it."""
    file.write_bytes(b"")
    return "emptied"


def noise(file: pathlib.Path, chance: random.Random) -> str:
    """Other bytes."""
    file.write_bytes(chance.randbytes(min(file.stat().st_size, 4096)))
    return "noise"


def directory(file: pathlib.Path, chance: random.Random) -> str:
    """A directory in its place."""
    file.unlink()
    file.mkdir()
    return "a directory"


def missing(file: pathlib.Path, chance: random.Random) -> str:
    """Nothing in its place."""
    file.unlink()
    return "missing"


def retype(file: pathlib.Path, chance: random.Random) -> str:
    """Another type of one value of a JSON file."""
    content = json.loads(file.read_text())
    places = list(_values(content))
    container, key, name = chance.choice(places)
    value = chance.choice(_TYPES)
    container[key] = value
    file.write_text(json.dumps(content))
    return f"{name} = {value!r}"


def drop_key(file: pathlib.Path, chance: random.Random) -> str:
    """A JSON file without one of its names."""
    content = json.loads(file.read_text())
    places = [p for p in _values(content) if isinstance(p[0], dict)]
    container, key, name = chance.choice(places)
    del container[key]
    file.write_text(json.dumps(content))
    return f"no {name}"


def whole(file: pathlib.Path, chance: random.Random) -> str:
    """Another JSON value altogether."""
    value = chance.choice((None, 1, "x", [], {}, [[]], "[" * 100_000))
    text = value if value == "[" * 100_000 else json.dumps(value)
    file.write_text(text)
    return f"all is {text[:20]}"


def _values(content: Any, path: str = "", depth: int = 0) -> Iterator[tuple]:
    """Where the values of JSON are, those near the root as often as the many below."""
    items = content.items() if isinstance(content, dict) else enumerate(content)
    for key, value in list(items):
        for _ in range(max(4 - depth, 1) ** 2):
            yield content, key, f"{path}.{key}"
        if isinstance(value, (dict, list)) and value:
            yield from _values(value, f"{path}.{key}", depth + 1)


_BYTES = (cut, flip, empty, noise, directory, missing)
_JSON = (cut, flip, empty, directory, retype, retype, retype, drop_key, drop_key, whole)
# Damage that may leave a file which says the same, or says something else that fits.
_HARMLESS = (flip, retype, drop_key, cut)


def _targets(v: Victims) -> Iterator[tuple[str, str, tuple, int]]:
    """Folder, file in it, damages, how many cases."""
    yield "data", "dataset_info.json", _JSON, 90
    yield "data", "train-0", _BYTES, 20
    yield "data", "validation-0", _BYTES, 10
    for name, number in (("config.json", 70), ("representation.json", 50)):
        yield "run", name, _JSON, number
    yield "run", "dataset.json", _JSON, 25
    yield "run", "schedule.json", _JSON, 15
    yield "run", "metrics.csv", _BYTES, 20
    for folder in ("best", "latest"):
        for name in sorted(os.listdir(os.path.join(v.run, folder))):
            yield "run", f"{folder}/{name}", _BYTES, 8
    yield "export", "1/assets.extra/tfmusic.json", _JSON, 80
    yield "export", "1/saved_model.pb", _BYTES, 30
    for name in sorted(os.listdir(os.path.join(v.export, "1/variables"))):
        yield "export", f"1/variables/{name}", _BYTES, 15
    yield "packed", "", _BYTES, 26


def cases(seed: int = 0) -> list[Case]:
    """All of them."""
    v = victims()
    found = []
    for what, name, damages, number in _targets(v):
        for i in range(number):
            damage = damages[i % len(damages)]
            chance = random.Random(f"{seed} {what} {name} {i}")
            use = _USES[what][i % len(_USES[what])]
            found.append(
                Case(
                    f"{what}/{name} {damage.__name__} {i}: {use.__name__}",
                    _attempt(v, what, name, damage, chance, use),
                )
            )
    return found


def _attempt(v, what, name, damage, chance, use) -> Callable[[], object]:
    def attempt() -> None:
        source = pathlib.Path(getattr(v, what))
        copy = pathlib.Path(scratch("artefact_"))
        if source.is_dir():
            shutil.copytree(source, copy)
        else:
            copy = copy.with_suffix(source.suffix)
            shutil.copy(source, copy)
        how = damage(copy / name if name else copy, chance)
        try:
            use(v, str(copy))
        except BaseException as error:
            error.add_note(how)
            raise

    return attempt


def inspect_data(v: Victims, path: str) -> None:
    command("inspect", f"--data_dir={path}")()


def inspect_piece(v: Victims, path: str) -> None:
    command("inspect", f"--data_dir={path}", "--piece=0")()


def train_on(v: Victims, path: str) -> None:
    command(
        "train", f"--config={v.config}", f"--data_dir={path}", f"--workdir={path}_run"
    )()


def evaluate_on(v: Victims, path: str) -> None:
    command("evaluate", f"--workdir={v.run}", f"--data_dir={path}")()


def resume(v: Victims, path: str) -> None:
    command(
        "train",
        f"--config={v.config}",
        "--config.train.num_epochs=2",
        f"--data_dir={v.data}",
        f"--workdir={path}",
    )()


def evaluate_run(v: Victims, path: str) -> None:
    command("evaluate", f"--workdir={path}", f"--data_dir={v.data}")()


def export_run(v: Victims, path: str) -> None:
    command("export", f"--workdir={path}", f"--export_dir={path}_export")()


def curves(v: Victims, path: str) -> None:
    command("curves", path, f"--output={path}.png")()


def init_from(v: Victims, path: str) -> None:
    command(
        "train",
        f"--config={v.config}",
        f"--data_dir={v.data}",
        f"--workdir={path}_run",
        f"--init_from={path}",
    )()


def generate(v: Victims, path: str) -> None:
    command(
        "generate",
        f"--model_dir={path}",
        "--num_outputs=1",
        "--num_steps=4",
        f"--output_dir={path}_music",
    )()


def show(v: Victims, path: str) -> None:
    command("show", path)()


def unpack(v: Victims, path: str) -> None:
    command("export", f"--model={path}", f"--export_dir={path}_export")()


_USES = {
    "data": (inspect_data, train_on, inspect_piece, evaluate_on),
    "run": (resume, evaluate_run, export_run, curves, init_from),
    "export": (generate, show, generate, init_from, unpack),
    "packed": (generate, show, unpack),
}


def run(seed: int, choose: Choose, report: Report = ignore) -> list[Outcome]:
    """Tries them."""
    preload()
    return run_cases(cases(seed), choose, seconds=90, report=report)
