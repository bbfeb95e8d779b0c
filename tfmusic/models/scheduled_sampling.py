"""Training on the model's own frames, more and more of them as it goes on.

Source: Bengio et al., Scheduled Sampling for Sequence Prediction, 2015; the curve is
that of Carrascosa et al. (UPC, 2019), experiment 4.
"""

from collections.abc import Callable

import tensorflow as tf

from tfmusic.errors import UserError
from tfmusic.generation.loop import Nest, generate_frames
from tfmusic.generation.seeds import split_seed

# `(frame, time, state, temperature, seed) -> (frame, state)`: takes in the frame of a
# time and samples the next one.
Sample = Callable[
    [tf.Tensor, tf.Tensor, Nest, float, tf.Tensor], tuple[tf.Tensor, Nest]
]


class ScheduledSampling:
    """Replaces frames of the music by the model's own, at a rate that grows.

    The fraction of true frames falls by `(1 - step / num_steps) ** 2` from its first to
    its last value; `step` is the optimizer's, so a resumed run continues where it
    was. Each frame of each window has a coin of its own.

    A sampled frame passes no gradient on, so sampling and learning are two passes: the
    first samples frame by frame, each from what was fed before, without dropout, as in
    generation; the second learns from what was fed, all steps at once.
    """

    def __init__(self, start: float, end: float, num_steps: int, temperature: float):
        """Keeps the schedule.

        Args:
            start: Fraction of true frames at first; 1 with `end` 1: all, always.
            end: Fraction of them from `num_steps` on.
            num_steps: Training steps until then.
            temperature: At which own frames are sampled; 0 takes all that is more
                probable than not.

        Raises:
            UserError: The fraction changes in no time.
        """
        if start != end and num_steps < 1:
            raise UserError(
                "model.teacher_forcing_steps: expected at least 1, since the fraction "
                f"of true frames goes from {start} to {end}; got {num_steps}"
            )
        self._start, self._end = start, end
        self._num_steps = max(num_steps, 1)
        self._temperature = temperature

    @property
    def is_on(self) -> bool:
        """Whether there are own frames at any step."""
        return min(self._start, self._end) < 1.0

    def fraction(self, step: tf.Tensor) -> tf.Tensor:
        """The fraction of true frames at a training step, float32."""
        progress = tf.minimum(tf.cast(step, tf.float32) / self._num_steps, 1.0)
        return self._end + (self._start - self._end) * (1.0 - progress) ** 2

    def mix(
        self,
        frames: tf.Tensor,
        state: Nest,
        sample: Sample,
        step: tf.Tensor,
        seed: tf.Tensor,
    ) -> tf.Tensor:
        """Frames of which some are the model's own; the first is always true.

        Args:
            frames: True frames, `[batch, time, ...]`.
            state: The state before the first.
            sample: Takes in a frame and samples the next one.
            step: The optimizer's step.
            seed: int `[2]`.

        Returns:
            What `sample` was given and a last frame, in the shape of `frames`.
        """
        num_steps = tf.shape(frames)[1]
        coins, offset = split_seed(tf.cast(seed, tf.int64), 2)
        toss = tf.random.stateless_uniform(tf.shape(frames)[:2], coins)
        is_true = toss < self.fraction(step)

        def next_frame(frame, carried, seed):
            time, state = carried
            own, state = sample(
                frame, time - 1, state, self._temperature, seed + offset
            )
            chosen = tf.reshape(is_true[:, time], [-1] + [1] * (own.shape.rank - 1))
            return tf.where(chosen, frames[:, time], own), (time + 1, state)

        def mixed() -> tf.Tensor:
            first = tf.constant(1), state
            rest, _ = generate_frames(
                next_frame, frames[:, 0], first, num_steps - 1, tf.constant(0, tf.int64)
            )
            return tf.concat([frames[:, :1], rest], axis=1)

        all_true = tf.logical_or(tf.reduce_all(is_true), num_steps < 2)
        return tf.cond(all_true, lambda: frames, mixed)
