"""Calls of the Python API with wrong values: 160 of them."""

import functools
import math
from collections.abc import Callable, Iterator
from typing import Any

from tests.attack.runner import (
    Case,
    Choose,
    Outcome,
    Report,
    ignore,
    preload,
    run_cases,
)
from tests.attack.victims import scratch, short_config, victims

_WRONG: tuple[Any, ...] = (math.nan, math.inf, -1, 0, 2**31, 2**64, "x", None, [], 1.5)


def cases() -> list[Case]:
    """All of them."""
    return [Case(name, attempt, True) for name, attempt in _all()]


def _all() -> Iterator[tuple[str, Callable[[], object]]]:
    for function in (_generate, _controls, _search, _infill, _others, _files):
        yield from function()


@functools.cache
def _player(model: str):
    import tfmusic

    return tfmusic.load_model(model)


def _generate() -> Iterator[tuple[str, Callable[[], object]]]:
    path = victims().export
    for name in ("num_outputs", "num_steps", "seed"):
        for value in _WRONG:
            if (name, value) in (("num_steps", None), ("seed", 2**31)):
                continue  # these are right
            if name == "seed" and value in (-1, 0):
                continue
            given = {"num_outputs": 1, "num_steps": 4, name: value}
            yield (
                f"generate({name}={value!r})",
                lambda given=given: _player(path).generate(**given),
            )
    for name in ("bars", "seconds", "qpm", "program", "key", "metre"):
        for value in (math.nan, -1, 1e300, "x", [], {}):
            given = {"num_outputs": 1, name: value}
            if name not in ("bars", "seconds"):
                given["num_steps"] = 4
            yield (
                f"generate({name}={value!r})",
                lambda given=given: _player(victims().tokens).generate(**given),
            )
    for name, value in (("primer", "x"), ("primer", 1), ("controls", 1), ("x", 1)):
        yield (
            f"generate({name}={value!r})",
            lambda name=name, value=value: _player(path).generate(**{name: value}),
        )
    yield (
        "generate(2**20 pieces of 2**20 steps)",
        lambda: _player(path).generate(2**20, num_steps=2**20),
    )


def _controls() -> Iterator[tuple[str, Callable[[], object]]]:
    path = victims().export
    for value in (math.nan, math.inf, -1, 1e300, "x", None, [], 1j, 10**400):
        yield (
            f"generate(temperature={value!r:.30})",
            lambda value=value: _player(path).generate(
                num_steps=4, controls={"temperature": value}
            ),
        )
    yield (
        "generate(controls={1: 1})",
        lambda: _player(path).generate(num_steps=4, controls={1: 1}),
    )
    calls = (
        ("generate", {"num_outputs": 1, "num_steps": 2**31 - 1, "seed": 0}),
        ("generate", {"num_outputs": -1, "num_steps": 4, "seed": 0}),
        ("generate", {"num_outputs": 1, "num_steps": 4}),
        ("generate", {"num_outputs": 1, "num_steps": 4, "seed": 0, "x": 1}),
        ("generate", {"num_outputs": 1, "num_steps": 4, "seed": "x"}),
        ("generate", {"num_outputs": [1], "num_steps": 4, "seed": 0}),
        (
            "generate",
            {"num_outputs": 1, "num_steps": 4, "seed": 0, "temperature": math.nan},
        ),
        ("nothing", {}),
        ("score", {"roll": [[[[True]]]], "num_steps": [1]}),
        ("score", {}),
        ("score", 1),
    )
    for endpoint, inputs in calls:
        yield (
            f"call({endpoint!r}, {inputs!r:.60})",
            lambda e=endpoint, i=inputs: _player(path).call(e, i),
        )


def _search() -> Iterator[tuple[str, Callable[[], object]]]:
    for name in ("beam_width", "num_steps"):
        for value in _WRONG:
            if (name, value) == ("num_steps", None):
                continue
            given = {"beam_width": 2, "num_steps": 4, name: value}
            yield (
                f"search({name}={value!r})",
                lambda given=given: _player(victims().tokens).search(**given),
            )
    yield (
        "search(length_power=nan)",
        lambda: _player(victims().tokens).search(
            2, controls={"length_power": math.nan}
        ),
    )
    yield "search of rolls", lambda: _player(victims().export).search(2)


def _infill() -> Iterator[tuple[str, Callable[[], object]]]:
    import tfmusic

    def fill(**given):
        piece = tfmusic.read_music(victims().music)
        return _player("harmony").infill(**{"piece": piece, **given})

    for bars in ((-1, 2), (5, 2), (1, 2**70), (math.nan, 1), 3, "x", (1,), (1.5, 2)):
        yield f"infill(bars={bars!r})", lambda bars=bars: fill(bars=bars)
    for keep in (("x",), 1, (1,), "x"):
        yield f"infill(keep={keep!r})", lambda keep=keep: fill(bars=(1, 2), keep=keep)
    for name, value in (
        ("num_outputs", 0),
        ("num_outputs", 2**40),
        ("num_outputs", math.nan),
        ("seed", "x"),
        ("piece", "x"),
        ("piece", None),
    ):
        yield (
            f"infill({name}={value!r})",
            lambda n=name, v=value: fill(**{"bars": (1, 2), n: v}),
        )
    for seeds in ((0,), "ab", (math.nan, 1), None, (2**70, 0)):
        yield (
            f"interpolate(seeds={seeds!r})",
            lambda seeds=seeds: _player("harmony").interpolate(seeds=seeds),
        )
    for value in ("x", None, 1):
        yield f"score({value!r})", lambda v=value: _player(victims().tokens).score(v)
        yield (
            f"reconstruct({value!r})",
            lambda v=value: _player(victims().tokens).reconstruct(v),
        )


