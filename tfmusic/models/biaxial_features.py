"""What the biaxial network knows of each note's neighbourhood at one step."""

import keras
import numpy as np
import tensorflow as tf

from tfmusic.errors import choose

BEATS = ("none", "binary", "metre")
_OCTAVE = 12
_BITS = 4


class NoteFeatures(keras.layers.Layer):
    """The inputs of each note, from the frame before and the metre of the next one.

    For each pitch, in this order:
        position      1   from -1 at the lowest pitch to 1 at the highest
        pitch class  12   one-hot, C first
        vicinity     25 x channel   the frame from an octave below to an octave above;
                          what lies outside the range of pitches is silent
        context      12   how many notes sound in each pitch class, counted upwards
                          from the note's own
        beat          0   "none"
                      4   "binary": the bits, lowest first, as -1 and 1, of the steps
                          since the bar line modulo 16
                      7   "metre": these; cosine and sine of the place in the bar as
                          an angle; the length of the bar in wholes

    Vicinity and context move along when the music is transposed; position and pitch
    class are what tells keys apart, and can be left out.

    Source: D. Johnson, Composing Music With Recurrent Neural Networks, 2015, whose
    indices wrapped round, so that the lowest notes saw the highest as their lower
    neighbours, and whose position was not scaled.
    """

    def __init__(
        self,
        lowest_pitch: int,
        num_pitches: int,
        steps_per_quarter: int,
        position: bool = True,
        pitch_class: bool = True,
        beat: str = "metre",
        **kwargs,
    ):
        """Prepares what is the same in all frames.

        Args:
            lowest_pitch: MIDI number of the first pitch of a frame.
            num_pitches: Pitches of a frame.
            steps_per_quarter: Of the grid.
            position: Whether a note knows where in the range it lies.
            pitch_class: Whether it knows its pitch class.
            beat: "none", "binary" or "metre".
            **kwargs: The base layer's.
        """
        super().__init__(**kwargs)
        self._beat = choose("model.beat", beat, BEATS)
        self._steps_per_whole = 4 * steps_per_quarter
        pitch_classes = (lowest_pitch + np.arange(num_pitches)) % _OCTAVE
        one_hot = np.eye(_OCTAVE, dtype=np.float32)
        self._pitch_classes = one_hot[pitch_classes]  # [pitch, 12]
        # From each pitch: where the 25 neighbours stand in a frame padded by an octave
        # below and above, and where the 12 pitch classes stand in a count from C.
        self._neighbours = np.arange(num_pitches)[:, None] + np.arange(2 * _OCTAVE + 1)
        self._rotation = (pitch_classes[:, None] + np.arange(_OCTAVE)) % _OCTAVE
        positions = np.linspace(-1.0, 1.0, num_pitches, dtype=np.float32)
        fixed = [positions[:, None]] if position else []
        fixed += [self._pitch_classes] if pitch_class else []
        self._fixed = np.concatenate(fixed, axis=1) if fixed else None  # [pitch, k]

    def call(
        self, roll: tf.Tensor, bar_position: tf.Tensor, bar_length: tf.Tensor
    ) -> tf.Tensor:
        """The features.

        Args:
            roll: The frame that has just been heard, bool `[..., pitch, channel]`;
                channel 0 is play.
            bar_position: Where in its bar the frame lies that comes next, the one to
                be predicted: int32 `[...]`, in steps, 0 on the bar line.
            bar_length: Steps of that bar, int32 `[...]`.

        Returns:
            `[..., pitch, feature]`.
        """
        roll = tf.cast(roll, self.compute_dtype)
        parts = [self._vicinity(roll), self._context(roll[..., 0])]
        if self._fixed is not None:
            fixed = tf.cast(self._fixed, self.compute_dtype)
            parts.insert(0, self._spread(fixed, roll))
        if self._beat != "none":
            beat = self._metre(bar_position, bar_length)[..., tf.newaxis, :]
            parts.append(self._spread(beat, roll))
        return tf.concat(parts, axis=-1)

    def _vicinity(self, roll: tf.Tensor) -> tf.Tensor:
        """Neighbours, lowest first, channels within each: `[..., pitch, k]`."""
        rank = roll.shape.rank
        padding = [[0, 0]] * (rank - 2) + [[_OCTAVE, _OCTAVE], [0, 0]]
        near = tf.gather(tf.pad(roll, padding), self._neighbours, axis=rank - 2)
        size = near.shape[-2] * near.shape[-1]
        shape = tf.concat([tf.shape(near)[:-2], [size]], axis=0)
        return tf.reshape(near, shape)  # [..., pitch, neighbour * channel]

    def _context(self, play: tf.Tensor) -> tf.Tensor:
        """Counts of pitch classes, each note's own first: `[..., pitch, 12]`."""
        classes = tf.cast(self._pitch_classes, play.dtype)
        counts = tf.tensordot(play, classes, axes=1)
        return tf.gather(counts, self._rotation, axis=-1)

    def _metre(self, position: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
        """The beat, `[..., k]`."""
        position = tf.cast(position, tf.int32)
        bits = position[..., tf.newaxis] // (2 ** np.arange(_BITS)) % 2
        beat = tf.cast(2 * bits - 1, self.compute_dtype)
        if self._beat == "binary":
            return beat
        length = tf.cast(length, tf.float32)
        angle = 2.0 * np.pi * tf.cast(position, tf.float32) / tf.maximum(length, 1.0)
        more = [tf.cos(angle), tf.sin(angle), length / self._steps_per_whole]
        return tf.concat([beat, tf.cast(tf.stack(more, -1), beat.dtype)], axis=-1)

    def _spread(self, values: tf.Tensor, roll: tf.Tensor) -> tf.Tensor:
        """Values `[(...,) 1 or pitch, k]` for every pitch of every frame."""
        shape = tf.concat([tf.shape(roll)[:-1], [values.shape[-1]]], axis=0)
        return tf.broadcast_to(values, shape)
