"""Where steps lie in their phrases."""

import numpy as np
import tensorflow as tf

from tfmusic.models.phrases import advance, after_prompt

# Two steps before the end of a phrase, the fermata included; two of four steps follow.
PLACE = {
    "phrase_left": np.int32([2]),
    "last_phrase": np.int32([0]),
    "phrase_steps": np.int32([4]),
    "phrases_to_come": np.int32([2]),
}
LEFT = [1, 4, 3, 2, 1, 4, 3, 2, 1, 0, 0]
LAST = [0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1]
TO_COME = [2, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0]


def test_phrases_follow_each_other_to_the_last():
    later = advance(PLACE, tf.range(1, 12))
    assert later["phrase_left"].numpy().tolist() == LEFT
    assert later["last_phrase"].numpy().tolist() == LAST
    assert later["phrases_to_come"].numpy().tolist() == TO_COME
    assert set(later["phrase_steps"].numpy().tolist()) == {4}


def test_one_step_after_the_other_leads_to_the_same():
    place, found = PLACE, []
    for _ in LEFT:
        place = advance(place, 1)
        found.append(
            [place[name].numpy()[0] for name in ("phrase_left", "last_phrase")]
        )
    np.testing.assert_array_equal(np.transpose(found), [LEFT, LAST])


def test_nothing_is_planned_after_the_phrase_of_a_prompt():
    later = advance(after_prompt(PLACE), tf.range(1, 5))
    assert later["phrase_left"].numpy().tolist() == [1, 0, 0, 0]
    assert later["last_phrase"].numpy().tolist() == [0, 0, 0, 0]
