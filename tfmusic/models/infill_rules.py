"""What a rule of voice leading has against each pitch of each cell."""

import tensorflow as tf

from tfmusic.representations.voice_frames import REST

_OCTAVE, _FIFTH = 0, 7  # semitones, octaves aside


def parallels(
    pitch: tf.Tensor, lowest_pitch: int, num_keys: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Which pitches would make parallel fifths or octaves with another voice.

    Two voices are parallel where they move in the same direction, from one step to the
    next, and are a fifth (an octave or in unison) apart before and after.

    Args:
        pitch: int32 `[batch, time, voice]`, the music as it is.
        lowest_pitch: The first pitch that is looked at.
        num_keys: How many are.

    Returns:
        From the step before, and to the step after: bool `[batch, time, voice, key]`
        each, for each cell if all others stay.
    """
    keys = lowest_pitch + tf.range(num_keys)
    before = tf.pad(pitch, [[0, 0], [1, 0], [0, 0]])[:, :-1]
    after = tf.pad(pitch, [[0, 0], [0, 1], [0, 0]])[:, 1:]
    return _parallel(before, pitch, keys), _parallel(after, pitch, keys)


def _parallel(there: tf.Tensor, here: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
    """The same, from one of the neighbouring steps alone."""
    # [batch, time, voice, other voice]
    own, other = there[..., tf.newaxis], there[..., tf.newaxis, :]
    other_here = here[..., tf.newaxis, :]
    # A fifth is counted from the lower voice to the upper one: a fourth is none.
    voices = tf.range(here.shape[-1])
    upwards = tf.sign(voices - voices[:, tf.newaxis])
    apart = upwards * (own - other) % 12
    is_perfect = (apart == _OCTAVE) | (apart == _FIFTH)
    sounding = (own != REST) & (other != REST) & (other_here != REST)
    can_be = is_perfect & sounding & (other_here != other) & (upwards != 0)
    # And for each key that the voice may have here.
    follows = (
        tf.sign(keys - own[..., tf.newaxis])
        == tf.sign(other_here - other)[..., tf.newaxis]
    )
    apart_here = upwards[..., tf.newaxis] * (keys - other_here[..., tf.newaxis]) % 12
    stays = apart_here == apart[..., tf.newaxis]
    return tf.reduce_any(can_be[..., tf.newaxis] & follows & stays, axis=3)
