"""A representation's grammar in graph code: what may come next, for each of a batch."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfmusic.representations.token_grammar import FOREVER, TokenGrammar
from tfmusic.representations.vocabulary import START


class GrammarState(NamedTuple):
    """What the grammar knows of each piece.

    Attributes:
        last: The newest token, int32 `[batch]`.
        left: For how many steps each pitch goes on sounding, int32 `[batch, pitch]`.
        order: The place of the newest token in the order of its step, int32 `[batch]`.
        level: The newest token that set a level, int32 `[batch]`.
    """

    last: tf.Tensor
    left: tf.Tensor
    order: tf.Tensor
    level: tf.Tensor


class Grammar:
    """The finite state of `TokenGrammar`, vectorised over the batch."""

    def __init__(self, grammar: TokenGrammar):
        """Lays the tables out for matrix products."""
        self._tables = grammar
        self._num_pitches = grammar.pitches.shape[1]
        # By kind before, then token.
        self._follows = grammar.follows[:, grammar.kinds]
        # What clashes with sounding pitches, then what with silent ones.
        clashes = np.concatenate([grammar.needs_silent, grammar.ends], axis=1)
        self._clashes = clashes.T.astype(np.float32)
        kinds = np.arange(len(grammar.follows))
        self._is_kind = (grammar.kinds[:, np.newaxis] == kinds).astype(np.float32)
        # After time has passed, or nothing follows, no token need be followed at once.
        lonely = ~grammar.follows.any(axis=1)[grammar.kinds]
        self._needs_no_next = lonely | (grammar.steps > 0)

    @property
    def tells_ends(self) -> bool:
        """Whether what sounds lasts until a token ends it."""
        return bool(self._tables.ends.any())

    def sounding(self, state: GrammarState) -> tf.Tensor:
        """Which pitches sound after the newest token, float32 `[batch, pitch]`."""
        return tf.cast(state.left > 0, tf.float32)

    def sounding_after_each(self, tokens: tf.Tensor) -> tf.Tensor:
        """Which pitches sound after each token, where tokens end what sounds.

        Args:
            tokens: int32 `[batch, time]`; nothing sounds before the first.

        Returns:
            float32 `[batch, time, pitch]`.
        """
        tables = self._tables
        changes = tables.pitches.astype(np.int8) - tables.ends.astype(np.int8)
        newest = tf.gather(tf.constant(changes), tokens)
        num_steps = tf.shape(tokens)[1]

        def look_back(distance, newest):
            earlier = tf.pad(newest, [[0, 0], [distance, 0], [0, 0]])[:, :num_steps]
            earlier = tf.where(tf.equal(newest, 0), earlier, newest)
            return 2 * distance, tf.ensure_shape(earlier, newest.shape)

        _, newest = tf.while_loop(
            lambda distance, _: distance < num_steps, look_back, (1, newest)
        )
        return tf.cast(newest > 0, tf.float32)

    def initial_state(self, batch_size: tf.Tensor) -> GrammarState:
        """Before the first token."""
        zeros = tf.zeros([batch_size], tf.int32)
        left = tf.zeros([batch_size, self._num_pitches], tf.int32)
        return GrammarState(tf.fill([batch_size], START), left, zeros, zeros)

    def after(self, state: GrammarState, token: tf.Tensor) -> GrammarState:
        """The state after one more token of each piece, int32 `[batch]`."""
        tables = self._tables

        def of(table: np.ndarray, tokens: tf.Tensor) -> tf.Tensor:
            return tf.gather(tf.constant(table), tokens)

        steps = of(tables.steps, token)
        left = state.left
        if self._num_pitches:
            left = tf.maximum(left - steps[:, tf.newaxis], 0)
            left = tf.where(of(tables.ends, token), 0, left)
            begun = of(tables.pitches, state.last if tables.lengths_follow else token)
            length = of(tables.lengths, token)[:, tf.newaxis]
            left = tf.where(tf.logical_and(begun, length > 0), length, left)
        order = tf.maximum(state.order, of(tables.order, token))
        return GrammarState(
            token,
            left,
            tf.where(steps > 0, 0, order),
            tf.where(of(tables.sets_level, token), token, state.level),
        )

    def overdue(self, state: GrammarState, max_held: tf.Tensor) -> tf.Tensor:
        """Which tokens may come that end what has sounded for too long.

        Args:
            state: After the newest token.
            max_held: In steps of time, float32 scalar; 0: no limit.

        Returns:
            Bool `[batch, token]`.
        """
        held = tf.cast(FOREVER - state.left, tf.float32)
        too_long = (state.left > 0) & (held >= max_held) & (max_held >= 1.0)
        ends = tf.constant(self._tables.ends.T.astype(np.float32))
        ends_it = tf.matmul(tf.cast(too_long, tf.float32), ends) > 0.5
        return tf.logical_and(ends_it, self.allowed(state))

    def allowed(self, state: GrammarState) -> tf.Tensor:
        """Which tokens may come, bool `[batch, token]`."""
        tables = self._tables
        num_tokens = len(tables.kinds)
        before = tf.gather(tf.constant(tables.kinds), state.last)
        order = tf.constant(tables.order)
        possible = tf.logical_or(order == 0, order >= state.order[:, tf.newaxis])
        again = tf.range(num_tokens) == state.level[:, tf.newaxis]
        possible = tf.logical_and(possible, tf.logical_not(again))
        if self._num_pitches:
            sounding = tf.cast(state.left > 0, tf.float32)
            sounding = tf.concat([sounding, 1.0 - sounding], axis=1)
            clash = tf.matmul(sounding, tf.constant(self._clashes)) > 0.5
            possible = tf.logical_and(possible, tf.logical_not(clash))
        # No token that nothing can follow, such as a velocity where no key is free.
        num_possible = tf.matmul(tf.cast(possible, tf.float32), self._is_kind)
        follows = tf.constant(tables.follows.T.astype(np.float32))
        has_next = tf.matmul(num_possible, follows) > 0.5
        has_next = tf.gather(has_next, tf.constant(tables.kinds), axis=1)
        has_next = tf.logical_or(has_next, tf.constant(self._needs_no_next))
        has_level = tf.logical_or(~tables.needs_level, state.level[:, tf.newaxis] > 0)
        follows = tf.gather(tf.constant(self._follows), before)
        rules = (follows, possible, has_next, has_level)
        return tf.reduce_all(tf.stack(rules), axis=0)
