"""Sampling one frame note by note, from the lowest to the highest."""

import keras
import tensorflow as tf

from tfmusic.generation import samplers
from tfmusic.generation.guards import change_one, equal_frames
from tfmusic.models.roll_frames import CERTAIN
from tfmusic.networks.recurrence import apply_gates
from tfmusic.networks.recurrent_stack import RecurrentStack

# Notes that one turn of the loop samples: a turn costs as much as a note's arithmetic.
_GROUP_SIZE = 8


def sample_frame(
    stack: RecurrentStack,
    output_layer: keras.layers.Dense,
    hidden: tf.Tensor,
    roll: tf.Tensor,
    power: tf.Tensor,
    bonus: tf.Tensor,
    temperature: tf.Tensor,
    seed: tf.Tensor,
    compiled: bool = False,
    given: tuple[tf.Tensor, tf.Tensor] | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Samples one frame, bool `[batch, pitch, channel]`, and its log odds likewise.

    Args:
        stack: The layers along the notes.
        output_layer: Gives a note's log odds.
        hidden: What each note has heard, `[batch, pitch, unit]`.
        roll: The frame before, bool `[batch, pitch, channel]`.
        power: What the probabilities of playing are raised to, `[batch]`.
        bonus: Added to the log odds of playing then, `[batch, pitch]`.
        temperature: Divides log odds; scalar.
        seed: int64 `[2]`.
        compiled: Whether XLA compiles this.
        given: A frame of which keys are given, and of which, bool `[batch, pitch]`.
    """
    _, num_pitches, num_channels = roll.shape
    shape = [num_pitches, tf.shape(roll)[0], num_channels]
    noise = temperature * samplers.logistic(shape, seed)
    # Log odds that are greater pass a threshold that is lower.
    play_noise = noise[..., :1] - tf.transpose(bonus)[..., tf.newaxis]
    noise = tf.concat([play_noise, noise[..., 1:]], axis=-1)
    if given is not None:
        wanted, is_given = given
        certain = tf.where(wanted, -CERTAIN, CERTAIN)  # noise that is to be exceeded
        certain = tf.transpose(certain, [1, 0, 2])
        noise = tf.where(tf.transpose(is_given)[..., tf.newaxis], certain, noise)

    def sample(hidden, sounded, power, noise):
        noise = tf.ensure_shape(noise, [num_pitches, None, num_channels])
        return sample_notes(stack, output_layer, hidden, sounded, power, noise)

    if compiled:
        sample = tf.function(sample, jit_compile=True, autograph=False)
    hidden = tf.transpose(hidden, [1, 0, 2])  # [pitch, batch, unit]
    sampled, odds = sample(hidden, tf.transpose(roll[..., 0]), power, noise)
    sampled = tf.transpose(sampled, [1, 0, 2])
    sampled = tf.ensure_shape(sampled, [None, num_pitches, num_channels])
    odds = tf.ensure_shape(tf.transpose(odds, [1, 0, 2]), [None, *roll.shape[1:]])
    return sampled, odds


def sample_notes(
    stack: RecurrentStack,
    output_layer: keras.layers.Dense,
    hidden: tf.Tensor,
    sounded: tf.Tensor,
    power: tf.Tensor,
    noise: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Samples a frame; each note hears what was chosen for those below it.

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
        playing and articulation, given those below it, of the same shape.
    """
    num_pitches, _, num_channels = noise.shape
    batch_size = tf.shape(hidden)[1]
    thresholds = _thresholds(sounded, power, noise)
    projected, layers = _merge_weights(stack, hidden)
    groups = [_group(projected), _group(thresholds)]
    num_groups = groups[0].shape[0]
    logits = tf.TensorArray(
        tf.float32, num_groups, element_shape=[_GROUP_SIZE, None, num_channels]
    )

    def sample_note(biases, thresholds, below, state):
        outputs, new_state = below, []
        for layer, (kernel, bias) in enumerate(layers):
            output, cell = state[2 * layer : 2 * layer + 2]
            sums = tf.matmul(tf.concat([outputs, output], axis=1), kernel)
            sums += biases if layer == 0 else bias
            outputs, cell, _ = apply_gates(tf.split(sums, 4, axis=1), cell)
            new_state += [outputs, cell]
        logits = output_layer(outputs)
        chosen = tf.cast(_choose(logits, thresholds), tf.float32)
        return logits, chosen, tuple(new_state)

    def body(number, below, state, logits):
        group = []
        for note in zip(
            *(tf.unstack(tf.gather(g, number)) for g in groups), strict=True
        ):
            one, below, state = sample_note(*note, below, state)
            group.append(one)
        return number + 1, below, state, logits.write(number, tf.stack(group))

    state = tuple(
        tf.zeros([batch_size, size]) for size in stack.units for _ in range(2)
    )
    *_, logits = tf.while_loop(
        lambda number, *_: number < num_groups,
        body,
        (0, tf.zeros([batch_size, num_channels]), state, logits),
    )
    logits = logits.concat()[:num_pitches]
    sampled = _choose(logits, thresholds)
    play = raise_probabilities(logits[..., :1], power[:, tf.newaxis])
    return sampled, tf.concat([play, logits[..., 1:]], axis=-1)


def _group(notes: tf.Tensor) -> tf.Tensor:
    """Notes `[pitch, ...]` as `[group, note, ...]`; silent ones fill the last group."""
    rest = -notes.shape[0] % _GROUP_SIZE
    notes = tf.pad(notes, [[0, rest]] + [[0, 0]] * (notes.shape.rank - 1))
    shape = tf.concat([[-1, _GROUP_SIZE], tf.shape(notes)[1:]], axis=0)
    num_groups = notes.shape[0] // _GROUP_SIZE
    return tf.ensure_shape(
        tf.reshape(notes, shape), [num_groups, _GROUP_SIZE, *notes.shape[1:]]
    )


def _choose(logits: tf.Tensor, thresholds: tf.Tensor) -> tf.Tensor:
    """What exceeds its threshold, bool `[..., channel]`."""
    chosen = logits > thresholds
    # Nothing is articulated that does not play.
    return tf.logical_and(chosen, chosen[..., :1])


def _merge_weights(
    stack: RecurrentStack, hidden: tf.Tensor
) -> tuple[tf.Tensor, list[tuple[tf.Tensor, tf.Tensor]]]:
    """What can be computed before the first note is sampled, so that each takes little.

    Returns:
        The part of the first layer's sums that does not depend on what is sampled,
        `[pitch, batch, 4 * units]`, and each layer's weights of its inputs (the first:
        those that are sampled) and its own outputs, with its bias.
    """
    hidden = tf.cast(hidden, tf.float32)
    layers = []
    for layer in stack.layers:
        kernel, recurrent, bias = (
            tf.cast(tf.convert_to_tensor(weight), tf.float32)
            for weight in (
                layer.cell.kernel,
                layer.cell.recurrent_kernel,
                layer.cell.bias,
            )
        )
        if not layers:
            size = hidden.shape[-1]
            projected = tf.tensordot(hidden, kernel[:size], axes=1) + bias
            kernel = kernel[size:]
        layers.append((tf.concat([kernel, recurrent], axis=0), bias))
    return projected, layers


def _thresholds(sounded: tf.Tensor, power: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
    """What each note's log odds have to exceed, `[pitch, batch, channel]`.

    Probabilities to a power exceed a number where they exceed its root, and a note that
    did not sound is articulated whatever is sampled: so both are settled for all notes
    before the first is sampled.
    """
    play = raise_probabilities(noise[..., 0], 1.0 / power)
    if noise.shape[-1] == 1:
        return play[..., tf.newaxis]
    articulate = tf.where(sounded, noise[..., 1], -CERTAIN)
    return tf.stack([play, articulate], axis=-1)


def change_note(
    sampled: tf.Tensor,
    odds: tf.Tensor,
    previous: tf.Tensor,
    must_change: tf.Tensor,
    seed: tf.Tensor,
    temperature: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Turns one note over where a frame is sampled again that must not be.

    The notes above it do not hear of that.

    Args:
        sampled: bool `[batch, pitch, channel]`.
        odds: The log odds of playing, `[batch, pitch]`.
        previous: The frame before, of the shape of `sampled`.
        must_change: bool `[batch]`.
        seed: int64 `[2]`.
        temperature: Divides log odds; scalar.

    Returns:
        The frame, and where it was changed, bool `[batch]`.
    """
    is_stuck = tf.logical_and(must_change, equal_frames(sampled, previous))
    play = change_one(sampled[..., 0], odds, is_stuck, seed, temperature)
    if sampled.shape[-1] == 1:
        return play[..., tf.newaxis], is_stuck
    # A note that did not sound before begins.
    articulate = tf.logical_or(sampled[..., 1], tf.logical_not(previous[..., 0]))
    return tf.stack([play, tf.logical_and(play, articulate)], axis=-1), is_stuck


def raise_probabilities(logits: tf.Tensor, power: tf.Tensor) -> tf.Tensor:
    """The log odds of probabilities raised to a power; 1 changes nothing."""
    log_p = power * tf.math.log_sigmoid(logits)
    raised = log_p - tf.math.log(-tf.math.expm1(log_p))
    return tf.where(power == 1.0, logits, raised)


def adapt_power(power: tf.Tensor, roll: tf.Tensor, density: tf.Tensor) -> tf.Tensor:
    """The power for the frame after this one, so that in the long run `density` play.

    It falls by 2 percent for each note that is missing, and so all become more
    probable, and grows by as much for each that is too many. Within its bounds it comes
    to rest only where the mean is the density.

    The source, `gen_adaptive` in Johnson's program of 2015, keeps music from dying out:
    while fewer than 2 notes play its power falls, and then goes back to 1. That leaves
    every density below the model's own without effect.

    Args:
        power: float32 `[batch]`.
        roll: The frame that was sampled, bool `[batch, pitch, channel]`.
        density: Notes, float32 scalar; 0: the power stays.

    Returns:
        float32 `[batch]`.
    """
    playing = tf.reduce_sum(tf.cast(roll[..., 0], tf.float32), axis=-1)
    adapted = power * tf.exp(0.02 * (playing - density))
    return tf.where(density > 0.0, tf.clip_by_value(adapted, 0.05, 20.0), power)
