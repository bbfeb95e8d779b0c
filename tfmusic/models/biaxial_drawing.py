"""Drawing one frame note by note, from the lowest to the highest."""

import keras
import tensorflow as tf

from tfmusic.layers import RecurrentStack

# Log odds of what cannot be otherwise: exactly 0 nats, and never drawn otherwise.
_CERTAIN = 1e4


def draw_notes(
    stack: RecurrentStack,
    output_layer: keras.layers.Dense,
    hidden: tf.Tensor,
    sounded: tf.Tensor,
    power: tf.Tensor,
    noise: tf.Tensor,
) -> tf.Tensor:
    """Draws a frame; each note hears what was chosen for those below it.

    Args:
        stack: The layers along the notes.
        output_layer: Gives a note's log odds.
        hidden: What each note has heard, `[pitch, batch, unit]`.
        sounded: Which notes play in the frame before, bool `[pitch, batch]`.
        power: What probabilities of playing are raised to, `[batch]`.
        noise: Logistic noise that log odds must exceed, `[pitch, batch, channel]`: one
            number for each decision, so that play and articulate are independent.

    Returns:
        bool `[pitch, batch, channel]`.
    """
    num_pitches, _, num_channels = noise.shape
    batch_size = tf.shape(hidden)[1]
    drawn = tf.TensorArray(tf.bool, num_pitches, element_shape=[None, num_channels])

    def body(note, below, recurrent, drawn):
        inputs = tf.concat([hidden[note], tf.cast(below, hidden.dtype)], axis=-1)
        outputs, recurrent = stack.step(inputs, recurrent)
        logits = force_onsets(output_layer(outputs), sounded[note])
        play = raise_probabilities(logits[:, :1], power[:, tf.newaxis])
        chosen = tf.concat([play, logits[:, 1:]], axis=-1) > noise[note]
        chosen = tf.logical_and(chosen, chosen[:, :1])
        return note + 1, chosen, recurrent, drawn.write(note, chosen)

    nothing = tf.zeros([batch_size, num_channels], tf.bool)
    *_, drawn = tf.while_loop(
        lambda note, *_: note < num_pitches,
        body,
        (0, nothing, stack.initial_state(batch_size), drawn),
    )
    return drawn.stack()


def force_onsets(logits: tf.Tensor, sounded: tf.Tensor) -> tf.Tensor:
    """Makes articulation certain where a note did not sound before.

    Args:
        logits: float32 `[..., channel]`: play and, if there is one, articulate.
        sounded: bool `[...]`.
    """
    if logits.shape[-1] == 1:
        return logits
    articulate = tf.where(sounded, logits[..., 1], _CERTAIN)
    return tf.stack([logits[..., 0], articulate], axis=-1)


def raise_probabilities(logits: tf.Tensor, power: tf.Tensor) -> tf.Tensor:
    """The log odds of probabilities raised to a power; 1 changes nothing."""
    log_p = power * tf.math.log_sigmoid(logits)
    raised = log_p - tf.math.log(-tf.math.expm1(log_p))
    return tf.where(power == 1.0, logits, raised)


def adapt_power(power: tf.Tensor, roll: tf.Tensor, density: tf.Tensor) -> tf.Tensor:
    """The power for the frame after this one.

    While fewer notes than `density` play it falls, and so all become more probable;
    then it goes back to 1. Rates are those of Johnson's `gen_adaptive`, where the
    density is 2 and nothing keeps the power above 0.

    Args:
        power: float32 `[batch]`.
        roll: The frame that was drawn, bool `[batch, pitch, channel]`.
        density: Notes, float32 scalar.

    Returns:
        float32 `[batch]`.
    """
    playing = tf.reduce_sum(tf.cast(roll[..., 0], tf.float32), axis=-1)
    falling = tf.maximum(power - 0.02, 0.05)
    rising = power + 0.3 * (1.0 - power)
    return tf.where(playing < density, falling, rising)
