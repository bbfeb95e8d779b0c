"""Which tokens may follow which: the image of an encoding, as tables."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

# The kind of what comes never, and of what stands before the first token.
NOTHING = 0
# A length that lasts until the note is ended.
FOREVER = 1 << 24


@dataclasses.dataclass(frozen=True, eq=False)
class TokenGrammar:
    """A finite state, and the pitches that sound, decide which tokens may come.

    A token may come if all of this holds:

    - its kind follows the kind of the token before it;
    - none of the pitches that it needs silent sounds, and all that it ends do sound;
    - its place in the order is none before that of an earlier token of the same step
      (a token that takes time begins a new step);
    - it does not set the level that the last of its sort has set already, and a level
      that it needs has been set.

    Attributes:
        kinds: int32 [token]; `NOTHING` for tokens that never come.
        follows: Bool [kind, kind]: whether the second may come after the first; of
            `NOTHING`, what may come first.
        pitches: Bool [token, pitch]: what begins to sound, or [token, 0] where no rule
            depends on that.
        needs_silent: Bool, likewise: what may not sound when a token comes.
        ends: Bool, likewise: what stops sounding, and must have sounded.
        lengths: int32 [token]: how long the pitches sound, in steps, of this token or,
            with `lengths_follow`, of the one before it; 0: no such meaning.
        lengths_follow: Whether lengths are tokens of their own.
        steps: int32 [token]: how much time a token takes.
        order: int32 [token]: its place within a step; 0: any.
        sets_level: Bool [token]: such as a change of velocity.
        needs_level: Bool [token]: such as a note that has a velocity.
    """

    kinds: np.ndarray
    follows: np.ndarray
    pitches: np.ndarray
    needs_silent: np.ndarray
    ends: np.ndarray
    lengths: np.ndarray
    lengths_follow: bool
    steps: np.ndarray
    order: np.ndarray
    sets_level: np.ndarray
    needs_level: np.ndarray

    @classmethod
    def of(
        cls,
        kinds: np.ndarray,
        follows: Mapping[int, Sequence[int]],
        lengths_follow: bool = False,
        **tables: np.ndarray,
    ) -> "TokenGrammar":
        """A grammar of the tables that matter; the others are zeros.

        Args:
            kinds: As above.
            follows: Kinds that may come after each kind.
            lengths_follow: As above.
            **tables: The other attributes.
        """
        num_kinds = max(kinds.max(), *follows) + 1
        table = np.zeros((num_kinds, num_kinds), bool)
        for kind, others in follows.items():
            table[kind, list(others)] = True
        nothing = tables.get("pitches", np.zeros((len(kinds), 0), bool))
        tables = {
            **dict.fromkeys(
                ("pitches", "needs_silent", "ends"), np.zeros_like(nothing)
            ),
            **dict.fromkeys(("lengths", "steps", "order"), np.zeros(len(kinds), int)),
            **dict.fromkeys(("sets_level", "needs_level"), np.zeros(len(kinds), bool)),
            **tables,
        }
        tables = {
            name: array if array.dtype == bool else array.astype(np.int32)
            for name, array in tables.items()
        }
        return cls(
            kinds=kinds.astype(np.int32),
            follows=table,
            lengths_follow=lengths_follow,
            **tables,
        )
