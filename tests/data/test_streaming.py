"""Splits that do not fit in memory give what they would give in memory, in groups."""

import collections
import itertools

import numpy as np
import pytest
import tensorflow as tf

from tests.data.builders import write_dataset
from tfmusic.data.dataset import Dataset
from tfmusic.data.dataset_info import DatasetInfo
from tfmusic.data.groups import make_groups
from tfmusic.data.settings import DataSettings
from tfmusic.data.shards import Shards
from tfmusic.data.windows import Windows

# Two pieces a file, 11 bytes a step: a quarter of 1 MiB holds three files, and the last
# one is a group by itself.
NUM_SHARDS = 13
LENGTHS = {
    "train": [2900 + 37 * (i * 7 % 26) for i in range(2 * NUM_SHARDS)],
    "validation": [1200 + 90 * (i * 5 % 13) for i in range(2 * NUM_SHARDS)],
}
GROUP_SIZES = [3, 3, 3, 3, 1]
STREAMED, IN_MEMORY = 1, 1024


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    path = tmp_path_factory.mktemp("dataset")
    write_dataset(path, LENGTHS, num_shards=NUM_SHARDS)
    return str(path)


def places(features, seed):
    """Which piece a window is of, its steps, and all else that a batch could hold."""
    bits = tf.cast(features["roll"][:, 16:32, 0], tf.int32)
    # Steps outside of the piece have no bits.
    piece = tf.reduce_max(tf.linalg.matvec(bits, 2 ** tf.range(16)))
    return piece, features["step"], (features["num_steps"], features["roll"], seed)


def make_windows(consecutive=False, **settings):
    settings = DataSettings(window_steps=64, **settings)
    return Windows(settings, consecutive=consecutive)


def train(data_dir, memory=STREAMED, batch_size=16, consecutive=False, **others):
    settings = {"windows": make_windows(consecutive), "example_fn": places, "seed": 3}
    dataset = Dataset.open(data_dir, memory)
    return dataset.train(**settings, batch_size=batch_size, **others)


def num_batches(data_dir, batch_size=16, consecutive=False):
    dataset = Dataset.open(data_dir, STREAMED)
    return dataset.num_train_batches(make_windows(consecutive), batch_size)


def learned_steps(piece, step, num_steps):
    """The places that a window teaches, with the end of the piece."""
    return [(piece, s) for s in step[1:] if s <= num_steps]


def all_steps():
    return {
        (piece, step)
        for piece, length in enumerate(LENGTHS["train"])
        for step in range(length + 1)
    }


def single_windows(data_dir, **settings):
    """Endless (piece, steps, length) one by one, so that a pass ends at a batch's."""
    batches = train(data_dir, batch_size=1, **settings).as_numpy_iterator()
    for (piece,), (step,), ((num_steps,), _, _) in batches:
        yield piece, step, num_steps


