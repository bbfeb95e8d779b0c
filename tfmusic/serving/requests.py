"""What a client sends to an exported model, and how it reads the answer.

The model's card says all of it, so this needs neither the model nor TensorFlow: a
`Player` calls a SavedModel with it, a client of a model server a server.
"""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from tfmusic.checks import mapping, whole_number
from tfmusic.errors import UserError, choose, closest
from tfmusic.notes import NoteSequence, Pieces
from tfmusic.representations import EncodeError, Representation
from tfmusic.serving.gaps import Gap, fill_gap, read_gap
from tfmusic.serving.inputs import check_limits, check_music, choose_endpoint, limits_of
from tfmusic.serving.primers import Primer, join, limit_on_beat, on_beat, read_primer
from tfmusic.serving.setting import (
    OWNERS,
    PHRASE_QUARTERS,
    PHRASES,
    SYNONYMS,
    Setting,
    named_values,
    shorten,
)

# How the fields of `Setting` are read that may stand among the controls.
_READ = {
    "bars": float,
    "seconds": float,
    "qpm": float,
    "key": str,
    "metre": str,
    "program": int,
}
# What else says how music is made, for the answer to a misspelt control.
_OTHERS = ("num_outputs", "num_steps", "seed", "primer")
# What fits the integers of the graphs; anything else would wrap around.
SIZES = 1, np.iinfo(np.int32).max
_SEEDS = np.iinfo(np.int64).min, np.iinfo(np.int64).max


@dataclasses.dataclass(frozen=True)
class Request:
    """A call of an endpoint.

    Attributes:
        endpoint: Its name.
        inputs: Its inputs, in their types.
        primer: What the music continues; None without one.
        setting: What the music is to be set in.
        limit_seconds: How much of the answer is wanted, in seconds of the model's own
            tempo; None: all.
        gap: What is to be written anew of a piece; None where new music is made.
    """

    endpoint: str
    inputs: dict[str, np.ndarray]
    primer: Primer | None = None
    setting: Setting = Setting()
    limit_seconds: float | None = None
    gap: Gap | None = None

    @property
    def num_given(self) -> int:
        """How many notes of the primer stay; they are the first ones of each piece."""
        if self.gap:
            return int(self.gap.is_kept.sum())
        return len(self.primer.sequence.notes) if self.primer else 0


def request_music(
    card: Mapping[str, Any],
    representation: Representation,
    num_outputs: int = 1,
    num_steps: int | None = None,
    seed: int = 0,
    primer: NoteSequence | None = None,
    controls: Mapping[str, float] | None = None,
    **setting: Any,
) -> Request:
    """Asks for new pieces; see `Player.generate` for the arguments.

    Args:
        card: The model's card.
        representation: How its arrays encode music.
        num_outputs: How many pieces.
        num_steps: Their length at most in steps, without the primer.
        seed: Decides the music.
        primer: A beginning to continue.
        controls: Values that are not to have their defaults.
        **setting: Of `Setting`.

    Raises:
        UserError: A control that the model does not know or that is out of its
            bounds, a number below 1 or too large, a primer that cannot be encoded, or
            a setting that is not open.
    """
    _check_count(card, num_outputs=num_outputs)
    check_numbers(_SEEDS, seed=seed)
    controls, setting = split_settings(card, controls or {}, setting)
    values: dict[str, Any] = check_controls(card, controls) | {"seed": seed}
    parts = _prepare(card, representation, num_steps, primer, setting, values)
    values |= _set_controls(parts["setting"], card["controls"], controls)
    values["num_steps"] = parts.pop("num_steps")
    if primer is None:
        values["num_outputs"] = num_outputs
        return _request(card, "generate", values, **parts)
    return _request(card, "continue", values, num_prompts=num_outputs, **parts)


def request_infill(
    card: Mapping[str, Any],
    representation: Representation,
    piece: NoteSequence,
    bars: tuple[int, int] | None = None,
    keep: Sequence[str] | str = (),
    num_outputs: int = 1,
    seed: int = 0,
    controls: Mapping[str, float] | None = None,
    key: str | None = None,
) -> Request:
    """Asks for new notes in a piece; see `Player.infill` for the arguments.

    Raises:
        UserError: See `read_gap`, or as for `request_music`.
    """
    _check_count(card, num_outputs=num_outputs)
    check_numbers(_SEEDS, seed=seed)
    check_music("piece", piece)
    setting = Setting(key=key)
    setting.check(card, None)
    gap = read_gap(card, representation, piece, bars, keep, setting.tonality)
    values = check_controls(card, controls or {}, "infill_controls") | {"seed": seed}
    for name, array in gap.inputs.items():
        values[name] = np.broadcast_to(array, (num_outputs, *array.shape))
    request = _request(card, "infill", values)
    return dataclasses.replace(request, primer=gap.primer, gap=gap)


