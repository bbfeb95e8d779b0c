"""Checks that every autoregressive model must pass."""

import functools

import keras
import numpy as np
import tensorflow as tf

from tfmusic.generation.token_rules import RulesState
from tfmusic.models import AutoregressiveModel
from tfmusic.representations.style import DENSITIES

Piece = dict[str, np.ndarray]


def cut_window(piece: Piece, start: int, window_steps: int) -> dict[str, tf.Tensor]:
    """A window of `window_steps + 1` steps as training gives it, one by hand."""
    step = np.arange(start, start + window_steps + 1, dtype=np.int32)
    num_steps = len(next(iter(piece.values())))
    inside = (step >= 0) & (step < num_steps)
    window = {"step": step, "num_steps": np.int32(num_steps)}
    for name, array in piece.items():
        kept = array[np.clip(step, 0, num_steps - 1)]
        window[name] = np.where(inside.reshape(-1, *[1] * (kept.ndim - 1)), kept, 0)
        window[name] = window[name].astype(array.dtype)
    return {name: tf.constant(array) for name, array in window.items()}


def make_batch(model: AutoregressiveModel, windows: list):
    """Examples of windows, batched."""
    stacked = tf.nest.map_structure(lambda *parts: tf.stack(parts), *windows)
    seed = tf.constant([0, 0])
    return tf.vectorized_map(lambda window: model.example_fn(window, seed), stacked)


def whole_pieces(model: AutoregressiveModel, pieces: list[Piece]):
    """Examples of whole pieces, padded to the longest."""
    size = max(len(next(iter(piece.values()))) for piece in pieces) + 1
    return make_batch(model, [cut_window(piece, -1, size) for piece in pieces])


def train(model: AutoregressiveModel, batch, num_steps: int, learning_rate=1e-2):
    """Loss before and after some steps on one batch."""
    model.compile_for_training(keras.optimizers.Adam(learning_rate))
    x, y, weight = batch
    losses = [
        float(model.train_on_batch(x, y, weight, return_dict=True)["loss"])
        for _ in range(num_steps)
    ]
    return losses[0], losses[-1]


def endpoint_inputs(
    model: AutoregressiveModel, name: str, prompt: Piece | None = None, **values
) -> dict[str, tf.Tensor]:
    """Inputs of an endpoint by name: the controls' defaults, a prompt, and values."""
    endpoint = model.endpoints()[name]
    defaults = {control.name: control.default for control in model.CONTROLS}
    values = {**defaults, **endpoint.defaults, **(prompt or {}), **values}
    return {
        spec.name: tf.constant(values[spec.name], spec.dtype)
        for spec in endpoint.input_signature
    }


@functools.lru_cache(maxsize=8)
def endpoint_function(
    model: AutoregressiveModel, name: str
) -> tf.types.experimental.PolymorphicFunction:
    """An endpoint's graph code, traced once for all calls."""
    return model.endpoints()[name].function


def call_endpoint(
    model: AutoregressiveModel, name: str, prompt: Piece | None = None, **values
) -> dict[str, np.ndarray]:
    """Runs an endpoint as graph code."""
    inputs = endpoint_inputs(model, name, prompt, **values)
    outputs = endpoint_function(model, name)(*inputs.values())
    return {name: tensor.numpy() for name, tensor in outputs.items()}


def call_eagerly(
    model: AutoregressiveModel, name: str, prompt: Piece | None = None, **values
) -> dict[str, np.ndarray]:
    """Runs an endpoint's code as Python, without a graph."""
    inputs = endpoint_inputs(model, name, prompt, **values)
    outputs = model.endpoints()[name].fn(*inputs.values())
    return {name: tensor.numpy() for name, tensor in outputs.items()}


def targets_as_features(model: AutoregressiveModel, y: tf.Tensor) -> np.ndarray:
    """Targets in the representation's channels."""
    if hasattr(model, "frames"):
        return model.frames.to_roll(y).numpy()
    return np.asarray(y)


