"""The models that the page offers: their cards at once, their weights when needed."""

import itertools
import os
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tfmusic.errors import UserError, first_line
from tfmusic.representations import Representation, make_representation
from tfmusic.serving.catalogue import (
    find_model,
    is_packed,
    read_card,
    read_packed_card,
    shipped_models,
)
from tfmusic.serving.requests import check_controls, split_settings
from tfmusic.serving.setting import (
    HOME_KEY,
    KEY_NUMBER,
    LENGTH_BARS,
    knows_one_key,
    named_values,
)
from tfmusic.show import find_card

if TYPE_CHECKING:
    from tfmusic.serving.player import Player

_KEYS = ["C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B"]
# Where bounds are far wider than what anyone wants: what the slider shows.
_SLIDER_LIMIT = 64.0
_TOP = {
    "temperature": 2.0,
    "top_k": 100.0,
    "repetition_penalty": 4.0,
    "notes_per_quarter": 8.0,
    "notes_per_second": 30.0,
    "bar_quarters": 8.0,
    "pickup_quarters": 4.0,
    "voice_leading": 10.0,
    "cadence": 10.0,
    "guidance": 5.0,
}
# Controls that are changed most, in this order; the page folds the others away.
_FIRST = ("temperature", "top_p", "tag", KEY_NUMBER, "metre_number")
# What the length of the page says already.
_HIDDEN = (LENGTH_BARS,)


class Shelf:
    """Models by name.

    Attributes:
        cards: The whole card of each.
    """

    def __init__(self, models: Sequence[str] = ()):
        """Reads the cards.

        Args:
            models: Exports besides those that come with tfmusic.

        Raises:
            UserError: One is no export, or its card is damaged.
        """
        self._paths = dict(shipped_models())
        for model in models:
            name = os.path.splitext(os.path.basename(os.path.normpath(model)))[0]
            numbers = (f"{name}_{number}" for number in itertools.count(2))
            while name in self._paths:
                name = next(numbers)
            self._paths[name] = find_model(model)
        self.cards = {name: _read_card(path) for name, path in self._paths.items()}
        self._described = [self._describe(name) for name in self.cards]
        self._players: dict[str, Player] = {}

    def check(self, name: Any) -> Mapping[str, Any]:
        """The card of a model.

        Raises:
            KeyError: There is no such model.
        """
        if not isinstance(name, str) or name not in self.cards:
            raise KeyError(f"model: there is no {name!r}; {', '.join(self.cards)}")
        return self.cards[name]

    def read_controls(
        self,
        name: str,
        controls: Any,
        setting: Mapping[str, Any],
        known: str = "controls",
    ) -> tuple[dict[str, float], dict[str, Any]]:
        """The controls of a request as numbers, and its setting.

        Before anything is loaded.

        Args:
            name: The model's.
            controls: As they came; a key or a metre among them goes to the setting.
            setting: What else the request says.
            known: Which controls of the card: "controls" or "search_controls".

        Raises:
            UserError: A control is unknown or out of its bounds.
        """
        if controls is None:
            controls = {}
        if not isinstance(controls, dict):
            raise UserError(f"controls: expected names and numbers, got {controls!r}")
        card = self.cards[name]
        controls, setting = split_settings(card, controls, setting)
        for control, value in controls.items():
            spec = (card.get(known) or {}).get(control)
            kinds = int | float
            if not spec or named_values(spec):  # names of none are answered below
                kinds |= str
            if isinstance(value, bool) or not isinstance(value, kinds):
                raise UserError(f"{control}: expected a number, got {value!r:.60}")
        values = check_controls(card, controls, known)
        return {control: values[control] for control in controls}, setting

    def player(self, name: str) -> "Player":
        """The model itself; loaded when it is first asked for."""
        if name not in self._players:
            # So that the page is there before what plays them.
            from tfmusic.serving.player import Player

            self._players[name] = Player(self._paths[name])
        return self._players[name]

    def describe(self) -> list[dict[str, Any]]:
        """What the page shows of each model."""
        return self._described

    def _describe(self, name: str) -> dict[str, Any]:
        try:
            return describe(name, self.cards[name])
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise UserError(
                f"{self._paths[name]}: its card cannot be understood "
                f"({type(error).__name__}: {first_line(error)}); copy or export the "
                "model again"
            ) from error


