"""Random choices from logits: pure graph code, stateless, the same for equal seeds.

A seed is one for all rows, or each row has its own, see `seeds`.

Every choice perturbs the logits with noise scaled by the temperature, so temperature 0
needs no case of its own: it is the most probable outcome, whatever the seed.
"""

import numpy as np
import tensorflow as tf

from tfmusic.generation import seeds

# Stands for an impossible choice; finite, so that 0 times it stays a number.
IMPOSSIBLE = -1e9
# Added to the logits of what is chosen only if nothing else is possible.
UNWANTED = -1e6
_TINY = np.finfo(np.float32).tiny


def categorical(
    logits: tf.Tensor,
    seed: tf.Tensor,
    temperature: tf.Tensor | float = 1.0,
    top_k: tf.Tensor | float = 0.0,
    top_p: tf.Tensor | float = 1.0,
    min_p: tf.Tensor | float = 0.0,
) -> tf.Tensor:
    """Draws one class from each row.

    The filters look at the probabilities at the given temperature and can be combined;
    the most probable class always passes.

    Args:
        logits: float32 `[batch, class]`.
        seed: int64 `[2]` or `[row, 3]`.
        temperature: Divides the logits; 0 takes the most probable class.
        top_k: Draw from the k most probable classes; 0 is no limit.
        top_p: Draw from the most probable classes that together reach this
            probability; 1 is no limit.
        min_p: Draw from the classes with at least this fraction of the most probable
            one's probability; 0 is no limit.

    Returns:
        int32 `[batch]`.
    """
    temperature = tf.convert_to_tensor(temperature, tf.float32)
    noise = gumbel(tf.shape(logits), seed)
    kept = keep_probable(logits, temperature, top_k, top_p, min_p)
    scores = tf.where(kept, logits + temperature * noise, -np.inf)
    return tf.argmax(scores, axis=-1, output_type=tf.int32)


def only(logits: tf.Tensor, classes: tf.Tensor) -> tf.Tensor:
    """Logits of which some classes alone are possible, float32 `[batch, class]`.

    Args:
        logits: float32 `[batch, class]`.
        classes: Those, bool `[batch, class]`.
    """
    # More impossible than what rules forbid among the classes.
    return tf.where(classes, logits, logits + 4.0 * IMPOSSIBLE)


def keep_probable(
    logits: tf.Tensor,
    temperature: tf.Tensor,
    top_k: tf.Tensor | float,
    top_p: tf.Tensor | float,
    min_p: tf.Tensor | float,
) -> tf.Tensor:
    """Which classes pass the filters of `categorical`.

    Returns:
        bool `[batch, class]`; classes that tie with the last one kept are kept too.
    """
    top_k = tf.convert_to_tensor(top_k, tf.float32)
    top_p = tf.convert_to_tensor(top_p, tf.float32)
    # A fraction of the greatest probability is a distance from the greatest logit.
    distance = temperature * tf.math.log(tf.maximum(min_p, _TINY))
    floor = tf.reduce_max(logits, axis=-1, keepdims=True) + distance

    def rank_floor() -> tf.Tensor:
        num_classes = tf.shape(logits)[-1]
        ordered = tf.math.top_k(logits, k=num_classes).values
        probabilities = tf.nn.softmax(ordered / tf.maximum(temperature, 1e-6))
        before = tf.cumsum(probabilities, axis=-1, exclusive=True)
        num_kept = tf.reduce_sum(tf.cast(before < top_p, tf.int32), axis=-1)
        limit = tf.where(top_k >= 1.0, tf.cast(top_k, tf.int32), num_classes)
        num_kept = tf.clip_by_value(num_kept, 1, tf.minimum(limit, num_classes))
        return tf.gather(ordered, num_kept[:, tf.newaxis] - 1, batch_dims=1)

    # Sorting costs more than the rest together, so it waits until it is asked for.
    is_ranked = tf.logical_or(top_k >= 1.0, top_p < 1.0)
    floor = tf.cond(is_ranked, lambda: tf.maximum(floor, rank_floor()), lambda: floor)
    return logits >= floor


def bernoulli(
    logits: tf.Tensor, seed: tf.Tensor, temperature: tf.Tensor | float = 1.0
) -> tf.Tensor:
    """Draws independent yes-or-no choices.

    Args:
        logits: float32 of any shape; the log odds of yes.
        seed: int64 `[2]` or `[row, 3]`.
        temperature: Divides the logits; 0 is yes wherever they are positive.

    Returns:
        bool of the shape of `logits`.
    """
    return logits > temperature * logistic(tf.shape(logits), seed)


def without_replacement(
    logits: tf.Tensor,
    num_drawn: tf.Tensor,
    seed: tf.Tensor,
    temperature: tf.Tensor | float = 1.0,
) -> tf.Tensor:
    """Draws a set of distinct classes one after another, all at once.

    The classes with the greatest perturbed logits are distributed as if they were drawn
    one by one in proportion to the probabilities still left (Gumbel top-k; Kool, van
    Hoof and Welling 2019), and nothing is ever drawn again.

    Args:
        logits: float32 `[..., class]`; classes at `IMPOSSIBLE` or below are not drawn.
        num_drawn: int32 `[...]`; negative means none, more than there are means all.
        seed: int64 `[2]` or `[row, 3]`.
        temperature: Divides the logits; 0 takes the most probable classes.

    Returns:
        bool `[..., class]`.
    """
    scores = logits + temperature * gumbel(tf.shape(logits), seed)
    num_classes = tf.shape(logits)[-1]
    order = tf.argsort(scores, axis=-1, direction="DESCENDING", stable=True)
    # The place of every class in that order is the order's inverse permutation.
    ranks = tf.argsort(order, axis=-1)
    num_drawn = tf.clip_by_value(num_drawn, 0, num_classes)[..., tf.newaxis]
    return tf.logical_and(ranks < num_drawn, logits > IMPOSSIBLE)


def gumbel(shape: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Standard Gumbel noise: adding it to logits makes argmax a draw.

    Args:
        shape: int32 vector.
        seed: int64 `[2]` or `[row, 3]`.
    """
    uniform = _uniform(shape, seed)
    return -tf.math.log(-tf.math.log(uniform))


def logistic(shape: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Standard logistic noise: log odds above it are a draw of yes.

    Args:
        shape: int32 vector.
        seed: int64 `[2]` or `[row, 3]`.
    """
    uniform = _uniform(shape, seed)
    return tf.math.log(uniform) - tf.math.log1p(-uniform)


def _uniform(shape: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Uniform noise above 0 and below 1."""
    seed = tf.convert_to_tensor(seed)
    if seed.shape.rank == 1:
        return tf.random.stateless_uniform(shape, seed, minval=_TINY)

    def sample(num_rows: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        size = tf.concat([[num_rows], shape[1:]], axis=0)
        return tf.random.stateless_uniform(size, seed, minval=_TINY)

    return seeds.draw(sample, shape[0], seed)
