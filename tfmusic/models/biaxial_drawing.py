"""Drawing one frame note by note, from the lowest to the highest."""

import keras
import tensorflow as tf

from tfmusic.generation.guards import change_one, equal_frames
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
) -> tuple[tf.Tensor, tf.Tensor]:
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
        The frame, bool `[pitch, batch, channel]`, and the log odds of each note's
        playing, given those below it, `[pitch, batch]`.
    """
    num_pitches, _, num_channels = noise.shape
    batch_size = tf.shape(hidden)[1]
    drawn = tf.TensorArray(tf.bool, num_pitches, element_shape=[None, num_channels])
    odds = tf.TensorArray(tf.float32, num_pitches, element_shape=[None])

    def body(note, below, recurrent, drawn, odds):
        inputs = tf.concat([hidden[note], tf.cast(below, hidden.dtype)], axis=-1)
        outputs, recurrent = stack.step(inputs, recurrent)
        logits = force_onsets(output_layer(outputs), sounded[note])
        play = raise_probabilities(logits[:, :1], power[:, tf.newaxis])
        chosen = tf.concat([play, logits[:, 1:]], axis=-1) > noise[note]
        chosen = tf.logical_and(chosen, chosen[:, :1])
        drawn, odds = drawn.write(note, chosen), odds.write(note, play[:, 0])
        return note + 1, chosen, recurrent, drawn, odds

    nothing = tf.zeros([batch_size, num_channels], tf.bool)
    *_, drawn, odds = tf.while_loop(
        lambda note, *_: note < num_pitches,
        body,
        (0, nothing, stack.initial_state(batch_size), drawn, odds),
    )
    return drawn.stack(), odds.stack()


def change_note(
    drawn: tf.Tensor,
    odds: tf.Tensor,
    previous: tf.Tensor,
    must_change: tf.Tensor,
    seed: tf.Tensor,
    temperature: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Turns one note over where a frame is drawn again that must not be.

    The notes above it do not hear of that.

    Args:
        drawn: bool `[batch, pitch, channel]`.
        odds: The log odds of playing, `[batch, pitch]`.
        previous: The frame before, of the shape of `drawn`.
        must_change: bool `[batch]`.
        seed: int64 `[2]`.
        temperature: Divides log odds; scalar.

    Returns:
        The frame, and where it was changed, bool `[batch]`.
    """
    is_stuck = tf.logical_and(must_change, equal_frames(drawn, previous))
    play = change_one(drawn[..., 0], odds, is_stuck, seed, temperature)
    if drawn.shape[-1] == 1:
        return play[..., tf.newaxis], is_stuck
    # A note that did not sound before begins.
    articulate = tf.logical_or(drawn[..., 1], tf.logical_not(previous[..., 0]))
    return tf.stack([play, tf.logical_and(play, articulate)], axis=-1), is_stuck


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
