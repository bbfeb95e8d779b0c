"""Tokens and their ids."""

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

import numpy as np

from tfmusic.errors import UserError

PAD, START, END = 0, 1, 2
SPECIAL_TOKENS = ("<pad>", "<start>", "<end>")
NUM_SPECIAL = len(SPECIAL_TOKENS)


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """A list of tokens; a token's id is its place.

    Ids 0, 1 and 2 are always `PAD`, `START` and `END`, which no encoded piece holds:
    models add them.

    Attributes:
        tokens: All tokens, the special ones first.

    Raises:
        UserError: The special ones are not first, or a token stands twice.
    """

    tokens: tuple[str, ...]

    def __post_init__(self):
        if self.tokens[:NUM_SPECIAL] != SPECIAL_TOKENS:
            raise UserError(
                f"a vocabulary begins with {', '.join(SPECIAL_TOKENS)}, not with "
                f"{', '.join(self.tokens[:NUM_SPECIAL]) or 'nothing'}"
            )
        if len(self._ids) != len(self.tokens):
            seen = set()
            twice = next(t for t in self.tokens if t in seen or seen.add(t))
            raise UserError(f"a vocabulary has each token once, but {twice!r} twice")

    @classmethod
    def of(cls, tokens: Iterable[str]) -> "Vocabulary":
        """The special tokens and then these."""
        return cls((*SPECIAL_TOKENS, *tokens))

    @classmethod
    def fit(
        cls,
        always: Sequence[str],
        counts: Mapping[str, int],
        min_count: int = 1,
        max_size: int = 0,
    ) -> "Vocabulary":
        """The special tokens, those that are always there, and the frequent ones.

        Args:
            always: Tokens whatever their counts, in the order of their ids.
            counts: How often others occur; they follow, the most frequent first and
                equally frequent ones in alphabetical order.
            min_count: Others that occur less often are left out.
            max_size: How many tokens to keep at most, all told; 0 for all.
        """
        known = {*SPECIAL_TOKENS, *always}
        others = [
            (-count, token)
            for token, count in counts.items()
            if count >= min_count and token not in known
        ]
        tokens = [*always, *(token for _, token in sorted(others))]
        return cls.of(tokens[: max_size - NUM_SPECIAL] if max_size else tokens)

    @classmethod
    def from_json(cls, text: str) -> "Vocabulary":
        """The vocabulary that `to_json` wrote."""
        return cls(tuple(json.loads(text)))

    def to_json(self) -> str:
        """The tokens as a JSON list."""
        return json.dumps(self.tokens)

    @property
    def content_hash(self) -> str:
        """Sixteen hex digits that stand for the tokens and their order."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]

    def __len__(self) -> int:
        return len(self.tokens)

    def __contains__(self, token: str) -> bool:
        return token in self._ids

    def id_of(self, token: str) -> int:
        """The id of a token.

        Raises:
            UserError: There is no such token.
        """
        try:
            return self._ids[token]
        except KeyError:
            raise UserError(
                f"{token!r} is none of the {len(self)} tokens of this vocabulary; fit "
                "it on pieces that have it"
            ) from None

    def ids_of(self, tokens: Sequence[str]) -> np.ndarray:
        """Ids of many tokens, int32 [num_tokens]; errors as in `id_of`."""
        return np.fromiter(map(self.id_of, tokens), np.int32, len(tokens))

    def token_of(self, token_id: int) -> str:
        """The token of an id.

        Raises:
            UserError: No token has this id.
        """
        if not 0 <= token_id < len(self):
            raise UserError(
                f"expected a token id from 0 to {len(self) - 1}, not {token_id}"
            )
        return self.tokens[token_id]

    def tokens_of(self, ids: np.ndarray) -> list[str]:
        """Tokens of many ids [num_tokens]; errors as in `token_of`."""
        return [self.token_of(i) for i in np.asarray(ids).tolist()]

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {token: i for i, token in enumerate(self.tokens)}
