"""What may not, and what should not, be the next token."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfmusic.generation import repetition, samplers
from tfmusic.generation.grammar import Grammar, GrammarState
from tfmusic.representations.token_grammar import TokenGrammar


class RulesState(NamedTuple):
    """What the rules know of each piece, its newest token included.

    Attributes:
        history: See `tfmusic.generation.repetition`.
        grammar: See `tfmusic.generation.grammar`; empty without one.
        num_drawn: int32 `[batch]`, how many tokens have been drawn. It begins at -1,
            since the start token or a prompt's last one comes before the first.
    """

    history: tf.Tensor
    grammar: GrammarState | tuple[()]
    num_drawn: tf.Tensor


class TokenRules:
    """A grammar, and controls against repetition, as changes of logits."""

    def __init__(self, grammar: TokenGrammar | None):
        """Takes in the representation's grammar, if it has one."""
        self._grammar = None if grammar is None else Grammar(grammar)

    def initial_state(self, batch_size: tf.Tensor) -> RulesState:
        """Before the first token."""
        grammar = ()
        if self._grammar is not None:
            grammar = self._grammar.initial_state(batch_size)
        return RulesState(
            repetition.empty_history(batch_size), grammar, tf.fill([batch_size], -1)
        )

    @property
    def tells_ends(self) -> bool:
        """Whether what sounds lasts until a token ends it."""
        return self._grammar is not None and self._grammar.tells_ends

    def sounding(self, state: RulesState) -> tf.Tensor:
        """See `Grammar.sounding`."""
        return self._grammar.sounding(state.grammar)

    def sounding_after_each(self, tokens: tf.Tensor) -> tf.Tensor:
        """See `Grammar.sounding_after_each`."""
        return self._grammar.sounding_after_each(tokens)

    def is_late(self, state: RulesState, controls: dict[str, tf.Tensor]) -> tf.Tensor:
        """Where `max_held` decides what comes next, bool `[batch]`."""
        overdue = self._grammar.overdue(state.grammar, controls["max_held"])
        return tf.reduce_any(overdue, axis=1)

    def after(self, state: RulesState, token: tf.Tensor) -> RulesState:
        """The state after one more token of each piece, int32 `[batch]`."""
        grammar = state.grammar
        if self._grammar is not None:
            grammar = self._grammar.after(grammar, token)
        history = repetition.remember(state.history, token)
        return RulesState(history, grammar, state.num_drawn + 1)

    def after_all(self, tokens: tf.Tensor) -> RulesState:
        """The state after given tokens `[batch, time]`, the start token first."""
        state = self.initial_state(tf.shape(tokens)[0])
        state = state._replace(history=repetition.history_of(tokens))
        if self._grammar is None:
            return state
        _, grammar = tf.while_loop(
            lambda time, _: time < tf.shape(tokens)[1],
            lambda time, s: (time + 1, self._grammar.after(s, tokens[:, time])),
            (0, state.grammar),
        )
        return state._replace(grammar=grammar)

    def apply(
        self, logits: tf.Tensor, state: RulesState, controls: dict[str, tf.Tensor]
    ) -> tf.Tensor:
        """Logits as the rules and the controls that there are change them.

        Args:
            logits: float32 `[batch, token]`.
            state: The state after the newest token.
            controls: float32 scalars: `repetition_penalty` with `repetition_window`,
                `no_repeat_ngram`, and `max_held`, beyond which keys that are down go
                up before all else.
        """
        if "repetition_penalty" in controls:
            logits = repetition.penalize(
                logits,
                state.history,
                controls["repetition_penalty"],
                controls["repetition_window"],
            )
        logits = repetition.block_ngrams(
            logits, state.history, controls["no_repeat_ngram"]
        )
        if self._grammar is None:
            return logits
        allowed = self._grammar.allowed(state.grammar)
        if "max_held" in controls:
            overdue = self._grammar.overdue(state.grammar, controls["max_held"])
            is_late = tf.reduce_any(overdue, axis=1, keepdims=True)
            allowed = tf.where(is_late, overdue, allowed)
        forbidden = tf.logical_not(allowed)
        return logits + tf.cast(forbidden, tf.float32) * np.float32(samplers.IMPOSSIBLE)
