"""What an export's graphs refuse before they begin: too much, and what cannot be.

TensorFlow Serving passes on whatever fits the types of a signature. Without limits in
the graph a request for 2 ** 31 steps would end the server for all of its clients.
"""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfmusic.generation.controls import Control
from tfmusic.models import Endpoint, MusicModel
from tfmusic.serving.inputs import MAX_OUTPUTS, MAX_STEPS
from tfmusic.serving.requests import SIZES, check_numbers

# What a call may take besides the weights: what pieces take, and what their steps take.
_MEMORY_BYTES = 4 * 2**30
_MOST_IN_ALL = 10_000_000
_LEAST_GIVEN = 16_384  # so long are pieces
_PARTICLES = "particles"
_COUNTS = ("num_outputs", "beam_width", _PARTICLES)
_STEPS = "num_steps"
_PLACE = "place"
_OF_STEPS = ("is_given", "mask")  # besides the arrays of the representation
_OF_GRID = ("lowest_open", "highest_open")  # by step of the grid, not of the arrays
_OF_ROWS = (*_OF_GRID, "open_voices")


@dataclasses.dataclass(frozen=True)
class GraphLimits:
    """The most that one call of an export may ask for.

    Attributes:
        num_steps: Steps of a piece.
        num_outputs: Pieces, beams or rows.
        steps_in_all: Steps of all pieces together.
        steps_given: Steps of all pieces that a call gives, to be continued or scored.
    """

    num_steps: int
    num_outputs: int
    steps_in_all: int
    steps_given: int

    @classmethod
    def of(
        cls, model: MusicModel, max_steps: int = 0, max_outputs: int = 0
    ) -> "GraphLimits":
        """The limits of a model, so that a call takes a few gigabytes at most.

        Args:
            model: Built.
            max_steps: The most steps of a piece; 0: 100,000, or as many as fit.
            max_outputs: The most pieces; 0: 4096, or as many as fit.

        Raises:
            UserError: There cannot be as many.
        """
        check_numbers((0, SIZES[1]), max_steps=max_steps, max_outputs=max_outputs)
        memory = model.memory(max_steps or MAX_STEPS)
        fitting = [
            max(_MEMORY_BYTES // max(size, 1), 1)
            for size in (memory.piece, memory.step, memory.given)
        ]
        pieces = max_outputs or min(MAX_OUTPUTS, fitting[0])
        steps = max_steps or min(MAX_STEPS, fitting[1])
        # Whoever sets one has room for as many.
        in_all = max(min(fitting[1], _MOST_IN_ALL), steps, pieces)
        given = max(min(fitting[2], _MOST_IN_ALL), pieces, _LEAST_GIVEN)
        return cls(steps, pieces, in_all, given)


def guarded(model: MusicModel, endpoint: Endpoint, limits: GraphLimits) -> Endpoint:
    """An endpoint that first looks at its inputs, once for all steps.

    Args:
        model: Whose endpoint it is.
        endpoint: What is to be guarded.
        limits: What it refuses beyond.
    """
    names = [spec.name for spec in endpoint.input_signature]
    controls = _controls(model, names)
    integers = {
        name: spec
        for kind in (model.representation, model.output_representation)
        for name, spec in kind.feature_specs.items()
    }

    def fn(*inputs):
        given = dict(zip(names, inputs, strict=True))
        checks = _Checks()
        _check_sizes(checks, given, limits)
        _check_alike(
            checks, [n for n in names if n in integers or n in _OF_STEPS], given
        )
        _check_alike(checks, [n for n in _OF_GRID if n in names], given)
        _check_rows(checks, [n for n in _OF_ROWS if n in names], given)
        if set(_OF_ROWS) <= set(names):
            _check_room(checks, *(given[name] for name in _OF_ROWS))
        for name, value in given.items():
            if name in controls:
                control = controls[name]
                checks.between(name, value, control.minimum, control.maximum)
            elif name in integers and value.dtype.is_integer:
                highest = integers[name].highest
                if highest is None:
                    highest = np.iinfo(integers[name].dtype).max
                checks.between(name, value, 0, highest)
            elif value.dtype.is_floating:
                checks.finite(name, value)
        with tf.control_dependencies([checks.operation()]):
            inputs = [tf.identity(value) for value in inputs]
        return endpoint.fn(*inputs)

    return dataclasses.replace(endpoint, fn=fn)


def _controls(model: MusicModel, names: Sequence[str]) -> Mapping[str, Any]:
    return {control.name: control for control in controls_of(model, names)}


def controls_of(model: MusicModel, names: Collection[str]) -> tuple[Control, ...]:
    """The controls of an endpoint with such inputs; their defaults are its own."""
    if "beam_width" in names:
        return model.SEARCH_CONTROLS
    more = {control.name for control in model.INFILL_CONTROLS} & set(names)
    return model.CONTROLS + (model.INFILL_CONTROLS if more else ())


def _check_sizes(
    checks: "_Checks", given: Mapping[str, tf.Tensor], limits: GraphLimits
) -> None:
    """Refuses too many pieces, too many steps, and too many of both together."""
    arrays = [value for value in given.values() if value.shape.rank]
    timed = [value for value in arrays if _has_time(value)]
    pieces = num_rows = tf.constant(1, tf.int64)
    if rows := [value for value in arrays if value.shape[0] is None]:
        num_rows = tf.shape(rows[0], tf.int64)[0]
        checks.between("rows", num_rows, 1, limits.num_outputs)
        pieces *= num_rows
    for name in _COUNTS:
        if name in given:
            checks.between(name, given[name], 1, limits.num_outputs)
            pieces *= tf.cast(given[name], tf.int64)
    if _PARTICLES in given:
        words = "rows times particles"
        checks.between(words, pieces, 1, limits.num_outputs)
    if _PLACE in given:  # as many random numbers are drawn as come before it
        checks.between(_PLACE, given[_PLACE], 0, limits.num_outputs - 1)
    time = steps = tf.constant(0, tf.int64)
    if timed:
        time = tf.shape(timed[0], tf.int64)[1]
        checks.between("time", time, 1, limits.num_steps)
    for name in (name for name in _OF_GRID if name in given):
        length = tf.shape(given[name], tf.int64)[1]
        checks.between(f"steps of {name}", length, 1, limits.num_steps)
    if _PARTICLES in given:  # the steps are made one by one, of all particles
        pieces_given, steps = num_rows, time
    else:
        pieces_given = pieces
    if _STEPS in given:
        # Of music that is given it says how much counts.
        counts = bool(timed) and given[_STEPS].shape.rank == 1
        most = time if counts else limits.num_steps
        checks.between(_STEPS, given[_STEPS], 0 if counts else 1, most)
        if not counts:
            steps = tf.cast(tf.reduce_max(given[_STEPS]), tf.int64)
    words = "steps of all pieces together"
    checks.between(words, pieces * tf.maximum(steps, 1), 1, limits.steps_in_all)
    if timed:
        words = "steps of all pieces that are given"
        checks.between(words, pieces_given * time, 1, limits.steps_given)


def _check_alike(
    checks: "_Checks", names: Sequence[str], given: Mapping[str, tf.Tensor]
) -> None:
    """Refuses arrays of the same pieces that have other numbers of rows or steps."""
    timed = [name for name in names if _has_time(given[name])]
    for name in timed[1:]:
        sizes, first = (tf.shape(given[n])[:2] for n in (name, timed[0]))
        words = f"{name}: expected as many rows and steps as {timed[0]} has, got"
        checks.add(words, tf.reduce_all(sizes == first), sizes, most_told=2)


def _check_rows(
    checks: "_Checks", names: Sequence[str], given: Mapping[str, tf.Tensor]
) -> None:
    """Refuses arrays that have other numbers of rows than the first input."""
    first = next(iter(given))
    for name in names:
        rows, wanted = (tf.shape(given[n])[0] for n in (name, first))
        words = f"{name}: expected as many rows as {first} has, got"
        checks.add(words, rows == wanted, rows)
        if (width := given[name].shape[1]) is not None:
            found = tf.shape(given[name])[1]
            words = f"{name}: expected {width} numbers in each row, got"
            checks.add(words, found == width, found)


def _check_room(
    checks: "_Checks", lowest: tf.Tensor, highest: tf.Tensor, voices: tf.Tensor
) -> None:
    """Refuses pieces of bars in which no note may be written."""
    is_open = tf.reduce_any(lowest <= highest, axis=1) & tf.reduce_any(voices, axis=1)
    words = f"{', '.join(_OF_ROWS)}: expected a place for new notes in each row, got"
    checks.add(words, is_open, is_open)


def _has_time(value: tf.Tensor) -> bool:
    return value.shape.rank > 1 and value.shape[1] is None


class _Checks:
    """What has to hold of inputs, looked at in one operation."""

    def __init__(self):
        self._all: list[tuple[str, tf.Tensor, tf.Tensor, int]] = []

    def between(self, name: str, value: tf.Tensor, lowest: Any, highest: Any) -> None:
        """Refuses numbers out of bounds, and NaN."""
        bounds = [tf.cast(bound, value.dtype) for bound in (lowest, highest)]
        is_inside = (value >= bounds[0]) & (value <= bounds[1])
        words = f"{name}: expected {_words(lowest, highest)}, got"
        self.add(words, is_inside, value)

    def finite(self, name: str, value: tf.Tensor) -> None:
        """Refuses NaN and infinity."""
        words = f"{name}: expected finite numbers, got"
        self.add(words, tf.math.is_finite(value), value)

    def add(
        self, words: str, is_right: tf.Tensor, value: tf.Tensor, most_told: int = 1
    ) -> None:
        """Refuses a value, or of many those where `is_right` does not hold."""
        self._all.append((words, is_right, value, most_told))

    def operation(self) -> tf.Tensor:
        """Fails with the first of the inputs that cannot be, in words.

        One condition for all, since each is two functions of the graph: an export of
        seven endpoints had over a hundred more.
        """
        words, is_right, values, most_told = zip(*self._all, strict=True)
        is_good = tf.stack([tf.reduce_all(right) for right in is_right])

        def fail() -> tf.Tensor:
            wrong = map(_wrong, is_right, values, most_told)
            first = tf.argmin(tf.cast(is_good, tf.int32))
            told = [tf.constant(words)[first], tf.stack(list(wrong))[first]]
            assertion = tf.debugging.Assert(False, told)
            # Where Python runs the code, it has raised.
            with tf.control_dependencies([assertion]):
                return tf.constant(False)

        return tf.cond(tf.reduce_all(is_good), lambda: tf.constant(True), fail)


def _wrong(is_right: tf.Tensor, value: tf.Tensor, most_told: int) -> tf.Tensor:
    """The first wrong values, as text."""
    wrong = tf.boolean_mask(value, ~is_right) if is_right.shape.rank else value
    wrong = tf.reshape(wrong, [-1])[:most_told]
    wrong = tf.cast(wrong, tf.int32) if wrong.dtype == tf.bool else wrong
    shortest = wrong.dtype.is_floating
    return tf.strings.reduce_join(
        tf.strings.as_string(wrong, shortest=shortest), separator=" "
    )


def _words(lowest: Any, highest: Any) -> str:
    if isinstance(highest, tf.Tensor):
        return f"{lowest} to as many steps as there are"
    if isinstance(highest, tuple):
        return f"{lowest} to {', '.join(map(str, highest))}"
    return f"{lowest:,.10g} to {highest:,.10g}"