def check_gradients(model: AutoregressiveModel, pieces: list[Piece]) -> None:
    """The loss is finite and reaches every weight."""
    model.compile_for_training(keras.optimizers.Adam())
    x, y, weight = whole_pieces(model, pieces)
    with tf.GradientTape() as tape:
        outputs = model(x, training=True)
        loss = model.compute_loss(x, y, outputs, weight, training=True)
    variables = [variable.value for variable in model.trainable_variables]
    gradients = tape.gradient(loss, variables)
    assert np.isfinite(loss)
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        assert gradient is not None, variable.path
        gradient = tf.convert_to_tensor(gradient)
        assert np.all(np.isfinite(gradient)), variable.path
        assert np.any(gradient != 0.0), variable.path


def check_batch_consistency(model: AutoregressiveModel, pieces: list[Piece]) -> None:
    """A piece scores the same alone and padded among others, and 0 where padded."""
    lengths = [len(next(iter(piece.values()))) for piece in pieces]
    padded = {
        name: np.stack(
            [
                np.pad(
                    piece[name],
                    [(0, max(lengths) - n)] + [(0, 0)] * (piece[name].ndim - 1),
                )
                for piece, n in zip(pieces, lengths, strict=True)
            ]
        )
        for name in pieces[0]
    }
    together = call_endpoint(model, "score", padded, num_steps=lengths)
    for i, (piece, n) in enumerate(zip(pieces, lengths, strict=True)):
        one = {name: array[np.newaxis] for name, array in piece.items()}
        alone = call_endpoint(model, "score", one, num_steps=[n])
        for name, values in alone.items():
            other = together[name][i : i + 1]
            if values.ndim == 2:
                assert not other[:, n:].any()
                other = other[:, :n]
            np.testing.assert_allclose(values, other, rtol=1e-4, atol=1e-4)


def check_causality(model: AutoregressiveModel, piece: Piece, other: Piece) -> None:
    """What comes later changes no earlier score."""
    changed = {name: array.copy() for name, array in piece.items()}
    half = len(next(iter(piece.values()))) // 2
    for name, array in changed.items():
        array[half:] = other[name][: len(array) - half]
    scores = [
        call_endpoint(
            model,
            "score",
            {name: array[np.newaxis] for name, array in features.items()},
            num_steps=[2 * half],
        )["log_likelihood"][0]
        for features in (piece, changed)
    ]
    np.testing.assert_array_equal(scores[0][:half], scores[1][:half])
    assert np.any(scores[0][half:] != scores[1][half:])


def check_step_equals_sequence(model: AutoregressiveModel, piece: Piece) -> None:
    """Steps of generation reach the state that the whole sequence reaches."""
    prompt = {name: tf.constant(array[np.newaxis]) for name, array in piece.items()}
    length, room = len(next(iter(piece.values()))), 8
    controls = {c.name: tf.constant(c.default, tf.float32) for c in model.CONTROLS}
    controls |= {k: tf.constant(v) for k, v in metre_controls(model, piece).items()}
    if "guidance" in controls:  # at 1 nothing is read without the plan
        controls["guidance"] = tf.constant(2.0)
    expected_frame, expected = model.prime(prompt, room)
    expected = model.plan_rest(expected_frame, expected, controls)
    frame, state = model.begin(
        model.start_frame(1),
        model.initial_state(1, length + 1 + room),
        controls,
        seed=None,
    )
    for i in range(num_said(model), length):
        seed = tf.constant([0, i], tf.int64)
        free = tf.constant([False])
        _, state, _ = model.next_frame(frame, state, controls, seed, free)
        frame, _ = model.prime({n: a[:, : i + 1] for n, a in prompt.items()}, room)
    tf.nest.map_structure(np.testing.assert_array_equal, frame, expected_frame)
    tf.nest.map_structure(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6),
        _without_count(state),
        _without_count(expected),
    )


def num_said(model: AutoregressiveModel) -> int:
    """How many tokens of a piece say its conditions, and are not generated."""
    return len(getattr(model, "conditions", ()))


