"""Chords of which some keys are given: which tokens agree, and how likely that is."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import tensorflow as tf

from tfmusic.generation import samplers, seeds
from tfmusic.generation.controls import MIN_STEPS, SAMPLING
from tfmusic.models.base import Tensors
from tfmusic.models.given import IS_GIVEN, Given, weight_temperature
from tfmusic.models.key_head import choice_nats
from tfmusic.models.places import Places
from tfmusic.representations.chords import NUM_PITCHES
from tfmusic.representations.vocabulary import END, NUM_SPECIAL

if TYPE_CHECKING:
    from tfmusic.models.chord_state import ChordState
    from tfmusic.models.chords import ChordModel


class Agreement(NamedTuple):
    """What agrees with the keys that are given of a frame.

    Attributes:
        fits: Which tokens may be drawn, bool `[row, token]`.
        is_exact: Whether they agree in all that is given, bool `[row]`; else they have
            the given keys that sound, and others that should be silent.
        is_none: Where no token has the given keys that sound, bool `[row]`.
    """

    fits: tf.Tensor
    is_exact: tf.Tensor
    is_none: tf.Tensor


def agreement(
    table: tf.Tensor, keys: tf.Tensor, is_given: tf.Tensor, spelled: int
) -> Agreement:
    """Finds the tokens that agree with given keys.

    Args:
        table: 1 for each key that a token has, float32 `[token, pitch]`.
        keys: Which keys sound, bool `[row, pitch]`.
        is_given: For which of them that is to hold, bool `[row, pitch]`.
        spelled: The token of chords outside the vocabulary, which agrees with nothing.
    """
    sounding, silent = (
        tf.cast(is_given & wanted, tf.float32) for wanted in (keys, ~keys)
    )
    tokens = tf.range(tf.shape(table)[0])
    is_chord = (tokens >= NUM_SPECIAL) & (tokens != spelled)
    wanted = tf.reduce_sum(sounding, axis=1, keepdims=True)
    has_all = tf.matmul(sounding, table, transpose_b=True) > wanted - 0.5
    has_all &= is_chord
    agrees = has_all & (tf.matmul(silent, table, transpose_b=True) < 0.5)
    is_exact = tf.reduce_any(agrees, axis=1)
    fits = tf.where(is_exact[:, tf.newaxis], agrees, has_all)
    return Agreement(fits, is_exact, ~tf.reduce_any(has_all, axis=1))


def plan_given(places: Places, given: Tensors, controls: Tensors) -> Tensors:
    """See `AutoregressiveModel.plan_given`.

    The last chord begins with the last note that is given to begin, or, where nothing
    is given to sound at the end, a quarter before that.
    """
    is_given = given[IS_GIVEN][..., tf.newaxis]
    sounding, struck = tf.unstack(given["keys"] & is_given, axis=-1)
    length = tf.shape(struck)[1]
    begins = tf.where(tf.reduce_any(struck, axis=2), tf.range(length), 0)
    onset = tf.where(
        tf.reduce_any(sounding[:, -1], axis=1),
        tf.reduce_max(begins, axis=1),
        length - places.steps_per_quarter,
    )
    return {**given, **places.of_given(given, onset, controls)}


def next_given(
    model: "ChordModel",
    frame: Tensors,
    state: "ChordState",
    given: Tensors,
    controls: Tensors,
    seed: tf.Tensor,
    must_change: tf.Tensor,
) -> tuple[Tensors, "ChordState", Given]:
    """See `AutoregressiveModel.next_given`.

    Where no token agrees, one is drawn that has the given keys that sound, without its
    keys that should be silent; where there is none, the given keys sound alone. Both
    are spelled. Where all keys are given, nothing is drawn.
    """
    token_seed, key_seed = seeds.split_seed(seed, 2)
    place = {name: given[name] for name in state.place}
    hidden, state = model.advance(frame, state, place)
    learned = model.step_logits(hidden)
    logits = model.steer(learned, state, controls)
    newest = tf.one_hot(model.token(frame), model.vocabulary_size)
    logits += tf.where(must_change, samplers.UNWANTED, 0.0)[:, tf.newaxis] * newest
    wanted, struck = tf.unstack(given["keys"], axis=-1)
    is_given = given[IS_GIVEN]
    found = agreement(model.key_table, wanted, is_given, model.spelled_id)
    sampling = {control.name: controls[control.name] for control in SAMPLING}
    fitting = samplers.only(logits, found.fits)
    token = samplers.categorical(fitting, token_seed, **sampling)
    is_whole = tf.reduce_all(is_given, axis=1)
    keys = model.keys_of(token)
    keys &= ~(found.is_none | (is_whole & ~found.is_exact))[:, tf.newaxis]
    keys = tf.where(is_given, wanted, keys)
    token = tf.where(found.is_exact, token, model.spelled_id)
    noise = samplers.logistic([tf.shape(token)[0], NUM_PITCHES], key_seed)
    noise *= controls["temperature"]
    new, nats = model.strike(token, frame, hidden, noise, keys, (struck, is_given))
    log_p = _weight(logits, learned, found.fits, controls)
    log_p = tf.where(found.is_none, 0.0, log_p)
    # The rules of new music know no chords that are spelled.
    spelling = tf.nn.log_softmax(learned)[:, model.spelled_id]
    odds = model.spelling(
        model.without_recall(hidden), frame["keys"], keys, tf.ones_like(is_whole)
    )
    spelling -= choice_nats(keys, odds)
    log_p = tf.where(is_whole & ~found.is_exact, spelling, log_p) - nats
    is_unmatched = ~found.is_exact & ~is_whole
    return new, state, Given(log_p, tf.zeros_like(must_change), is_unmatched)


def end_given(
    model: "ChordModel", frame: Tensors, state: "ChordState", controls: Tensors
) -> tf.Tensor:
    """See `AutoregressiveModel.end_given`."""
    hidden, state = model.advance(frame, state)
    learned = model.step_logits(hidden)
    logits = model.steer(learned, state, {**controls, MIN_STEPS.name: 0.0})
    is_end = tf.range(model.vocabulary_size) == END
    return _weight(logits, learned, tf.broadcast_to(is_end, tf.shape(logits)), controls)


def _weight(
    logits: tf.Tensor, learned: tf.Tensor, fits: tf.Tensor, controls: Tensors
) -> tf.Tensor:
    """The logarithm of what some tokens together weigh, float32 `[row]`.

    It is their probability, times the odds by which controls change that of each: so a
    particle also counts for more if it leads to where the controls want it.

    Args:
        logits: With what rules and controls say, float32 `[row, token]`.
        learned: Without, likewise.
        fits: The tokens, bool `[row, token]`.
        controls: Values by name.
    """
    temperature = weight_temperature(controls)
    fitting = tf.where(fits, logits / temperature, -np.inf)
    total = tf.reduce_logsumexp(learned / temperature, axis=1)
    return tf.reduce_logsumexp(fitting, axis=1) - total
