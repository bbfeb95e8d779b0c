"""What the next-frame and the sequence-to-sequence network share: their decoder."""

import dataclasses
from collections.abc import Callable

import keras
import tensorflow as tf

from tfmusic.models.base import Tensors
from tfmusic.models.key_chains import KeyChains
from tfmusic.models.roll_frames import RollFrames
from tfmusic.models.roll_sampling import sample_plainly
from tfmusic.models.rolls import RollModel
from tfmusic.models.scheduled_sampling import Sample, ScheduledSampling
from tfmusic.networks.layers import FrameHead
from tfmusic.networks.losses import CELL_LOSSES, class_log_odds, make_cell_loss
from tfmusic.networks.metrics import SingleClassAccuracy
from tfmusic.networks.recurrent_stack import RecurrentSettings, RecurrentStack
from tfmusic.representations import Representation
from tfmusic.settings import setting

Recurrent = tuple[tf.Tensor, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class DecoderSettings(RecurrentSettings):
    """Recurrent layers, a head, and how they learn.

    Attributes:
        head_units: Size of the layer before the logits.
        head_dropout: Fraction of its values dropped.
        key_chains: Whether learning begins from what each key does by itself, a Markov
            chain counted in the training split.
        loss: "nats", "binary", "focal" or "single", see `make_cell_loss`.
        alpha: The focal loss's weight of ones; that of zeros is 1 - alpha.
        gamma: Its power; above 0 what is nearly certain counts less.
        teacher_forcing: Fraction of true frames that training feeds at first; the rest
            are the model's own (see `ScheduledSampling`).
        teacher_forcing_end: The fraction at last.
        teacher_forcing_steps: Training steps until then.
        feedback_temperature: At which own frames are sampled; 0: thresholded.
    """

    dropout: float = setting(0.2, at_least=0.0, at_most=0.99)
    head_units: int = setting(256, at_least=1, at_most=65_536)
    head_dropout: float = setting(0.5, at_least=0.0, at_most=0.99)
    key_chains: bool = False
    loss: str = setting("nats", choices=tuple(CELL_LOSSES))
    alpha: float = setting(0.5, above=0.0, below=1.0)
    gamma: float = setting(2.0, at_least=0.0)
    teacher_forcing: float = setting(1.0, at_least=0.0, at_most=1.0)
    teacher_forcing_end: float = setting(1.0, at_least=0.0, at_most=1.0)
    teacher_forcing_steps: int = setting(0, at_least=0)
    feedback_temperature: float = setting(1.0, at_least=0.0)


class FrameDecoder(keras.layers.Layer):
    """Recurrent layers over frames and a head that gives the log odds of the next one.

    It can be trained on frames of its own, see `ScheduledSampling`. Frames and log odds
    are those of `RollFrames`.
    """

    def __init__(
        self,
        frames: RollFrames,
        settings: DecoderSettings,
        to_network: Callable[[tf.Tensor, Tensors], tf.Tensor],
        **kwargs,
    ):
        """Makes the layers.

        Args:
            frames: How the rolls are frames.
            settings: See `DecoderSettings`.
            to_network: Encodes frames and places, see `RollModel.to_network`.
            **kwargs: The base layer's.
        """
        super().__init__(**kwargs)
        self.frames = frames
        self.to_network = to_network
        self.sampling = ScheduledSampling(
            settings.teacher_forcing,
            settings.teacher_forcing_end,
            settings.teacher_forcing_steps,
            settings.feedback_temperature,
        )
        self.recurrent = RecurrentStack(settings)
        self.head = FrameHead(
            frames.num_hands,
            frames.num_logits,
            settings.head_units,
            settings.head_dropout,
        )
        self.key_chains = KeyChains(frames) if settings.key_chains else None
        # Its state is saved with the weights, so a resumed run tosses the same coins.
        self.seeds = keras.random.SeedGenerator()

    def build(self, input_shape):
        """Makes all weights, for encoded frames of this shape."""
        # Keras takes layers for built that were called, not run.
        self.head(self.recurrent(tf.zeros(input_shape)))

    def initial_state(self, batch_size: tf.Tensor) -> Recurrent:
        """Zeros."""
        return self.recurrent.initial_state(batch_size)

    def run(
        self,
        frames: tf.Tensor,
        places: Tensors,
        state: Recurrent,
        training: bool = False,
        model: keras.Model | None = None,
    ) -> tf.Tensor:
        """The log odds of what follows each frame, from a state on.

        Args:
            frames: `[batch, time, hand, key, channel]`.
            places: Those of the frames after each; own frames are fed with them too.
            state: What came before the first of them.
            training: Whether dropout is on, and own frames are fed.
            model: Whose optimizer counts the training steps; needed to feed own frames.
        """
        fed = frames
        if training and self.sampling.is_on:
            step, seed = model.optimizer.iterations, self._next_seed()
            sample = self._make_sample(places)
            fed = self.sampling.mix(frames, state, sample, step, seed)
        inputs = self.to_network(fed, places)
        hidden, _ = self.recurrent.run(inputs, state, training)
        # Whether a key can be held on depends on the music, not on what was fed.
        return self._log_odds(hidden, frames, training)

    def _next_seed(self) -> tf.Tensor:
        """Another one for each step and each replica, int64 `[2]`."""
        # All replicas have the same generator.
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        seed = tf.cast(self.seeds.next(), tf.int64)
        return seed + tf.cast([replica, 0], tf.int64)

    def read(self, frames: tf.Tensor, places: Tensors) -> Recurrent:
        """The state after frames `[batch, time, ...]`, from the beginning."""
        return self.recurrent.run(self.to_network(frames, places))[1]

    def step(
        self, frame: tf.Tensor, place: Tensors, state: Recurrent
    ) -> tuple[tf.Tensor, Recurrent]:
        """Takes in one frame: the log odds of the next one, and the new state."""
        return self._step(self.recurrent.step, frame, place, state)

    def _step(self, recurrent_step, frame, place, state):
        hidden, state = recurrent_step(self.to_network(frame, place), state)
        return self._log_odds(hidden, frame), state

    def _log_odds(
        self, hidden: tf.Tensor, before: tf.Tensor, training: bool = False
    ) -> tf.Tensor:
        """`[..., hand, key, channel]` of hidden values and the frames before."""
        logits, _ = self.frames.unpack(self.head(hidden, training=training))
        if self.key_chains is not None:
            logits += self.key_chains(before)
        return self.frames.log_odds(logits, before)

    def _make_sample(self, places: Tensors) -> Sample:
        """Samples frames to be fed in training: corrections and guards are off."""
        recurrent_step = self.recurrent.make_step()

        def sample(frame, time, state, temperature, seed):
            place = {name: bar[:, time] for name, bar in places.items()}
            log_odds, state = self._step(recurrent_step, frame, place, state)
            return sample_plainly(log_odds, temperature, seed), state

        return sample


class DecoderModel(RollModel):
    """A model of rolls around a `FrameDecoder`."""

    def __init__(self, representation: Representation, settings: DecoderSettings):
        """Makes the decoder."""
        super().__init__(representation, settings)
        self.make_layers()
        self.decoder = FrameDecoder(self.frames, settings, self.to_network)

    def make_layers(self) -> None:
        """Makes the layers that stand before the decoder; none by default."""

    def make_loss(self) -> keras.losses.Loss:
        """What `settings.loss` names."""
        settings = self.settings
        return make_cell_loss(settings.loss, settings.alpha, settings.gamma)

    def make_metrics(self) -> list[keras.metrics.Metric]:
        """How often the class is right, where a frame is one."""
        return [SingleClassAccuracy()] if self.settings.loss == "single" else []

    def to_sampled(self, log_odds: tf.Tensor) -> tf.Tensor:
        """Log odds as frames are sampled and scored, from those that are learned."""
        return class_log_odds(log_odds) if self.settings.loss == "single" else log_odds

    def score(self, features: Tensors, num_steps: tf.Tensor) -> Tensors:
        """The log-likelihood of each frame, all hands, keys and channels together."""
        places = self._places_of(features)

        def network(roll: tf.Tensor) -> tf.Tensor:
            log_odds, _ = self.frames.unpack(self(self.to_call(roll, places)))
            return self.frames.pack(self.to_sampled(log_odds))

        return self.frames.score(network, features["roll"], num_steps)

    def chains(self) -> KeyChains | None:
        """The decoder's."""
        return self.decoder.key_chains

    def build_model(self) -> None:
        """Makes all weights."""
        self.decoder.build(self.silent_inputs().shape)
        super().build_model()
