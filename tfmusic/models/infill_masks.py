"""Which cells `[time, voice]` are hidden: in learning, Gibbs sampling and scoring."""

import tensorflow as tf

from tfmusic.generation.seeds import split_seed

# Cells are hidden in blocks of so many steps of a voice, each size as often.
_BLOCKS = (1, 1, 2, 4, 8)
_LONGEST = max(_BLOCKS)
# Fractions of the masks in training: within a passage, and of these, all of it.
_PASSAGES, _WHOLE = 0.5, 0.3
_SHORTEST = 8.0  # steps of a passage
# What part of the gap is hidden anew at each step of Gibbs sampling: from the first to
# the second in this fraction of the steps.
_MOST, _LEAST, _ANNEALED = 0.9, 0.05, 0.75


def block_noise(
    batch_size: tf.Tensor, num_steps: tf.Tensor, num_voices: int, seed: tf.Tensor
) -> tf.Tensor:
    """Uniform numbers that are the same within a block of steps of a voice.

    Cells below a threshold are a random subset of the blocks. All pieces have blocks
    of one size, which begin at a random step.

    Args:
        batch_size: How many pieces.
        num_steps: Their steps.
        num_voices: Their voices.
        seed: int `[2]`.

    Returns:
        float32 `[batch, time, voice]`, 0 to 1.
    """
    seeds = split_seed(seed, 2)
    kind = tf.random.stateless_uniform([2], seeds[0])
    shape = [batch_size, num_steps + _LONGEST, num_voices]
    noise = tf.random.stateless_uniform(shape, seeds[1])
    return tf.gather(noise, _blocks(num_steps, kind), axis=1)


def _blocks(num_steps: tf.Tensor, kind: tf.Tensor) -> tf.Tensor:
    """The number of the block of each step, int32 `[time]`, by two uniform numbers."""
    size = tf.constant(_BLOCKS)[tf.cast(kind[0] * len(_BLOCKS), tf.int32)]
    phase = tf.cast(kind[1] * _LONGEST, tf.int32)
    return (tf.range(num_steps) + phase) // size


def training_mask(inside: tf.Tensor, num_voices: int, seed: tf.Tensor) -> tf.Tensor:
    """Cells of a window to learn from the others; at least one.

    Half of the masks are random subsets of all cells, of a random size, as Coconet's;
    the others are random subsets, or all, of a passage in some of the voices: the gaps
    that are to be filled.

    Args:
        inside: bool `[time]`, the steps of the piece.
        num_voices: How many there are.
        seed: int `[2]`.

    Returns:
        bool `[time, voice]`.
    """
    num_steps = inside.shape[0]
    # All chance in one operation: windows are mapped, and each costs a loop over them.
    sizes = [8, num_voices, num_steps, (num_steps + _LONGEST) * num_voices]
    noise = tf.random.stateless_uniform([sum(sizes)], seed)
    few, voices, steps, cells = tf.split(noise, sizes)
    cells = tf.gather(tf.reshape(cells, [-1, num_voices]), _blocks(num_steps, few[:2]))
    hidden = cells < few[2]
    length = _SHORTEST + few[3] * num_steps
    begin = few[4] * (num_steps + length) - length
    place = tf.range(num_steps, dtype=tf.float32)
    passage = (place >= begin) & (place < begin + length)
    chosen = voices <= tf.maximum(few[5], tf.reduce_min(voices))
    gap = passage[:, tf.newaxis] & chosen
    hidden = tf.where(few[6] < _PASSAGES, gap & (hidden | (few[7] < _WHOLE)), hidden)
    hidden &= inside[:, tf.newaxis]
    # Should nothing be hidden, a step of the piece is.
    one = tf.argmax(tf.where(inside, steps, -1.0), output_type=tf.int32)
    is_one = tf.range(num_steps) == one
    is_one = tf.broadcast_to(is_one[:, tf.newaxis], [num_steps, num_voices])
    return tf.where(tf.reduce_any(hidden), hidden, is_one)


def hidden_part(number: tf.Tensor, num_rounds: tf.Tensor) -> tf.Tensor:
    """What part of a gap a step of Gibbs sampling hides."""
    done = tf.cast(number, tf.float32) / tf.cast(num_rounds, tf.float32)
    return tf.maximum(_MOST - (_MOST - _LEAST) * done / _ANNEALED, _LEAST)


def writing_order(num_steps: tf.Tensor, num_voices: int) -> tf.Tensor:
    """When each cell is written: frames in a random order, voices of each likewise.

    The order is always the same, and that among the first steps does not depend on how
    many follow.

    Returns:
        int32 `[time, voice]`, 0 for the first cell.
    """

    def draw(step):
        return tf.random.stateless_uniform([num_voices + 1], tf.stack([0, step]))

    noise = tf.map_fn(draw, tf.range(num_steps), fn_output_signature=tf.float32)
    frames, voices = (
        tf.argsort(tf.argsort(values, axis=-1), axis=-1)
        for values in (noise[:, 0], noise[:, 1:])
    )
    return frames[:, tf.newaxis] * num_voices + voices
