import collections
import itertools

import numpy as np
import pytest
import tensorflow as tf

from tests.data.builders import roll_piece, write_dataset
from tfmusic.data.dataset import Dataset
from tfmusic.data.settings import DataSettings
from tfmusic.data.windows import Windows
from tfmusic.errors import UserError
from tfmusic.representations import make_representation

LENGTHS = {"train": [5, 40, 8, 23, 1, 9], "validation": [3, 30, 16], "test": [12]}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    path = tmp_path_factory.mktemp("dataset")
    write_dataset(path, LENGTHS)
    return str(path)


def everything(features, seed):
    """The window itself as the example, with its seed."""
    return features["roll"], features["step"], (features["num_steps"], seed)


def number(bits):
    return int(np.dot(bits, 2 ** np.arange(len(bits))))


def check_window(roll, step, num_steps, lengths):
    """Checks a window against a plain reading of its piece; gives the piece."""
    inside = (step >= 0) & (step < num_steps)
    pieces = {number(row[16:32, 0]) for row in roll[inside]}
    assert len(pieces) <= 1, "a window crosses from one piece into another"
    np.testing.assert_array_equal(np.diff(step), 1)
    for row, s, within in zip(roll, step, inside, strict=True):
        if within:
            assert number(row[:16, 0]) == s
            assert row[87, 0]
        else:
            assert not row.any()
    if not pieces:
        return None
    (piece,) = pieces
    assert lengths[piece] == num_steps
    return piece


def make_windows(window_steps=8, include_end=True, consecutive=False, **settings):
    settings = DataSettings(window_steps=window_steps, **settings)
    return Windows(settings, include_end, consecutive)


def windows(dataset):
    for rolls, steps, (num_steps, _) in dataset.as_numpy_iterator():
        yield from zip(rolls, steps, num_steps, strict=True)


def train(data_dir, example_fn=everything, batch_size=4, seed=7, **settings):
    names = ("skip_batches", "worker", "num_workers", "shard_files")
    others = {name: settings.pop(name) for name in names if name in settings}
    return Dataset.open(data_dir, settings.pop("memory_megabytes", 1024)).train(
        make_windows(**settings),
        example_fn,
        batch_size=batch_size,
        seed=seed,
        **others,
    )


def num_train_batches(data_dir, batch_size, **settings):
    return Dataset.open(data_dir).num_train_batches(
        make_windows(**settings), batch_size
    )


@pytest.mark.parametrize("window_steps", [1, 4, 8, 16, 100])
@pytest.mark.parametrize("include_end", [False, True])
@pytest.mark.parametrize("split", ["validation", "test"])
def test_eval_learns_each_step_exactly_once(data_dir, window_steps, include_end, split):
    dataset = Dataset.open(data_dir).evaluation(
        split, make_windows(window_steps, include_end), everything, batch_size=3
    )
    targets = collections.Counter()
    order = []
    for roll, step, num_steps in windows(dataset):
        assert len(step) == window_steps + 1
        piece = check_window(roll, step, num_steps, LENGTHS[split])
        if piece is None:  # only the end of the piece before is left to learn
            assert step[1] == num_steps
            piece = order[-1]
        order.append(piece)
        targets.update((piece, s) for s in step[1:] if s < num_steps + include_end)
    assert order == sorted(order)
    assert targets == collections.Counter(
        (piece, step)
        for piece, length in enumerate(LENGTHS[split])
        for step in range(length + include_end)
    )


@pytest.mark.parametrize(
    ("window_steps", "stride"),
    [(8, 0), (8, 3), (8, 1), (64, 64), (8, 6), (12, 4)],
)
@pytest.mark.parametrize("include_end", [False, True])
def test_every_pass_of_training_learns_every_step(
    data_dir, window_steps, stride, include_end
):
    settings = dict(
        batch_size=1,
        window_steps=window_steps,
        window_stride=stride,
        include_end=include_end,
    )
    per_pass = num_train_batches(data_dir, **settings)
    stream = windows(train(data_dir, **settings))
    for _ in range(3):
        targets = set()
        for roll, step, num_steps in itertools.islice(stream, per_pass):
            piece = check_window(roll, step, num_steps, LENGTHS["train"])
            assert step[0] >= -1
            # Only pieces shorter than a window are padded.
            assert step[-1] < num_steps + include_end or step[0] == -1
            targets.update((piece, s) for s in step[1:] if s < num_steps + include_end)
        assert targets == {
            (piece, step)
            for piece, length in enumerate(LENGTHS["train"])
            for step in range(length + include_end)
        }


def test_stride_one_gives_every_window_once(data_dir):
    per_pass = sum(max(length - 8, 0) + 1 for length in LENGTHS["train"])
    dataset = train(data_dir, batch_size=1, window_stride=1, include_end=False)
    seen = [
        (check_window(*window, LENGTHS["train"]), window[1][0])
        for window in itertools.islice(windows(dataset), per_pass)
    ]
    assert len(set(seen)) == per_pass


