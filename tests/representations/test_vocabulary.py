import numpy as np
import pytest

from tfmusic.errors import UserError
from tfmusic.representations.vocabulary import END, PAD, START, Vocabulary


def test_special_ids_never_move():
    vocabulary = Vocabulary.of(["a", "b"])
    assert (PAD, START, END) == (0, 1, 2)
    assert vocabulary.tokens_of([PAD, START, END]) == ["<pad>", "<start>", "<end>"]
    assert len(vocabulary) == 5
    assert vocabulary.id_of("a") == 3


def test_ids_and_tokens_undo_each_other():
    vocabulary = Vocabulary.of(["a", "b"])
    ids = vocabulary.ids_of(["b", "a", "b"])
    assert ids.dtype == np.int32
    assert vocabulary.tokens_of(ids) == ["b", "a", "b"]
    assert vocabulary.ids_of([]).shape == (0,)
    assert "a" in vocabulary
    assert "c" not in vocabulary


def test_json_keeps_content_and_hash():
    vocabulary = Vocabulary.of(["a", "b"])
    again = Vocabulary.from_json(vocabulary.to_json())
    assert again == vocabulary
    assert again.content_hash == vocabulary.content_hash
    assert Vocabulary.of(["b", "a"]).content_hash != vocabulary.content_hash


def test_fit_keeps_the_frequent_whatever_the_order_of_counting():
    counts = {"x": 2, "z": 3, "y": 2, "rare": 1, "always": 9}
    expected = ("always", "z", "x", "y")
    for items in (counts.items(), reversed(counts.items())):
        vocabulary = Vocabulary.fit(["always"], dict(items), min_count=2)
        assert vocabulary.tokens[3:] == expected
    limited = Vocabulary.fit(["always"], counts, min_count=1, max_size=5)
    assert limited.tokens[3:] == ("always", "z")


def test_mistakes_are_told():
    vocabulary = Vocabulary.of(["a"])
    with pytest.raises(UserError, match="'b' is none of the 4 tokens"):
        vocabulary.id_of("b")
    with pytest.raises(UserError, match="'b' is none of the 4 tokens"):
        vocabulary.ids_of(["a", "b"])
    for token_id in (-1, 4):
        with pytest.raises(UserError, match=f"from 0 to 3, not {token_id}"):
            vocabulary.token_of(token_id)
    with pytest.raises(UserError, match="'a' twice"):
        Vocabulary.of(["a", "a"])
    with pytest.raises(UserError, match="begins with <pad>, <start>, <end>, not with"):
        Vocabulary(("a", "b", "c"))
