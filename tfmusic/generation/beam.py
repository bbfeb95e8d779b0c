"""Beam search: the continuations that a model holds most likely, ranked.

With a temperature each beam goes on with tokens that it draws, and the likeliest of all
that come of these are kept: what is found is then likely, and another seed finds other
music.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from tfmusic.generation.loop import repeat_rows
from tfmusic.generation.samplers import IMPOSSIBLE, gumbel
from tfmusic.generation.seeds import numbered
from tfmusic.representations.vocabulary import PAD

Nest = Any  # A tensor or a nest of tensors, batch on their first axis.
# (token, state) -> log probabilities of the next token `[batch, token]`, what rules
# add to them when beams are chosen, likewise, and the state after the token.
StepFn = Callable[[tf.Tensor, Nest], tuple[tf.Tensor, tf.Tensor, Nest]]


class Beams(NamedTuple):
    """Beams of a batch of searches, best first.

    Attributes:
        tokens: int32 `[batch, beam, time]`, `PAD` after an end.
        log_likelihood: Nats, float32 `[batch, beam]`: of all tokens, the end included;
            `IMPOSSIBLE` where there are fewer continuations than beams.
    """

    tokens: tf.Tensor
    log_likelihood: tf.Tensor


class _Search(NamedTuple):
    """What the loop carries; `[row]` is `[batch * beam]`."""

    tokens: tf.Tensor  # int32 [row, time]
    newest: tf.Tensor  # int32 [row]
    state: Nest
    log_likelihood: tf.Tensor  # float32 [batch, beam]
    lengths: tf.Tensor  # float32 [batch, beam]: tokens, the end included
    is_finished: tf.Tensor  # bool [batch, beam]
    is_greedy: tf.Tensor  # bool [batch, beam]


def beam_search(
    step: StepFn,
    token: tf.Tensor,
    state: Nest,
    beam_width: tf.Tensor,
    num_steps: tf.Tensor,
    end: int,
    length_power: tf.Tensor | float = 0.0,
    temperature: tf.Tensor | float = 0.0,
    seed: tf.Tensor | None = None,
) -> Beams:
    """Searches for likely sequences, all beams of all pieces at once.

    Beams are ranked by the sum of their log-probabilities, divided by a power of their
    length (Wu et al., 2016, without the constants); a beam that has ended stays as it
    is and competes with those that go on. One beam is always the greedy one, whatever
    its rank, so that no search finds less than always taking the likeliest token does;
    with a width of 1 it is that.

    With a temperature each beam draws as many tokens as there are beams, no two alike,
    and can go on with these alone; the greedy one with the first that it draws, so that
    a width of 1 samples.

    Args:
        step: One step of the model; what it adds is at most `IMPOSSIBLE` for tokens
            that must not come and does not count in the likelihood.
        token: The newest token of each piece, int32 `[batch]`.
        state: The state before it.
        beam_width: int32 scalar, at least 1.
        num_steps: The greatest number of tokens, int32 scalar, at least 1.
        end: The token that ends a piece.
        length_power: float32 scalar; 0 ranks by the sum alone, which favours the
            short, 1 by the mean.
        temperature: float32 scalar, that tokens are drawn at; 0 draws none.
        seed: int64 scalar, for what is drawn.
    """
    checks = [
        tf.debugging.assert_positive(value, f"{name}: expected at least 1")
        for name, value in (("beam_width", beam_width), ("num_steps", num_steps))
    ]
    with tf.control_dependencies(checks):
        width, num_steps = tf.identity(beam_width), tf.identity(num_steps)
    batch_size = tf.shape(token)[0]
    newest, state = repeat_rows((token, state), width)
    is_first = tf.broadcast_to(tf.range(width) == 0, [batch_size, width])
    shape = [batch_size, width]
    search = _Search(
        tokens=tf.fill([batch_size * width, num_steps], PAD),
        newest=newest,
        state=state,
        # All beams are equal at first, so all but one are out of the race.
        log_likelihood=tf.where(is_first, 0.0, IMPOSSIBLE),
        lengths=tf.zeros(shape),
        is_finished=tf.zeros(shape, tf.bool),
        is_greedy=is_first,
    )

    def extend(time: tf.Tensor, search: _Search) -> tuple[tf.Tensor, _Search]:
        perturb = functools.partial(_perturb, temperature, seed, time)
        extended = _extend(step, search, time, num_steps, end, length_power, perturb)
        return time + 1, extended

    def goes_on(time: tf.Tensor, search: _Search) -> tf.Tensor:
        unfinished = tf.logical_not(tf.reduce_all(search.is_finished))
        return tf.logical_and(time < num_steps, unfinished)

    _, search = tf.while_loop(goes_on, extend, (tf.constant(0), search))
    ranks = _rank(search.log_likelihood, search.lengths, length_power)
    order = tf.argsort(ranks, direction="DESCENDING", stable=True)
    tokens = tf.reshape(search.tokens, [batch_size, width, num_steps])
    return Beams(
        tf.gather(tokens, order, batch_dims=1),
        tf.gather(search.log_likelihood, order, batch_dims=1),
    )


def _extend(
    step: StepFn,
    search: _Search,
    time: tf.Tensor,
    num_steps: tf.Tensor,
    end: int,
    length_power: tf.Tensor | float,
    perturb: Callable[[tf.Tensor], tf.Tensor],
) -> _Search:
    """Every beam by every token, of which the best are kept."""
    log_p, added, state = step(search.newest, search.state)
    num_tokens = log_p.shape[-1]
    batch_size, width = tf.unstack(tf.shape(search.log_likelihood))
    shape = [batch_size, width, num_tokens]
    # What has ended goes on with padding, which is certain.
    padding = tf.one_hot(PAD, num_tokens, 0.0, IMPOSSIBLE)
    has_ended = search.is_finished[..., tf.newaxis]
    log_p = tf.where(has_ended, padding, tf.reshape(log_p, shape))
    added = tf.where(has_ended, 0.0, tf.reshape(added, shape))

    log_likelihood = search.log_likelihood[..., tf.newaxis] + log_p
    # Where fewer tokens are possible than beams are wanted, some are out of the race.
    is_out = log_likelihood + added <= IMPOSSIBLE / 2
    chances = perturb(log_p + added)
    is_out = tf.logical_or(is_out, chances <= IMPOSSIBLE / 2)
    log_likelihood = tf.where(is_out, IMPOSSIBLE, log_likelihood)
    lengths = search.lengths + tf.cast(tf.logical_not(search.is_finished), tf.float32)
    ranks = _rank(log_likelihood, lengths[..., tf.newaxis], length_power) + added
    # The likeliest token of the greedy beam comes before everything else.
    favourite = tf.argmax(chances, axis=-1, output_type=tf.int32)
    is_favourite = tf.range(num_tokens) == favourite[..., tf.newaxis]
    is_greedy = tf.logical_and(search.is_greedy[..., tf.newaxis], is_favourite)
    ranks = tf.where(is_greedy, -IMPOSSIBLE, ranks)

    size = width * num_tokens
    best = tf.math.top_k(tf.reshape(ranks, [batch_size, size]), width).indices
    token = best % num_tokens  # [batch, beam]
    parent = best // num_tokens
    rows = tf.reshape(tf.range(batch_size)[:, tf.newaxis] * width + parent, [-1])
    flat = tf.reshape(token, [-1])
    is_now = tf.range(num_steps) == time
    has_ended = tf.gather(search.is_finished, parent, batch_dims=1)

    def chosen(table: tf.Tensor) -> tf.Tensor:
        return tf.gather(tf.reshape(table, [batch_size, size]), best, batch_dims=1)

    return _Search(
        tokens=tf.where(is_now, flat[:, tf.newaxis], tf.gather(search.tokens, rows)),
        newest=flat,
        state=tf.nest.map_structure(lambda part: tf.gather(part, rows), state),
        log_likelihood=chosen(log_likelihood),
        lengths=tf.gather(lengths, parent, batch_dims=1),
        is_finished=tf.logical_or(has_ended, tf.equal(token, end)),
        is_greedy=chosen(is_greedy),
    )


def _perturb(
    temperature: tf.Tensor | float,
    seed: tf.Tensor | None,
    time: tf.Tensor,
    log_p: tf.Tensor,
) -> tf.Tensor:
    """Draws as many tokens for each beam as there are beams: what is not drawn is out.

    Args:
        temperature: 0: nothing is drawn, and all stay as they are.
        seed: Of the search.
        time: The step.
        log_p: `[batch, beam, token]`.
    """
    if seed is None:
        return log_p
    temperature = tf.convert_to_tensor(temperature, tf.float32)

    def draw() -> tf.Tensor:
        noise = gumbel(tf.shape(log_p), numbered(seed, time))
        perturbed = log_p + temperature * noise
        width, num_tokens = tf.unstack(tf.shape(log_p)[1:])
        drawn = tf.math.top_k(perturbed, tf.minimum(width, num_tokens)).values
        return tf.where(perturbed >= drawn[..., -1:], perturbed, IMPOSSIBLE)

    return tf.cond(temperature > 0.0, draw, lambda: log_p)


def _rank(
    log_likelihood: tf.Tensor, lengths: tf.Tensor, power: tf.Tensor | float
) -> tf.Tensor:
    """What beams are ranked by."""
    return log_likelihood / tf.pow(tf.maximum(lengths, 1.0), power)