def describe(name: str, card: Mapping[str, Any]) -> dict[str, Any]:
    """What the page shows of a model: what it is, and its controls."""
    data = card.get("data") or {}
    representation = make_representation(card["representation"])
    endpoints = card["endpoints"]
    has_beat = bool(representation.steps_per_quarter)
    controls = [
        _control(control, spec)
        for control, spec in card["controls"].items()
        if control not in _HIDDEN
    ]
    controls.sort(key=lambda control: not control["first"])
    return {
        "name": name,
        "family": card["name"],
        "music": representation.name,
        "source": data.get("source", "unknown"),
        "licence": data.get("licence", "unknown"),
        "num_parameters": card.get("num_parameters"),
        "knows": card.get("knows") or {},
        "scores": _scores(card),
        "comparison": _comparison(card),
        "has_beat": has_beat,
        "qpm": representation.qpm if has_beat else None,
        "length": _length_unit(card, representation),
        "takes_key": KEY_NUMBER not in card["controls"] and knows_one_key(card),
        "can": {
            "generate": "generate" in endpoints,
            "continue": "continue" in endpoints,
            "infill": "infill" in endpoints,
            "search": "search" in endpoints,
            "likelihood": "score" in endpoints and knows_notes(representation),
        },
        "voices": [
            name.title() for name in representation.keep_names if "infill" in endpoints
        ],
        "controls": controls,
        # The page asks for the likeliest pieces, whatever its temperature.
        "search_controls": [
            name for name in card.get("search_controls") or () if name != "temperature"
        ],
    }


def _read_card(path: str) -> dict[str, Any]:
    if is_packed(path):
        return read_packed_card(path)
    if not os.path.isdir(path):
        raise UserError(
            f"--models={path}: expected the directory of an export on this machine, or "
            "an export in one file"
        )
    return read_card(find_card(path))


def knows_notes(representation: Representation) -> bool:
    """Whether it can be told how likely a model of such arrays holds each note."""
    return representation.step_seconds is not None or hasattr(
        representation, "token_pitches"
    )


def _length_unit(card: Mapping[str, Any], representation: Representation) -> str:
    """What the length of new music is asked for in."""
    train = ((card.get("data") or {}).get("splits") or {}).get("train") or {}
    if representation.step_seconds or train.get("seconds"):
        return "bars" if representation.steps_per_quarter else "seconds"
    return "num_steps"


def _scores(card: Mapping[str, Any]) -> list[str]:
    lines = []
    for split, scores in (card.get("scores") or {}).items():
        value = scores.get("log_likelihood_per_step", scores.get("loss"))
        if value is not None:
            lines.append(f"{split}: {value:.4g} nats a step")
    return lines


def _comparison(card: Mapping[str, Any]) -> list[list[str]]:
    """Measures of generated and of held-out music: name, the one, the other."""
    for scores in (card.get("scores") or {}).values():
        music = scores.get("music") or {}
        if "generated" in music and "held-out" in music:
            new, old = (music[name]["summary"] for name in ("generated", "held-out"))
            return [
                [label, f"{new[label]['mean']:.3g}", f"{old[label]['mean']:.3g}"]
                for label in new
                if label in old
            ]
    return []


def _control(name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    """A control as a slider, or as a choice where its meaning lists one."""
    top = _TOP.get(name)
    if top is None:
        top = spec["maximum"]
        if top > 2 * _SLIDER_LIMIT:
            top = max(_SLIDER_LIMIT, 2 * spec["default"])
    span = top - spec["minimum"]
    # Whole numbers where bounds are wide.
    step = 0.01 if span <= 4 else 0.1 if span <= 10 else 1
    return {
        "name": name,
        "label": _label(name),
        "doc": re.sub(r"--(\w+)", r"\1", spec["doc"]),
        "default": spec["default"],
        "minimum": spec["minimum"],
        "maximum": spec["maximum"],
        "top": min(top, spec["maximum"]),
        "step": 0.25 if name.endswith("_quarters") else step,
        "choices": _choices(name, spec),
        "first": name in _FIRST,
    }


def _label(name: str) -> str:
    text = name.removesuffix("_number").replace("_", " ")
    return text[0].upper() + text[1:]


def _choices(name: str, spec: Mapping[str, Any]) -> list[list[Any]]:
    """[number, word] of a control whose numbers stand for words; else nothing."""
    if name in (KEY_NUMBER, HOME_KEY):
        major = [[i + 1, key] for i, key in enumerate(_KEYS)]
        return [[0, "any"], *major, *([i + 12, f"{key}m"] for i, key in major)]
    found = named_values(spec)
    return [[0, "any"], *([n, word] for word, n in found.items())] if found else []
