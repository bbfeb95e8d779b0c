"""Guards against music that stands still: the same frame, or silence, for too long.

What guards know of a piece is how many times in a row its newest frame has come. Once
that reaches the limit, the next frame has to be another one. A silent frame has a
limit of its own; as there is but one silent frame, a change is an end of the silence.
"""

from typing import NamedTuple

import tensorflow as tf

from tfmusic.generation import samplers


class Watch(NamedTuple):
    """What guards know of each piece while it is generated.

    Attributes:
        run: How many times in a row the newest frame has come, int32 `[batch]`; 0 where
            none has come yet.
        guarded_steps: In how many steps a guard has changed what was drawn, int32
            `[batch]`.
    """

    run: tf.Tensor
    guarded_steps: tf.Tensor

    @classmethod
    def begin(cls, run: tf.Tensor) -> "Watch":
        """What is known before the first step."""
        return cls(run, tf.zeros_like(run))

    def exceeds(self, limit: tf.Tensor) -> tf.Tensor:
        """Whether the newest frame must not come again, bool `[batch]`.

        Args:
            limit: How often a frame may come in a row, float32, a scalar or `[batch]`;
                0 is no limit.
        """
        return tf.logical_and(limit >= 1.0, tf.cast(self.run, tf.float32) >= limit)

    def after(self, is_repeat: tf.Tensor, is_guarded: tf.Tensor) -> "Watch":
        """What is known after a step.

        Args:
            is_repeat: Whether its frame is the one before it, bool `[batch]`.
            is_guarded: Whether a guard changed it, bool `[batch]`.
        """
        run = tf.where(is_repeat, self.run + 1, 1)
        return Watch(run, self.guarded_steps + tf.cast(is_guarded, tf.int32))


def count_run(frames: tf.Tensor) -> tf.Tensor:
    """How many times in a row the last frame comes at the end, int32 `[batch]`.

    Args:
        frames: `[batch, time, ...]`, time at least 1.
    """
    equal = equal_frames(frames[:, 1:], frames[:, :-1], first_axis=2)
    newest_first = tf.cast(tf.reverse(equal, [1]), tf.int32)
    return 1 + tf.reduce_sum(tf.math.cumprod(newest_first, axis=1), axis=1)


def equal_frames(a: tf.Tensor, b: tf.Tensor, first_axis: int = 1) -> tf.Tensor:
    """Whether frames are equal in all that lies from an axis on, bool."""
    axes = list(range(first_axis, a.shape.rank))
    return tf.reduce_all(tf.equal(a, b), axis=axes)


def draw_another(
    token: tf.Tensor,
    logits: tf.Tensor,
    is_stuck: tf.Tensor,
    seed: tf.Tensor,
    **controls: tf.Tensor,
) -> tf.Tensor:
    """Draws again, without the class that was drawn, where a piece is stuck.

    With the seed of the first draw this is the class that came second in it.

    Args:
        token: The classes drawn, int32 `[batch]`.
        logits: float32 `[batch, class]`.
        is_stuck: bool `[batch]`.
        seed: int `[2]`.
        **controls: As `samplers.categorical` takes them.

    Returns:
        int32 `[batch]`.
    """

    def redraw() -> tf.Tensor:
        drawn = tf.one_hot(token, tf.shape(logits)[1], samplers.UNWANTED, 0.0)
        others = samplers.categorical(logits + drawn, seed, **controls)
        return tf.where(is_stuck, others, token)

    # Seldom, so the second draw costs nothing in most steps.
    return tf.cond(tf.reduce_any(is_stuck), redraw, lambda: token)


def change_one(
    choices: tf.Tensor,
    logits: tf.Tensor,
    is_stuck: tf.Tensor,
    seed: tf.Tensor,
    temperature: tf.Tensor | float = 1.0,
) -> tf.Tensor:
    """Turns one of many yes-or-no choices over, where a piece is stuck.

    Which one is drawn as if it were known that exactly one is other than was chosen:
    in proportion to the odds against each choice.

    Args:
        choices: bool `[batch, ...]`.
        logits: The log odds of yes, float32 `[batch, ...]`.
        is_stuck: bool `[batch]`.
        seed: int `[2]`.
        temperature: Divides the logits; 0 turns over the least certain choice.

    Returns:
        bool `[batch, ...]`.
    """

    def change() -> tf.Tensor:
        shape = tf.shape(choices)
        against = tf.where(choices, -logits, logits)
        against = tf.reshape(against, [shape[0], -1])  # [batch, choice]
        drawn = samplers.categorical(against, seed, temperature)
        turned = tf.one_hot(drawn, tf.shape(against)[1], True, False, dtype=tf.bool)
        turned = tf.logical_and(turned, is_stuck[:, tf.newaxis])
        return tf.math.logical_xor(choices, tf.reshape(turned, shape))

    return tf.cond(tf.reduce_any(is_stuck), change, lambda: choices)
