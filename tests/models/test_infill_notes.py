import numpy as np
import tensorflow as tf

from tfmusic.models.infill_notes import (
    draw_cells,
    draw_notes,
    find_notes,
    notes_to_draw,
)

# Two voices, by steps: a note of three steps and one of two, a rest of one; a note that
# is struck again.
KEYS = np.array([[5, 9], [5, 9], [5, 9], [7, 9], [7, 9], [0, 9]])[np.newaxis]
STRUCK = np.array([[1, 1], [0, 0], [0, 0], [1, 1], [0, 0], [0, 0]], bool)[np.newaxis]


def notes_of(keys=KEYS, struck=STRUCK):
    return find_notes(tf.constant(keys, tf.int32), tf.constant(struck))


def test_notes_go_from_onset_to_onset():
    notes = notes_of()
    assert notes.place[0, :, 0].numpy().tolist() == [0, 0, 0, 1, 1, 2]
    assert notes.place[0, :, 1].numpy().tolist() == [0, 0, 0, 1, 1, 1]
    assert notes.begins[0, :, 0].numpy().tolist() == [True, False, False] * 1 + [
        True,
        False,
        True,
    ]
    # Notes of two voices never share a number.
    assert not set(notes.number[0, :, 0].numpy()) & set(notes.number[0, :, 1].numpy())
    held = find_notes(tf.constant(KEYS, tf.int32), None)
    assert held.place[0, :, 1].numpy().tolist() == [0] * 6


def test_every_second_note_of_one_voice_is_drawn_if_it_lies_in_the_gap():
    notes, all_ = notes_of(), tf.ones([1, 6, 2], tf.bool)

    def chosen(number, mask=all_):
        return notes_to_draw(notes, mask, tf.constant(number))[0].numpy()

    assert chosen(0)[:, 0].tolist() == [True, True, True, False, False, True]
    assert not chosen(0)[:, 1].any()
    assert chosen(1)[:, 1].tolist() == [True] * 3 + [False] * 3
    assert chosen(2)[:, 0].tolist() == [False, False, False, True, True, False]
    # The first note begins before the gap.
    gap = tf.constant([[[False, True]] + [[True, True]] * 5])
    assert chosen(0, gap)[:, 0].tolist() == [False] * 5 + [True]


def test_a_note_gets_one_key_most_of_all_by_its_first_step():
    logits, rules = np.zeros((2, 1, 6, 2, 11), np.float32)
    logits[0, 0, 0, 3] = 1.1
    logits[0, 1:3, 0, 4] = 4.0  # a quarter of the mean: 1
    logits[0, 3:5, 0, 2] = 1.0

    def drawn():
        return draw_notes(
            tf.constant(logits),
            tf.constant(rules),
            notes_of(),
            tf.constant([0, 0], tf.int64),
            0.0,
        )[0, :5, 0].numpy()

    assert drawn().tolist() == [3, 3, 3, 2, 2]
    logits[0, 1:3, 0, 4] = 5.0
    assert drawn().tolist() == [4, 4, 4, 2, 2]
    # Rules count in full wherever they are.
    rules[0, 1:3, 0, 7] = 0.7
    assert drawn().tolist() == [7, 7, 7, 2, 2]


def cells_drawn(logits, cells, hidden, rules=None, temperature=0.0):
    """Cells of one voice with keys 1 to 3, struck 4 to 6, drawn by logits of those."""
    logits = np.array(logits, np.float32)[np.newaxis, :, np.newaxis]
    rules = np.zeros((*logits.shape[:3], 3)) if rules is None else rules
    return draw_cells(
        tf.constant(logits),
        tf.constant(rules, tf.float32),
        tf.constant(cells, tf.int32)[tf.newaxis, :, tf.newaxis],
        tf.constant(hidden)[tf.newaxis, :, tf.newaxis],
        tf.constant([0, 0], tf.int64),
        temperature,
    )[0, :, 0].numpy()


def test_hidden_cells_are_drawn_as_notes():
    #            rest held     struck
    strike_two = [0, 0, 0, 0, 1, 9, 1]
    hold_three = [0, 1, 1, 9, 0, 0, 2]
    rest = [9, 0, 0, 0, 0, 0, 0]
    hidden = [True] * 4
    # The note that is struck goes on, though another key would be likelier there.
    logits = [strike_two, hold_three, rest, hold_three]
    assert cells_drawn(logits, [0] * 4, hidden).tolist() == [5, 2, 0, 6]
    # A note that was there keeps its key into what is hidden, and what is hidden takes
    # the key of what holds on behind it.
    logits = [hold_three] * 4
    hidden = [False, True, True, False]
    assert cells_drawn(logits, [4, 0, 0, 1], hidden).tolist() == [4, 1, 1, 1]
    hidden = [True, False, True, True]
    assert cells_drawn(logits, [0, 2, 0, 0], hidden).tolist() == [5, 2, 2, 2]
    # A rule is for keys, and not for what is given.
    rules = np.zeros((1, 4, 1, 3))
    rules[..., 2] = -50
    found = cells_drawn([strike_two] + [hold_three] * 3, [0] * 4, [True] * 4, rules)
    assert found[0] == 5
    rules[..., 1] = -50
    found = cells_drawn([strike_two] + [hold_three] * 3, [0] * 4, [True] * 4, rules)
    assert found.tolist() == [4, 1, 1, 1]


def test_neighbours_that_are_drawn_together_are_seldom_short_notes():
    # Each cell by itself: three keys as likely, held nine times of ten.
    logits = np.log([[1e-9, 0.3, 0.3, 0.3, 1 / 30, 1 / 30, 1 / 30]] * 400)
    found = cells_drawn(logits, [0] * 400, [True] * 400, temperature=1.0)
    assert 20 < np.sum(found > 3) < 65
    key = np.where(found > 3, found - 3, found)
    moves = np.flatnonzero(np.diff(key))
    assert (found[moves + 1] > 3).all()
