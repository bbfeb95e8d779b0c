"""What each key of a roll does by itself, for a network to begin from."""

import keras
import numpy as np
import tensorflow as tf

from tfmusic.models.roll_frames import RollFrames

_PRIOR_STEPS = 10.0


class KeyChains(keras.layers.Layer):
    """A Markov chain of each key, counted in music, as logits to add to a network's.

    Frames are those of `RollFrames`. That keys go on sounding is otherwise what takes
    a network of whole frames longest to learn.
    """

    def __init__(self, frames: RollFrames, **kwargs):
        """Makes chains that say nothing.

        Args:
            frames: How the rolls are frames.
            **kwargs: The base layer's.
        """
        super().__init__(dtype="float32", **kwargs)
        self.frames = frames
        # Logits after silence and after sounding.
        shape = (2, frames.num_hands, frames.num_keys, frames.num_channels)
        self.logits = self.add_weight(shape, "zeros", name="logits")

    def adapt(self, pieces: tf.data.Dataset) -> None:
        """Counts what each key does in parsed pieces with a `roll`."""
        # Steps before which a key is silent or sounds, and of these those where it
        # sounds and where it is struck: [hand, key, channel].
        steps = np.zeros([*self.logits.shape[:-1], 1])
        events = np.zeros(self.logits.shape)
        for piece in pieces.as_numpy_iterator():
            frames = self.frames.from_roll(piece["roll"]).numpy()
            sounded = np.roll(frames[..., :1], 1, axis=0)
            sounded[0] = False
            for i, before in enumerate((~sounded, sounded)):
                steps[i] += before.sum(axis=0)
                events[i] += (frames & before).sum(axis=0)
        self.logits.assign(self.frames.to_logits(_log_odds(steps, events)))

    def call(self, before: tf.Tensor) -> tf.Tensor:
        """Logits `[..., hand, key, channel]` after frames of that shape."""
        silent, sounded = tf.unstack(tf.convert_to_tensor(self.logits))
        return tf.where(before[..., :1], sounded, silent)


def _log_odds(steps: np.ndarray, events: np.ndarray) -> np.ndarray:
    """Of sounding after some steps, and of an onset where a key sounds.

    Args:
        steps: How many steps, `[..., 1]`.
        events: In how many of them a key sounds, and is struck, `[..., channel]`.
    """
    # As if each key had done for some steps what keys do on the average.
    chances = np.concatenate([steps, events[..., :1]], axis=-1)[..., : events.shape[-1]]
    axes = tuple(range(1, events.ndim - 1))
    mean = (events.sum(axes, keepdims=True) + 1.0) / (
        chances.sum(axes, keepdims=True) + 2.0
    )
    events, chances = events + _PRIOR_STEPS * mean, chances + _PRIOR_STEPS
    return np.log(events) - np.log(chances - events)
