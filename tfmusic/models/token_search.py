"""The beam search of token models, as endpoints."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import tensorflow as tf

from tfmusic.generation.beam import beam_search
from tfmusic.generation.controls import BEAM_TEMPERATURE, LENGTH_POWER
from tfmusic.generation.guards import Watch, count_run
from tfmusic.generation.loop import repeat_rows
from tfmusic.generation.samplers import IMPOSSIBLE, UNWANTED
from tfmusic.models.base import Endpoint, Tensors
from tfmusic.representations.vocabulary import END, PAD

if TYPE_CHECKING:
    from tfmusic.models.tokens import TokenModel


def search_endpoints(model: "TokenModel") -> Mapping[str, Endpoint]:
    """`search` and `continue_search`: beams `[batch, beam, ...]`, best first.

    Their outputs are the arrays of the representation, int32 `[batch, beam, time]`,
    `num_steps`, int32, and
    `log_likelihood`, float32, both `[batch, beam]`: the sum of what `score` gives for
    each token and for the end if there is one. A beam of which nothing is possible has
    no steps and minus infinity.
    """
    width = tf.TensorSpec([], tf.int32, "beam_width")
    num_steps = tf.TensorSpec([], tf.int32, "num_steps")
    arrays = model.array_specs()
    controls = tuple(control.spec for control in model.SEARCH_CONTROLS)
    # Older clients know of no seed: without a temperature nothing depends on it.
    controls += (tf.TensorSpec([], tf.int64, "seed"),)
    defaults = {"seed": 0}

    def named(values) -> Tensors:
        names = [spec.name for spec in controls]
        return dict(zip(names, values, strict=True))

    def search(width, num_steps, *values):
        run = tf.zeros([1], tf.int32)
        start, state = model.begin(
            model.start_frame(1),
            model.initial_state(1, num_steps),
            named(values),
            seed=None,
        )
        return _search(model, start, state, run, width, num_steps, named(values))

    def go_on(*inputs):
        names = [spec.name for spec in arrays]
        prompt = dict(zip(names, inputs, strict=False))
        width, num_steps, *values = inputs[len(names) :]
        token, state = model.prime(prompt, num_steps)
        state = model.plan_rest(token, state, named(values))
        run = count_run(prompt["tokens"])
        return _search(model, token, state, run, width, num_steps, named(values))

    return {
        "search": Endpoint(
            search,
            (width, num_steps, *controls),
            "The likeliest new pieces of at most num_steps tokens that a search finds.",
            defaults,
        ),
        "continue_search": Endpoint(
            go_on,
            (*arrays, width, num_steps, *controls),
            "The likeliest continuations of each prompt, without the prompt.",
            defaults,
        ),
    }


def _search(
    model: "TokenModel", frame, state, run, width, num_steps, controls
) -> Tensors:
    """Searches from a frame, the state before it, and how often its token has come."""

    def step(token, carried):
        state, before, hidden, watch = carried
        frame, nats = model.complete(token, before, hidden, state)
        is_same = tf.equal(token, model.token(before))
        watch = watch.after(is_same, tf.zeros_like(is_same))
        hidden, state = model.advance(frame, state)
        logits = model.step_logits(hidden)
        added = model.steer(tf.zeros_like(logits), state, controls)
        must_change = watch.exceeds(model.run_limit(frame, controls))
        unwanted = tf.where(must_change, UNWANTED, 0.0)[:, tf.newaxis]
        added += unwanted * tf.one_hot(token, model.vocabulary_size)
        log_p = tf.nn.log_softmax(logits) - nats[:, tf.newaxis]
        return log_p, added, (state, frame, hidden, watch)

    # Of the right shape; the first frame is complete and needs it not.
    hidden, _ = model.advance(frame, state)
    # The first step counts its token once more.
    watch = Watch.begin(run - 1)
    beams = beam_search(
        step,
        model.token(frame),
        (state, frame, hidden, watch),
        width,
        num_steps,
        END,
        controls[LENGTH_POWER.name],
        controls[BEAM_TEMPERATURE.name],
        controls["seed"],
    )
    is_possible = beams.log_likelihood > IMPOSSIBLE / 2
    is_token = tf.logical_and(beams.tokens != END, is_possible[..., tf.newaxis])
    tokens = tf.where(is_token, beams.tokens, PAD)
    # As many of each prompt as beams, in one row after another.
    frame, state = repeat_rows((frame, state), width)
    shape = tf.shape(tokens)
    frames, nats = model.complete_all(tf.reshape(tokens, [-1, shape[2]]), frame, state)
    outputs = {
        name: tf.reshape(values, tf.concat([shape[:2], tf.shape(values)[1:]], axis=0))
        for name, values in model.frames_to_features(frames, state).items()
    }
    # A search that was cut short has not counted all of its last frame.
    is_cut = tf.cast(outputs["num_steps"] == num_steps, tf.float32)
    log_likelihood = beams.log_likelihood - is_cut * tf.reshape(nats, shape[:2])
    return outputs | {
        "log_likelihood": tf.where(is_possible, log_likelihood, -float("inf"))
    }
