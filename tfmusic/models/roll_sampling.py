"""Sampling the next frame of a roll: corrections, guards, and what keys have held."""

import tensorflow as tf

from tfmusic.generation import samplers
from tfmusic.generation.controls import MAX_HELD, rate_names
from tfmusic.generation.guards import change_one, equal_frames
from tfmusic.generation.seeds import split_seed
from tfmusic.models.base import Tensors
from tfmusic.models.given import Given, weight_temperature
from tfmusic.models.roll_frames import CERTAIN
from tfmusic.networks.losses import key_nats


def count_held(frames: tf.Tensor) -> tf.Tensor:
    """For how many steps the keys that sound last have been held.

    Args:
        frames: bool `[batch, time, hand, key, channel]`.

    Returns:
        float32 `[batch, hand, key]`: steps since an onset or silence, 0 in silence.
    """
    newest_first = tf.cast(tf.reverse(frames, [1]), tf.float32)
    lasts = tf.math.cumprod(newest_first[..., 0], axis=1)
    if frames.shape[-1] == 2:
        # What comes before an onset was another note.
        no_onset = 1.0 - newest_first[..., 1]
        lasts *= tf.math.cumprod(no_onset, axis=1, exclusive=True)
    return tf.reduce_sum(lasts, axis=1)


def hold(held: tf.Tensor, frame: tf.Tensor) -> tf.Tensor:
    """`count_held` with one frame more, `[batch, hand, key, channel]`."""
    if frame.shape[-1] == 2:
        held = tf.where(frame[..., 1], 0.0, held)
    return (held + 1.0) * tf.cast(frame[..., 0], tf.float32)


def repeat_bonus(held: tf.Tensor, controls: Tensors) -> tf.Tensor:
    """What is added to the log odds of keys that sound, by how long they have.

    The published corrections: sampled keys get a bonus, that they change less often;
    greedy ones a growing penalty, that they do not stay for ever. Source: F. Vidaich's
    two-hands LSTM, whose probabilities are multiplied by 1 + b exp(-a n) or exp(-a n).

    Args:
        held: For how many steps keys have been held, float32 `[batch, hand, key]`.
        controls: Those of `roll_controls`.
    """
    bonus = controls["repeat_bonus"]
    rates = [controls[name] for name in rate_names(held.shape[1])]
    rate = tf.stack(rates)[:, tf.newaxis]  # [hand, 1]
    sampled = tf.math.log1p(bonus * tf.exp(-rate * held))
    greedy = -bonus * rate * held
    is_sampled = controls["temperature"] > 0.0
    return tf.where(held > 0.0, tf.where(is_sampled, sampled, greedy), 0.0)


