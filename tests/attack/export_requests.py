"""Hostile requests to exports of every family, straight to their graphs.

TensorFlow Serving passes on whatever fits the types of a signature, so the graph has
to refuse what would end the server, or hold it up for hours.
"""

import atexit
import functools
import json
import math
import os
import pathlib
import shutil
import tempfile
import traceback
from collections.abc import Callable, Iterator

import numpy as np

from tests.attack.runner import (
    Case,
    Choose,
    Outcome,
    Report,
    UserError,
    ignore,
    preload,
    run_cases,
)

_COUNTS = (0, -1, 2**31 - 1, -(2**31), 10**9)
_FLOATS = (math.nan, math.inf, -math.inf, -1e30, 1e30)
_IDS = (-1, 2**31 - 1, -(2**31), 10**6)
_TIME = 6
# What may be anything, for it only chooses random numbers.
_FREE = ("seed", "other_seed")


def families() -> list[str]:
    """The small models that are exported, one of each family."""
    from tests.models.conftest import CASES
    from tests.serving.exports import OTHERS, families

    names = [parameter.values[0] for parameter in families()]
    return [name for name in names if name in CASES or name in OTHERS]


@functools.cache
def folder() -> str:
    """Where the exports are."""
    path = tempfile.mkdtemp(prefix="tfmusic_exports_")
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


@functools.cache
def export(name: str) -> str:
    """The export of a family, made once in a child of this process."""
    path = os.path.join(folder(), name.replace(":", "_"), "1")
    child = os.fork()
    if not child:
        try:
            from tests.serving.exports import export_untrained

            export_untrained(name, path)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if status:
        raise RuntimeError(f"the export of {name} could not be made")
    return path


def read_card(name: str) -> dict:
    """What an export says of itself."""
    path = pathlib.Path(export(name)) / "assets.extra" / "tfmusic.json"
    return json.loads(path.read_text())


def modest(specs: dict, rows: int = 1) -> dict[str, np.ndarray]:
    """Inputs of an endpoint that are right, and small."""
    found = {}
    for name, spec in specs.items():
        shape = [rows if size is None else size for size in spec["shape"]]
        if len(shape) > 1 and spec["shape"][1] is None:
            shape[1] = _TIME
        value = spec.get("default", 0)
        if name in ("num_outputs", "num_steps", "beam_width"):
            value = 2 if not spec["shape"] else 1
        if name in ("bar_length",):
            value = 4
        if name in ("tokens",):
            value = 5
        found[name] = np.full(shape, value, spec["dtype"])
    return found


def _is_wrong(signature: str, name: str, value: float) -> bool:
    """Whether no answer to it would be right."""
    if name.startswith("state_"):  # what a step gave
        return False
    if name in ("noise", "other_noise", "latents"):
        return not math.isfinite(value)
    return (signature, name, value) != ("score", "num_steps", 0)  # a row of padding


def hostile(
    signature: str, endpoint: dict, controls: dict
) -> Iterator[tuple[str, dict, bool]]:
    """What is sent: what it is, the inputs, and whether it has to be refused."""
    specs = endpoint["inputs"]
    base = modest(specs)
    sizes = [n for n in ("num_outputs", "num_steps", "beam_width") if n in specs]
    for name, spec in specs.items():
        if name in _FREE:
            continue
        values = {"f": _FLOATS, "i": _IDS}.get(np.dtype(spec["dtype"]).kind, ())
        if name in sizes or name == "place":
            values = _COUNTS if name != "place" else _COUNTS[1:]
        for value in values:
            yield (
                f"{name}={value:g}",
                base | {name: np.full_like(base[name], value)},
                _is_wrong(signature, name, value),
            )
        if name in controls:
            for bound in ("minimum", "maximum"):
                yield (
                    f"{name} at its {bound}",
                    base | {name: np.full_like(base[name], controls[name][bound])},
                    False,
                )
    if len(sizes) > 1 and all(not specs[name]["shape"] for name in sizes):
        for size in (50_000, 2_000_000):
            many = {name: np.full_like(base[name], size) for name in sizes}
            yield f"{' x '.join(sizes)} = {size} each", base | many, True
    if any(None in spec["shape"] for spec in specs.values()):
        for rows, steps in ((0, _TIME), (1, 0)):
            empty = {
                key: np.zeros(_sized(specs[key]["shape"], rows, steps), array.dtype)
                for key, array in base.items()
            }
            empty |= {key: base[key] for key in base if None not in specs[key]["shape"]}
            yield f"{rows} rows of {steps} steps", empty, False


def _sized(shape: list, rows: int, steps: int) -> list[int]:
    """A shape with so many rows, and steps in each."""
    open_sizes = ((steps if axis else rows) for axis in range(len(shape)))
    return [
        given if size is None else size
        for size, given in zip(shape, open_sizes, strict=True)
    ]


def cases(name: str) -> list[Case]:
    """All requests to a family's export."""
    card = read_card(name)
    controls = {**(card.get("search_controls") or {}), **card["controls"]}
    controls |= card.get("infill_controls") or {}
    found = []
    for signature, endpoint in card["endpoints"].items():
        if signature == "serving_default":
            continue  # another name of one of the others
        found.append(
            Case(
                f"{name} {signature} as it should be",
                _request(name, signature, modest(endpoint["inputs"]), False),
            )
        )
        for what, inputs, must_fail in hostile(signature, endpoint, controls):
            case = f"{name} {signature} {what}"
            found.append(Case(case, _request(name, signature, inputs, True), must_fail))
    return found


_LOADED: dict = {}


def _load(name: str) -> None:
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(2)
    _LOADED[name] = tf.saved_model.load(export(name))


def _request(name, signature, inputs, may_fail) -> Callable[[], None]:
    def attempt() -> None:
        import tensorflow as tf

        tensors = {key: tf.constant(array) for key, array in inputs.items()}
        try:
            outputs = _LOADED[name].signatures[signature](**tensors)
            for key, tensor in outputs.items():
                array = tensor.numpy()
                if array.dtype.kind == "f" and np.isnan(array).any():
                    raise ValueError(f"NaN in {key}")
        except (tf.errors.InvalidArgumentError, tf.errors.OutOfRangeError) as error:
            if not may_fail:
                raise
            text = error.message.strip().splitlines()
            told = [line for line in text if "expected" in line]
            raise UserError((told or ["NOT TOLD " + text[0]])[0]) from error

    return attempt


def run(seed: int, choose: Choose, report: Report = ignore) -> list[Outcome]:
    """Tries them."""
    del seed
    preload()
    outcomes, wanted = [], choose.only.split(" ")[0]
    known = families()
    names = [wanted] if wanted in known else known
    for number, name in enumerate(names):
        export(name)
        part = choose.part(len(names) - number)
        load = functools.partial(_load, name)
        outcomes += run_cases(
            cases(name), part, seconds=60, prepare=load, alone=False, report=report
        )
    return outcomes
