"""What the page asks for, checked, as calls of a model."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from tfmusic.errors import UserError, choose
from tfmusic.evaluation.voices import in_voices
from tfmusic.notes import NoteSequence
from tfmusic.serving.setting import Setting
from tfmusic.studio.shelf import Shelf

# What a page can show, and one machine make while someone waits.
BOUNDS = {
    "num_outputs": (1, 8),
    "num_steps": (1, 8192),
    "bars": (1, 256),
    "seconds": (1, 600),
    "seed": (-(2**53), 2**53),
    "qpm": (10, 1000),
    "program": (0, 127),
}
_WHOLE = ("num_outputs", "num_steps", "seed", "program")
_TEXTS = ("key", "metre")
_LENGTHS = ("bars", "seconds", "num_steps")
_PARTS = ("kind", "model", "controls", "piece")
# What makes new music, of no piece.
_NEW = ("generate", "search")
_OF_KIND = {
    "generate": ("num_outputs", "seed", *_LENGTHS, "qpm", "program", *_TEXTS),
    "search": ("num_outputs", *_LENGTHS, "qpm", "program", *_TEXTS),
    "continue": ("num_outputs", "seed", *_LENGTHS, "key"),
    "infill": ("num_outputs", "seed", "bars", "keep", "key"),
}


@dataclasses.dataclass(frozen=True)
class Order:
    """A request of the page, checked.

    Attributes:
        kind: generate, search (the likeliest pieces, best first), continue or infill.
        model: Its name.
        settings: Arguments of the `Player`'s method, without controls and music.
        controls: Values that are not to have their defaults.
        piece: The name of the piece that is continued or filled.
    """

    kind: str
    model: str
    settings: Mapping[str, Any]
    controls: Mapping[str, float]
    piece: str | None = None

    def body(self) -> dict[str, Any]:
        """The request that makes the same new music again."""
        named = {"kind": self.kind, "model": self.model, "controls": self.controls}
        return named | dict(self.settings)


@dataclasses.dataclass(frozen=True)
class Result:
    """A piece that a model made.

    Attributes:
        sequence: The music.
        remark: What is to be said of it.
        has_beat: Whether the model knows beats.
    """

    sequence: NoteSequence
    remark: str
    has_beat: bool


def read_order(body: Any, shelf: Shelf) -> Order:
    """Checks a request before anything is loaded.

    Raises:
        UserError: Something about it is wrong.
        KeyError: There is no such model.
    """
    if not isinstance(body, dict):
        raise UserError("request: expected an object of JSON")
    kind = choose("kind", str(body.get("kind", "generate")), _OF_KIND)
    shelf.check(body.get("model"))
    named = {name: value for name, value in body.items() if name not in _PARTS}
    known = "search_controls" if kind == "search" else "controls"
    controls, named = shelf.read_controls(
        body["model"], body.get("controls"), named, known
    )
    if kind == "search" and "temperature" in controls:
        raise UserError("temperature: leave it out with a beam search on this page")
    settings = {}
    for name, value in named.items():
        if value is not None:
            choose(f"setting of {kind}", name, _OF_KIND[kind])
            settings[name] = _check(kind, name, value)
    piece = body.get("piece") if kind not in _NEW else None
    if kind not in _NEW and not isinstance(piece, str):
        raise UserError(f"{kind}: expected a piece; choose or drop a file first")
    return Order(kind, body["model"], settings, controls, piece)


def _check(kind: str, name: str, value: Any) -> Any:
    if name in _TEXTS:
        if not isinstance(value, str):
            raise UserError(f"{name}: expected text, got {str(value)[:40]!r}")
        Setting(**{name: value})  # complains of what it cannot read
        return value
    if name == "keep":
        if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
            raise UserError("keep: expected names of voices")
        return value
    if kind == "infill" and name == "bars":
        if not (
            isinstance(value, list)
            and len(value) == 2
            and all(type(bar) is int for bar in value)
        ):
            raise UserError("bars: expected the first and the last, such as [5, 8]")
        return tuple(value)
    kinds = int if name in _WHOLE else int | float
    lowest, highest = BOUNDS[name]
    if isinstance(value, bool) or not isinstance(value, kinds):
        raise UserError(f"{name}: expected a number, got {str(value)[:40]!r}")
    if not lowest <= value <= highest:
        raise UserError(f"{name}: expected {lowest} to {highest}, got {str(value):.40}")
    return value


def make(order: Order, shelf: Shelf, piece: NoteSequence | None) -> list[Result]:
    """Makes what is asked for.

    Args:
        order: As `read_order` gives it.
        shelf: Has the model.
        piece: The music that is continued or filled.

    Raises:
        UserError: The model cannot.
    """
    player = shelf.player(order.model)
    settings = dict(order.settings, controls=order.controls)
    has_beat = bool(player.representation.steps_per_quarter)
    if order.kind == "search":
        ranked = player.search(settings.pop("num_outputs", 1), **settings)
        return [
            Result(music, f"log-likelihood {value:.1f} nats", has_beat)
            for music, value in ranked
        ]
    if order.kind == "infill":
        pieces = player.infill(piece, **settings)
    else:
        pieces = player.generate(primer=piece, **settings)
        if "phrases" in player.controls:
            pieces = [in_voices(music) for music in pieces]
    remarks = [f"primer: {remark}" for remark in player.remarks]
    if player.guarded_steps:
        remarks.append(f"guards changed {player.guarded_steps} steps")
    return [Result(music, "; ".join(remarks), has_beat) for music in pieces]
