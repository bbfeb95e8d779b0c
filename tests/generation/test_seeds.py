import numpy as np
import tensorflow as tf

from tfmusic.generation import samplers, seeds

# A seed and a place in its batch, for each row.
ROWS = [(3, 0), (3, 2), (-4, 0), (2**40, 1)]


def rows_and_batches(number=9):
    seed, place = (tf.constant(column) for column in zip(*ROWS, strict=True))
    rows = seeds.numbered(seeds.rows(tf.cast(seed, tf.int64), place), number)
    return rows, [
        (seeds.numbered(tf.constant(seed, tf.int64), number), place)
        for seed, place in ROWS
    ]


def test_a_row_with_its_own_seed_gets_what_it_gets_in_a_batch_of_that_seed():
    logits = tf.random.stateless_normal([len(ROWS), 13], [1, 2])
    rows, batches = rows_and_batches()
    drawn = samplers.categorical(logits, rows)
    noise = samplers.logistic(tf.constant([len(ROWS), 5, 2]), rows)
    for i, (seed, place) in enumerate(batches):
        batch = tf.repeat(logits[i : i + 1], place + 2, axis=0)
        assert drawn[i] == samplers.categorical(batch, seed)[place]
        expected = samplers.logistic(tf.constant([place + 2, 5, 2]), seed)[place]
        np.testing.assert_array_equal(noise[i], expected)
    assert len(np.unique(noise[:, 0, 0])) == len(ROWS)


def test_seeds_of_rows_split_as_those_of_batches_do():
    rows, batches = rows_and_batches()
    parts = seeds.split_seed(rows, 3)
    for i, (seed, place) in enumerate(batches):
        for part, whole in zip(parts, seeds.split_seed(seed, 3), strict=True):
            np.testing.assert_array_equal(part[i], [*whole.numpy(), place])
    np.testing.assert_array_equal(seeds.unnumbered(rows), ROWS)
    assert seeds.unnumbered(batches[0][0]) == ROWS[0][0]
