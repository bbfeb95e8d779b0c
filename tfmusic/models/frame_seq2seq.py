"""An encoder of one segment of a roll and a decoder of the next."""

from collections.abc import Sequence
from typing import NamedTuple

import keras
import tensorflow as tf

from tfmusic.errors import UserError
from tfmusic.generation.controls import INITIAL_NOISE, roll_controls
from tfmusic.generation.loop import split_seed
from tfmusic.models.autoregressive import AutoregressiveModel
from tfmusic.models.base import Tensors
from tfmusic.models.frame_decoder import FrameDecoder, Recurrent
from tfmusic.models.roll_frames import RollFrames, compile_roll_model
from tfmusic.models.roll_sampling import count_held, draw_frame, hold
from tfmusic.models.scheduled_sampling import ScheduledSampling
from tfmusic.networks.layers import RecurrentStack
from tfmusic.networks.losses import make_cell_loss
from tfmusic.representations import Representation


class State(NamedTuple):
    """What the model remembers.

    Attributes:
        encoder: What the encoder has read of the segment that is going on.
        decoder: The decoder's state.
        position: Frames of this segment that the decoder has taken in, 0 before the
            first of all and `segment_steps` where a new segment is due, int32 [batch].
        held: For how many steps each key has been held, `[batch, hand, key]`.
    """

    encoder: Recurrent
    decoder: Recurrent
    position: tf.Tensor
    held: tf.Tensor


