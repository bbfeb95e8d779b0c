"""Command lines with wrong numbers, one flag or config field at a time."""

import random
from collections.abc import Iterator

from ml_collections import ConfigDict

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
from tests.attack.victims import scratch, short_config, victims

NOT_NUMBERS = ("nan", "inf", "-inf", "x", "1e999")
EXTREMES = ("-1", "0", "2147483648", "-9223372036854775809", "18446744073709551616")
FRACTIONS = ("1e300", "-1e300", "1e-300", "-0.5")
SECTIONS = ("train", "optimizer", "data", "model", "representation")

# Flags that are numbers, with what else the command needs; and values that are wrong
# besides those which always are.
_GENERATE = {
    "num_outputs": ("0", "-1", "2147483648"),
    "best_of": ("0", "-1", "2147483648"),
    "num_steps": ("0", "-1", "2147483648", "2147483647"),
    "bars": ("0", "-1", "1e300"),
    "seconds": ("0", "-1", "1e300"),
    "qpm": ("0", "-1", "1e300"),
    "program": ("-1", "128"),
    "seed": ("18446744073709551616",),
    "beam_width": ("-1", "2147483648"),
    "temperature": ("-1", "1e300"),
    "top_p": ("-1", "2"),
    "top_k": ("-1", "1e300"),
    "min_p": ("-1", "2"),
    "max_repeats": ("-1", "1e300"),
    "max_silence": ("-1", "1e300"),
    "tag": ("-1", "1e300"),
}
# Flags that say the same with every model.
_OF_ALL = (
    "num_outputs",
    "best_of",
    "num_steps",
    "seed",
    "qpm",
    "program",
    "max_repeats",
)


def config_cases(seed: int, number: int) -> list[Case]:
    """Trainings with one field of the config changed."""
    found = []
    config = short_config()
    for section in SECTIONS:
        for field, value in config[section].items():
            for text in _wrong(value):
                found.append((f"{section}.{field}", text, _must_fail(value, text)))
    found += [("seed", text, text in NOT_NUMBERS) for text in (*NOT_NUMBERS, *EXTREMES)]
    for name in ("learning_rate", "clip_norm", "clip_value", "weight_decay"):
        for text in ("nan", "-1", "inf"):
            found.append((f"optimizer.{name}", text, True))
    chosen = random.Random(seed).sample(sorted(set(found)), number)
    return [
        Case(
            f"train --config.{field}={text}",
            _later(
                "train",
                f"--config={victims().config}",
                f"--data_dir={victims().data}",
                "--workdir=NEW",
                f"--config.{field}={text}",
            ),
            must_fail,
        )
        for field, text, must_fail in chosen
    ]


def _later(*arguments):
    """An attempt whose new folder is made when it is its turn."""

    def attempt():
        new = scratch("case_")
        command(*(argument.replace("NEW", new) for argument in arguments))()

    return attempt


def _wrong(value: object) -> tuple[str, ...]:
    if isinstance(value, bool):
        return ("nan", "2", "-1")
    if isinstance(value, (int, float)):
        return (*NOT_NUMBERS, *EXTREMES, *FRACTIONS)
    if isinstance(value, (tuple, list)):
        return ("(0,)", "(-1,)", "(1e300,)", "x", "()", "(2147483648,)", "nan")
    if isinstance(value, ConfigDict):
        return ("1", "nan")
    return ("", "nan", "0")


def _must_fail(value: object, text: str) -> bool:
    return isinstance(value, (int, float)) and text in NOT_NUMBERS


def flag_cases() -> Iterator[Case]:
    """Other commands with one flag changed."""
    v = victims()
    for flag, wrong in _GENERATE.items():
        for model in [v.export] if flag in _OF_ALL else [v.tokens]:
            for text in sorted({*wrong, "nan", "inf", "x"}):
                given = {"num_outputs": "1", "num_steps": "4", "output_dir": "NEW"}
                if flag in ("bars", "seconds"):
                    del given["num_steps"]
                if flag in ("beam_width",):
                    del given["num_outputs"]
                given[flag] = text
                yield Case(
                    f"generate {model.rsplit('/', 1)[-1]} --{flag}={text}",
                    _later(
                        "generate",
                        f"--model={model}",
                        "--nopictures",
                        *(f"--{name}={value}" for name, value in given.items()),
                    ),
                    must_fail=True,
                )
    yield from _others(v)


