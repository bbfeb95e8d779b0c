"""Losses of a critic that estimates a Wasserstein distance, and of its opponent.

Source: Gulrajani et al., "Improved Training of Wasserstein GANs", 2017.
"""

from collections.abc import Callable, Mapping

import keras
import tensorflow as tf

# Under the root: its derivative at 0 is infinite.
_EPSILON = 1e-12


def gradient_penalty(
    critic: Callable[[tf.Tensor], tf.Tensor],
    real: tf.Tensor,
    generated: tf.Tensor,
    mix: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
    """How far the norm of a critic's gradient is from 1 between real and generated.

    Args:
        critic: Gives scores `[batch]`, of which each depends on its example alone.
        real: float32 `[batch, ...]`.
        generated: Likewise.
        mix: float32 `[batch]`, uniform in 0..1: where between the two to look, 0 is the
            real one.

    Returns:
        The squared differences from 1, and the norms; float32 `[batch]`.
    """
    mix = tf.reshape(mix, [-1, *[1] * (real.shape.rank - 1)])  # [batch, 1, ...]
    points = real + mix * (generated - real)
    with tf.GradientTape() as tape:
        tape.watch(points)
        scores = critic(points)
    gradients = tf.cast(tape.gradient(scores, points), tf.float32)
    axes = list(range(1, real.shape.rank))
    norms = tf.sqrt(tf.reduce_sum(tf.square(gradients), axes) + _EPSILON)
    return tf.square(norms - 1.0), norms


def feature_distance(real: tf.Tensor, generated: tf.Tensor, matching: str) -> tf.Tensor:
    """The mean squared difference of a critic's features.

    Args:
        real: float32 `[batch, feature]`.
        generated: Likewise.
        matching: "means": of the batches' means (Salimans et al., 2016), over all
            replicas; "pairs": of each generated example and the real one that happens
            to stand in its place, as "TimeStepMusic" has it.
    """
    differences = generated - real
    if matching == "means":
        differences = mean_over_replicas(tf.reduce_mean(differences, axis=0))
    return tf.reduce_mean(tf.square(differences))


def num_replicas() -> int:
    """How many devices share a batch."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def mean_over_replicas(value: tf.Tensor) -> tf.Tensor:
    """The mean of what all replicas have; gradients go through it."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return value
    total = context.all_reduce(tf.distribute.ReduceOp.SUM, value)
    return total / context.num_replicas_in_sync


@keras.saving.register_keras_serializable("tfmusic")
class Slowed(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule for an optimizer that takes several steps where others take one.

    Its rates are `rate` times those of the others.
    """

    def __init__(
        self,
        schedule: keras.optimizers.schedules.LearningRateSchedule,
        factor: int,
        rate: float,
    ):
        self.schedule, self.factor, self.rate = schedule, factor, rate

    def __call__(self, step):
        """The learning rate of a step, counted from 0."""
        step = keras.ops.cast(step, "float32")
        return self.rate * self.schedule(keras.ops.floor(step / self.factor))

    def get_config(self):
        """The constructor's arguments."""
        schedule = keras.saving.serialize_keras_object(self.schedule)
        return {"schedule": schedule, "factor": self.factor, "rate": self.rate}

    @classmethod
    def from_config(cls, config):
        """What `get_config` described."""
        schedule = keras.saving.deserialize_keras_object(config["schedule"])
        return cls(schedule, config["factor"], config["rate"])


def copy_optimizer(
    optimizer: keras.optimizers.Optimizer,
    name: str,
    num_steps: int = 1,
    rate: float = 1.0,
) -> keras.optimizers.Optimizer:
    """Another optimizer of the same settings.

    Args:
        optimizer: What is copied, but for its state.
        name: The copy's.
        num_steps: Steps that it takes where the other takes one; schedules go by the
            other's.
        rate: What the other's learning rates are multiplied by.
    """
    config = {**optimizer.get_config(), "name": name}
    learning_rate = config["learning_rate"]
    if isinstance(learning_rate, Mapping):
        config["learning_rate"] = Slowed(
            keras.saving.deserialize_keras_object(learning_rate), num_steps, rate
        )
    else:
        config["learning_rate"] = rate * learning_rate
    return type(optimizer).from_config(config)
