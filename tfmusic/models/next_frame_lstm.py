"""Recurrent layers over the frames of a roll that give the next one."""

import dataclasses

import tensorflow as tf

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

    def call(self, roll: tf.Tensor, training: bool = False) -> tf.Tensor:
        """What comes after each frame.

        Args:
            roll: bool `[batch, time, (hand,) key, channel]`.
            training: Whether dropout is on, and own frames are fed.

        Returns:
            Log odds, float32 `[batch, time, hand, key * channel]`.
        """
        frames = self.frames.from_roll(roll)
        state = self.decoder.initial_state(tf.shape(frames)[0])
        return self.frames.pack(self.decoder.run(frames, state, training, model=self))

    def network_state(self, batch_size: tf.Tensor) -> Recurrent:
        """Zeros."""
        return self.decoder.initial_state(batch_size)

    def read(self, frames: tf.Tensor) -> Recurrent:
        """The state after frames, from zeros."""
        return self.decoder.read(frames)

    def predict(
        self, frame: tf.Tensor, network: Recurrent
    ) -> tuple[tf.Tensor, None, Recurrent]:
        """Reads one frame; gives log odds and the new state."""
        log_odds, network = self.decoder.step(frame, network)
        return log_odds, None, network
