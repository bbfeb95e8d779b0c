"""What the next-frame and the sequence-to-sequence network share: their decoder."""

from collections.abc import Sequence

import keras
import tensorflow as tf

from tfmusic.models.key_chains import KeyChains
from tfmusic.models.roll_frames import FrameHead, RollFrames
from tfmusic.models.roll_sampling import draw_plainly
from tfmusic.models.scheduled_sampling import Draw, ScheduledSampling
from tfmusic.networks.layers import RecurrentStack

Recurrent = tuple[tf.Tensor, ...]


class FrameDecoder(keras.layers.Layer):
    """Recurrent layers over frames and a head that gives the log odds of the next one.

    It can be trained on frames of its own, see `ScheduledSampling`. Frames and log odds
    are those of `RollFrames`.
    """

    def __init__(
        self,
        frames: RollFrames,
        units: Sequence[int],
        cell: str,
        dropout: float,
        head_units: int,
        head_dropout: float,
        key_chains: bool,
        sampling: ScheduledSampling,
        **kwargs,
    ):
        """Makes the layers.

        Args:
            frames: How the rolls are frames.
            units: Sizes of the recurrent layers.
            cell: "lstm" or "gru".
            dropout: Share of values dropped between recurrent layers.
            head_units: Size of the layer before the logits.
            head_dropout: Share of its values dropped.
            key_chains: Whether `KeyChains` are added to the head's logits.
            sampling: How many of its own frames it is trained on.
            **kwargs: The base layer's.
        """
        super().__init__(**kwargs)
        self.frames = frames
        self.sampling = sampling
        self.recurrent = RecurrentStack(units, cell, dropout)
        self.head = FrameHead(
            frames.num_hands, frames.num_logits, head_units, head_dropout
        )
        self.key_chains = KeyChains(frames) if key_chains else None
        # Its state is saved with the weights, so a resumed run tosses the coins that an
        # undisturbed one would.
        self.seeds = keras.random.SeedGenerator()

    def build(self, input_shape=None):
        """Makes all weights."""
        del input_shape
        # Keras takes layers for built that were called, not run.
        self.head(self.recurrent(tf.zeros([1, 1, self.frames.num_inputs])))

    def adapt(self, pieces: tf.data.Dataset) -> None:
        """Counts what each key does, for the chains."""
        if self.key_chains is not None:
            self.key_chains.adapt(pieces)

    def initial_state(self, batch_size: tf.Tensor) -> Recurrent:
        """Zeros."""
        return self.recurrent.initial_state(batch_size)

    def run(
        self,
        frames: tf.Tensor,
        state: Recurrent,
        training: bool = False,
        model: keras.Model | None = None,
    ) -> tf.Tensor:
        """The log odds of what follows each frame, from a state on.

        Args:
            frames: `[batch, time, hand, key, channel]`.
            state: What came before the first of them.
            training: Whether dropout is on, and own frames are fed.
            model: Whose optimizer counts the training steps; needed to feed own frames.
        """
        fed = frames
        if training and self.sampling.is_on:
            step, seed = model.optimizer.iterations, self._next_seed()
            fed = self.sampling.mix(frames, state, self._make_draw(), step, seed)
        inputs = self.frames.flatten(fed, self.compute_dtype)
        hidden, _ = self.recurrent.run(inputs, state, training)
        # Whether a key can be held on depends on the music, not on what was fed.
        return self._log_odds(hidden, frames, training)

    def _next_seed(self) -> tf.Tensor:
        """Another one for each step and each replica, int64 `[2]`."""
        # All replicas have the same generator.
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        seed = tf.cast(self.seeds.next(), tf.int64)
        return seed + tf.cast([replica, 0], tf.int64)

    def read(self, frames: tf.Tensor) -> Recurrent:
        """The state after frames `[batch, time, ...]`, from the beginning."""
        inputs = self.frames.flatten(frames, self.compute_dtype)
        return self.recurrent.run(inputs)[1]

    def step(self, frame: tf.Tensor, state: Recurrent) -> tuple[tf.Tensor, Recurrent]:
        """Takes in one frame: the log odds of the next one, and the new state."""
        return self._step(self.recurrent.step, frame, state)

    def _step(self, recurrent_step, frame, state):
        inputs = self.frames.flatten(frame, self.compute_dtype)
        hidden, state = recurrent_step(inputs, state)
        return self._log_odds(hidden, frame), state

    def _log_odds(
        self, hidden: tf.Tensor, before: tf.Tensor, training: bool = False
    ) -> tf.Tensor:
        """`[..., hand, key, channel]` of hidden values and the frames before."""
        logits, _ = self.frames.unpack(self.head(hidden, training=training))
        if self.key_chains is not None:
            logits += self.key_chains(before)
        return self.frames.log_odds(logits, before)

    def _make_draw(self) -> Draw:
        """Draws frames to be fed in training: corrections and guards are off."""
        recurrent_step = self.recurrent.make_step()

        def draw(frame, state, temperature, seed):
            log_odds, state = self._step(recurrent_step, frame, state)
            return draw_plainly(log_odds, temperature, seed), state

        return draw