class FrameSeq2Seq(AutoregressiveModel):
    """A next-frame network whose state, segment by segment, comes from an encoder.

    A piece is cut into segments of `segment_steps` frames. The decoder makes a segment
    frame by frame from the state that the encoder has after reading the segment before;
    the first segment is decoded from a state of zeros. Its first input is the last
    frame of the segment before, or silence. That is how a piece is scored, and
    generated: after each segment the encoder has read what was made, and the decoder
    begins anew. In training a window is cut likewise, from its own first step.

    The network of Carrascosa et al. (UPC, 2019), experiments 3 and 4: there the decoder
    had the frame before last, or in experiment 3 the very frame it was to give; here it
    has the last one.
    """

    def __init__(
        self,
        representation: Representation,
        units: Sequence[int] = (512, 512),
        cell: str = "lstm",
        dropout: float = 0.2,
        segment_steps: int = 128,
        head_units: int = 256,
        head_dropout: float = 0.5,
        key_chains: bool = False,
        loss: str = "nats",
        alpha: float = 0.5,
        gamma: float = 2.0,
        teacher_forcing: float = 1.0,
        teacher_forcing_end: float = 1.0,
        teacher_forcing_steps: int = 0,
        feedback_temperature: float = 1.0,
    ):
        """Makes the layers.

        Args:
            representation: One whose feature is `roll`.
            units: Sizes of the recurrent layers of encoder and decoder.
            cell: "lstm" or "gru".
            dropout: Share of values dropped between recurrent layers.
            segment_steps: Frames that are encoded, and decoded, at a time.
            head_units: Size of the layer before the logits.
            head_dropout: Share of its values dropped.
            key_chains: Whether the network adds to what each key does by itself, a
                Markov chain counted in the training split, from which learning begins.
            loss: "nats", "binary", "focal" or "single", see `make_cell_loss`.
            alpha: The focal loss's weight of ones.
            gamma: Its power.
            teacher_forcing: Share of true frames fed in training at first.
            teacher_forcing_end: Share of them at last.
            teacher_forcing_steps: Training steps until then.
            feedback_temperature: At which the other frames are drawn; 0: thresholded.

        Raises:
            UserError: Segments without a frame.
        """
        super().__init__(representation)
        if segment_steps < 1:
            raise UserError(
                f"model.segment_steps: expected at least 1, got {segment_steps}"
            )
        self.segment_steps = segment_steps
        self.cell_loss = make_cell_loss(loss, alpha, gamma)
        self.frames = RollFrames(representation)
        self.CONTROLS = (*roll_controls(self.frames.num_hands), INITIAL_NOISE)
        self.encoder = RecurrentStack(units, cell, dropout, name="encoder")
        self.decoder = FrameDecoder(
            self.frames,
            units,
            cell,
            dropout,
            head_units,
            head_dropout,
            key_chains,
            ScheduledSampling(
                teacher_forcing,
                teacher_forcing_end,
                teacher_forcing_steps,
                feedback_temperature,
            ),
        )

    def build_model(self) -> None:
        """Makes all weights."""
        # Keras takes layers for built that were called, not run.
        self.encoder(tf.zeros([1, 1, self.frames.num_inputs]))
        self.decoder.build()
        self(self.frames.to_roll(self.frames.silence(1, 1)))

    def compile_for_training(self, optimizer: keras.optimizers.Optimizer) -> None:
        """Compiles with the loss, nats a step and the rates of sounding keys."""
        compile_roll_model(self, optimizer, self.cell_loss)

    def adapt(self, pieces: tf.data.Dataset) -> None:
        """Counts what each key does, for the chains."""
        self.decoder.adapt(pieces)

    def example_fn(self, features: Tensors, seed: tf.Tensor):
        """Columns, the frames after them, and which of these count."""
        del seed
        return self.frames.example(features)

    def call(self, roll: tf.Tensor, training: bool = False) -> tf.Tensor:
        """What comes after each column of a window; segments count from its first.

        Args:
            roll: bool `[batch, time, (hand,) key, channel]`.
            training: Whether dropout is on, and own frames are fed.

        Returns:
            Log odds, float32 `[batch, time, hand, key * channel]`.
        """
        frames = self.frames.from_roll(roll)
        batch_size, length = tf.unstack(tf.shape(frames)[:2])
        num_segments = -(-length // self.segment_steps)
        rest = num_segments * self.segment_steps - length
        padding = self.frames.silence(batch_size, rest + 1)
        padded = tf.concat([frames, padding], axis=1)
        state = self._encode(self._cut(padded[:, 1:]), num_segments, training)
        segments = self._cut(padded[:, :-1])
        log_odds = self.decoder.run(segments, state, training, model=self)
        packed = self.frames.pack(log_odds)  # [batch * segment, step, hand, logit]
        shape = tf.concat([[batch_size, -1], tf.shape(packed)[2:]], axis=0)
        outputs = tf.reshape(packed, shape)[:, :length]
        return tf.ensure_shape(outputs, [*frames.shape[:2], *packed.shape[2:]])

    def start_frame(self, batch_size: tf.Tensor) -> tf.Tensor:
        """Silence."""
        return self.frames.silence(batch_size)

    def initial_state(self, batch_size: tf.Tensor) -> State:
        """Zeros."""
        return State(
            self.encoder.initial_state(batch_size),
            self.decoder.initial_state(batch_size),
            tf.zeros([batch_size], tf.int32),
            self.frames.not_held(batch_size),
        )

    def prime(self, prompt: Tensors) -> tuple[tf.Tensor, State]:
        """Takes in silence and all of the prompt but its last column."""
        frames = self.frames.after_silence(self.frames.from_roll(prompt["roll"]))
        earlier = frames[:, :-1]

        def body(time, state):
            _, state = self._advance(earlier[:, time], state)
            return time + 1, state

        _, state = tf.while_loop(
            lambda time, _: time < tf.shape(earlier)[1],
            body,
            (0, self.initial_state(tf.shape(frames)[0])),
        )
        return frames[:, -1], state._replace(held=count_held(earlier))

    def next_frame(
        self,
        frame: tf.Tensor,
        state: State,
        controls: Tensors,
        seed: tf.Tensor,
        must_change: tf.Tensor,
    ) -> tuple[tf.Tensor, State, tf.Tensor]:
        """Draws the next frame."""
        noise_seed, seed = split_seed(seed, 2)
        state = self._make_noise(state, controls[INITIAL_NOISE.name], noise_seed)
        log_odds, state = self._advance(frame, state)
        drawn, is_guarded = draw_frame(
            log_odds, frame, state.held, controls, seed, must_change
        )
        return drawn, state, is_guarded

    def is_silent(self, frame: tf.Tensor) -> tf.Tensor:
        """Whether no key sounds."""
        return self.frames.is_silent(frame)

    def frames_to_features(self, frames: tf.Tensor) -> Tensors:
        """The frames as a roll; all of them count."""
        return self.frames.to_features(frames)

    def score(self, features: Tensors, num_steps: tf.Tensor) -> Tensors:
        """The log-likelihood of each frame, all hands, keys and channels together."""
        return self.frames.score(self, features, num_steps)

    def _advance(self, frame: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
        """Takes in one frame: the log odds of the next one, and the new state."""
        # The frame that closes a segment is the decoder's first input of the next.
        inputs = self.frames.flatten(frame, self.compute_dtype)
        _, read = self.encoder.step(inputs, state.encoder)
        zeros = self.encoder.initial_state(tf.shape(frame)[0])
        is_first = state.position == 0
        is_full = state.position == self.segment_steps
        decoder = _where(is_full, read, state.decoder)
        encoder = _where(tf.logical_or(is_first, is_full), zeros, read)
        log_odds, decoder = self.decoder.step(frame, decoder)
        position = tf.where(is_full, 0, state.position) + 1
        return log_odds, State(encoder, decoder, position, hold(state.held, frame))

    def _encode(
        self, segments: tf.Tensor, num_segments: tf.Tensor, training: bool
    ) -> Recurrent:
        """The decoder's first state for each segment.

        Args:
            segments: What each segment is, `[batch * segment, step, ...]`.
            num_segments: Segments of a window.
            training: Whether dropout is on.
        """
        # Nothing follows the last segment, but an encoder needs one to read.
        shape = [-1, num_segments]
        num_read = tf.maximum(num_segments - 1, 1)
        inputs = self.frames.flatten(segments, self.compute_dtype)
        inputs = tf.reshape(inputs, [*shape, *inputs.shape[1:]])[:, :num_read]
        inputs = tf.reshape(inputs, [-1, *inputs.shape[2:]])
        _, state = self.encoder.run(inputs, training=training)
        states = []
        for part in state:
            size = part.shape[-1]
            part = tf.reshape(part, [-1, num_read, size])
            part = tf.pad(part, [[0, 0], [1, 0], [0, 0]])[:, :num_segments]
            states.append(tf.reshape(part, [-1, size]))
        return tuple(states)

    def _cut(self, frames: tf.Tensor) -> tf.Tensor:
        """Frames as segments, `[batch * segment, step, ...]`."""
        return tf.reshape(frames, [-1, self.segment_steps, *frames.shape[2:]])

    def _make_noise(self, state: State, scale: tf.Tensor, seed: tf.Tensor) -> State:
        """Adds noise to the decoder's state before the first frame of all."""

        def noisy() -> Recurrent:
            seeds = split_seed(seed, len(state.decoder))
            return tuple(
                part
                + tf.cast(
                    scale * tf.random.stateless_normal(tf.shape(part), one), part.dtype
                )
                for part, one in zip(state.decoder, seeds, strict=True)
            )

        is_first = state.position == 0
        wanted = tf.logical_and(tf.reduce_any(is_first), scale > 0.0)
        return state._replace(
            decoder=tf.cond(
                wanted,
                lambda: _where(is_first, noisy(), state.decoder),
                lambda: state.decoder,
            )
        )


def _where(condition: tf.Tensor, a: Recurrent, b: Recurrent) -> Recurrent:
    """Parts of states `[batch, units]`, chosen by a condition `[batch]`."""
    return tuple(
        tf.where(condition[:, tf.newaxis], x, y) for x, y in zip(a, b, strict=True)
    )
