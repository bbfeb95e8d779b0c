"""Rules of music in voices: what they have against, or for, each pitch of each cell."""

import tensorflow as tf

from tfmusic.models.infill_notes import Notes
from tfmusic.notes.keys import key_profiles
from tfmusic.representations.voice_frames import REST, VoiceFrames

_OCTAVE, _FIFTH = 0, 7  # semitones, octaves aside


def wrong_pitches(
    pitch: tf.Tensor, kind: VoiceFrames, notes: Notes | None = None
) -> tf.Tensor:
    """Which pitches would make parallel fifths or octaves with another voice.

    They are looked for from step to step, and from eighth to eighth: a sixteenth
    between two chords hides nothing from the ear.

    Args:
        pitch: int32 `[batch, time, voice]`, the music as it is.
        kind: Says which pitches there are, and how long a step is.
        notes: The notes of the music, if whole notes are to change: within a note its
            voice does not move.

    Returns:
        bool `[batch, time, voice, key]`, for each cell if all others stay.
    """
    eighth = kind.steps_per_quarter // 2
    found = []
    for lag in sorted({1, max(eighth, 1)}):
        before, after = parallels(pitch, kind.lowest_pitch, kind.num_keys, lag)
        if notes is not None:
            moves = _shifted(notes.number, -lag) != notes.number
            before &= moves[..., tf.newaxis]
            moves = _shifted(notes.number, lag) != notes.number
            after &= moves[..., tf.newaxis]
        found += [before, after]
    return tf.reduce_any(tf.stack(found), axis=0)


def parallels(
    pitch: tf.Tensor, lowest_pitch: int, num_keys: int, lag: int = 1
) -> tuple[tf.Tensor, tf.Tensor]:
    """Which pitches would make parallels, seen from either side.

    Two voices are parallel where they move in the same direction, from one step to the
    next that is looked at, and are a fifth (an octave or in unison) apart before and
    after.

    Args:
        pitch: int32 `[batch, time, voice]`, the music as it is.
        lowest_pitch: The first pitch that is looked at.
        num_keys: How many are.
        lag: Every so many steps one is looked at, from the first on.

    Returns:
        From the step before, and to the step after: bool `[batch, time, voice, key]`
        each, for each cell if all others stay.
    """
    keys = lowest_pitch + tf.range(num_keys)
    # Steps that are not looked at rest, so that nothing is parallel there.
    is_seen = tf.range(tf.shape(pitch)[1]) % lag == 0
    pitch = tf.where(is_seen[:, tf.newaxis], pitch, REST)
    before, after = _shifted(pitch, -lag), _shifted(pitch, lag)
    return _parallel(before, pitch, keys), _parallel(after, pitch, keys)


def leads_home(pitch: tf.Tensor, kind: VoiceFrames) -> tf.Tensor:
    """1 for the tonic in the lowest voice at the last step, 0 for all else.

    The tonic is that of the key whose profile fits best how long each pitch class
    sounds; of silence there is none.

    Args:
        pitch: int32 `[batch, time, voice]`, the music as it is.
        kind: Says which pitches there are.

    Returns:
        float32 `[batch, time, voice, key]`.
    """
    sounds = tf.cast(pitch != REST, tf.float32)
    classes = tf.one_hot(pitch % 12, 12) * sounds[..., tf.newaxis]
    durations = tf.reduce_sum(classes, axis=[1, 2])  # [batch, 12]
    fits = tf.matmul(
        durations, tf.constant(key_profiles(), tf.float32), transpose_b=True
    )
    tonic = tf.argmax(fits, axis=1, output_type=tf.int32) % 12
    is_tonic = (kind.lowest_pitch + tf.range(kind.num_keys)) % 12 == tonic[
        :, tf.newaxis
    ]
    is_tonic &= tf.reduce_any(durations > 0, axis=1, keepdims=True)
    _, length, num_voices = tf.unstack(tf.shape(pitch))
    is_last = tf.one_hot(length - 1, length)[:, tf.newaxis]
    is_bass = tf.one_hot(num_voices - 1, num_voices)
    where = (is_last * is_bass)[..., tf.newaxis]
    return where * tf.cast(is_tonic, tf.float32)[:, tf.newaxis, tf.newaxis]


def _shifted(cells: tf.Tensor, lag: int) -> tf.Tensor:
    """What is so many steps later (earlier, if negative), 0 beyond the ends."""
    if lag < 0:
        return tf.pad(cells, [[0, 0], [-lag, 0], [0, 0]])[:, :lag]
    return tf.pad(cells, [[0, 0], [0, lag], [0, 0]])[:, lag:]


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
