"""The first two phrases again, as bar form (A A B) wants."""

from typing import TYPE_CHECKING

import tensorflow as tf

from tfmusic.generation import seeds
from tfmusic.generation.controls import PHRASES, STOLLEN
from tfmusic.generation.repetition import HISTORY
from tfmusic.models.base import Tensors

if TYPE_CHECKING:
    from tfmusic.models.chord_state import ChordState

# What seeds the choice of pieces that repeat their beginning.
_SEED = 7


def first_time(
    state: "ChordState", controls: Tensors, seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Where the next frame is one of the first two phrases again, and which.

    It is a repeat sign written out, and the form of the music by a toss of a coin,
    nothing that was learned.

    Args:
        state: After the frame before.
        controls: Values by name.
        seed: Of the step, int64 `[]` or `[row, 2]`, see `seeds`.

    Returns:
        Bool `[batch]`; of a frame of each piece the token, int32 `[batch]`, and which
        keys are struck, bool `[batch, pitch]`.
    """
    length = 2 * state.place["phrase_steps"]  # 0 without a plan
    step = state.rules.num_drawn
    is_again = (step >= length) & (step < 2 * length) & (length <= HISTORY)
    is_again &= controls[PHRASES.name] >= 3.5
    seed = seeds.numbered(seeds.unnumbered(seed), _SEED)
    coin = seeds.draw(
        lambda num_rows, seed: tf.random.stateless_uniform([num_rows], seed),
        tf.shape(step)[0],
        seed,
    )
    is_again &= coin < controls[STOLLEN.name]
    place = tf.clip_by_value(HISTORY - length, 0, HISTORY - 1)
    token = tf.gather(state.rules.history, place, batch_dims=1)
    struck = tf.gather(state.past.struck, place, batch_dims=1)
    return is_again, token, struck