def metre_controls(model: AutoregressiveModel, piece: Piece) -> dict[str, float]:
    """The controls for music in the metre, with the upbeat, key or style of a piece."""
    if "plan_tag" in piece:
        rate = DENSITIES[piece["plan_density"][0] - 1]
        return {"tag": float(piece["plan_tag"][0]), "notes_per_second": rate}
    if "bar_length" not in piece:
        is_known = "plan_key" in piece
        return {"key_number": float(piece["plan_key"][0])} if is_known else {}
    position, length = int(piece["bar_position"][0]), int(piece["bar_length"][0])
    quarter = model.representation.steps_per_quarter
    return {
        "bar_quarters": length / quarter,
        "pickup_quarters": -position % length / quarter,
        **({"phrases": 0.0} if "phrase_left" in piece else {}),
        **({"home_key": piece["plan_key"][0]} if "plan_key" in piece else {}),
    }


def _without_count(state):
    """A state but for how many tokens were drawn, which those of a prompt were not."""
    if isinstance(state, RulesState):
        return state._replace(num_drawn=())
    return tuple(map(_without_count, state)) if isinstance(state, tuple) else state


def check_seeds(model: AutoregressiveModel) -> None:
    """Equal seeds give equal music, others other music; pieces of one call differ."""
    settings = dict(num_outputs=3, num_steps=24, temperature=2.0)
    first = call_endpoint(model, "generate", seed=1, **settings)
    again = call_endpoint(model, "generate", seed=1, **settings)
    other = call_endpoint(model, "generate", seed=2, **settings)
    for name in model.representation.feature_specs:
        np.testing.assert_array_equal(first[name], again[name])
    # What is drawn comes first; where the bars lie is no matter of chance.
    name, *_ = model.representation.feature_specs
    assert np.any(first[name] != other[name])
    assert np.any(first[name][0] != first[name][1])


def check_feedback(model: AutoregressiveModel, piece: Piece) -> None:
    """Going on from the model's own output is the same as never having stopped."""
    prompt = {name: array[np.newaxis, :8] for name, array in piece.items()}
    settings = dict(seed=0, temperature=0.0)
    whole = call_endpoint(model, "continue", prompt, num_steps=12, **settings)
    longer = {
        name: np.concatenate([array, whole[name][:, :5]], axis=1)
        for name, array in prompt.items()
    }
    rest = call_endpoint(model, "continue", longer, num_steps=7, **settings)
    for name in prompt:
        np.testing.assert_array_equal(whole[name][:, 5:], rest[name])


def longest_run(frames: np.ndarray) -> int:
    """How many times in a row a frame comes at most; frames are `[time, ...]`."""
    flat = np.reshape(frames, [len(frames), -1])
    changes = np.flatnonzero(np.any(flat[1:] != flat[:-1], axis=1)) + 1
    return int(np.diff([0, *changes, len(frames)]).max())


def check_guards(model: AutoregressiveModel, piece: Piece) -> None:
    """No frame comes more often in a row than it may, and guards say what they did."""
    name, *_ = model.representation.feature_specs
    limits = [
        c.name for c in model.CONTROLS if c.name in ("max_repeats", "max_silence")
    ]
    settings = dict(num_steps=40, seed=0, temperature=0.0)
    # Two equal steps, which count for what follows them.
    prompt = {key: np.repeat(a[np.newaxis, :1], 2, axis=1) for key, a in piece.items()}
    for start in ({"num_outputs": 2}, {"prompt": prompt}):
        endpoint = "continue" if "prompt" in start else "generate"
        call = functools.partial(call_endpoint, model, endpoint, **start, **settings)
        free = call(**dict.fromkeys(limits, 0.0))
        assert not free["guarded_steps"].any()
        limit = 1 if longest_run(free[name][0][: free["num_steps"][0]]) < 4 else 3
        kept = call(**dict.fromkeys(limits, float(limit)))
        rows = kept[name][0][: kept["num_steps"][0]]
        if "prompt" in start:
            rows = np.concatenate([prompt[name][0, 2 - limit :], rows])
        assert longest_run(rows) <= limit
        # Untrained and greedy, a model stands still, or sways between a few frames.
        changes = np.any(free[name] != kept[name])
        assert changes == kept["guarded_steps"].any()
        normal = call()
        assert longest_run(normal[name][0][: normal["num_steps"][0]]) <= 15
