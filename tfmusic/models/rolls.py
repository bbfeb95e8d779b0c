"""What the models of piano rolls share: they make one frame a step."""

from typing import Any, ClassVar

import keras
import tensorflow as tf

from tfmusic.generation.controls import PARTICLES, roll_controls
from tfmusic.models.autoregressive import AutoregressiveModel
from tfmusic.models.base import Tensors
from tfmusic.models.given import IS_GIVEN, Given
from tfmusic.models.key_chains import KeyChains
from tfmusic.models.places import Places
from tfmusic.models.roll_frames import RollFrames, compile_roll_model
from tfmusic.models.roll_sampling import (
    count_held,
    hold,
    sample_frame,
    sample_given,
)
from tfmusic.representations import Representation
from tfmusic.representations.binary_roll import BinaryRoll
from tfmusic.representations.start_sustain import StartSustain
from tfmusic.representations.two_hands_roll import TwoHandsRoll
from tfmusic.settings import Settings

# The network's state, for how many steps each key has been held, `[batch, hand, key]`,
# and the place in its bar of the newest frame (empty without metre).
State = tuple[Any, tf.Tensor, Tensors]


class RollModel(AutoregressiveModel):
    """A model whose frames are those of `RollFrames`.

    A subclass has a network that gives the log odds of the frame after each frame, for
    whole rolls (`call`) and frame by frame (`network_state`, `read`, `predict`).

    Where the representation has the metre, the network also reads the places in their
    bars: with each frame that of the frame *after* it, which is to be given. Places are
    `bar_position` and `bar_length`, int32 `[batch, time]` or `[batch]`; without metre
    there are none.
    """

    TAKES: ClassVar = (BinaryRoll, StartSustain, TwoHandsRoll)
    INFILL_CONTROLS = (PARTICLES,)

    def __init__(self, representation: Representation, settings: Settings):
        """Reads the layout of the rolls; the subclass makes the network."""
        super().__init__(representation)
        self.settings = settings
        self.frames = RollFrames(representation)
        self.CONTROLS = roll_controls(self.frames.num_hands)
        self.places = Places(representation, name="places")
        self.CONTROLS = (*self.CONTROLS, *self.places.controls)

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

    def read(self, frames: tf.Tensor, places: Tensors) -> Any:
        """The network's state after frames `[batch, time, hand, key, channel]`."""
        raise NotImplementedError

    def predict(
        self, frame: tf.Tensor, place: Tensors, network: Any
    ) -> tuple[tf.Tensor, tf.Tensor | None, Any]:
        """Reads one frame `[batch, hand, key, channel]` and the next one's place.

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
        frames, places = self._silence()
        self(self.to_call(self.frames.to_roll(frames), places))

    def silent_inputs(self) -> tf.Tensor:
        """What a network reads of a silent frame, `[1, 1, feature]`."""
        return self.to_network(*self._silence())

    def _silence(self) -> tuple[tf.Tensor, Tensors]:
        places = {name: tf.zeros([1, 1], tf.int32) for name in self.places.names}
        return self.frames.silence(1, 1), places

    def to_call(self, roll: tf.Tensor, places: Tensors) -> tf.Tensor | Tensors:
        """What `call` takes: a roll or, with metre, a dict of it and the places."""
        return {"roll": roll, **places} if self.places.names else roll

    def from_call(self, inputs: tf.Tensor | Tensors) -> tuple[tf.Tensor, Tensors]:
        """The frames and places of what `call` was given."""
        if not self.places.names:
            return self.frames.from_roll(inputs), {}
        return self.frames.from_roll(inputs["roll"]), self._places_of(inputs)

    def _places_of(self, features: Tensors) -> Tensors:
        """The places among a piece's arrays, int32; empty without metre."""
        return {n: tf.cast(features[n], tf.int32) for n in self.places.names}

    def to_network(self, frames: tf.Tensor, places: Tensors) -> tf.Tensor:
        """Frames, each with the place of the one after it, as a network reads them.

        Args:
            frames: `[..., hand, key, channel]`.
            places: `[...]`.

        Returns:
            `[..., feature]`.
        """
        flat = self.frames.flatten(frames, self.compute_dtype)
        where = self.places(places)
        if where is None:
            return flat
        return tf.concat([flat, tf.cast(where, flat.dtype)], axis=-1)

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
        roll, target, weights = self.frames.example(features)
        places = {name: bar[1:] for name, bar in self._places_of(features).items()}
        return self.to_call(roll, places), target, weights

    def start_frame(self, batch_size: tf.Tensor) -> tf.Tensor:
        """Silence."""
        return self.frames.silence(batch_size)

    def initial_state(self, batch_size: tf.Tensor, max_steps: tf.Tensor) -> State:
        """The network's, and no key held."""
        del max_steps
        held = self.frames.not_held(batch_size)
        place = self.places.before_piece(batch_size)
        return self.network_state(batch_size), held, place

    def begin(
        self,
        frame: tf.Tensor,
        state: State,
        controls: Tensors,
        seed: tf.Tensor | None,
    ) -> tuple[tf.Tensor, State]:
        """Silence one step before the piece, in its metre."""
        network, held, _ = state
        place = self.places.before_piece(tf.shape(frame)[0], controls, seed)
        return frame, (network, held, place)

    def prime(self, prompt: Tensors, num_steps: tf.Tensor) -> tuple[tf.Tensor, State]:
        """Takes in silence and all of the prompt but its last frame."""
        del num_steps
        frames = self.frames.after_silence(self.frames.from_roll(prompt["roll"]))
        earlier, places = frames[:, :-1], self._places_of(prompt)
        place = {name: bar[:, -1] for name, bar in places.items()}
        state = self.read(earlier, places), count_held(earlier), place
        return frames[:, -1], state

    def next_frame(
        self,
        frame: tf.Tensor,
        state: State,
        controls: Tensors,
        seed: tf.Tensor,
        must_change: tf.Tensor,
    ) -> tuple[tf.Tensor, State, tf.Tensor]:
        """Samples the next frame."""
        *_, place = state
        place = self.places.advance(place, 1)
        log_odds, counts, state, seed = self._read_frame(
            frame, state, place, controls, seed
        )
        sampled, is_guarded = sample_frame(
            log_odds, frame, state[1], controls, seed, must_change, counts
        )
        return sampled, state, is_guarded

    def _read_frame(
        self,
        frame: tf.Tensor,
        state: State,
        place: Tensors,
        controls: Tensors,
        seed: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor | None, State, tf.Tensor]:
        """Log odds and numbers of keys of the frame at a place, and state and seed."""
        network, held, _ = state
        network, seed = self.begin_step(network, controls, seed)
        log_odds, counts, network = self.predict(frame, place, network)
        return log_odds, counts, (network, hold(held, frame), place), seed

    def given_specs(self) -> tuple[tf.TensorSpec, ...]:
        """Rolls and places."""
        shape = self.representation.feature_specs["roll"].shape[:-1]
        is_given = tf.TensorSpec([None, *shape], tf.bool, IS_GIVEN)
        return (*self.array_specs(), is_given)

    def next_given(
        self,
        frame: tf.Tensor,
        state: State,
        given: Tensors,
        controls: Tensors,
        seed: tf.Tensor,
        must_change: tf.Tensor,
    ) -> tuple[tf.Tensor, State, Given]:
        """Samples the keys that are not given, each by itself."""
        place = self._places_of(given)
        log_odds, counts, state, seed = self._read_frame(
            frame, state, place, controls, seed
        )
        is_given = given[IS_GIVEN]
        wanted = self.frames.from_roll(given["roll"])
        is_given = tf.reshape(is_given, tf.shape(wanted)[:-1])
        held = state[1]
        sampled, told = sample_given(
            log_odds,
            *(frame, held, controls, seed, must_change, counts, wanted, is_given),
        )
        return sampled, state, told

    def frame_arrays(self, frame: tf.Tensor) -> Tensors:
        """The column of a roll."""
        return {"roll": self.frames.to_roll(frame)}

    def step_state(self, batch_size: int) -> Tensors | None:
        """The network's state, and the place of the newest frame."""
        network = tf.nest.flatten(self.network_state(batch_size))
        parts = {str(i): part for i, part in enumerate(network)}
        return parts | self.places.before_piece(batch_size)

    def step(self, frame: Tensors, state: Tensors) -> tuple[Tensors, Tensors]:
        """The log odds of the keys after a frame, and their number if it is learned."""
        frames = self.frames.from_roll(frame["roll"])
        network = self.network_state(tf.shape(frames)[0])
        parts = [state[str(i)] for i in range(len(tf.nest.flatten(network)))]
        place = {name: state[name] for name in state if not name.isdecimal()}
        place = self.places.advance(place, 1)
        network = tf.nest.pack_sequence_as(network, parts)
        log_odds, counts, network = self.predict(frames, place, network)
        outputs = {"log_odds": log_odds}
        if counts is not None:
            outputs["counts"] = counts
        parts = {str(i): part for i, part in enumerate(tf.nest.flatten(network))}
        return outputs, parts | place

    def is_silent(self, frame: tf.Tensor) -> tf.Tensor:
        """Whether no key sounds."""
        return self.frames.is_silent(frame)

    def frames_to_features(self, frames: tf.Tensor, state: State) -> Tensors:
        """The frames as a roll, all of which count, and their places."""
        features = self.frames.to_features(frames)
        *_, place = state
        return {**features, **self.places.after(place, frames)}

    def score(self, features: Tensors, num_steps: tf.Tensor) -> Tensors:
        """The log-likelihood of each frame, all hands, keys and channels together."""
        places = self._places_of(features)
        return self.frames.score(
            lambda roll: self(self.to_call(roll, places)), features["roll"], num_steps
        )
