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
      (a token that takes time begins a new step), nor, with `strict`, the same;
    - its place in the first tier is below the limit in force;
    - it does not set the level that the last of its sort has set already, and the
      levels that it needs have been set.

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
        tiers: int32 [token]: which tier its place belongs to, such as 1 for pitches
            that are in order within an instrument of tier 0.
        restarts: int32 [token]: from which tier on, after it, the order begins anew;
            where there is no such tier, nowhere.
        holds: Bool [token]: after it the order does not begin anew for a token.
        limits: int32 [token]: what places of tier 0 stay below from there on; 0: says
            nothing.
        strict: Whether no place comes twice.
        sets_level: Bool [token, sort]: such as a change of velocity.
        needs_level: Bool [token, sort]: such as a note that has a velocity.
        first_levels: int32 [sort]: the tokens whose levels hold from the beginning; 0:
            none does.
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
    tiers: np.ndarray
    restarts: np.ndarray
    holds: np.ndarray
    limits: np.ndarray
    strict: bool
    sets_level: np.ndarray
    needs_level: np.ndarray
    first_levels: np.ndarray

    @classmethod
    def of(
        cls,
        kinds: np.ndarray,
        follows: Mapping[int, Sequence[int]],
        lengths_follow: bool = False,
        strict: bool = False,
        **tables: np.ndarray,
    ) -> "TokenGrammar":
        """A grammar of the tables that matter.

        The others are zeros, but that the order begins anew after what takes time.

        Args:
            kinds: As above.
            follows: Kinds that may come after each kind.
            lengths_follow: As above.
            strict: As above.
            **tables: The other attributes.
        """
        num_kinds = max(kinds.max(), *follows) + 1
        table = np.zeros((num_kinds, num_kinds), bool)
        for kind, others in follows.items():
            table[kind, list(others)] = True
        num_tokens = len(kinds)
        numbers = np.zeros(num_tokens, int)
        pitches = np.zeros_like(tables.get("pitches", np.zeros((num_tokens, 0), bool)))
        levels = np.zeros_like(
            tables.get("sets_level", np.zeros((num_tokens, 0), bool))
        )
        tiers = tables.get("tiers", numbers)
        tables = {
            **dict.fromkeys(("pitches", "needs_silent", "ends"), pitches),
            **dict.fromkeys(("lengths", "steps", "order", "limits"), numbers),
            **dict.fromkeys(("sets_level", "needs_level"), levels),
            "tiers": tiers,
            "restarts": np.where(tables.get("steps", numbers) > 0, 0, tiers.max() + 1),
            "holds": np.zeros(num_tokens, bool),
            "first_levels": np.zeros(levels.shape[1], int),
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
            strict=strict,
            **tables,
        )