def test_passes_differ_in_order_and_phase(data_dir):
    per_pass = num_train_batches(data_dir, batch_size=1)
    stream = (tuple(step) for _, step, _ in windows(train(data_dir, batch_size=1)))
    first = list(itertools.islice(stream, per_pass))
    second = list(itertools.islice(stream, per_pass))
    assert first != second
    assert sorted(first) != sorted(second)


def batches(dataset, count):
    return [tf.nest.flatten(batch) for batch in dataset.take(count).as_numpy_iterator()]


@pytest.mark.parametrize("skip", [1, 4, 7, 60])
def test_training_stream_is_the_same_wherever_it_begins(data_dir, skip):
    whole = batches(train(data_dir), skip + 5)
    resumed = batches(train(data_dir, skip_batches=skip), 5)
    for expected, found in zip(whole[skip:], resumed, strict=True):
        for a, b in zip(expected, found, strict=True):
            np.testing.assert_array_equal(a, b)


def test_workers_that_share_files_out_read_each_piece_on_one_of_them(data_dir):
    settings = dict(batch_size=8, window_steps=6, window_stride=3, seed=1)
    settings |= dict(num_workers=2, shard_files=True)
    read = []
    for worker in range(2):
        stream = train(data_dir, worker=worker, **settings).take(40)
        batches = list(stream.as_numpy_iterator())
        assert all(len(rolls) == 4 for rolls, _, _ in batches)
        pieces = {check_window(*window, LENGTHS["train"]) for window in windows(stream)}
        read.append(pieces - {None})
        later = train(data_dir, worker=worker, skip_batches=17, **settings)
        for ours, theirs in zip(batches[17:], later.as_numpy_iterator(), strict=False):
            tf.nest.map_structure(np.testing.assert_array_equal, ours, theirs)
    assert read == [{0, 1, 2}, {3, 4, 5}]  # as the files hold them


@pytest.mark.parametrize(
    "lengths, num_workers, message",
    [
        ([5, 9], 3, r"has 2 file.*each of 3 workers.*num_shards=3"),
        ([5], 2, r"at least one with pieces for each of 2 workers.*num_shards=2"),
    ],
)
def test_a_worker_without_music_is_a_users_error(
    lengths, num_workers, message, tmp_path
):
    write_dataset(tmp_path, {"train": lengths})  # two files
    with pytest.raises(UserError, match=message):
        train(str(tmp_path), batch_size=6, num_workers=num_workers, shard_files=True)


def test_training_stream_depends_on_the_seed(data_dir):
    (one,), (other,) = batches(train(data_dir), 1), batches(train(data_dir, seed=8), 1)
    assert any((a != b).any() for a, b in zip(one, other, strict=True))


def test_every_window_gets_its_own_seed(data_dir):
    dataset = train(data_dir).take(50)
    seeds = [
        tuple(seed)
        for _, _, (_, batch) in dataset.as_numpy_iterator()
        for seed in batch
    ]
    assert len(set(seeds)) == 200


def test_random_example_fn_is_reproducible(data_dir):
    def noise(features, seed):
        return tf.random.stateless_uniform([3], seed), features["step"]

    def run(skip):
        dataset = train(data_dir, noise, skip_batches=skip)
        return next(dataset.skip(2 - skip).as_numpy_iterator())[0]

    values = run(0)
    assert len(np.unique(values)) == values.size
    np.testing.assert_array_equal(values, run(2))


def test_shapes_are_known_in_training(data_dir):
    spec = train(data_dir).element_spec
    assert spec[0].shape.as_list() == [4, 9, 88, 1]
    assert spec[1].shape.as_list() == [4, 9]


def test_pieces_come_whole_and_in_order(data_dir):
    pieces = list(Dataset.open(data_dir).pieces("train").as_numpy_iterator())
    assert [piece["num_steps"] for piece in pieces] == LENGTHS["train"]
    assert pieces[1]["roll"].shape == (40, 88, 1)
    assert pieces[1]["id"] == b"train-piece-1"


def test_empty_split_is_a_users_error(tmp_path):
    write_dataset(tmp_path, {"train": [20]})
    dataset = Dataset.open(str(tmp_path))
    message = "the test split has no pieces.*--test_fraction"
    with pytest.raises(UserError, match=message):
        dataset.evaluation("test", make_windows(), everything, batch_size=1)
    assert not list(dataset.pieces("test"))


def test_unknown_split_names_the_closest_one(data_dir):
    with pytest.raises(UserError, match="did you mean 'validation'"):
        Dataset.open(data_dir).pieces("validate")


def test_missing_shard_is_a_users_error(tmp_path):
    write_dataset(tmp_path, {"train": [20, 20]})
    (tmp_path / "train-1").unlink()
    with pytest.raises(UserError, match="train-1 is missing"):
        Dataset.open(str(tmp_path)).pieces("train")


