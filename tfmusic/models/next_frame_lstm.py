"""Recurrent layers over the frames of a roll that give the next one."""

from collections.abc import Sequence

import keras
import tensorflow as tf

from tfmusic.errors import choose
from tfmusic.generation.controls import roll_controls
from tfmusic.models.autoregressive import AutoregressiveModel
from tfmusic.models.base import Tensors
from tfmusic.models.frame_decoder import FrameDecoder, Recurrent
from tfmusic.models.roll_frames import RollFrames, compile_roll_model
from tfmusic.models.roll_sampling import count_held, draw_frame, hold
from tfmusic.models.scheduled_sampling import ScheduledSampling
from tfmusic.networks.losses import make_cell_loss
from tfmusic.representations import Representation

State = tuple[Recurrent, tf.Tensor]


class NextFrameLSTM(AutoregressiveModel):
    """LSTM layers, a ReLU layer, and for every key whether it starts or goes on.

    The sequence-to-one network of Carrascosa et al. (UPC, 2019), experiment 2, is this
    with `loss="single"` and `loss_steps="last"`. Its output is fed back, and it can be
    trained for that (see `ScheduledSampling`).

    Frames are those of `RollFrames`. The state is the recurrent one and for how many
    steps each key has been held, `[batch, hand, key]`.
    """

    def __init__(
        self,
        representation: Representation,
        units: Sequence[int] = (512, 512),
        cell: str = "lstm",
        dropout: float = 0.2,
        head_units: int = 256,
        head_dropout: float = 0.5,
        key_chains: bool = False,
        loss: str = "nats",
        alpha: float = 0.5,
        gamma: float = 2.0,
        loss_steps: str = "all",
        teacher_forcing: float = 1.0,
        teacher_forcing_end: float = 1.0,
        teacher_forcing_steps: int = 0,
        feedback_temperature: float = 1.0,
    ):
        """Makes the layers.

        Args:
            representation: One whose feature is `roll`.
            units: Sizes of the recurrent layers.
            cell: "lstm" or "gru".
            dropout: Share of values dropped between recurrent layers.
            head_units: Size of the layer before the logits.
            head_dropout: Share of its values dropped.
            key_chains: Whether the network adds to what each key does by itself, a
                Markov chain counted in the training split, from which learning begins.
            loss: "nats", "binary", "focal" or "single", see `make_cell_loss`.
            alpha: The focal loss's weight of ones; that of zeros is 1 - alpha.
            gamma: Its power; above 0 what is nearly certain counts less.
            loss_steps: "all", or "last": a window teaches its last step alone.
            teacher_forcing: Share of true frames that are fed in training at first.
            teacher_forcing_end: Share of them at last.
            teacher_forcing_steps: Training steps until then.
            feedback_temperature: At which the other frames are drawn; 0: thresholded.
        """
        super().__init__(representation)
        self.loss_steps = choose("model.loss_steps", loss_steps, ("all", "last"))
        self.cell_loss = make_cell_loss(loss, alpha, gamma)
        self.frames = RollFrames(representation)
        self.CONTROLS = roll_controls(self.frames.num_hands)
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
        """What comes after each column.

        Args:
            roll: bool `[batch, time, (hand,) key, channel]`.
            training: Whether dropout is on, and own frames are fed.

        Returns:
            Log odds, float32 `[batch, time, hand, key * channel]`.
        """
        frames = self.frames.from_roll(roll)
        state = self.decoder.initial_state(tf.shape(frames)[0])
        return self.frames.pack(self.decoder.run(frames, state, training, model=self))

    def start_frame(self, batch_size: tf.Tensor) -> tf.Tensor:
        """Silence."""
        return self.frames.silence(batch_size)

    def initial_state(self, batch_size: tf.Tensor) -> State:
        """Zeros."""
        held = self.frames.not_held(batch_size)
        return self.decoder.initial_state(batch_size), held

    def prime(self, prompt: Tensors) -> tuple[tf.Tensor, State]:
        """Takes in silence and all of the prompt but its last column."""
        frames = self.frames.after_silence(self.frames.from_roll(prompt["roll"]))
        earlier = frames[:, :-1]
        return frames[:, -1], (self.decoder.read(earlier), count_held(earlier))

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
        log_odds, recurrent = self.decoder.step(frame, recurrent)
        held = hold(held, frame)
        drawn, is_guarded = draw_frame(
            log_odds, frame, held, controls, seed, must_change
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
