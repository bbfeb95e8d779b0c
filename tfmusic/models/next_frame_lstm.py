"""Recurrent layers over the frames of a roll that give the next one."""

import dataclasses

import tensorflow as tf

from tfmusic.models.base import Tensors
from tfmusic.models.frame_decoder import DecoderModel, DecoderSettings, Recurrent
from tfmusic.representations import Representation
from tfmusic.settings import setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class NextFrameSettings(DecoderSettings):
    """A decoder of frames.

    Attributes:
        loss_steps: "all", or "last": a window teaches its last step alone.
    """

    loss_steps: str = setting("all", choices=("all", "last"))


class NextFrameLSTM(DecoderModel):
    """LSTM layers, a ReLU layer, and for every key whether it starts or goes on.

    The sequence-to-one network of Carrascosa et al. (UPC, 2019), experiment 2, is this
    with `loss="single"` and `loss_steps="last"`. Its output is fed back, and it can be
    trained for that (see `ScheduledSampling`).
    """

    Settings = NextFrameSettings

    def __init__(self, representation: Representation, settings: NextFrameSettings):
        """Makes the layers."""
        super().__init__(representation, settings)
        self.loss_steps = settings.loss_steps

    def call(self, inputs: tf.Tensor | Tensors, training: bool = False) -> tf.Tensor:
        """What comes after each frame.

        Args:
            inputs: A roll, bool `[batch, time, (hand,) key, channel]`, and perhaps the
                places of the columns after each, see `RollModel.to_call`.
            training: Whether dropout is on, and own frames are fed.

        Returns:
            Log odds, float32 `[batch, time, hand, key * channel]`.
        """
        frames, places = self.from_call(inputs)
        state = self.decoder.initial_state(tf.shape(frames)[0])
        log_odds = self.decoder.run(frames, places, state, training, model=self)
        return self.frames.pack(log_odds)

    def network_state(self, batch_size: tf.Tensor) -> Recurrent:
        """Zeros."""
        return self.decoder.initial_state(batch_size)

    def read(self, frames: tf.Tensor, places: Tensors) -> Recurrent:
        """The state after frames, from zeros."""
        return self.decoder.read(frames, places)

    def predict(
        self, frame: tf.Tensor, place: Tensors, network: Recurrent
    ) -> tuple[tf.Tensor, None, Recurrent]:
        """Reads one frame; gives log odds and the new state."""
        log_odds, network = self.decoder.step(frame, place, network)
        return self.to_sampled(log_odds), None, network
