"""Recurrent networks over piano rolls of one or two hands, one column a step."""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from tfmusic.errors import choose
from tfmusic.generation import samplers
from tfmusic.generation.guards import change_one, equal_frames
from tfmusic.generation.loop import split_seed
from tfmusic.layers import HandHead, RecurrentStack
from tfmusic.losses import RollLoss, key_nats, unpack_hands
from tfmusic.metrics import (
    CountError,
    FrameDensity,
    FrameF1,
    FramePrecision,
    FrameRecall,
    KeyNats,
)
from tfmusic.models.base import (
    MAX_REPEATS,
    MAX_SILENCE,
    AutoregressiveModel,
    Control,
    Tensors,
    step_is_target,
)
from tfmusic.representations import Representation

State = tuple[tuple[tf.Tensor, ...], tf.Tensor]
# Log odds of what cannot be otherwise: exactly 0 nats, and never drawn otherwise.
_CERTAIN = 1e4


class RollLSTM(AutoregressiveModel):
    """Recurrent layers over whole columns; per hand, the next keys and their number.

    The two-hands network of F. Vidaich's Lab 4 is this with `units=(150, 150)`,
    `dropout=0.5`, `key_loss_coefficient=1.2` and `loss_steps="last"` on a roll of two
    hands without onsets; the one-hand original is `units=(128, 128)`, `dropout=0.4` and
    `branch_units=0` on a roll of one. The step learnt there is mended: it is the next
    one, not the one after.

    Frames are `[batch, hand, key, channel]`: channel 0 sounding, channel 1, if the
    representation has it, onset. A key that did not sound before can only start with
    an onset, so that costs no likelihood and generation always sets it.
    """

    STEP = "step"

    def __init__(
        self,
        representation: Representation,
        units: Sequence[int] = (256, 256),
        cell: str = "lstm",
        dropout: float = 0.3,
        branch_units: int = 120,
        key_units: int = 100,
        count_units: int = 10,
        key_loss_coefficient: float = 88.0,
        count_loss_coefficient: float = 1.0,
        key_weights: str = "none",
        max_key_weight: float = 100.0,
        loss_steps: str = "all",
    ):
        """Makes the layers.

        Args:
            representation: One whose feature is `roll`, `[time, key, channel]` or
                `[time, hand, key, channel]`.
            units: Sizes of the recurrent layers.
            cell: "lstm" or "gru".
            dropout: Share of values dropped between recurrent layers.
            branch_units: Size of each hand's first layer; 0: none.
            key_units: Size of the layer before the keys' logits.
            count_units: Size of the layer before the number of keys; 0: no such head.
            key_loss_coefficient: Weighs each hand's mean cross-entropy of its keys; the
                number of keys makes that the nats of the hand.
            count_loss_coefficient: Weighs the squared error of the number of keys.
            key_weights: "none"; "positive": each key's sounding weighs as much as its
                silence; "both": that weight on both, one published system's mistake.
            max_key_weight: The greatest weight, which rare keys get.
            loss_steps: "all", or "last": a window teaches its last step alone.
        """
        super().__init__(representation)
        self.loss_steps = choose("model.loss_steps", loss_steps, ("all", "last"))
        choose("model.key_weights", key_weights, ("none", "positive", "both"))
        self.key_weights = key_weights
        self.max_key_weight = max_key_weight
        self.key_loss_coefficient = key_loss_coefficient
        self.count_loss_coefficient = count_loss_coefficient
        shape = representation.feature_specs["roll"].shape
        self.has_hands = len(shape) == 4
        self.num_hands = shape[1] if self.has_hands else 1
        self.num_keys, self.num_channels = shape[-2:]
        self.has_counts = count_units > 0
        self.CONTROLS = _controls(self.num_hands, self.has_counts, key_weights)
        self.recurrent = RecurrentStack(units, cell, dropout)
        num_logits = self.num_keys * self.num_channels
        self.hands = [
            HandHead(num_logits, branch_units, key_units, count_units)
            for _ in range(self.num_hands)
        ]
        self.key_weight = self.add_weight(
            shape=(self.num_hands, self.num_keys),
            initializer="ones",
            trainable=False,
            name="key_weight",
        )

    def build_model(self) -> None:
        """Makes all weights."""
        self(self._from_hands(self.start_frame(1)[:, tf.newaxis]))

    def compile_for_training(self, optimizer: keras.optimizers.Optimizer) -> None:
        """Compiles with the two losses, nats a step and the rates of sounding keys."""
        loss = RollLoss(
            self.key_loss_coefficient,
            self.count_loss_coefficient,
            None if self.key_weights == "none" else self.key_weight,
            weigh_both=self.key_weights == "both",
        )
        rates = [FramePrecision(), FrameRecall(), FrameF1(), FrameDensity()]
        counts = [CountError()] if self.has_counts else []
        self.compile(
            optimizer=optimizer,
            loss=loss,
            weighted_metrics=[KeyNats(), *rates, *counts],
            # XLA has no kernel for the recurrent layers.
            jit_compile=False,
        )

    def adapt(self, pieces: tf.data.Dataset) -> None:
        """Counts how often each key sounds, for the weights."""
        if self.key_weights == "none":
            return
        sounding = np.zeros([self.num_hands, self.num_keys])
        num_steps = 0
        for piece in pieces.as_numpy_iterator():
            roll = piece["roll"][..., 0].astype(bool)  # [time, (hand,) key]
            sounding += roll.sum(axis=0).reshape(sounding.shape)
            num_steps += len(roll)
        # One more than was counted: a key that is never played stays finite.
        weights = (num_steps - (sounding + 1.0)) / (sounding + 1.0)
        self.key_weight.assign(np.clip(weights, 0.0, self.max_key_weight))

    def example_fn(self, features: Tensors, seed: tf.Tensor):
        """Columns, the columns after them, and which of these count."""
        del seed
        roll, step = features["roll"], features["step"]
        weights = step_is_target(step[1:], features["num_steps"])
        return roll[:-1], self._to_hands(roll[tf.newaxis, 1:])[0], weights

    def call(self, roll: tf.Tensor, training: bool = False) -> tf.Tensor:
        """What comes after each column.

        Args:
            roll: bool `[batch, time, (hand,) key, channel]`.
            training: Whether dropout is on.

        Returns:
            float32 `[batch, time, hand, key * channel (+ 1)]`: logits of the keys and,
            if it is learnt, their expected number (see `tfmusic.losses.unpack_hands`).
        """
        frames = self._to_hands(roll)
        hidden = self.recurrent(self._flatten(frames), training=training)
        return self._outputs(hidden, frames)

    def start_frame(self, batch_size: tf.Tensor) -> tf.Tensor:
        """Silence, bool `[batch, hand, key, channel]`."""
        shape = [batch_size, self.num_hands, self.num_keys, self.num_channels]
        return tf.zeros(shape, tf.bool)

    def initial_state(self, batch_size: tf.Tensor) -> State:
        """The recurrent state, and for how many steps each key has sounded."""
        held = tf.zeros([batch_size, self.num_hands, self.num_keys])
        return self.recurrent.initial_state(batch_size), held

    def prime(self, prompt: Tensors) -> tuple[tf.Tensor, State]:
        """Takes in silence and all of the prompt but its last column."""
        frames = self._from_start(self._to_hands(prompt["roll"]))
        earlier = frames[:, :-1]
        _, state = self.recurrent.run(self._flatten(earlier))
        # Steps since a key last was silent: ones up to there, counted from the end.
        sounding = tf.cast(tf.reverse(earlier[..., 0], [1]), tf.float32)
        held = tf.reduce_sum(tf.math.cumprod(sounding, axis=1), axis=1)
        return frames[:, -1], (state, held)

    def next_frame(
        self,
        frame: tf.Tensor,
        state: State,
        controls: Tensors,
        seed: tf.Tensor,
        must_change: tf.Tensor,
    ) -> tuple[tf.Tensor, State, tf.Tensor]:
        """Draws the next column."""
        recurrent, held = state
        hidden, recurrent = self.recurrent.step(self._flatten(frame), recurrent)
        logits, counts = self._unpack(self._outputs(hidden, frame))
        held = (held + 1.0) * tf.cast(frame[..., 0], tf.float32)
        key_logits = logits[..., 0] + self._repeat_bonus(held, controls)
        temperature = controls["temperature"]
        key_seed, onset_seed, change_seed = split_seed(seed, 3)

        def independent() -> tf.Tensor:
            return samplers.bernoulli(key_logits, key_seed, temperature)

        def counted() -> tf.Tensor:
            number = tf.cast(tf.round(counts), tf.int32)
            return samplers.without_replacement(
                key_logits, number, key_seed, temperature
            )

        if self.has_counts:
            sounding = tf.cond(controls["draw_counts"] > 0.5, counted, independent)
        else:
            sounding = independent()
        if self.num_channels == 2:
            onset = samplers.bernoulli(logits[..., 1], onset_seed, temperature)

        def with_onsets(sounding: tf.Tensor) -> tf.Tensor:
            if self.num_channels == 1:
                return sounding[..., tf.newaxis]
            return tf.stack([sounding, tf.logical_and(sounding, onset)], axis=-1)

        is_stuck = equal_frames(with_onsets(sounding), frame)
        is_stuck = tf.logical_and(must_change, is_stuck)
        sounding = change_one(sounding, key_logits, is_stuck, change_seed, temperature)
        return with_onsets(sounding), (recurrent, held), is_stuck

    def is_silent(self, frame: tf.Tensor) -> tf.Tensor:
        """Whether no key sounds."""
        return tf.logical_not(tf.reduce_any(frame[..., 0], axis=[1, 2]))

    def frames_to_features(self, frames: tf.Tensor) -> Tensors:
        """The columns as a roll; all of them count."""
        num_steps = tf.fill([tf.shape(frames)[0]], tf.shape(frames)[1])
        return {"roll": self._from_hands(frames), "num_steps": num_steps}

    def score(self, features: Tensors, num_steps: tf.Tensor) -> Tensors:
        """The log-likelihood of each column, all hands, keys and channels together."""
        frames = self._to_hands(features["roll"])
        before = self._from_start(frames)[:, :-1]
        logits, _ = self._unpack(self(self._from_hands(before)))
        nats = tf.reduce_sum(key_nats(frames, logits), axis=[2, 3, 4])
        is_inside = tf.range(tf.shape(frames)[1]) < num_steps[:, tf.newaxis]
        return {"log_likelihood": tf.where(is_inside, -nats, 0.0)}

    def _outputs(self, hidden: tf.Tensor, frames: tf.Tensor) -> tf.Tensor:
        """What `call` gives, from hidden values `[..., feature]` and their inputs."""
        outputs = tf.stack([hand(hidden) for hand in self.hands], axis=-2)
        if self.num_channels == 1:
            return outputs
        logits, counts = self._unpack(outputs)
        onset = tf.where(frames[..., 0], logits[..., 1], _CERTAIN)
        logits = tf.stack([logits[..., 0], onset], axis=-1)
        shape = tf.concat([tf.shape(logits)[:-2], [2 * self.num_keys]], axis=0)
        parts = [tf.reshape(logits, shape)]  # [..., hand, key * channel]
        if self.has_counts:
            parts.append(counts[..., tf.newaxis])
        return tf.concat(parts, axis=-1)

    def _unpack(self, outputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Logits `[..., hand, key, channel]`, counts `[..., hand]` if there are any."""
        return unpack_hands(outputs, (self.num_keys, self.num_channels))

    def _repeat_bonus(self, held: tf.Tensor, controls: Tensors) -> tf.Tensor:
        """What is added to the log odds of keys that sound, by how long they have.

        The published corrections: drawn keys get a bonus, that they change less often;
        greedy ones a growing penalty, that they do not stay for ever.
        """
        bonus = controls["repeat_bonus"]
        rates = [controls[name] for name in _RATES[: self.num_hands]]
        rate = tf.stack(rates)[:, tf.newaxis]  # [hand, 1]
        drawn = tf.math.log1p(bonus * tf.exp(-rate * held))
        greedy = -bonus * rate * held
        is_drawn = controls["temperature"] > 0.0
        return tf.where(held > 0.0, tf.where(is_drawn, drawn, greedy), 0.0)

    def _flatten(self, frames: tf.Tensor) -> tf.Tensor:
        """Frames `[..., hand, key, channel]` as numbers `[..., feature]`."""
        size = self.num_hands * self.num_keys * self.num_channels
        shape = tf.concat([tf.shape(frames)[:-3], [size]], axis=0)
        flat = tf.reshape(tf.cast(frames, self.compute_dtype), shape)
        return tf.ensure_shape(flat, [*frames.shape[:-3], size])

    def _to_hands(self, roll: tf.Tensor) -> tf.Tensor:
        """A roll `[batch, time, ...]` with an axis of hands."""
        roll = tf.cast(roll, tf.bool)
        return roll if self.has_hands else roll[:, :, tf.newaxis]

    def _from_hands(self, frames: tf.Tensor) -> tf.Tensor:
        """The roll as the representation has it."""
        return frames if self.has_hands else frames[:, :, 0]

    def _from_start(self, frames: tf.Tensor) -> tf.Tensor:
        """Silence and then the frames, `[batch, time + 1, ...]`."""
        return tf.pad(frames, [[0, 0], [1, 0], [0, 0], [0, 0], [0, 0]])


_RATES = ("repeat_rate_right", "repeat_rate_left")


def _controls(
    num_hands: int, has_counts: bool, key_weights: str
) -> tuple[Control, ...]:
    """What steers a roll model's generation."""
    controls = [
        Control(
            "temperature", 1.0, 0.0, 10.0, "Above 1 bolder, below 1 safer, 0 greedy."
        ),
        Control("repeat_bonus", 0.0, 0.0, 100.0, "Odds added for held keys; 0: none."),
    ]
    for name, default in zip(_RATES[:num_hands], (0.25, 0.1), strict=False):
        doc = "How fast that bonus fades with each step held."
        controls.append(Control(name, default, 0.0, 100.0, doc))
    if has_counts:
        # Weighted logits are no probabilities: only their order tells, so the number
        # of keys has to come from its own head.
        default = 0.0 if key_weights == "none" else 1.0
        doc = "1: draw as many keys as the count head says; 0: each key by itself."
        controls.append(Control("draw_counts", default, 0.0, 1.0, doc))
    return (*controls, MAX_REPEATS, MAX_SILENCE)