def sample_frame(
    log_odds: tf.Tensor,
    before: tf.Tensor,
    held: tf.Tensor,
    controls: Tensors,
    seed: tf.Tensor,
    must_change: tf.Tensor,
    counts: tf.Tensor | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Samples the next frame.

    Args:
        log_odds: As `RollFrames.log_odds` gives them, `[batch, hand, key, channel]`.
        before: The newest frame, of the same shape.
        held: For how many steps its keys have been held, `[batch, hand, key]`.
        controls: Those of `roll_controls`, and `draw_counts` with `counts`.
        seed: int64 `[2]`.
        must_change: bool `[batch]`, where the frame may not be the newest one again.
        counts: How many keys of each hand should sound, float32 `[batch, hand]`.

    Returns:
        The frame, and where guards changed the sample, bool `[batch]`: a key was
        released, or the frame was the one before again.
    """
    temperature = controls["temperature"]
    key_seed, onset_seed, change_seed = split_seed(seed, 3)
    key_odds = log_odds[..., 0] + repeat_bonus(held, controls)
    sounding = _sample_keys(key_odds, counts, controls, key_seed)
    onset = before[..., :0]
    if log_odds.shape[-1] == 2:
        onset = samplers.bernoulli(log_odds[..., 1], onset_seed, temperature)
        onset = onset[..., tf.newaxis]

    def frame_of(sounding: tf.Tensor) -> tf.Tensor:
        sounding = sounding[..., tf.newaxis]
        return tf.concat([sounding, tf.logical_and(sounding, onset)], axis=-1)

    frame, is_released = release(frame_of(sounding), held, controls)
    is_stuck = must_change & equal_frames(frame, before)
    sounding = change_one(frame[..., 0], key_odds, is_stuck, change_seed, temperature)
    return frame_of(sounding), is_stuck | is_released


def sample_given(
    log_odds: tf.Tensor,
    before: tf.Tensor,
    held: tf.Tensor,
    controls: Tensors,
    seed: tf.Tensor,
    must_change: tf.Tensor,
    counts: tf.Tensor | None,
    wanted: tf.Tensor,
    is_given: tf.Tensor,
) -> tuple[tf.Tensor, Given]:
    """Samples the next frame, of which keys are given.

    Args:
        log_odds: As for `sample_frame`, like all that stands before `wanted`.
        before: The newest frame.
        held: For how many steps its keys have been held.
        controls: Those of `roll_controls`, and `draw_counts` with `counts`.
        seed: int64 `[2]`.
        must_change: Where the frame may not be the newest one again.
        counts: How many keys of each hand should sound.
        wanted: The frame that is given, bool `[batch, hand, key, channel]`.
        is_given: Of which keys, bool `[batch, hand, key]`.

    Returns:
        The frame, and what became of what is given.
    """
    given = is_given[..., tf.newaxis]
    certain = tf.where(wanted, CERTAIN, -CERTAIN)
    # No bonus for keys, and no limit to them, that are given.
    free_held = tf.where(is_given, 0.0, held)
    frame, is_guarded = sample_frame(
        tf.where(given, certain, log_odds),
        before,
        free_held,
        controls,
        seed,
        must_change,
        counts,
    )
    frame = tf.where(given, wanted, frame)
    bonus = repeat_bonus(held, controls)[..., tf.newaxis]
    odds = tf.concat([log_odds[..., :1] + bonus, log_odds[..., 1:]], axis=-1)
    nats = key_nats(wanted, odds / weight_temperature(controls))
    log_p = -tf.reduce_sum(tf.where(given, nats, 0.0), axis=[1, 2, 3])
    return frame, Given(log_p, is_guarded, tf.zeros_like(must_change))


def release(
    frame: tf.Tensor, held: tf.Tensor, controls: Tensors
) -> tuple[tf.Tensor, tf.Tensor]:
    """Silences keys that would be held on longer than they may.

    Args:
        frame: The sampled frame, bool `[batch, hand, key, channel]`.
        held: For how many steps keys have been held, float32 `[batch, hand, key]`.
        controls: Among them `MAX_HELD`.

    Returns:
        The frame, and where a key was released, bool `[batch]`.
    """
    limit = controls[MAX_HELD.name]
    is_held_on = frame[..., 0] & ~tf.reduce_any(frame[..., 1:], axis=-1)
    is_too_long = is_held_on & (held >= limit) & (limit >= 1.0)
    frame &= ~is_too_long[..., tf.newaxis]
    return frame, tf.reduce_any(is_too_long, axis=[1, 2])


def sample_plainly(
    log_odds: tf.Tensor, temperature: tf.Tensor | float, seed: tf.Tensor
) -> tf.Tensor:
    """Samples frames without corrections and guards, bool, of `log_odds`' shape."""
    sampled = samplers.bernoulli(log_odds, seed, temperature)
    return tf.logical_and(sampled, sampled[..., :1])


def _sample_keys(
    key_odds: tf.Tensor, counts: tf.Tensor | None, controls: Tensors, seed: tf.Tensor
) -> tf.Tensor:
    """Which keys sound, bool `[batch, hand, key]`."""
    temperature = controls["temperature"]

    def independent() -> tf.Tensor:
        return samplers.bernoulli(key_odds, seed, temperature)

    def counted() -> tf.Tensor:
        number = tf.cast(tf.round(counts), tf.int32)
        return samplers.without_replacement(key_odds, number, seed, temperature)

    if counts is None:
        return independent()
    return tf.cond(controls["draw_counts"] > 0.5, counted, independent)