def request_search(
    card: Mapping[str, Any],
    representation: Representation,
    beam_width: int = 10,
    num_steps: int | None = None,
    seed: int = 0,
    primer: NoteSequence | None = None,
    controls: Mapping[str, float] | None = None,
    **setting: Any,
) -> Request:
    """Asks for the likeliest pieces; see `Player.search` for the arguments.

    Raises:
        UserError: The family has no beam search, or as for `request_music`.
    """
    if not card.get("search_controls"):
        raise UserError(
            f"beam_width: {card['name']} has no beam search, which takes a model of "
            f"tokens; what steers it is {', '.join(card['controls'])}"
        )
    _check_count(card, beam_width=beam_width)
    check_numbers(_SEEDS, seed=seed)
    controls, setting = split_settings(card, controls or {}, setting)
    values: dict[str, Any] = check_controls(card, controls, "search_controls")
    parts = _prepare(card, representation, num_steps, primer, setting, values)
    values |= _set_controls(parts["setting"], card["search_controls"], controls)
    values |= {"num_steps": parts.pop("num_steps"), "beam_width": beam_width}
    values |= {"seed": seed}
    endpoint = "search" if primer is None else "continue_search"
    return _request(card, endpoint, values, **parts)


def request_interpolation(
    card: Mapping[str, Any],
    num_outputs: int = 5,
    num_steps: int = 256,
    seeds: tuple[int, int] = (0, 1),
    controls: Mapping[str, float] | None = None,
) -> Request:
    """Asks for pieces between two; see `Player.interpolate` for the arguments.

    Raises:
        UserError: The family cannot, or as for `request_music`.
    """
    if "interpolate" not in card["endpoints"]:
        raise UserError(
            f"interpolate: {card['name']} has no way from one piece to another, which "
            "takes a model that makes whole pieces of noise, such as latent_wgan"
        )
    _check_count(card, num_outputs=num_outputs)
    check_numbers((1, limits_of(card)["num_steps"]), num_steps=num_steps)
    if not isinstance(seeds, (tuple, list)) or len(seeds) != 2:
        raise UserError(f"seeds: expected two whole numbers, got {seeds!r:.60}")
    for seed in seeds:
        check_numbers(_SEEDS, seeds=seed)
    values: dict[str, Any] = check_controls(card, controls or {})
    values |= {"num_outputs": num_outputs, "num_steps": num_steps}
    values |= {"seed": seeds[0], "other_seed": seeds[1]}
    return _request(card, "interpolate", values)


def _check_count(card: Mapping[str, Any], **numbers: int) -> None:
    """Refuses other numbers of pieces than a model makes at a time."""
    check_numbers((1, limits_of(card)["num_outputs"]), **numbers)


def _prepare(
    card: Mapping[str, Any],
    representation: Representation,
    num_steps: int | None,
    primer: NoteSequence | None,
    setting: Mapping[str, Any],
    controls: Mapping[str, float],
) -> dict[str, Any]:
    """The primer as the model reads it, the length, and what the music is set in."""
    if primer is not None:
        check_music("primer", primer)
        primer, moved = on_beat(representation, primer)
    for name, value in setting.items():
        if name in card["controls"]:
            raise UserError(f"{name}: give it as controls={{{name!r}: {value!r}}}")
        choose("setting", name, [field.name for field in dataclasses.fields(Setting)])
    wanted = Setting(num_steps=num_steps, **setting)
    wanted.check(card, primer, representation.steps_per_quarter)
    bar_quarters = wanted.bar_quarters(primer, controls, card["controls"])
    limit_seconds = wanted.limit_seconds(representation, primer, bar_quarters)
    steps = wanted.steps(card, representation, limit_seconds)
    check_numbers((1, limits_of(card)["num_steps"]), num_steps=steps)
    if primer:
        primer = read_primer(card, representation, primer, wanted.tonality)
        prompt = representation.as_beginning(primer.prompt)
        remarks = moved + primer.remarks
        primer = dataclasses.replace(primer, prompt=prompt, remarks=remarks)
    return {
        "primer": primer,
        "num_steps": steps,
        "setting": wanted,
        "limit_seconds": limit_seconds,
    }