@pytest.mark.parametrize("batch_size", [1, 4, 9])
@pytest.mark.parametrize("include_end", [False, True])
def test_consecutive_rows_read_each_piece_once_from_its_beginning(
    data_dir, batch_size, include_end
):
    settings = dict(batch_size=batch_size, include_end=include_end, consecutive=True)
    dataset = train(data_dir, **settings)
    num_batches = num_train_batches(data_dir, **settings)
    orders = []
    for number_of_pass in range(2):
        part = dataset.skip(number_of_pass * num_batches).take(num_batches)
        learned, last, ends = collections.Counter(), [None] * batch_size, None
        for rolls, steps, (num_steps, _) in part.as_numpy_iterator():
            for row, (roll, step) in enumerate(zip(rolls, steps, strict=True)):
                piece = check_window(roll, step, num_steps[row], LENGTHS["train"])
                if step[0] > num_steps[row]:
                    continue  # nothing: the row is through
                if step[0] == -1:
                    last[row] = piece
                else:
                    assert last[row] is not None
                    assert step[0] == ends[row]
                    assert piece in (last[row], None)
                learned.update(
                    (last[row], s) for s in step[1:] if s < num_steps[row] + include_end
                )
            ends = steps[:, -1]
        assert learned == collections.Counter(
            (piece, step)
            for piece, length in enumerate(LENGTHS["train"])
            for step in range(length + include_end)
        )
        orders.append([steps.tolist() for _, steps, _ in part.as_numpy_iterator()])
    if batch_size == 1:
        assert orders[0] != orders[1]


def test_consecutive_rows_begin_anywhere_and_stay_balanced(data_dir):
    whole = list(windows(train(data_dir, consecutive=True).take(9)))
    later = list(windows(train(data_dir, consecutive=True, skip_batches=5).take(4)))
    for ours, theirs in zip(whole[20:], later, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(a, b)
    # 6 + 2 windows, 4 + 2 + 1 + 1
    assert num_train_batches(data_dir, batch_size=2, consecutive=True) == 8


def test_consecutive_windows_neither_overlap_nor_vary(data_dir):
    with pytest.raises(UserError, match="window_stride is 4: expected .*8"):
        train(data_dir, consecutive=True, window_stride=4)
    with pytest.raises(UserError, match="carry_state.* data.transpose_semitones"):
        train(data_dir, consecutive=True, transpose_semitones=2)


def test_a_users_error_of_an_example_fn_comes_through_as_it_is(data_dir):
    def refuse(features, seed):
        raise UserError("data.window_steps: expected another")

    with pytest.raises(UserError, match="^data.window_steps: expected another$"):
        train(data_dir, refuse)


METRIC = make_representation({"name": "binary_roll", "onsets": False, "metre": True})


def metric_piece(num_steps, piece):
    """Bars of six steps; the third piece begins with two that end a bar."""
    position = (np.arange(num_steps) - 2 * (piece == 2)) % 6
    bars = {"bar_position": position, "bar_length": np.full(num_steps, 6)}
    bars = {name: array.astype(np.int16) for name, array in bars.items()}
    return {**roll_piece(num_steps, piece), **bars}


def test_windows_that_are_drawn_begin_with_any_measure_of_any_piece(tmp_path):
    lengths = [30, 100, 26, 5]  # the last one has one window at most
    write_dataset(str(tmp_path), {"train": lengths}, METRIC, metric_piece)
    settings = dict(window_steps=12, window_stride=1, draw_measures=True)
    settings |= dict(include_end=False)
    stream = windows(train(str(tmp_path), batch_size=50, **settings))
    seen = collections.Counter()
    for roll, step, num_steps in itertools.islice(stream, 600):
        piece = check_window(roll, step, num_steps, lengths)
        assert piece == 3 or step[-1] < num_steps
        seen[piece, int(step[1])] += 1
    expected = {0: range(0, 19, 6), 1: range(0, 89, 6), 2: range(2, 15, 6), 3: [0]}
    assert set(seen) == {
        (p, start) for p, starts in expected.items() for start in starts
    }
    for piece in expected:  # each is as likely as any other, whatever its length
        assert 100 < sum(n for (p, _), n in seen.items() if p == piece) < 200
    whole = batches(train(str(tmp_path), **settings), 5)
    for expected, found in zip(
        whole[3:],
        batches(train(str(tmp_path), skip_batches=3, **settings), 2),
        strict=True,
    ):
        np.testing.assert_array_equal(expected[1], found[1])


def test_measures_that_nobody_knows_cannot_be_drawn(data_dir):
    with pytest.raises(UserError, match="draw_measures: binary_roll does not say"):
        train(data_dir, draw_measures=True)
    with pytest.raises(UserError, match="carry_state: .* set data.draw_measures to F"):
        make_windows(consecutive=True, draw_measures=True)