def _others(v) -> Iterator[Case]:
    lines = [
        ("evaluate", f"--workdir={v.run}", f"--data_dir={v.data}", flag)
        for flag in (
            "--pieces=-1",
            "--pieces=nan",
            "--pieces=2147483648",
            "--pieces=1 --num_steps=-1",
            "--pieces=1 --num_steps=2147483648",
            "--pieces=1 --temperature=nan",
            "--pieces=1 --seed=1e300",
            "--checkpoint=-1",
            "--checkpoint=nan",
            "--checkpoint=18446744073709551616",
            "--split=nan",
        )
    ]
    lines += [
        ("build", f"--config={v.config}", f"--source={v.music}", "--output_dir=NEW", f)
        for f in (
            "--validation_fraction=nan",
            "--validation_fraction=-1",
            "--validation_fraction=2",
            "--validation_fraction=inf",
            "--test_fraction=nan",
            "--test_fraction=1e300",
            "--num_shards=-1",
            "--num_shards=nan",
            "--min_seconds=nan",
            "--min_seconds=-1",
            "--max_seconds=nan",
            "--max_seconds=-inf",
            "--file_seconds=nan",
            "--file_seconds=0",
            "--file_megabytes=0",
            "--file_megabytes=nan",
            "--limit_notes=nan",
            "--limit_seconds=nan",
            "--num_workers=-1",
            "--seed=nan",
            "--metre=0/0",
            "--programs=-1",
            "--programs=300",
            "--programs=nan",
        )
    ]
    lines += [
        ("export", f"--workdir={v.run}", "--export_dir=NEW", flag)
        for flag in (
            "--checkpoint=-1",
            "--checkpoint=nan",
            "--max_steps=-1",
            "--max_steps=nan",
            "--max_outputs=-1",
            "--format=x",
        )
    ]
    lines += [
        ("inspect", f"--data_dir={v.data}", flag)
        for flag in ("--piece=-1", "--piece=2147483648", "--piece=nan", "--piece=1e300")
    ]
    lines += [
        ("listening", f"--real={v.data}", f"--generated={v.music}", "--output_dir=NEW")
        + (flag,)
        for flag in ("--pairs=0", "--pairs=-1", "--seconds=nan", "--seconds=inf")
        + ("--seconds=-1", "--pairs=nan", "--seed=nan")
    ]
    lines += [
        ("serve", f"--models={v.export}", flag)
        for flag in (
            "--port=-1",
            "--port=65536",
            "--port=nan",
            "--max_steps=0",
            "--max_outputs=-1",
            "--num_threads=0",
            "--num_threads=nan",
            "--timeout_seconds=nan",
            "--timeout_seconds=inf",
            "--timeout_seconds=-1",
            "--max_waiting=-1",
        )
    ]
    lines += [
        ("live", f"--model={v.export}", "--osc_port=0", flag)
        for flag in (
            "--osc_port=-1",
            "--osc_port=65536",
            "--tempo=nan",
            "--tempo=0",
            "--tempo=-1",
            "--bars=0",
            "--bars=-1",
            "--answer_bars=-1",
            "--metre=0/0",
            "--metre=nan",
        )
    ]
    lines += [("play", v.music, f"--port={p}", "--noopen") for p in ("-1", "65536")]
    lines += [("studio", f"--port={p}", "--noopen") for p in ("-1", "65536", "nan")]
    lines += [
        (
            "encode_latents",
            f"--data_dir={v.data}",
            f"--model_dir={v.export}",
            "--output_dir=NEW",
            "--num_workers=-1",
        )
    ]
    for line in lines:
        parts = [part for piece in line for part in piece.split(" ")]
        name = " ".join([line[0], parts[-1]])
        yield Case(name, _later(*parts), must_fail=True)


def cases(seed: int = 0) -> list[Case]:
    """340 of them."""
    others = list(flag_cases())
    return others + config_cases(seed, 340 - len(others))


def run(seed: int, choose: Choose, report: Report = ignore) -> list[Outcome]:
    """Tries them."""
    preload()
    return run_cases(cases(seed), choose, seconds=90, report=report)
