"""What the models of piano rolls share: their frames, and how likely these are.

Whatever the representation, a frame is bool `[batch, hand, key, channel]`: channel 0
sounding, channel 1, if the representation tells re-strikes, onset. What a network says
of the next frame is log odds of the same shape: of sounding, and of an onset where the
key sounds. So a key of a roll with onsets is silent, is struck or is held on, one of
three, and no other frame has any probability: a key that did not sound before can only
start with an onset.
"""

from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

from tfmusic.models.autoregressive import AutoregressiveModel
from tfmusic.models.base import Tensors, step_is_target
from tfmusic.networks.losses import key_nats, unpack_hands
from tfmusic.networks.metrics import (
    FrameAccuracy,
    FrameDensity,
    FrameF1,
    FramePrecision,
    FrameRecall,
    KeyNats,
    LossPerStep,
    nats_name,
)
from tfmusic.representations import Representation
from tfmusic.representations.start_sustain import StartSustain

# Log odds of what cannot be otherwise: exactly 0 nats, and never drawn otherwise.
CERTAIN = 1e4


class RollFrames:
    """How the rolls of a representation are frames, and back.

    Attributes:
        num_hands: Hands; 1 where the representation does not tell them.
        num_keys: Keys of each.
        num_channels: 1, or 2 with onsets.
        num_logits: What a network gives for each hand.
    """

    def __init__(self, representation: Representation):
        """Reads the layout.

        Args:
            representation: One whose feature is `roll`, `[time, key, channel]` or
                `[time, hand, key, channel]`; the channels are sounding and perhaps
                onset, or start and sustain.
        """
        shape = representation.feature_specs["roll"].shape
        self._has_hands = len(shape) == 4
        self._tells_sustain = isinstance(representation, StartSustain)
        self.num_hands = shape[1] if self._has_hands else 1
        self.num_keys, self.num_channels = shape[-2:]
        self.num_logits = self.num_keys * self.num_channels

    @property
    def num_inputs(self) -> int:
        """Numbers of a frame."""
        return self.num_hands * self.num_logits

    def from_roll(self, roll: tf.Tensor) -> tf.Tensor:
        """Frames `[..., hand, key, channel]` of a roll `[..., (hand,) key, channel]`.

        Start and sustain at once is a start; sustain after silence sounds without an
        onset.
        """
        roll = tf.cast(roll, tf.bool)
        if not self._has_hands:
            roll = tf.expand_dims(roll, -3)
        if self._tells_sustain:
            sounding = tf.reduce_any(roll, axis=-1)
            return tf.stack([sounding, roll[..., 0]], axis=-1)
        return roll

    def to_roll(self, frames: tf.Tensor) -> tf.Tensor:
        """The roll `[..., (hand,) key, channel]` of frames."""
        frames = self._own_channels(frames)
        return frames if self._has_hands else tf.squeeze(frames, -3)

    def flatten(self, frames: tf.Tensor, dtype: str) -> tf.Tensor:
        """Frames as a network's inputs, `[..., feature]`."""
        frames = tf.cast(self._own_channels(frames), dtype)
        shape = tf.concat([tf.shape(frames)[:-3], [self.num_inputs]], axis=0)
        flat = tf.reshape(frames, shape)
        return tf.ensure_shape(flat, [*frames.shape[:-3], self.num_inputs])

    def silence(self, *shape: tf.Tensor | int) -> tf.Tensor:
        """Silent frames, bool `[*shape, hand, key, channel]`."""
        ends = (self.num_hands, self.num_keys, self.num_channels)
        return tf.zeros([*shape, *ends], tf.bool)

    def after_silence(self, frames: tf.Tensor) -> tf.Tensor:
        """Silence and then the frames, `[batch, time + 1, ...]`."""
        return tf.concat([self.silence(tf.shape(frames)[0], 1), frames], axis=1)

    def not_held(self, batch_size: tf.Tensor) -> tf.Tensor:
        """For how many steps keys have been held in silence, `[batch, hand, key]`."""
        return tf.zeros([batch_size, self.num_hands, self.num_keys])

    def is_silent(self, frame: tf.Tensor) -> tf.Tensor:
        """Whether no key sounds, bool `[batch]`."""
        return tf.logical_not(tf.reduce_any(frame[..., 0], axis=[1, 2]))

    def example(self, features: Tensors) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Columns, the frames after them and which of these count: an `example_fn`."""
        roll, step = features["roll"], features["step"]
        weights = step_is_target(step[1:], features["num_steps"])
        return roll[:-1], self.from_roll(roll[1:]), weights

    def to_features(self, frames: tf.Tensor) -> Tensors:
        """Generated frames as a roll of which all steps count."""
        num_steps = tf.fill([tf.shape(frames)[0]], tf.shape(frames)[1])
        return {"roll": self.to_roll(frames), "num_steps": num_steps}

    def unpack(self, outputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Log odds `[..., hand, key, channel]` and numbers of keys, if there are any.

        See `tfmusic.networks.losses.unpack_hands`.
        """
        return unpack_hands(outputs, (self.num_keys, self.num_channels))

    def pack(self, log_odds: tf.Tensor) -> tf.Tensor:
        """Log odds as losses take them, `[..., hand, key * channel]`."""
        shape = tf.concat([tf.shape(log_odds)[:-2], [self.num_logits]], axis=0)
        packed = tf.reshape(log_odds, shape)
        return tf.ensure_shape(packed, [*log_odds.shape[:-2], self.num_logits])

    def log_odds(self, logits: tf.Tensor, before: tf.Tensor) -> tf.Tensor:
        """The log odds of sounding, and of an onset where a key sounds.

        A network of start and sustain gives the log odds of each against silence; that
        is two sigmoids, of which not both can be 1.

        Args:
            logits: What the network gives, float32 `[..., hand, key, channel]`, in the
                representation's channels.
            before: The frames before, `[..., hand, key, channel]`.
        """
        sounded = before[..., 0]
        if self._tells_sustain:
            start, sustain = tf.unstack(logits, axis=-1)
            either = tf.reduce_logsumexp(logits, axis=-1)
            sounding = tf.where(sounded, either, start)
            logits = tf.stack([sounding, start - sustain], axis=-1)
        return force_onsets(logits, sounded)

    def to_logits(self, log_odds: tf.Tensor) -> tf.Tensor:
        """What a network has to give for these `log_odds` after a sounding key."""
        if not self._tells_sustain:
            return log_odds
        sounding, onset = tf.unstack(log_odds, axis=-1)
        start = sounding - tf.nn.softplus(-onset)
        return tf.stack([start, sounding - tf.nn.softplus(onset)], axis=-1)

    def score(
        self,
        network: Callable[[tf.Tensor], tf.Tensor],
        roll: tf.Tensor,
        num_steps: tf.Tensor,
    ) -> Tensors:
        """The log-likelihood of each frame, all hands, keys and channels together.

        Args:
            network: Gives for a roll what comes after each column, as `unpack` takes.
            roll: `[batch, time, (hand,) key, channel]`.
            num_steps: How many steps of each piece count, int32 `[batch]`.

        Returns:
            `log_likelihood`, float32 `[batch, time]`, 0 where padded.
        """
        frames = self.from_roll(roll)
        before = self.after_silence(frames)[:, :-1]
        log_odds, _ = self.unpack(network(self.to_roll(before)))
        nats = tf.reduce_sum(key_nats(frames, log_odds), axis=[2, 3, 4])
        is_inside = tf.range(tf.shape(frames)[1]) < num_steps[:, tf.newaxis]
        return {"log_likelihood": tf.where(is_inside, -nats, 0.0)}

    def _own_channels(self, frames: tf.Tensor) -> tf.Tensor:
        """Frames with the representation's channels."""
        if not self._tells_sustain:
            return frames
        sounding, onset = tf.unstack(frames, axis=-1)
        return tf.stack([onset, tf.logical_and(sounding, ~onset)], axis=-1)


