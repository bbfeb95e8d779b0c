"""Music of which keys are given, as an endpoint of models that make frames."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import tensorflow as tf

from tfmusic.generation.controls import PARTICLES
from tfmusic.generation.guards import Watch
from tfmusic.generation.particles import sample_given
from tfmusic.models.base import Endpoint, Tensors

if TYPE_CHECKING:
    from tfmusic.models.autoregressive import AutoregressiveModel

IS_GIVEN = "is_given"
# Probabilities are those at the temperature of the sampling, but not below this one:
# then one particle would be all.
_COLDEST = 0.1


class Given(NamedTuple):
    """What became of what is given of a step.

    Attributes:
        log_likelihood: The natural logarithm of its probability, float32 `[row]`.
        is_guarded: Where guards changed what was drawn, bool `[row]`.
        is_unmatched: Where nothing that the model can write agrees, bool `[row]`.
    """

    log_likelihood: tf.Tensor
    is_guarded: tf.Tensor
    is_unmatched: tf.Tensor


def weight_temperature(controls: Tensors) -> tf.Tensor:
    """The temperature of the probabilities that particles are weighed by."""
    return tf.maximum(controls["temperature"], _COLDEST)


def infill_endpoint(model: "AutoregressiveModel") -> Mapping[str, Endpoint]:
    """`infill`, or nothing where the model takes nothing as given."""
    arrays = model.given_specs()
    if not arrays:
        return {}
    seed = tf.TensorSpec([], tf.int64, "seed")
    controls = (*model.CONTROLS, *model.INFILL_CONTROLS)
    specs = (*arrays, seed, *(control.spec for control in controls))

    def infill(*inputs):
        given = {s.name: v for s, v in zip(arrays, inputs, strict=False)}
        seed, *values = inputs[len(arrays) :]
        named = {c.name: v for c, v in zip(controls, values, strict=True)}
        return _infill(model, given, seed, named)

    doc = "Whole pieces, of which the keys that are given stay as they are."
    return {"infill": Endpoint(infill, specs, doc)}


def _infill(
    model: "AutoregressiveModel", given: Tensors, seed: tf.Tensor, controls: Tensors
) -> Tensors:
    """Arrays of whole pieces, how long they are, and what is to be told of them."""
    batch_size, length = tf.unstack(tf.shape(given[IS_GIVEN])[:2])
    given = model.plan_given(given, controls)
    frame, state = model.begin(
        model.start_frame(batch_size),
        model.initial_state(batch_size, length),
        controls,
        seed=None,
    )

    def step(frame, carried, now, seed):
        state, watch, unmatched = carried
        must_change = watch.exceeds(model.run_limit(frame, controls))
        must_change &= ~tf.reduce_all(tf.reshape(now[IS_GIVEN], [_rows(frame), -1]), 1)
        new, state, told = model.next_given(
            frame, state, now, controls, seed, must_change
        )
        watch = watch.after(model.is_repeat(new, frame), told.is_guarded)
        unmatched += tf.cast(told.is_unmatched, tf.int32)
        return new, (state, watch, unmatched), told.log_likelihood

    none = tf.zeros([batch_size], tf.int32)
    frames, (_, watch, unmatched) = sample_given(
        step,
        frame,
        (state, Watch.begin(none), none),
        given,
        tf.cast(controls[PARTICLES.name], tf.int32),
        seed,
        lambda frame, carried: model.end_given(frame, carried[0], controls),
    )
    features = model.frame_arrays(frames)
    places = {n: a for n, a in given.items() if n not in (*features, IS_GIVEN)}
    names = model.representation.feature_specs
    return {
        **{
            name: array
            for name, array in {**places, **features}.items()
            if name in names
        },
        "num_steps": tf.fill([batch_size], length),
        "guarded_steps": watch.guarded_steps,
        "unmatched_steps": unmatched,
    }


def _rows(frame) -> tf.Tensor:
    return tf.shape(tf.nest.flatten(frame)[0])[0]
