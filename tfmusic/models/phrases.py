"""What models know of the plan: where in its phrase each step of a beat grid lies."""

from collections.abc import Mapping

import keras
import tensorflow as tf

from tfmusic.generation.controls import PHRASE_QUARTERS, PHRASES
from tfmusic.models.base import Tensors

# Eight quarters of sixteenths; what is farther from its phrase's end is read as that.
_LONGEST = 32
_SIZE = 16


class PhraseEmbedding(keras.layers.Layer):
    """A learned vector for each distance to the end of a phrase, the last or not."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.places = keras.layers.Embedding(
            2 * (_LONGEST + 1),
            _SIZE,
            keras.initializers.RandomNormal(stddev=1.0),
            name="places",
        )

    def call(self, phrase: Tensors) -> tf.Tensor:
        """Encodes places.

        Args:
            phrase: `phrase_left` and `last_phrase`, int32 `[...]`.

        Returns:
            `[..., 16]`, in the layer's compute type.
        """
        left = tf.clip_by_value(phrase["phrase_left"], 0, _LONGEST)
        return self.places(2 * left + tf.clip_by_value(phrase["last_phrase"], 0, 1))


def before_piece(
    batch_size: tf.Tensor,
    steps_per_quarter: int,
    controls: Mapping[str, tf.Tensor],
    bar: Tensors,
) -> Tensors:
    """The place of the step before a new piece, int32 `[batch]` each.

    A phrase ends with one chord, and its fermata stands where that begins: on the last
    strong beat of the phrase, as in nine of ten of Bach's. So a phrase of two bars of
    4/4 ends with a half note, and with a quarter after an upbeat of one.

    Args:
        batch_size: How many pieces.
        steps_per_quarter: Of the grid.
        controls: Values of `PHRASES` and `PHRASE_QUARTERS`.
        bar: `bar_position` and `bar_length` of the same step; nothing without a metre,
            and the chord is a quarter long.

    Returns:
        `phrase_left` and `last_phrase`, see `representation.phrases`; `phrase_steps`,
        the length of the phrases to come, and `phrases_to_come`, after this one. All 0
        without a plan.
    """
    number = tf.cast(tf.round(controls[PHRASES.name]), tf.int32)
    steps = _phrase_steps(steps_per_quarter, controls)
    held = steps_per_quarter
    if bar:
        end = bar["bar_position"][0] + 1 + steps
        held = _since_strong_beat(end, bar["bar_length"][0], steps_per_quarter)
    place = {
        "phrase_left": steps - tf.minimum(held, steps - 1) + 2,
        "last_phrase": tf.cast(number == 1, tf.int32),
        "phrase_steps": steps,
        "phrases_to_come": number - 1,
    }
    return {
        name: tf.fill([batch_size], tf.where(number > 0, value, 0))
        for name, value in place.items()
    }


def _since_strong_beat(
    step: tf.Tensor, bar_length: tf.Tensor, steps_per_quarter: int
) -> tf.Tensor:
    """How many steps before a step a strong beat is, a quarter at least.

    Strong are the first beats of bars and the middles of bars of four quarters.
    """
    is_halved = bar_length % (4 * steps_per_quarter) == 0
    unit = tf.where(is_halved, bar_length // 2, bar_length)
    since = step % unit
    return tf.where(since < steps_per_quarter, since + unit, since)


def _phrase_steps(
    steps_per_quarter: int, controls: Mapping[str, tf.Tensor]
) -> tf.Tensor:
    """The length of a phrase, int32 scalar."""
    steps = controls[PHRASE_QUARTERS.name] * float(steps_per_quarter)
    return tf.maximum(tf.cast(tf.round(steps), tf.int32), steps_per_quarter + 1)


def of_given(
    phrase: Tensors,
    last_onset: tf.Tensor,
    steps_per_quarter: int,
    controls: Mapping[str, tf.Tensor],
) -> Tensors:
    """The places of music that is given in part, which ends with its last step.

    Where no fermatas are known, phrases are counted back from the last chord.

    Args:
        phrase: `phrase_left` and `last_phrase`, int32 `[batch, time]`.
        last_onset: Where the last chord begins, int32 `[batch]`.
        steps_per_quarter: Of the grid.
        controls: Values of `PHRASES`, 0 for no plan, and `PHRASE_QUARTERS`.

    Returns:
        Both, and `phrase_steps` and `phrases_to_come`, as `before_piece` has them.
    """
    steps = _phrase_steps(steps_per_quarter, controls)
    left, last = phrase["phrase_left"], phrase["last_phrase"]
    is_known = tf.reduce_any((left > 0) | (last > 0), axis=1, keepdims=True)
    is_planned = ~is_known & (controls[PHRASES.name] >= 0.5)
    to_come = last_onset[:, tf.newaxis] - tf.range(tf.shape(left)[1])
    planned = tf.where(to_come >= 0, to_come % steps + 1, 0)
    left = tf.where(is_planned, planned, left)
    last = tf.where(is_planned, tf.cast(to_come < steps, tf.int32), last)
    none = tf.zeros_like(left)
    return {
        "phrase_left": left,
        "last_phrase": last,
        "phrase_steps": tf.where(is_known | is_planned, steps, none),
        "phrases_to_come": none,
    }


def after_prompt(phrase: Tensors) -> Tensors:
    """The place of a prompt's last step: what comes after its phrase is not planned."""
    none = tf.zeros_like(phrase["phrase_left"])
    return {**phrase, "phrase_steps": none, "phrases_to_come": none}


def advance(phrase: Tensors, steps: tf.Tensor | int) -> Tensors:
    """The place some steps later.

    Args:
        phrase: int32 of any shape: `phrase_left` and `last_phrase`; and, where phrases
            may follow, `phrase_steps` and `phrases_to_come`.
        steps: At least 1, int32 of a shape that goes with that.
    """
    left, last = phrase["phrase_left"], phrase["last_phrase"]
    length = tf.maximum(phrase.get("phrase_steps", 1), 1)
    to_come = phrase.get("phrases_to_come", 0)
    beyond = steps - left  # steps since the fermata, which stands where 1 is left
    is_over = tf.logical_and(left > 0, beyond >= 0)
    number = beyond // length  # of phrases that are over since
    goes_on = number < to_come
    place = {
        "phrase_left": tf.where(
            is_over,
            tf.where(goes_on, length - beyond % length, 0),
            tf.maximum(left - steps, 0),
        ),
        "last_phrase": tf.where(
            tf.logical_and(is_over, to_come > 0),
            tf.cast(number + 1 >= to_come, tf.int32),
            last,
        ),
    }
    if "phrases_to_come" in phrase:
        is_begun = tf.where(is_over, tf.minimum(number + 1, to_come), 0)
        place["phrases_to_come"] = to_come - is_begun
        place["phrase_steps"] = phrase["phrase_steps"] + tf.zeros_like(is_begun)
    return place
