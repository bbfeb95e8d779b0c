"""What a client sends to an exported model, and how it reads the answer.

The model's card says all of it, so this needs neither the model nor TensorFlow: a
`Player` calls a SavedModel with it, a client of a model server a server.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfmusic.errors import UserError, choose
from tfmusic.notes import NoteSequence, Pieces
from tfmusic.representations import EncodeError, Representation
from tfmusic.serving.gaps import Gap, fill_gap, read_gap
from tfmusic.serving.primers import Primer, join, limit_on_beat, read_primer
from tfmusic.serving.setting import OWNERS, Setting, shorten

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
    check_numbers(SIZES, num_outputs=num_outputs)
    check_numbers(_SEEDS, seed=seed)
    values: dict[str, Any] = check_controls(card, controls or {}) | {"seed": seed}
    parts = _prepare(card, representation, num_steps, primer, setting)
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
    keep: Sequence[str] = (),
    num_outputs: int = 1,
    seed: int = 0,
    controls: Mapping[str, float] | None = None,
) -> Request:
    """Asks for new notes in a piece; see `Player.infill` for the arguments.

    Raises:
        UserError: See `read_gap`, or as for `request_music`.
    """
    check_numbers(SIZES, num_outputs=num_outputs)
    check_numbers(_SEEDS, seed=seed)
    gap = read_gap(card, representation, piece, bars, keep)
    values = check_controls(card, controls or {}) | {"seed": seed}
    for name, array in {**gap.features, "mask": gap.mask}.items():
        values[name] = np.broadcast_to(array, (num_outputs, *array.shape))
    request = _request(card, "infill", values)
    return dataclasses.replace(request, primer=gap.primer, gap=gap)


def request_search(
    card: Mapping[str, Any],
    representation: Representation,
    beam_width: int = 10,
    num_steps: int | None = None,
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
    check_numbers(SIZES, beam_width=beam_width)
    values: dict[str, Any] = check_controls(card, controls or {}, "search_controls")
    parts = _prepare(card, representation, num_steps, primer, setting)
    values |= _set_controls(parts["setting"], card["search_controls"], controls)
    values |= {"num_steps": parts.pop("num_steps"), "beam_width": beam_width}
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
    check_numbers(SIZES, num_outputs=num_outputs, num_steps=num_steps)
    for seed in seeds:
        check_numbers(_SEEDS, seeds=seed)
    values: dict[str, Any] = check_controls(card, controls or {})
    values |= {"num_outputs": num_outputs, "num_steps": num_steps}
    values |= {"seed": seeds[0], "other_seed": seeds[1]}
    return _request(card, "interpolate", values)


def _prepare(
    card: Mapping[str, Any],
    representation: Representation,
    num_steps: int | None,
    primer: NoteSequence | None,
    setting: Mapping[str, Any],
) -> dict[str, Any]:
    """The primer as the model reads it, the length, and what the music is set in."""
    for name in setting:
        choose("setting", name, [field.name for field in dataclasses.fields(Setting)])
    wanted = Setting(num_steps=num_steps, **setting)
    wanted.check(card, primer)
    limit_seconds = wanted.limit_seconds(representation, primer)
    steps = wanted.steps(card, representation, limit_seconds)
    check_numbers(SIZES, num_steps=steps)
    if primer:
        primer = read_primer(card, representation, primer, wanted.tonality)
        prompt = representation.as_beginning(primer.prompt)
        primer = dataclasses.replace(primer, prompt=prompt)
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
    return values


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
    choose(f"endpoint of {card['name']}", endpoint, card["endpoints"])
    # Arrays may be narrower on disk than in the graph.
    inputs = {
        name: np.asarray(values[name], spec["dtype"])
        for name, spec in card["endpoints"][endpoint]["inputs"].items()
    }
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
            piece = setting.apply(shorten(piece, limit), own_qpm, request.inputs)
            if representation.has_tempos:
                piece = shorten(piece, setting.seconds)
        pieces.append(piece)
    return pieces


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


def check_numbers(bounds: tuple[int, int], **numbers: int) -> None:
    """Refuses numbers that are out of bounds, by their names.

    Raises:
        UserError: There is one.
    """
    lowest, highest = bounds
    for name, value in numbers.items():
        if value < lowest:
            raise UserError(f"{name}: expected at least {lowest}, got {value}")
        if value > highest:
            raise UserError(f"{name}: expected at most {highest}, got {value}")


def check_controls(
    card: Mapping[str, Any],
    changes: Mapping[str, float],
    kind: str = "controls",
) -> dict[str, float]:
    """The value of every control of a model.

    Args:
        card: The model's.
        changes: Values that are not to be the defaults.
        kind: "controls", or "search_controls" for those of a beam search.

    Raises:
        UserError: A change to an unknown control, or out of its bounds.
    """
    controls = card[kind]
    values = {name: spec["default"] for name, spec in controls.items()}
    for name, value in changes.items():
        spec = controls[choose(f"control of {card['name']}", name, values)]
        try:
            values[name] = float(value)
        except (ValueError, OverflowError):
            raise UserError(
                f"{name}: expected a number, got {value!r:.60} ({spec['doc']})"
            ) from None
        if not spec["minimum"] <= values[name] <= spec["maximum"]:
            raise UserError(
                f"{name}: expected {spec['minimum']:g} to {spec['maximum']:g}, got "
                f"{values[name]:g} ({spec['doc']})"
            )
    return values
