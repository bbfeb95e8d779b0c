import numpy as np
import tensorflow as tf

from tfmusic.models.infill_notes import draw_notes, find_notes, notes_to_draw

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


def test_a_note_gets_one_key_by_all_of_its_steps():
    logits = np.zeros((1, 6, 2, 11), np.float32)
    logits[0, 0, 0, 3] = 5.0  # the first step alone would be 3
    logits[0, 1:3, 0, 4] = 4.0
    logits[0, 3:5, 0, 2] = 1.0
    drawn = draw_notes(
        tf.constant(logits), notes_of(), tf.constant([0, 0], tf.int64), 0.0
    )
    assert drawn[0, :5, 0].numpy().tolist() == [4, 4, 4, 2, 2]
