"""An encoder of one segment of a roll and a decoder of the next."""

import dataclasses
from typing import NamedTuple

import tensorflow as tf

from tfmusic.generation.controls import INITIAL_NOISE
from tfmusic.generation.seeds import split_seed
from tfmusic.models.base import Tensors
from tfmusic.models.frame_decoder import DecoderModel, DecoderSettings, Recurrent
from tfmusic.networks.recurrent_stack import RecurrentStack
from tfmusic.representations import Representation
from tfmusic.settings import setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class Seq2SeqSettings(DecoderSettings):
    """A decoder of frames, and an encoder with equal recurrent layers.

    Attributes:
        segment_steps: Frames that are encoded, and decoded, at a time.
    """

    segment_steps: int = setting(128, at_least=1, at_most=65_536)


class Segment(NamedTuple):
    """The networks' state.

    Attributes:
        encoder: What the encoder has read of the segment that is going on.
        decoder: The decoder's state.
        position: Frames of this segment that the decoder has taken in, 0 before the
            first of all and `segment_steps` where a new segment is due, int32 [batch].
    """

    encoder: Recurrent
    decoder: Recurrent
    position: tf.Tensor


class FrameSeq2Seq(DecoderModel):
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

    Settings = Seq2SeqSettings

    def __init__(self, representation: Representation, settings: Seq2SeqSettings):
        """Makes the layers."""
        super().__init__(representation, settings)
        self.segment_steps = settings.segment_steps
        self.CONTROLS = (*self.CONTROLS, INITIAL_NOISE)

    def make_layers(self) -> None:
        """Makes the encoder."""
        self.encoder = RecurrentStack(self.settings, name="encoder")

    def build_model(self) -> None:
        """Makes all weights."""
        # Keras takes layers for built that were called, not run.
        self.encoder(self.silent_inputs())
        super().build_model()

    def call(self, inputs: tf.Tensor | Tensors, training: bool = False) -> tf.Tensor:
        """What comes after each column of a window; segments count from its first.

        Args:
            inputs: A roll, bool `[batch, time, (hand,) key, channel]`, and perhaps the
                places of the columns after each, see `RollModel.to_call`.
            training: Whether dropout is on, and own frames are fed.

        Returns:
            Log odds, float32 `[batch, time, hand, key * channel]`.
        """
        frames, places = self.from_call(inputs)
        batch_size, length = tf.unstack(tf.shape(frames)[:2])
        num_segments = -(-length // self.segment_steps)
        rest = num_segments * self.segment_steps - length
        padding = self.frames.silence(batch_size, rest + 1)
        padded = tf.concat([frames, padding], axis=1)
        places = {n: tf.pad(bar, [[0, 0], [0, rest + 1]]) for n, bar in places.items()}
        state = self._encode(*self._cut(padded, places, 1), num_segments, training)
        segments = self._cut(padded, places, 0)
        log_odds = self.decoder.run(*segments, state, training, model=self)
        packed = self.frames.pack(log_odds)  # [batch * segment, step, hand, logit]
        shape = tf.concat([[batch_size, -1], tf.shape(packed)[2:]], axis=0)
        outputs = tf.reshape(packed, shape)[:, :length]
        return tf.ensure_shape(outputs, [*frames.shape[:2], *packed.shape[2:]])

    def network_state(self, batch_size: tf.Tensor) -> Segment:
        """Zeros."""
        return Segment(
            self.encoder.initial_state(batch_size),
            self.decoder.initial_state(batch_size),
            tf.zeros([batch_size], tf.int32),
        )

    def step_state(self, batch_size: int) -> None:
        """There is no such step: at its time the network reads a whole segment."""

    def read(self, frames: tf.Tensor, places: Tensors) -> Segment:
        """The state after frames, one by one."""

        def body(time, state):
            place = {name: bar[:, time] for name, bar in places.items()}
            *_, state = self.predict(frames[:, time], place, state)
            return time + 1, state

        _, state = tf.while_loop(
            lambda time, _: time < tf.shape(frames)[1],
            body,
            (0, self.network_state(tf.shape(frames)[0])),
        )
        return state

    def begin_step(
        self, network: Segment, controls: Tensors, seed: tf.Tensor
    ) -> tuple[Segment, tf.Tensor]:
        """Adds noise to the decoder's state before the first frame of all."""
        noise_seed, seed = split_seed(seed, 2)
        scale = controls[INITIAL_NOISE.name]

        def noisy() -> Recurrent:
            seeds = split_seed(noise_seed, len(network.decoder))
            return tuple(
                part
                + tf.cast(
                    scale * tf.random.stateless_normal(tf.shape(part), one), part.dtype
                )
                for part, one in zip(network.decoder, seeds, strict=True)
            )

        is_first = network.position == 0
        decoder = tf.cond(
            tf.logical_and(tf.reduce_any(is_first), scale > 0.0),
            lambda: _where(is_first, noisy(), network.decoder),
            lambda: network.decoder,
        )
        return network._replace(decoder=decoder), seed

    def predict(
        self, frame: tf.Tensor, place: Tensors, network: Segment
    ) -> tuple[tf.Tensor, None, Segment]:
        """Reads one frame; gives log odds and the new state."""
        # The frame that closes a segment is the decoder's first input of the next.
        inputs = self.to_network(frame, place)
        _, read = self.encoder.step(inputs, network.encoder)
        zeros = self.encoder.initial_state(tf.shape(frame)[0])
        is_first = network.position == 0
        is_full = network.position == self.segment_steps
        decoder = _where(is_full, read, network.decoder)
        encoder = _where(tf.logical_or(is_first, is_full), zeros, read)
        log_odds, decoder = self.decoder.step(frame, place, decoder)
        position = tf.where(is_full, 0, network.position) + 1
        return self.to_sampled(log_odds), None, Segment(encoder, decoder, position)

    def _encode(
        self,
        segments: tf.Tensor,
        places: Tensors,
        num_segments: tf.Tensor,
        training: bool,
    ) -> Recurrent:
        """The decoder's first state for each segment.

        Args:
            segments: What each segment is, `[batch * segment, step, ...]`.
            places: Those of the frames after each, `[batch * segment, step]`.
            num_segments: Segments of a window.
            training: Whether dropout is on.
        """
        # Nothing follows the last segment, but an encoder needs one to read.
        shape = [-1, num_segments]
        num_read = tf.maximum(num_segments - 1, 1)
        inputs = self.to_network(segments, places)
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

    def _cut(
        self, frames: tf.Tensor, places: Tensors, first: int
    ) -> tuple[tf.Tensor, Tensors]:
        """Frames and places as segments, `[batch * segment, step, ...]`.

        Args:
            frames: Whole segments and one frame more.
            places: Those of the frames after each.
            first: Where the first segment begins, 0 or 1.
        """

        def cut(array: tf.Tensor) -> tf.Tensor:
            array = array[:, first : tf.shape(array)[1] - 1 + first]
            return tf.reshape(array, [-1, self.segment_steps, *array.shape[2:]])

        return cut(frames), {name: cut(bar) for name, bar in places.items()}


def _where(condition: tf.Tensor, a: Recurrent, b: Recurrent) -> Recurrent:
    """Parts of states `[batch, units]`, chosen by a condition `[batch]`."""
    return tuple(
        tf.where(condition[:, tf.newaxis], x, y) for x, y in zip(a, b, strict=True)
    )
