"""Optimizers and learning-rate schedules from a config's `optimizer` section."""

import inspect
import math
from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from tfmusic.errors import UserError, choose
from tfmusic.training.settings import SCHEDULES, OptimizerSettings

OPTIMIZERS = {
    "adadelta": keras.optimizers.Adadelta,
    "adam": keras.optimizers.Adam,
    "adamw": keras.optimizers.AdamW,
    "nadam": keras.optimizers.Nadam,
    "rmsprop": keras.optimizers.RMSprop,
    "sgd": keras.optimizers.SGD,
}
# Of a warm-up whose length the run's own decides: 5 % of its steps, but no more.
MOST_WARMUP_STEPS = 100


@keras.saving.register_keras_serializable("tfmusic")
class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate that warms up linearly and then follows a named curve.

    With t the steps since the warm-up's end, in units of `decay_steps`:
        constant      1
        exponential   decay_rate ** t
        step          decay_rate ** floor(t)
        cosine        half a cosine from 1 at t = 0 down to 0 at t = 1
    """

    def __init__(
        self,
        kind: str,
        learning_rate: float,
        warmup_steps: int,
        decay_rate: float,
        decay_steps: int,
    ):
        self.kind = choose("optimizer.schedule", kind, SCHEDULES)
        self.learning_rate = learning_rate
        self.warmup_steps = warmup_steps
        self.decay_rate = decay_rate
        self.decay_steps = max(decay_steps, 1)

    def __call__(self, step):
        """The learning rate of a step, counted from 0."""
        step = keras.ops.cast(step, "float32")
        progress = keras.ops.maximum(step - self.warmup_steps, 0.0) / self.decay_steps
        if self.kind == "cosine":
            angle = math.pi * keras.ops.minimum(progress, 1.0)
            factor = 0.5 * (1.0 + keras.ops.cos(angle))
        elif self.kind == "constant":
            factor = keras.ops.ones_like(progress)
        else:
            exponent = keras.ops.floor(progress) if self.kind == "step" else progress
            factor = self.decay_rate**exponent
        warmth = keras.ops.minimum((step + 1.0) / max(self.warmup_steps, 1), 1.0)
        return self.learning_rate * warmth * factor

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        names = inspect.signature(type(self)).parameters
        return {name: getattr(self, name) for name in names}

    def __str__(self) -> str:
        length = "" if self.kind == "constant" else f" over {self.decay_steps} steps"
        return f"{self.kind}{length} from {self.learning_rate:.3g}"


class OverReplicas:
    """Sums gradients over all replicas first, measures them, then does as its base.

    Keras would clip what each replica has found by itself and sum it then: another step
    than one device takes with the whole batch. And it would take the norm of a table of
    vectors from the parts of its gradient that a row gets from each of its places, not
    from their sum, so that clipping would depend on how a batch is divided.

    Attributes:
        schedule: The learning rate's.
        gradient_norm: Mean over steps of the norm of all gradients together, unclipped.
    """

    def __init__(self, learning_rate, **kwargs):
        super().__init__(learning_rate, **kwargs)
        self.schedule = learning_rate
        self.gradient_norm = keras.metrics.Mean("gradient_norm")

    def apply(self, grads, trainable_variables=None):
        """Takes one step; `grads` may hold None."""
        grads = [None if g is None else tf.convert_to_tensor(g) for g in grads]
        present = [gradient for gradient in grads if gradient is not None]
        context = tf.distribute.get_replica_context()
        if context and context.num_replicas_in_sync > 1:
            present = context.all_reduce(tf.distribute.ReduceOp.SUM, present)
            summed = iter(present)
            grads = [None if gradient is None else next(summed) for gradient in grads]
        self.gradient_norm.update_state(tf.linalg.global_norm(present))
        super().apply(grads, trainable_variables)

    def _all_reduce_sum_gradients(self, grads_and_vars):
        return grads_and_vars


def make_optimizer(
    config: Mapping[str, Any],
    steps_per_epoch: int,
    num_epochs: int,
    scale: float = 1.0,
) -> keras.optimizers.Optimizer:
    """The optimizer that a config's `optimizer` section describes.

    Args:
        config: See `OptimizerSettings`.
        steps_per_epoch: Training steps of one epoch.
        num_epochs: Epochs of the whole run.
        scale: Multiplies the learning rate.

    Raises:
        UserError: A wrong setting or option.
    """
    config = OptimizerSettings.from_config(config)
    name = config.name
    num_steps = num_epochs * steps_per_epoch
    warmup_steps = config.warmup_steps
    if warmup_steps < 0:
        warmup_steps = min(MOST_WARMUP_STEPS, num_steps // 20)
    decay_steps = round(config.decay_epochs * steps_per_epoch)
    schedule = Schedule(
        config.schedule,
        config.learning_rate * scale,
        warmup_steps,
        config.decay_rate,
        decay_steps or num_steps - warmup_steps,
    )
    settings = {
        "learning_rate": schedule,
        "global_clipnorm": config.clip_norm or None,
        "clipvalue": config.clip_value or None,
        # What AdamW takes by itself is not 0, and none it refuses.
        "weight_decay": config.weight_decay or (0.0 if name == "adamw" else None),
    }
    options = dict(config.options)
    parameters = inspect.signature(OPTIMIZERS[name]).parameters.values()
    known = {p.name for p in parameters if p.kind is not p.VAR_KEYWORD}
    known -= set(settings)
    for option in options:
        choose(f"optimizer.options of {name}", option, known)
    family = type(OPTIMIZERS[name].__name__, (OverReplicas, OPTIMIZERS[name]), {})
    try:
        return family(**settings, **options)
    except (TypeError, ValueError) as error:
        raise UserError(f"optimizer {name}: {error}") from error
