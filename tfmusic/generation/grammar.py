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
        order: The newest place in each tier of the order, int32 `[batch, tier]`.
        level: The newest token that set each level, int32 `[batch, sort]`.
        limit: What places of the first tier stay below, int32 `[batch]`; 0: anything.
    """

    last: tf.Tensor
    left: tf.Tensor
    order: tf.Tensor
    level: tf.Tensor
    limit: tf.Tensor


class Grammar:
    """The finite state of `TokenGrammar`, vectorised over the batch."""

    def __init__(self, grammar: TokenGrammar):
        """Lays the tables out for matrix products."""
        self._tables = grammar
        self._num_pitches = grammar.pitches.shape[1]
        # What clashes with sounding pitches, then what with silent ones.
        clashes = np.concatenate([grammar.needs_silent, grammar.ends], axis=1)
        self._clashes = clashes.T.astype(np.float32)
        kinds = np.arange(len(grammar.follows))
        self._is_kind = (grammar.kinds[:, np.newaxis] == kinds).astype(np.float32)
        # After time has passed, or the order begins anew, or where nothing follows, no
        # token need be followed at once.
        lonely = ~grammar.follows.any(axis=1)[grammar.kinds]
        self._num_tiers = grammar.tiers.max().item() + 1
        renewed = grammar.restarts < self._num_tiers
        self._needs_no_next = lonely | (grammar.steps > 0) | renewed
        # Whether nothing but the kind of the newest token matters.
        has_state = grammar.pitches.shape[1] or len(grammar.first_levels)
        has_order = grammar.order.any() or grammar.limits.any()
        self._is_plain = not (has_state or has_order)
        # By kind before, then token.
        follows = grammar.follows[:, grammar.kinds]
        if self._is_plain:
            follows &= follows.any(axis=1)[grammar.kinds] | self._needs_no_next
        with tf.init_scope():  # an export holds it once
            self._follows = tf.constant(follows)
            self._kinds = tf.constant(grammar.kinds)

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
        levels = tf.constant(self._tables.first_levels)[tf.newaxis]
        return GrammarState(
            last=tf.fill([batch_size], START),
            left=tf.zeros([batch_size, self._num_pitches], tf.int32),
            order=tf.zeros([batch_size, self._num_tiers], tf.int32),
            level=tf.repeat(levels, batch_size, axis=0),
            limit=tf.zeros([batch_size], tf.int32),
        )

    def after(self, state: GrammarState, token: tf.Tensor) -> GrammarState:
        """The state after one more token of each piece, int32 `[batch]`."""
        if self._is_plain:
            return state._replace(last=token)
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
        tiers = tf.range(self._num_tiers)
        is_own = tf.equal(tiers, of(tables.tiers, token)[:, tf.newaxis])
        place = of(tables.order, token)[:, tf.newaxis]
        order = tf.where(is_own, tf.maximum(state.order, place), state.order)
        is_anew = tiers >= of(tables.restarts, token)[:, tf.newaxis]
        is_anew &= ~of(tables.holds, state.last)[:, tf.newaxis]
        sets = of(tables.sets_level, token)
        limit = of(tables.limits, token)
        return GrammarState(
            last=token,
            left=left,
            order=tf.where(is_anew, 0, order),
            level=tf.where(sets, token[:, tf.newaxis], state.level),
            limit=tf.where(limit > 0, limit, state.limit),
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
        follows = tf.gather(self._follows, tf.gather(self._kinds, state.last))
        if self._is_plain:
            return follows
        tables = self._tables
        possible = tf.logical_and(self._is_in_order(state), self._is_news(state))
        if self._num_pitches:
            sounding = tf.cast(state.left > 0, tf.float32)
            sounding = tf.concat([sounding, 1.0 - sounding], axis=1)
            clash = tf.matmul(sounding, tf.constant(self._clashes)) > 0.5
            possible = tf.logical_and(possible, tf.logical_not(clash))
        # No token that nothing can follow, such as a velocity where no key is free; nor
        # one that only such tokens can follow.
        leads = tf.constant(tables.follows.T.astype(np.float32))
        has_next = True
        for _ in range(max(len(tables.first_levels), 1)):
            is_way = tf.cast(tf.logical_and(possible, has_next), tf.float32)
            num_possible = tf.matmul(is_way, self._is_kind)
            has_next = tf.matmul(num_possible, leads) > 0.5
            has_next = tf.gather(has_next, self._kinds, axis=1)
            has_next = tf.logical_or(has_next, tf.constant(self._needs_no_next))
        unset = tf.cast(tf.equal(state.level, 0), tf.float32)
        needs = tf.constant(tables.needs_level.T.astype(np.float32))
        has_levels = tf.matmul(unset, needs) < 0.5
        rules = (follows, possible, has_next, has_levels)
        return tf.reduce_all(tf.stack(rules), axis=0)

    def _is_in_order(self, state: GrammarState) -> tf.Tensor:
        """Whether the place of each token comes now, bool `[batch, token]`."""
        tables = self._tables
        newest = tf.gather(state.order, tf.constant(tables.tiers), axis=1)
        earliest = newest + int(tables.strict)
        limit = state.limit[:, tf.newaxis]
        is_within = (limit == 0) | (tables.tiers > 0) | (tables.order < limit)
        in_order = (tables.order == 0) | ((tables.order >= earliest) & is_within)
        # A limit is set above the place that was held.
        is_held = tf.gather(tf.constant(tables.holds), state.last)[:, tf.newaxis]
        is_above = (tables.limits == 0) | (tables.limits > state.order[:, :1])
        return in_order & (is_above | ~is_held)

    def _is_news(self, state: GrammarState) -> tf.Tensor:
        """Whether each token is no level that holds already, bool `[batch, token]`."""
        tokens = tf.range(len(self._tables.kinds))
        return ~tf.reduce_any(tf.equal(tokens, state.level[..., tf.newaxis]), axis=1)