def force_onsets(logits: tf.Tensor, sounded: tf.Tensor) -> tf.Tensor:
    """Makes articulation certain where a key did not sound before.

    Args:
        logits: float32 `[..., channel]`: play and, if there is one, articulate.
        sounded: bool `[...]`.
    """
    if logits.shape[-1] == 1:
        return logits
    articulate = tf.where(sounded, logits[..., 1], CERTAIN)
    return tf.stack([logits[..., 0], articulate], axis=-1)


def compile_roll_model(
    model: AutoregressiveModel,
    optimizer: keras.optimizers.Optimizer,
    loss: keras.losses.Loss,
    metrics: Sequence[keras.metrics.Metric] = (),
) -> None:
    """Compiles with nats a step and the rates of sounding keys, and `metrics`."""
    is_loss = model.loss_steps == "all" and getattr(loss, "is_likelihood", False)
    per_step = [] if is_loss or model.loss_steps == "last" else [LossPerStep(loss)]
    rates = [
        FrameAccuracy(),
        FramePrecision(),
        FrameRecall(),
        FrameF1(),
        FrameDensity(),
    ]
    model.compile(
        optimizer=optimizer,
        loss=loss,
        weighted_metrics=[KeyNats(nats_name(is_loss)), *per_step, *rates, *metrics],
        # XLA has no kernel for the recurrent layers.
        jit_compile=False,
    )