def shards_in_order(pieces):
    return [shard for shard, _ in itertools.groupby(piece // 2 for piece in pieces)]


def assert_same_batches(ours, theirs):
    for one, other in zip(ours, theirs, strict=True):
        tf.nest.map_structure(np.testing.assert_array_equal, one, other)


def test_a_split_beyond_a_quarter_of_the_memory_is_in_groups_that_fit(data_dir):
    shards = Shards(data_dir, DatasetInfo.load(data_dir), "train")
    groups = make_groups(shards, STREAMED)
    assert groups.num_groups == len(GROUP_SIZES)
    seed = [1, 2]
    for first in (0, len(GROUP_SIZES)):  # of two passes
        members = [
            groups.shards(tf.constant(first + i, tf.int64), seed).numpy()
            for i in range(len(GROUP_SIZES))
        ]
        assert [len(group) for group in members] == GROUP_SIZES
        assert sorted(np.concatenate(members)) == list(range(NUM_SHARDS))
        for group in members:
            assert groups.shard_bytes[group].sum() <= 2**20 // 4
    assert groups.shard_bytes.sum() == 11 * sum(LENGTHS["train"])
    assert groups.hold() is None
    assert make_groups(shards, IN_MEMORY).num_groups == 1


def test_each_pass_learns_every_step_group_by_group_in_another_order(data_dir):
    per_pass = num_batches(data_dir, batch_size=1)
    stream = single_windows(data_dir)
    orders, windows = [], []
    for _ in range(3):
        part = list(itertools.islice(stream, per_pass))
        learned = set()
        for window in part:
            learned.update(learned_steps(*window))
        assert learned == all_steps()
        windows.append([(piece, step[0]) for piece, step, _ in part])
        # A group's windows are mixed, those of two groups are not.
        seen = list(dict.fromkeys(shards_in_order(piece for piece, _, _ in part)))
        last = {piece // 2: i for i, (piece, _, _) in enumerate(part)}
        first = {piece // 2: i for i, (piece, _, _) in reversed([*enumerate(part)])}
        ends = np.cumsum(GROUP_SIZES)
        groups = [seen[end - n : end] for end, n in zip(ends, GROUP_SIZES, strict=True)]
        for one, following in itertools.pairwise(groups):
            assert max(last[s] for s in one) < min(first[s] for s in following)
            assert max(first[s] for s in one) < min(last[s] for s in one)
        orders.append([frozenset(group) for group in groups])
    assert orders[0] != orders[1] != orders[2] != orders[0]
    assert sorted(windows[0]) != sorted(windows[1])  # at another phase


@pytest.mark.parametrize("consecutive", [False, True])
@pytest.mark.parametrize("group", [2, 4, 7], ids=["third", "last", "of_second_pass"])
def test_a_run_that_begins_within_a_group_sees_what_it_would_have_seen(
    data_dir, group, consecutive
):
    # Groups have about as many windows as pieces.
    passes, within = divmod(group, len(GROUP_SIZES))
    shards = sum(GROUP_SIZES[:within]) + GROUP_SIZES[within] / 2
    per_pass = num_batches(data_dir, consecutive=consecutive)
    skip = int((passes + shards / NUM_SHARDS) * per_pass)
    whole = train(data_dir, consecutive=consecutive)
    wanted = whole.skip(skip).take(per_pass // 2).as_numpy_iterator()
    resumed = train(data_dir, consecutive=consecutive, skip_batches=skip)
    assert_same_batches(wanted, resumed.take(per_pass // 2).as_numpy_iterator())


def test_consecutive_windows_follow_each_other_within_each_group(data_dir):
    per_pass = num_batches(data_dir, consecutive=True)
    stream = train(data_dir, consecutive=True).as_numpy_iterator()
    orders = []
    for _ in range(2):
        learned, ends = collections.Counter(), {}
        shards, starts = [], []
        for pieces, steps, (num_steps, _, _) in itertools.islice(stream, per_pass):
            for row, (piece, step) in enumerate(zip(pieces, steps, strict=True)):
                if step[0] > num_steps[row]:
                    continue  # nothing: the row is through with its group
                if step[0] == -1:
                    starts.append(int(piece))
                else:
                    assert step[0] == ends[row][1]
                    # The window of the end alone is silent, of no piece that is seen.
                    assert piece == ends[row][0] or step[1] == num_steps[row]
                    piece = ends[row][0]
                learned.update(learned_steps(piece, step, num_steps[row]))
                ends[row] = piece, step[-1]
                shards.append(piece // 2)
        assert learned == collections.Counter(all_steps())
        orders.append(starts)
        # Groups are those of the files' order.
        group_of = np.repeat(np.arange(len(GROUP_SIZES)), GROUP_SIZES)
        np.testing.assert_array_equal(np.diff(group_of[shards]) >= 0, True)
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(2 * NUM_SHARDS))


@pytest.mark.parametrize("consecutive", [False, True])
def test_rows_of_several_workers_make_the_batch_of_one(data_dir, consecutive):
    per_pass = num_batches(data_dir, consecutive=consecutive)
    settings = {"consecutive": consecutive, "skip_batches": per_pass // 3}
    count = per_pass // 2
    alone = train(data_dir, **settings).take(count).as_numpy_iterator()
    workers = [
        train(data_dir, worker=i, num_workers=2, **settings)
        .take(count)
        .as_numpy_iterator()
        for i in range(2)
    ]
    together = (
        tf.nest.map_structure(lambda *rows: np.concatenate(rows), *parts)
        for parts in zip(*workers, strict=True)
    )
    assert_same_batches(alone, together)


def test_workers_that_share_files_out_stream_each_their_own(data_dir):
    pieces = []
    for worker in range(2):
        stream = train(
            data_dir, worker=worker, num_workers=2, shard_files=True, batch_size=2
        ).as_numpy_iterator()
        per_pass = num_batches(data_dir, batch_size=1)
        found = (batch[0][0] for batch in itertools.islice(stream, per_pass))
        pieces.append({int(piece) // 2 for piece in found})
    assert pieces == [set(range(0, NUM_SHARDS, 2)), set(range(1, NUM_SHARDS, 2))]


@pytest.mark.parametrize("split", ["train", "validation"])
def test_evaluation_gives_the_same_batches_streamed_as_in_memory(data_dir, split):
    streamed, held = (
        Dataset.open(data_dir, memory).evaluation(
            split, make_windows(), places, batch_size=24
        )
        for memory in (STREAMED, IN_MEMORY)
    )
    batches = list(held.as_numpy_iterator())
    assert_same_batches(streamed.as_numpy_iterator(), batches)
    count = Dataset.open(data_dir, STREAMED).num_evaluation_batches
    assert count(split, make_windows(), 24) == len(batches)


def test_a_file_that_is_too_large_is_a_group_by_itself_and_named(tmp_path, caplog):
    lengths = {"train": [40_000, 12_000]}  # 430 KiB and 129 KiB
    info = write_dataset(tmp_path, lengths, num_shards=2)
    with caplog.at_level("WARNING", logger="absl"):
        groups = make_groups(Shards(str(tmp_path), info, "train"), STREAMED)
    assert (groups.num_groups, groups.size) == (2, 1)
    assert f"{tmp_path}/train-0 takes" in caplog.text
    assert "memory_megabytes (1); raise that" in caplog.text
    assert "--num_shards=4" in caplog.text
