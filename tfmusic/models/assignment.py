"""Optimal assignment of the members of two sets, many small sets at once; graph code.

The shortest augmenting paths of Jonker and Volgenant, "A Shortest Augmenting Path
Algorithm for Dense and Sparse Linear Assignment Problems", 1987, for all sets of a
batch in step: exact, in a time that grows with the cube of the sets' size and hardly
with their number.
"""

from collections.abc import Callable

import tensorflow as tf

# Above all sums of costs, and small enough to add to in float32.
_FAR = 1e9


def optimal_assignment(costs: tf.Tensor) -> tf.Tensor:
    """Pairs rows with columns so that the sum of the costs of the pairs is the least.

    Args:
        costs: float32 `[batch, size, size]`, finite, well below 1e9; size is static.

    Returns:
        int32 `[batch, size]`, the column of each row. No gradient goes through it.
    """
    costs = tf.stop_gradient(costs)
    size = costs.shape[-1]
    # Column `size` is where each path begins; row `size` stands for none.
    costs = tf.pad(costs, [[0, 0], [0, 1], [0, 1]])
    prices = tf.zeros_like(costs[:, 0])
    row_of_column = tf.zeros_like(prices, tf.int32) + size

    def add_row(row, row_of_column, row_prices, column_prices):
        columns = tf.zeros_like(row_of_column[:, 0])
        first = _put(row_of_column, columns + size, columns + row)
        column, came_from, row_prices, column_prices = _shortest_path(
            costs, first, row_prices, column_prices
        )
        return row + 1, _flip(first, column, came_from), row_prices, column_prices

    _, row_of_column, _, _ = tf.while_loop(
        lambda row, *_: row < size,
        add_row,
        [0, row_of_column, prices, prices],
    )
    return tf.argsort(row_of_column[:, :size], axis=-1)


def _shortest_path(costs, row_of_column, row_prices, column_prices):
    """From the starting column of each set to a free one.

    Returns:
        The free column, int32 `[batch]`; from which column each was reached, int32
        `[batch, size + 1]`; and the new prices.
    """
    size = costs.shape[-1] - 1
    is_column = tf.range(size + 1) < size

    def go_on(column, *_):
        return tf.reduce_any(tf.gather(row_of_column, column, batch_dims=1) < size)

    def step(column, visited, distances, came_from, row_prices, column_prices):
        row = tf.gather(row_of_column, column, batch_dims=1)
        active = row < size  # the others have arrived
        visited |= _one_hot(column, size + 1) & active[:, None]
        open_columns = ~visited & is_column
        reduced = (
            tf.gather(costs, row, batch_dims=1)
            - tf.gather(row_prices, row, batch_dims=1)[:, None]
            - column_prices
        )
        closer = open_columns & (reduced < distances) & active[:, None]
        distances = tf.where(closer, reduced, distances)
        came_from = tf.where(closer, column[:, None], came_from)
        ahead = tf.where(open_columns, distances, 2 * _FAR)
        nearest = tf.argmin(ahead, axis=-1, output_type=tf.int32)
        delta = tf.where(active, tf.reduce_min(ahead, axis=-1), 0.0)[:, None]
        # Prices rise along the rows that the path has seen.
        seen = tf.where(visited, row_of_column, -1)[:, :, None]
        seen_rows = tf.reduce_any(seen == tf.range(size + 1), axis=1)
        row_prices += tf.where(seen_rows, delta, 0.0)
        column_prices -= tf.where(visited, delta, 0.0)
        distances -= tf.where(visited, 0.0, delta)
        column = tf.where(active, nearest, column)
        return column, visited, distances, came_from, row_prices, column_prices

    column, _, _, came_from, row_prices, column_prices = tf.while_loop(
        go_on,
        step,
        [
            tf.zeros_like(row_of_column[:, 0]) + size,
            tf.zeros_like(row_of_column, tf.bool),
            tf.zeros_like(row_prices) + _FAR,
            tf.zeros_like(row_of_column),
            row_prices,
            column_prices,
        ],
    )
    return column, came_from, row_prices, column_prices


def _flip(row_of_column, column, came_from):
    """Moves the rows along each path one column on, back to its beginning."""
    size = row_of_column.shape[-1] - 1

    def step(column, row_of_column):
        before = tf.gather(came_from, column, batch_dims=1)
        row = tf.gather(row_of_column, before, batch_dims=1)
        active = column < size
        moved = _put(row_of_column, column, row)
        row_of_column = tf.where(active[:, None], moved, row_of_column)
        return tf.where(active, before, column), row_of_column

    _, row_of_column = tf.while_loop(
        lambda column, _: tf.reduce_any(column < size), step, [column, row_of_column]
    )
    return row_of_column


def _put(values, column, value):
    """Values with another one in a column of each row."""
    return tf.where(_one_hot(column, values.shape[-1]), value[:, None], values)


def _one_hot(column, size):
    return column[:, None] == tf.range(size)


def assign_events(
    slots: tf.Tensor,
    vectors: tf.Tensor,
    outputs: tf.Tensor,
    num_events: tf.Tensor,
    max_size: int,
    costs_of: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
) -> tf.Tensor:
    """The events of sets in the order in which their slots are to give them.

    Args:
        slots: Set and rank of each event that there is, int32 `[rows, 2]`.
        vectors: The events, float32 `[rows, size]`.
        outputs: What the network says of the event in each slot, likewise.
        num_events: int32 `[sets]`.
        max_size: Slots of a set.
        costs_of: What it costs to give outputs for events, each `[..., size]`.

    Returns:
        The events that go together with the outputs, float32 `[rows, size]`.
    """
    size = vectors.shape[-1]
    shape = [tf.shape(num_events)[0], max_size, size]
    dense = tf.scatter_nd(slots, vectors, shape)  # [sets, event, size]
    said = tf.scatter_nd(slots, tf.stop_gradient(outputs), shape)
    pairs = [shape[0], max_size, max_size, size]  # [sets, slot, event, size]
    costs = costs_of(
        tf.broadcast_to(dense[:, None], pairs), tf.broadcast_to(said[:, :, None], pairs)
    )
    used = tf.range(max_size) < num_events[:, None]
    # Slots that are not used take the places that are left.
    both = used[:, :, None] & used[:, None]
    either = used[:, :, None] | used[:, None]
    costs = tf.where(both, tf.minimum(costs, 1e3), tf.where(either, 1e5, 0.0))
    events = tf.gather_nd(optimal_assignment(costs), slots)
    return tf.gather_nd(dense, tf.stack([slots[:, 0], events], axis=-1))