def _set_controls(
    setting: Setting, known: Mapping[str, Any], given: Mapping[str, float] | None
) -> dict[str, float]:
    """The controls that a setting decides; the user may not give them too."""
    values = setting.controls(known)
    for name in values:
        if name in (given or {}):
            raise UserError(
                f"{name}: leave it out with {OWNERS[name]}: both say the "
                f"{'length' if OWNERS[name] == 'bars' else OWNERS[name]}"
            )
    given = given or {}
    if {PHRASES, PHRASE_QUARTERS}.intersection(given):
        return values
    plan = setting.phrases(known, setting.bar_quarters(None, given, known))
    return values | {name: v for name, v in plan.items() if name not in given}


def _request(
    card: Mapping[str, Any],
    endpoint: str,
    values: Mapping[str, Any],
    primer: Primer | None = None,
    num_prompts: int = 1,
    **parts: Any,
) -> Request:
    """A call with some values, and with copies of a primer if there is one."""
    tiled = {
        name: np.broadcast_to(array, (num_prompts, *array.shape))
        for name, array in (primer.prompt if primer else {}).items()
    }
    values = {**values, **tiled}
    choose_endpoint(card, endpoint)
    specs = card["endpoints"][endpoint]["inputs"]
    if missing := [name for name in specs if name not in values]:
        raise UserError(
            f"{endpoint} of {card['name']}: expected a control {missing[0]} in the "
            "model's card, found none; copy or export the model again"
        )
    check_limits(card, endpoint, values)
    # Arrays may be narrower on disk than in the graph.
    inputs = {n: np.asarray(values[n], spec["dtype"]) for n, spec in specs.items()}
    return Request(endpoint, inputs, primer, **parts)


def read_music(
    representation: Representation,
    request: Request,
    outputs: Mapping[str, np.ndarray],
    include_primer: bool = True,
) -> Pieces:
    """The pieces in an answer.

    Args:
        representation: How the model's arrays encode music.
        request: What was asked.
        outputs: Arrays `[piece, time, ...]` and `num_steps` `[piece]`.
        include_primer: Whether the pieces begin with the primer.
    """
    pieces = Pieces()
    setting = request.setting
    for i, length in enumerate(outputs["num_steps"]):
        features = {
            name: np.asarray(outputs[name][i][:length])
            for name in representation.feature_specs
        }
        if request.gap:
            piece = fill_gap(request.gap, representation, features)
        elif request.primer:
            piece = join(
                request.primer,
                representation,
                features,
                include_primer,
                request.limit_seconds,
            )
        else:
            piece = representation.decode(features)
            own_qpm = None
            limit = request.limit_seconds
            if representation.steps_per_quarter:
                own_qpm = piece.tempos[0].qpm
                limit = limit and limit_on_beat(representation, piece, limit)
                # Of a metre that the model chooses, bars are counted when they are
                # there.
                limit = None if setting.bars else limit
            piece = setting.apply(shorten(piece, limit), own_qpm, request.inputs)
            if representation.steps_per_quarter:
                piece = setting.cut_to_bars(piece)
            if representation.has_tempos:
                piece = shorten(piece, setting.seconds)
        pieces.append(piece)
    return pieces


def tell_unmatched(outputs: Mapping[str, np.ndarray]) -> tuple[str, ...]:
    """How often nothing that the model knows has what is given, in words."""
    found = int(outputs.get("unmatched_steps", np.zeros(1)).max())
    if not found:
        return ()
    num_steps = int(outputs["num_steps"].max())
    told = (
        f"{found} of {num_steps} steps: no known chord has the given note; it stands "
        "alone there, or with a chord fitted to it"
    )
    if 2 * found > num_steps:
        told += ". The part may be too high or too low for the model: try an octave off"
    return (told,)


def encode(
    representation: Representation, piece: NoteSequence
) -> dict[str, np.ndarray]:
    """The arrays of a piece.

    Raises:
        UserError: It cannot be encoded.
    """
    try:
        return representation.encode(piece)
    except EncodeError as error:
        raise UserError(
            f"{piece.filename}: cannot be encoded as {representation.name} ({error})"
        ) from error


