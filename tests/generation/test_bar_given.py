"""Given music as tables, and what may come beside it, by hand; no model is asked."""

import numpy as np
import tensorflow as tf

from tfmusic.generation.bar_given import FAR, GivenMusic
from tfmusic.generation.bar_masks import Agreement, begin
from tfmusic.generation.grammar import Grammar
from tfmusic.representations import make_representation

KIND = make_representation({"name": "bar_events"})
NAMES = list(KIND.vocabulary.tokens)
DRUMS = 128
# Two notes and a drum on the first beat, one on the second, and so on.
TEXT = """
    tag0 density0 bar4/4 tempo20 velocity20 duration6 n50 instrument73 n72 drum36
    position12 velocity9 n71 position24 instrument0 velocity20 n48 drum38
    bar4/4 tempo8 n50"""
MUSIC = TEXT.split()
FIRST_BAR, SECOND_BAR = 2, 18


def given(steps=(), lowest=0, highest=127, voices=(0,), length=96):
    """The music, with some steps in which notes may be written."""
    tokens = tf.constant([[NAMES.index(name) for name in MUSIC]])
    is_open = np.isin(np.arange(length), steps)[np.newaxis]
    return GivenMusic(
        tokens,
        tf.constant(np.where(is_open, lowest, 128), tf.int32),
        tf.constant(np.where(is_open, highest, -1), tf.int32),
        tf.constant(np.isin(np.arange(129), voices)[np.newaxis]),
        bars_after=1,
    )


def walk(music):
    """The agreement, and place and grammar before each token from the first bar on."""
    agreement = Agreement(music, tf.constant(1))
    grammar = Grammar(KIND.token_grammar())
    state = grammar.initial_state(1)
    for token in music.tokens[0, : FIRST_BAR + 1]:
        state = grammar.after(state, token[tf.newaxis])
    place = begin(music, tf.constant(FIRST_BAR + 1))
    for i in range(FIRST_BAR + 1, len(MUSIC) + 1):
        yield i, agreement, place, grammar, state
        if i < len(MUSIC):
            token = music.tokens[:, i]
            place = agreement.after(place, state, token)
            state = grammar.after(state, token)


def names_at(number, music):
    """What may come in the place of a token."""
    for i, agreement, place, grammar, state in walk(music):
        if i == number:
            may = agreement.allowed(place, state) & grammar.allowed(state)
            return {NAMES[token] for token in np.flatnonzero(may[0])}
    raise ValueError(number)


def test_bars_and_notes_are_where_they_are_written():
    music = given()
    bars = [column[0, :3].numpy().tolist() for column in music.bars]
    token, tempo, cut, end, line, index = bars
    assert [NAMES[t] for t in token[:2]] == ["bar4/4", "bar4/4"]
    assert [NAMES[t] for t in tempo[:2]] == ["tempo20", "tempo8"]
    assert (token[2], tempo[2], cut, end) == (0, 0, [0, 0, 0], [48, 48, 0])
    assert (line[:2], index[:2]) == ([0, 48], [FIRST_BAR, SECOND_BAR])
    assert music.num_bars[0] == 2
    columns = [column[0].numpy().tolist() for column in music.notes]
    notes = list(zip(*columns, strict=True))
    loud, soft, long = map(NAMES.index, ("velocity20", "velocity9", "duration6"))
    assert notes[:7] == [
        (0, 0, 0, 50, loud, long),
        (0, 0, 73, 72, loud, long),
        (0, 0, DRUMS, 36, loud, long),
        (0, 12, 73, 71, soft, long),
        (0, 24, 0, 48, loud, long),
        (0, 24, DRUMS, 38, loud, long),
        (1, 0, 0, 50, loud, long),
    ]
    assert notes[7] == (FAR,) * 6


def test_open_steps_lie_in_their_bars():
    in_both = given(steps=(47, 48))
    assert (in_both.first_open[0], in_both.last_open[0]) == (0, 1)
    in_first = given(steps=(0, 47))
    assert (in_first.first_open[0], in_first.last_open[0]) == (0, 0)
    assert not given(steps=(3,), voices=()).is_open.numpy().any()


def test_places_are_the_same_step_by_step_and_from_the_whole():
    music = given()
    expected = {
        3: (0, 0, 0, -1),
        7: (0, 0, 1, 0),
        9: (0, 0, 2, 73),
        10: (0, 0, 3, DRUMS),
        11: (0, 12, 3, -1),
        13: (0, 12, 4, 73),
        14: (0, 24, 4, -1),
        17: (0, 24, 5, 0),
        18: (0, 24, 6, DRUMS),
        19: (1, 0, 6, -1),
        21: (1, 0, 7, 0),
    }
    for i, agreement, place, _, _ in walk(music):
        if i in expected:
            stepwise = tuple(int(value[0]) for value in place[:4])
            whole = begin(music, tf.constant(i))
            assert stepwise == expected[i]
            assert tuple(int(value[0]) for value in whole[:4]) == expected[i]
            bar, position, note, _ = expected[i]
            assert agreement.step_of(place)[0] == 48 * bar + position
            assert agreement.events(place)[0] == bar + note


def test_where_nothing_may_be_written_only_what_is_given_comes():
    music = given()
    for i, agreement, place, grammar, state in walk(music):
        may = agreement.allowed(place, state) & grammar.allowed(state)
        names = [NAMES[token] for token in np.flatnonzero(may[0])]
        assert names == [MUSIC[i] if i < len(MUSIC) else "<end>"]
        way, has_way = agreement.way(place, state)
        is_note = i < len(MUSIC) and MUSIC[i] not in ("bar4/4", "tempo20", "tempo8")
        if is_note:
            assert NAMES[way[0]] == MUSIC[i]
        is_left = i < SECOND_BAR or SECOND_BAR < i < len(MUSIC)
        assert bool(has_way[0]) == is_left


def test_positions_that_are_open_come_before_the_next_note():
    music = given(steps=(6, 7, 30))
    assert names_at(10, music) == {"position6", "position7", "position12"}
    assert names_at(13, music) == {"position24"}
    # Behind the last note of a bar, which may end.
    assert names_at(18, music) == {"position30", "bar4/4"}


def test_notes_are_written_between_those_that_are_given_in_order():
    # The flute holds there; it may write from 60 up, below its note of 71.
    music = given(steps=(12,), lowest=69, highest=80, voices=(73,))
    may = names_at(11, music)
    assert {name for name in may if name.startswith("n")} == {"n69", "n70"}
    assert {name for name in may if name.startswith("instrument")} == set()
    # Another voice before it: of the piano, whose notes come first.
    music = given(steps=(12,), lowest=69, highest=80, voices=(0, 90))
    assert {n for n in names_at(11, music) if n[0] in "nid"} >= {"instrument0"}
    assert "instrument90" not in names_at(11, music)
    # At a place without a given note any voice that is open, and no other.
    music = given(steps=(13,), lowest=69, highest=80, voices=(0, 90))
    assert "position13" in names_at(13, music)
