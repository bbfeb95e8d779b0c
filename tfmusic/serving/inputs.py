"""What a model is given: music, and inputs as its card describes and limits them."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from tfmusic.errors import UserError, choose
from tfmusic.notes import NoteSequence
from tfmusic.notes.checks import check_possible
from tfmusic.notes.limits import Limits, ReadError

# What exports make in a call, unless their card has other limits.
MAX_STEPS, MAX_OUTPUTS = 100_000, 4096
_ANY_SIZE = Limits(max_notes=2**63, max_quarters=math.inf, max_seconds=math.inf)
_LIMITS = {
    "num_steps": MAX_STEPS,
    "num_outputs": MAX_OUTPUTS,
    "steps_in_all": 2**20,
    "steps_given": 2**20,
}


def check_music(name: str, value: Any) -> None:
    """Refuses what is no music.

    Raises:
        UserError: It is something else, or has notes or times that nobody could play.
    """
    if not isinstance(value, NoteSequence):
        shown = " ".join(repr(value).split())  # what a note is takes several lines
        raise UserError(
            f"{name}: expected music, as tfmusic.read_music gives it, got {shown:.60}"
        )
    try:
        check_possible(value, _ANY_SIZE)
    except ReadError as error:
        raise UserError(f"{name}: {error.detail}") from error


def limits_of(card: Mapping[str, Any]) -> dict[str, int]:
    """The most that a call of a model may ask for; older cards do not say it."""
    return _LIMITS | (card.get("limits") or {})


def choose_endpoint(card: Mapping[str, Any], endpoint: str) -> None:
    """Refuses to make music with what does not make such music.

    Raises:
        UserError: The model has no such endpoint.
    """
    if "reconstruct" in card["endpoints"]:
        raise UserError(
            f"{card['name']} gives music back and makes none: hear what it keeps of a "
            "piece with tfmusic reconstruct; a latent_wgan makes music of what tfmusic "
            "encode_latents writes with it"
        )
    choose(f"endpoint of {card['name']}", endpoint, card["endpoints"])


def check_limits(
    card: Mapping[str, Any], endpoint: str, inputs: Mapping[str, np.ndarray]
) -> None:
    """Refuses what would take more memory than there may be, before a graph is called.

    Exports of today do that too; those of older versions would end the program.

    Args:
        card: The model's.
        endpoint: What is to be called.
        inputs: Its inputs; those that are not arrays of numbers are left to others.

    Raises:
        UserError: It is too much.
    """
    limits, specs = limits_of(card), card["endpoints"][endpoint]["inputs"]
    shapes = {name: np.shape(inputs[name]) for name in specs if name in inputs}
    rows = [s[0] for n, s in shapes.items() if s and specs[n]["shape"][0] is None]
    given = [s[1] for n, s in shapes.items() if None in specs[n]["shape"][1:2]]
    pieces, steps = max(rows, default=1), 1
    _check_most(limits, "num_outputs", "rows", pieces)
    pieces_given = pieces
    for name in ("num_outputs", "beam_width", "particles"):
        if name in shapes:
            count = int(np.nan_to_num(np.max(inputs[name], initial=0)))
            _check_most(limits, "num_outputs", name, count)
            pieces *= count
    if "particles" in shapes:  # the steps are made one by one, of all particles
        _check_most(limits, "num_outputs", "rows times particles", pieces)
        steps = max(given, default=1)
    else:
        pieces_given = pieces
    if "place" in shapes:
        place = int(np.max(inputs["place"], initial=0))
        _check_most(limits, "num_outputs", "place", place)
    if "num_steps" in shapes and not (given and specs["num_steps"]["shape"]):
        steps = int(np.max(inputs["num_steps"], initial=1))
        _check_most(limits, "num_steps", "num_steps", steps)
    words = "steps of all pieces together"
    if "particles" in shapes:
        words = "steps of all particles together (--particles takes fewer)"
    _check_most(limits, "steps_in_all", words, pieces * steps)
    words = "steps of all pieces that are given"
    _check_most(limits, "steps_given", words, pieces_given * max(given, default=0))


def _check_most(limits: Mapping[str, int], limit: str, name: str, value: int) -> None:
    if value > limits[limit]:
        raise UserError(f"{name}: expected at most {limits[limit]:,}, got {value:,}")


def as_array(name: str, value: Any, spec: Mapping[str, Any]) -> np.ndarray:
    """The value of an input in its type.

    Args:
        name: The input's.
        value: What is to be it.
        spec: The input's in the card, with `dtype` and `shape`.

    Raises:
        UserError: It cannot be that type, or has another shape.
    """
    shape = spec["shape"]
    try:
        given = np.asarray(value)
        with np.errstate(invalid="ignore"):  # NaN is no whole number, as is seen below
            array = given.astype(spec["dtype"])
    except (TypeError, ValueError, OverflowError):
        raise _no_input(name, spec, f"{value!r:.60}") from None
    fits = len(shape) == array.ndim and all(
        size in (None, found) for size, found in zip(shape, array.shape, strict=True)
    )
    if not fits:
        raise _no_input(name, spec, f"the shape {list(array.shape)}")
    if array.dtype.kind in "iu" and not np.array_equal(array, given):
        raise _no_input(name, spec, f"{value!r:.60}")
    return array


def _no_input(name: str, spec: Mapping[str, Any], found: str) -> UserError:
    shape = ["any" if size is None else size for size in spec["shape"]]
    sizes = f" of shape {shape}" if shape else ""
    return UserError(f"{name}: expected {spec['dtype']}{sizes}, got {found}")
