"""Recurrent networks over piano rolls of one or two hands."""

import dataclasses
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfmusic.generation.controls import DRAW_COUNTS, REPEAT_BONUS
from tfmusic.models.base import Tensors
from tfmusic.models.key_chains import KeyChains
from tfmusic.models.rolls import RollModel
from tfmusic.networks.layers import HandHead
from tfmusic.networks.losses import RollLoss
from tfmusic.networks.metrics import CountError, HandLoss
from tfmusic.networks.recurrent_stack import RecurrentSettings, RecurrentStack
from tfmusic.representations import Representation
from tfmusic.settings import setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class RollLSTMSettings(RecurrentSettings):
    """Recurrent layers and a head for each hand.

    Attributes:
        branch_units: Size of each hand's first layer; 0: none.
        key_units: Size of the layer before the keys' logits; 0: none.
        count_units: Size of the layer before the number of keys; 0: no such head.
        key_loss_coefficient: Weighs each hand's mean cross-entropy of its keys; the
            number of keys makes that the nats of the hand.
        count_loss_coefficient: Weighs the squared error of the number of keys.
        key_weights: "none"; "positive": each key's sounding weighs as much as its
            silence; "both": that weight on both, one published system's mistake.
        max_key_weight: The greatest weight, which rare keys get.
        key_chains: Whether learning begins from what each key does by itself, a Markov
            chain counted in the training split.
        loss_steps: "all", or "last": a window teaches its last step alone.
        repeat_bonus: Default of the control of this name.
    """

    units: tuple[int, ...] = setting(
        (256, 256), at_least=1, at_most=65_536, not_empty=True
    )
    branch_units: int = setting(120, at_least=0, at_most=65_536)
    key_units: int = setting(100, at_least=0, at_most=65_536)
    count_units: int = setting(10, at_least=0, at_most=65_536)
    key_loss_coefficient: float = setting(88.0, at_least=0.0)
    count_loss_coefficient: float = setting(1.0, at_least=0.0)
    key_weights: str = setting("none", choices=("none", "positive", "both"))
    max_key_weight: float = setting(100.0, at_least=0.0)
    key_chains: bool = False
    loss_steps: str = setting("all", choices=("all", "last"))
    repeat_bonus: float = setting(0.0, at_least=0.0, at_most=100.0)


class RollLSTM(RollModel):
    """Recurrent layers over frames; per hand, the next keys and their number.

    The two-hands network of F. Vidaich's Lab 4 is this with `units=(150, 150)`,
    `dropout=0.5`, `key_loss_coefficient=1.2` and `loss_steps="last"` on a roll of two
    hands without onsets; the one-hand original is `units=(128, 128)`, `dropout=0.4` and
    `branch_units=0` on a roll of one. The step learned there is mended: it is the next
    one, not the one after.
    """

    Settings = RollLSTMSettings

    def __init__(self, representation: Representation, settings: RollLSTMSettings):
        """Makes the layers."""
        super().__init__(representation, settings)
        self.loss_steps = settings.loss_steps
        self.CONTROLS = tuple(
            control.with_default(settings.repeat_bonus)
            if control is REPEAT_BONUS
            else control
            for control in self.CONTROLS
        )
        if settings.count_units:
            # Weighted logits are no probabilities: only their order tells, so the
            # number of keys has to come from its own head.
            default = float(settings.key_weights != "none")
            self.CONTROLS = (*self.CONTROLS, DRAW_COUNTS.with_default(default))
        self.recurrent = RecurrentStack(settings)
        self.hands = [
            HandHead(
                self.frames.num_logits,
                settings.branch_units,
                settings.key_units,
                settings.count_units,
            )
            for _ in range(self.frames.num_hands)
        ]
        self.key_weight = self.add_weight(
            shape=(self.frames.num_hands, self.frames.num_keys),
            initializer="ones",
            trainable=False,
            name="key_weight",
        )
        self.key_chains = KeyChains(self.frames) if settings.key_chains else None

    def make_loss(self) -> RollLoss:
        """The cross-entropy of the keys and the squared error of their number."""
        key_weights = self.settings.key_weights
        return RollLoss(
            self.settings.key_loss_coefficient,
            self.settings.count_loss_coefficient,
            None if key_weights == "none" else self.key_weight,
            weigh_both=key_weights == "both",
        )

    def make_metrics(self) -> list[keras.metrics.Metric]:
        """The error of the number of keys, where it is learned, and losses by hand."""
        metrics = [CountError()] if self.settings.count_units else []
        if self.frames.num_hands == 1:
            return metrics
        parts = ("keys", "count") if self.settings.count_units else ("keys",)
        return metrics + [
            HandLoss(self.make_loss(), hand, part)
            for part in parts
            for hand in range(self.frames.num_hands)
        ]

    def chains(self) -> KeyChains | None:
        """The Markov chains that learning begins from, if there are any."""
        return self.key_chains

    def adapt(self, pieces: tf.data.Dataset) -> None:
        """Counts what each key does, for the weights and the chains."""
        super().adapt(pieces)
        if self.settings.key_weights == "none":
            return
        steps, sounding = 0, 0
        for piece in pieces.as_numpy_iterator():
            sounds = self.frames.from_roll(piece["roll"]).numpy()[..., 0]
            steps, sounding = steps + len(sounds), sounding + sounds.sum(axis=0)
        # One more than was counted: a key that is never played stays finite.
        weights = (steps - sounding - 1.0) / (sounding + 1.0)
        self.key_weight.assign(np.clip(weights, 0.0, self.settings.max_key_weight))

    def call(self, inputs: tf.Tensor | Tensors, training: bool = False) -> tf.Tensor:
        """What comes after each frame.

        Args:
            inputs: A roll, bool `[batch, time, (hand,) key, channel]`, and perhaps the
                places of the columns after each, see `RollModel.to_call`.
            training: Whether dropout is on.

        Returns:
            float32 `[batch, time, hand, key * channel (+ 1)]`: log odds of the keys
            and, if it is learned, their expected number (see
            `tfmusic.networks.losses.unpack_hands`).
        """
        frames, places = self.from_call(inputs)
        hidden = self.recurrent(self.to_network(frames, places), training=training)
        log_odds, counts = self._outputs(hidden, frames)
        parts = [self.frames.pack(log_odds)]
        if counts is not None:
            parts.append(counts[..., tf.newaxis])
        return tf.concat(parts, axis=-1)

    def network_state(self, batch_size: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Zeros."""
        return self.recurrent.initial_state(batch_size)

    def read(self, frames: tf.Tensor, places: Tensors) -> tuple[tf.Tensor, ...]:
        """The state after frames, from zeros."""
        return self.recurrent.run(self.to_network(frames, places))[1]

    def predict(
        self, frame: tf.Tensor, place: Tensors, network: Any
    ) -> tuple[tf.Tensor, tf.Tensor | None, Any]:
        """Reads one frame; gives log odds, numbers of keys and the new state."""
        inputs = self.to_network(frame, place)
        hidden, network = self.recurrent.step(inputs, network)
        return *self._outputs(hidden, frame), network

    def _outputs(
        self, hidden: tf.Tensor, before: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Log odds `[..., hand, key, channel]` and counts `[..., hand]`, if any.

        Args:
            hidden: Hidden values `[..., feature]`.
            before: The frames before, `[..., hand, key, channel]`.
        """
        outputs = tf.stack([hand(hidden) for hand in self.hands], axis=-2)
        logits, counts = self.frames.unpack(outputs)
        if self.key_chains is not None:
            logits += self.key_chains(before)
        return self.frames.log_odds(logits, before), counts