def default_of(spec: Mapping[str, Any], num_rows: int = 1) -> np.ndarray:
    """The value of an input that a call leaves out.

    Args:
        spec: The input's in the card, with `default`.
        num_rows: How many rows the call has.
    """
    shape = [num_rows if size is None else size for size in spec["shape"]]
    return np.full(shape, spec["default"], spec["dtype"])


def check_numbers(bounds: tuple[int, int], **numbers: int) -> None:
    """Refuses what is no whole number, or out of bounds, by its name.

    Raises:
        UserError: There is one.
    """
    for name, value in numbers.items():
        whole_number(name, value, *bounds)


def split_settings(
    card: Mapping[str, Any], controls: Mapping[str, Any], setting: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Moves what is no control but a field of `Setting` from the ones to the other.

    So that whoever gives controls by name, as text, can ask for a key or a metre too.

    Raises:
        UserError: One of them is given twice, or is no number where it has to be.
    """
    controls, setting = dict(mapping("controls", controls)), dict(setting)
    for name, read in _READ.items():
        if name not in controls or name in card["controls"]:
            continue
        value = controls.pop(name)
        if setting.get(name) is not None:
            raise UserError(f"{name}: expected it once, got it among controls too")
        try:
            setting[name] = read(value)
        except (TypeError, ValueError, OverflowError):
            raise UserError(f"{name}: expected a number, got {value!r:.60}") from None
    return controls, setting


def check_controls(
    card: Mapping[str, Any],
    changes: Mapping[str, float],
    kind: str = "controls",
) -> dict[str, float]:
    """The value of every control of a model.

    Args:
        card: The model's.
        changes: Values that are not to be the defaults.
        kind: See `known_controls`.

    Raises:
        UserError: A change to an unknown control, or out of its bounds.
    """
    controls, changes = known_controls(card, kind), mapping("controls", changes)
    values = {name: spec["default"] for name, spec in controls.items()}
    for name, value in changes.items():
        if name not in controls:
            raise UserError(unknown_control(card, name, kind))
        spec = controls[name]
        values[name] = _read_value(name, value, spec)
        if not spec["minimum"] <= values[name] <= spec["maximum"]:
            raise UserError(
                f"{name}: expected {spec['minimum']:g} to {spec['maximum']:g}, got "
                f"{values[name]:g} ({spec['doc']})"
            )
    return values


def known_controls(card: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """The controls of a model.

    Args:
        card: The model's.
        kind: "controls"; "search_controls", those of a beam search; "infill_controls",
            those of `infill`, the first among them.
    """
    controls = card.get(kind) or {}
    return card["controls"] | controls if kind == "infill_controls" else controls


def _read_value(name: str, value: Any, spec: Mapping[str, Any]) -> float:
    """A control's value: a number, or a word that one of its numbers stands for."""
    words = {word.lower(): number for word, number in named_values(spec).items()}
    if isinstance(value, str) and value.strip().lower() in words:
        return float(words[value.strip().lower()])
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        if words:
            choose(name, str(value), words)
        raise UserError(
            f"{name}: expected a number, got {value!r:.60} ({spec['doc']})"
        ) from None


def unknown_control(
    card: Mapping[str, Any],
    name: str,
    kind: str = "controls",
    others: Collection[str] = (*_READ, *_OTHERS),
) -> str:
    """The answer to a control that there is not: what it may mean, and the list.

    Args:
        card: The model's.
        name: Of the control.
        kind: As for `check_controls`.
        others: What else can be asked for.
    """
    if kind == "controls" and name in (card.get("infill_controls") or {}):
        return f"{name}: leave it out without --keep and --infill, which it steers"
    if name in card["controls"]:
        return f"{name}: leave it out with a beam search, which has no use for it"
    known = known_controls(card, kind)
    close = SYNONYMS.get(name) or closest(name, [*known, *others])
    close = close or SYNONYMS.get(closest(name, SYNONYMS))
    hint = f" (did you mean {close!r}?)" if close else ""
    return (
        f"control of {card['name']}: unknown {name!r}{hint}; it can be "
        f"{', '.join(sorted(known))}; and with every model "
        f"{', '.join(sorted(others))}"
    )
