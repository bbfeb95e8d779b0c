"""Recurrent networks over piano rolls of one or two hands, one column a step."""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from tfmusic.errors import choose
from tfmusic.generation.controls import DRAW_COUNTS, roll_controls
from tfmusic.models.autoregressive import AutoregressiveModel
from tfmusic.models.base import Tensors
from tfmusic.models.key_chains import KeyChains
from tfmusic.models.roll_frames import RollFrames, compile_roll_model
from tfmusic.models.roll_sampling import count_held, draw_frame, hold
from tfmusic.networks.layers import HandHead, RecurrentStack
from tfmusic.networks.losses import RollLoss
from tfmusic.networks.metrics import CountError
from tfmusic.representations import Representation

State = tuple[tuple[tf.Tensor, ...], tf.Tensor]


class RollLSTM(AutoregressiveModel):
    """Recurrent layers over whole columns; per hand, the next keys and their number.

    The two-hands network of F. Vidaich's Lab 4 is this with `units=(150, 150)`,
    `dropout=0.5`, `key_loss_coefficient=1.2` and `loss_steps="last"` on a roll of two
    hands without onsets; the one-hand original is `units=(128, 128)`, `dropout=0.4` and
    `branch_units=0` on a roll of one. The step learnt there is mended: it is the next
    one, not the one after.

    Frames are those of `RollFrames`. The state is the recurrent one and for how many
    steps each key has been held, `[batch, hand, key]`.
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
        key_chains: bool = False,
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
            key_units: Size of the layer before the keys' logits; 0: none.
            count_units: Size of the layer before the number of keys; 0: no such head.
            key_loss_coefficient: Weighs each hand's mean cross-entropy of its keys; the
                number of keys makes that the nats of the hand.
            count_loss_coefficient: Weighs the squared error of the number of keys.
            key_weights: "none"; "positive": each key's sounding weighs as much as its
                silence; "both": that weight on both, one published system's mistake.
            max_key_weight: The greatest weight, which rare keys get.
            key_chains: Whether the network adds to what each key does by itself, a
                Markov chain counted in the training split, from which learning begins.
            loss_steps: "all", or "last": a window teaches its last step alone.
        """
        super().__init__(representation)
        self.loss_steps = choose("model.loss_steps", loss_steps, ("all", "last"))
        choose("model.key_weights", key_weights, ("none", "positive", "both"))
        self.key_weights = key_weights
        self.max_key_weight = max_key_weight
        self.key_loss_coefficient = key_loss_coefficient
        self.count_loss_coefficient = count_loss_coefficient
        self.frames = RollFrames(representation)
        self.has_counts = count_units > 0
        self.CONTROLS = roll_controls(self.frames.num_hands)
        if self.has_counts:
            # Weighted logits are no probabilities: only their order tells, so the
            # number of keys has to come from its own head.
            draw_counts = DRAW_COUNTS.with_default(float(key_weights != "none"))
            self.CONTROLS = (*self.CONTROLS, draw_counts)
        self.recurrent = RecurrentStack(units, cell, dropout)
        self.hands = [
            HandHead(self.frames.num_logits, branch_units, key_units, count_units)
            for _ in range(self.frames.num_hands)
        ]
        self.key_weight = self.add_weight(
            shape=(self.frames.num_hands, self.frames.num_keys),
            initializer="ones",
            trainable=False,
            name="key_weight",
        )
        self.key_chains = KeyChains(self.frames) if key_chains else None

    def build_model(self) -> None:
        """Makes all weights."""
        self(self.frames.to_roll(self.frames.silence(1, 1)))

    def compile_for_training(self, optimizer: keras.optimizers.Optimizer) -> None:
        """Compiles with the two losses, nats a step and the rates of sounding keys."""
        loss = RollLoss(
            self.key_loss_coefficient,
            self.count_loss_coefficient,
            None if self.key_weights == "none" else self.key_weight,
            weigh_both=self.key_weights == "both",
        )
        counts = [CountError()] if self.has_counts else []
        compile_roll_model(self, optimizer, loss, counts)

    def adapt(self, pieces: tf.data.Dataset) -> None:
        """Counts what each key does, for the weights and the chains."""
        if self.key_chains is not None:
            self.key_chains.adapt(pieces)
        if self.key_weights == "none":
            return
        steps, sounding = 0, 0
        for piece in pieces.as_numpy_iterator():
            sounds = self.frames.from_roll(piece["roll"]).numpy()[..., 0]
            steps, sounding = steps + len(sounds), sounding + sounds.sum(axis=0)
        # One more than was counted: a key that is never played stays finite.
        weights = (steps - sounding - 1.0) / (sounding + 1.0)
        self.key_weight.assign(np.clip(weights, 0.0, self.max_key_weight))

    def example_fn(self, features: Tensors, seed: tf.Tensor):
        """Columns, the columns after them, and which of these count."""
        del seed
        return self.frames.example(features)

    def call(self, roll: tf.Tensor, training: bool = False) -> tf.Tensor:
        """What comes after each column.

        Args:
            roll: bool `[batch, time, (hand,) key, channel]`.
            training: Whether dropout is on.

        Returns:
            float32 `[batch, time, hand, key * channel (+ 1)]`: log odds of the keys
            and, if it is learnt, their expected number (see
            `tfmusic.networks.losses.unpack_hands`).
        """
        frames = self.frames.from_roll(roll)
        inputs = self.frames.flatten(frames, self.compute_dtype)
        hidden = self.recurrent(inputs, training=training)
        log_odds, counts = self._outputs(hidden, frames)
        parts = [self.frames.pack(log_odds)]
        if counts is not None:
            parts.append(counts[..., tf.newaxis])
        return tf.concat(parts, axis=-1)

    def start_frame(self, batch_size: tf.Tensor) -> tf.Tensor:
        """Silence."""
        return self.frames.silence(batch_size)

    def initial_state(self, batch_size: tf.Tensor) -> State:
        """Zeros."""
        held = self.frames.not_held(batch_size)
        return self.recurrent.initial_state(batch_size), held

    def prime(self, prompt: Tensors) -> tuple[tf.Tensor, State]:
        """Takes in silence and all of the prompt but its last column."""
        frames = self.frames.after_silence(self.frames.from_roll(prompt["roll"]))
        earlier = frames[:, :-1]
        inputs = self.frames.flatten(earlier, self.compute_dtype)
        _, state = self.recurrent.run(inputs)
        return frames[:, -1], (state, count_held(earlier))

    def next_frame(
        self,
        frame: tf.Tensor,
        state: State,
        controls: Tensors,
        seed: tf.Tensor,
        must_change: tf.Tensor,
    ) -> tuple[tf.Tensor, State, tf.Tensor]:
        """Draws the next frame."""
        recurrent, held = state
        inputs = self.frames.flatten(frame, self.compute_dtype)
        hidden, recurrent = self.recurrent.step(inputs, recurrent)
        log_odds, counts = self._outputs(hidden, frame)
        held = hold(held, frame)
        drawn, is_guarded = draw_frame(
            log_odds, frame, held, controls, seed, must_change, counts
        )
        return drawn, (recurrent, held), is_guarded

    def is_silent(self, frame: tf.Tensor) -> tf.Tensor:
        """Whether no key sounds."""
        return self.frames.is_silent(frame)

    def frames_to_features(self, frames: tf.Tensor) -> Tensors:
        """The frames as a roll; all of them count."""
        return self.frames.to_features(frames)

    def score(self, features: Tensors, num_steps: tf.Tensor) -> Tensors:
        """The log-likelihood of each frame, all hands, keys and channels together."""
        return self.frames.score(self, features, num_steps)

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