def _others() -> Iterator[tuple[str, Callable[[], object]]]:
    import tfmusic

    v = victims()

    def changed(section: str, field: str, value: Any):
        config = short_config()
        with config.unlocked():
            config[section][field] = value
        return config

    def train(config: Any, data: Any = v.data):
        tfmusic.train_model(config, data, scratch("api_"))

    for section, field, value in (
        ("train", "batch_size", math.nan),
        ("train", "batch_size", 0),
        ("train", "batch_size", None),
        ("optimizer", "learning_rate", -1.0),
        ("optimizer", "learning_rate", math.nan),
        ("optimizer", "clip_norm", math.nan),
        ("optimizer", "clip_norm", "x"),
        ("data", "window_steps", 2**40),
        ("data", "window_steps", -3),
        ("model", "units", (0,)),
        ("model", "units", ()),
        ("model", "units", 3),
        ("model", "dropout", math.nan),
        ("model", "dropout", 7.0),
        ("representation", "steps_per_quarter", 0),
        ("representation", "steps_per_quarter", math.nan),
        ("representation", "qpm", math.inf),
    ):
        try:
            config = changed(section, field, value)
        except TypeError:
            config = None  # ConfigDict refuses another type, which is an answer
        if config is not None:
            yield (
                f"train_model({section}.{field}={value!r})",
                lambda config=config: train(config),
            )
    for config in (None, 1, "x", {}, "chord_lstm:x", ""):
        yield f"train_model({config!r})", lambda config=config: train(config)
    for data in (None, 1, "x", "", "/dev/null", v.music):
        yield (
            f"train_model(data_dir={data!r})",
            lambda data=data: train(short_config(), data),
        )
    yield (
        "train_model(workdir=None)",
        lambda: tfmusic.train_model(short_config(), v.data, None),
    )
    for workdir in (None, 1, "", "x", v.data, "/dev/null"):
        yield (
            f"evaluate_model({workdir!r})",
            lambda w=workdir: tfmusic.evaluate_model(w, v.data),
        )
        yield (
            f"export_model({workdir!r})",
            lambda w=workdir: tfmusic.export_model(w, scratch("api_")),
        )
        yield f"load_model({workdir!r})", lambda w=workdir: tfmusic.load_model(w)
    for split in ("x", None, 1):
        yield (
            f"evaluate_model(split={split!r})",
            lambda s=split: tfmusic.evaluate_model(v.run, v.data, s),
        )
        yield (
            f"read_pieces(split={split!r})",
            lambda s=split: tfmusic.read_pieces(v.data, s),
        )
    for checkpoint in (-1, math.nan, "x", 2**80, [], None):
        yield (
            f"export_model(checkpoint={checkpoint!r})",
            lambda c=checkpoint: tfmusic.export_model(v.run, scratch("api_"), c),
        )
    for export_dir in (None, 1, "", v.music):
        yield (
            f"export_model(export_dir={export_dir!r})",
            lambda e=export_dir: tfmusic.export_model(v.run, e),
        )


def _files() -> Iterator[tuple[str, Callable[[], object]]]:
    import tfmusic
    from tfmusic.notes import NoteSequence

    for path in (None, 1, "", "/", "/dev/null", "x.mid", b"x"):
        yield f"read_music({path!r})", lambda path=path: tfmusic.read_music(path)
    for path in (None, 1, "", "x.txt", "/proc/x/y.mid", "/.mid"):
        yield (
            f"write_music({path!r})",
            lambda path=path: tfmusic.write_music(NoteSequence(), path),
        )
    for piece in (None, "x", 1):
        yield (
            f"write_music of {piece!r}",
            lambda piece=piece: tfmusic.write_music(piece, scratch("api_") + ".mid"),
        )
        yield f"plot_music({piece!r})", lambda piece=piece: tfmusic.plot_music(piece)
        yield (
            f"compare_music({piece!r})",
            lambda piece=piece: tfmusic.compare_music(piece, piece),
        )
    yield "plot_music()", lambda: tfmusic.plot_music()
    yield (
        "plot_music(titles)",
        lambda: tfmusic.plot_music(NoteSequence(), titles=(1, 2)),
    )
    yield "compare_music of none", lambda: tfmusic.compare_music([], [])


def run(seed: int, choose: Choose, report: Report = ignore) -> list[Outcome]:
    """Tries them."""
    del seed
    preload()
    return run_cases(cases(), choose, seconds=90, alone=False, report=report)
