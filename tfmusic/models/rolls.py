"""What the models of piano rolls share: they make one frame a step."""

from typing import Any, ClassVar

import keras
import tensorflow as tf

from tfmusic.generation.controls import roll_controls
from tfmusic.models.autoregressive import AutoregressiveModel
from tfmusic.models.base import Tensors
from tfmusic.models.key_chains import KeyChains
from tfmusic.models.roll_frames import RollFrames, compile_roll_model
from tfmusic.models.roll_sampling import count_held, hold, sample_frame
from tfmusic.representations import Representation
from tfmusic.representations.binary_roll import BinaryRoll
from tfmusic.representations.start_sustain import StartSustain
from tfmusic.representations.two_hands_roll import TwoHandsRoll
from tfmusic.settings import Settings

# The network's state, and for how many steps each key has been held, `[batch, hand,
# key]`.
State = tuple[Any, tf.Tensor]


class RollModel(AutoregressiveModel):
    """A model whose frames are those of `RollFrames`.

    A subclass has a network that gives the log odds of the frame after each frame, for
    whole rolls (`call`) and frame by frame (`network_state`, `read`, `predict`).
    """

    TAKES: ClassVar = (BinaryRoll, StartSustain, TwoHandsRoll)

    def __init__(self, representation: Representation, settings: Settings):
        """Reads the layout of the rolls; the subclass makes the network."""
        super().__init__(representation)
        self.settings = settings
        self.frames = RollFrames(representation)
        self.CONTROLS = roll_controls(self.frames.num_hands)

    # ---- What a subclass has.

    def make_loss(self) -> keras.losses.Loss:
        """The loss of training, on what `call` gives."""
        raise NotImplementedError

    def make_metrics(self) -> list[keras.metrics.Metric]:
        """Metrics beside those of all rolls."""
        return []

    def chains(self) -> KeyChains | None:
        """The Markov chains that learning begins from, if there are any."""
        raise NotImplementedError

    def network_state(self, batch_size: tf.Tensor) -> Any:
        """The network's state before the first frame."""
        raise NotImplementedError

    def read(self, frames: tf.Tensor) -> Any:
        """The network's state after frames `[batch, time, hand, key, channel]`."""
        raise NotImplementedError

    def predict(
        self, frame: tf.Tensor, network: Any
    ) -> tuple[tf.Tensor, tf.Tensor | None, Any]:
        """Reads one frame `[batch, hand, key, channel]`.

        Returns:
            The log odds of the next one, how many keys of each hand it should have
            (`[batch, hand]`; None: no opinion), and the network's new state.
        """
        raise NotImplementedError

    def begin_step(
        self, network: Any, controls: Tensors, seed: tf.Tensor
    ) -> tuple[Any, tf.Tensor]:
        """The network's state and the seed of a step, before the step is made."""
        del controls
        return network, seed

    # ---- What all share.

    def build_model(self) -> None:
        """Makes all weights."""
        self(self.frames.to_roll(self.frames.silence(1, 1)))

    def compile_for_training(self, optimizer: keras.optimizers.Optimizer) -> None:
        """Compiles with the loss, nats a step and the rates of sounding keys."""
        compile_roll_model(self, optimizer, self.make_loss(), self.make_metrics())

    def adapt(self, pieces: tf.data.Dataset) -> None:
        """Counts what each key does, for the chains."""
        if self.chains() is not None:
            self.chains().adapt(pieces)

    def example_fn(self, features: Tensors, seed: tf.Tensor):
        """Frames of a roll, the frames after them, and which of these count."""
        del seed
        return self.frames.example(features)

    def start_frame(self, batch_size: tf.Tensor) -> tf.Tensor:
        """Silence."""
        return self.frames.silence(batch_size)

    def initial_state(self, batch_size: tf.Tensor, max_steps: tf.Tensor) -> State:
        """The network's, and no key held."""
        del max_steps
        return self.network_state(batch_size), self.frames.not_held(batch_size)

    def prime(self, prompt: Tensors, num_steps: tf.Tensor) -> tuple[tf.Tensor, State]:
        """Takes in silence and all of the prompt but its last frame."""
        del num_steps
        frames = self.frames.after_silence(self.frames.from_roll(prompt["roll"]))
        earlier = frames[:, :-1]
        return frames[:, -1], (self.read(earlier), count_held(earlier))

    def next_frame(
        self,
        frame: tf.Tensor,
        state: State,
        controls: Tensors,
        seed: tf.Tensor,
        must_change: tf.Tensor,
    ) -> tuple[tf.Tensor, State, tf.Tensor]:
        """Samples the next frame."""
        network, held = state
        network, seed = self.begin_step(network, controls, seed)
        log_odds, counts, network = self.predict(frame, network)
        held = hold(held, frame)
        sampled, is_guarded = sample_frame(
            log_odds, frame, held, controls, seed, must_change, counts
        )
        return sampled, (network, held), is_guarded

    def is_silent(self, frame: tf.Tensor) -> tf.Tensor:
        """Whether no key sounds."""
        return self.frames.is_silent(frame)

    def frames_to_features(self, frames: tf.Tensor, state: State) -> Tensors:
        """The frames as a roll; all of them count."""
        del state
        return self.frames.to_features(frames)

    def score(self, features: Tensors, num_steps: tf.Tensor) -> Tensors:
        """The log-likelihood of each frame, all hands, keys and channels together."""
        return self.frames.score(self, features, num_steps)
