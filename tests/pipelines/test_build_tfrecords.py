import collections
import json
import os
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from tests.notes import midi_files as m
from tests.pipelines.conftest import make_piece
from tfmusic.data.dataset import Dataset
from tfmusic.data.dataset_info import SPLITS, DatasetInfo
from tfmusic.errors import UserError
from tfmusic.notes.reading import Limits
from tfmusic.notes.transforms import transpose
from tfmusic.notes.writing import to_midi_bytes
from tfmusic.pipelines.building import write_datasets
from tfmusic.representations import make_representation

DROPPED = {"short.mid": "too_short", "junk.mid": None, "empty.mid": "empty"}


def write(config, music, directory, **settings):
    configs = [config] if isinstance(config, str) else config
    write_datasets(configs, str(music), str(directory), **settings)
    return DatasetInfo.load(str(directory)) if len(configs) == 1 else None


def pieces(directory):
    """Name and features of all pieces by split."""
    return {
        split: {
            piece["id"].decode(): piece
            for piece in Dataset.open(str(directory)).pieces(split).as_numpy_iterator()
        }
        for split in SPLITS
    }


def contents(directory):
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir())}


@pytest.fixture(scope="module")
def both(config, music, tmp_path_factory):
    """Two datasets of one reading."""
    directory = tmp_path_factory.mktemp("both") / "datasets"
    write([config, config + ":tokens_in_c"], music, directory, num_shards=2)
    return directory


def test_good_files_become_pieces_and_the_others_say_why_not(both):
    for name in ("roll", "tokens"):
        info = DatasetInfo.load(str(both / name))
        found = pieces(both / name)
        names = [piece for split in found.values() for piece in split]
        assert sorted(names) == sorted(f"book{i % 2}/piece{i}.mid" for i in range(12))
        lines = (both / name / "dropped.jsonl").read_text().splitlines()
        drops = [json.loads(line) for line in lines]
        assert [drop["name"] for drop in drops] == [
            "empty.mid",
            "junk.mid",
            "short.mid",
            "silent.mid",
        ]
        assert {drop["stage"] for drop in drops} == {"read", "encode"}
        for drop in drops:
            assert drop["detail"]
            assert drop["reason"] == (DROPPED.get(drop["name"]) or drop["reason"])
        reasons = collections.Counter(drop["reason"] for drop in drops)
        assert info.dropped == dict(reasons)


def test_what_was_repaired_in_reading_is_counted_and_shown(config, tmp_path, capsys):
    music = tmp_path / "music"
    music.mkdir()
    for i in range(4):
        data = bytearray(to_midi_bytes(make_piece(i)))
        if i:  # two tracks: the conductor's and that of the notes
            data[11] = 1
        (music / f"{i}.mid").write_bytes(data)
    keys = [(0, m.on(60)), (240, m.on(62))] * 8
    (music / "held.mid").write_bytes(m.midi_file(m.track(*keys)))
    for name in ("", ":tokens"):  # whose vocabulary wants another reading
        info = write(config + name, music, tmp_path / f"data{name}", test_fraction=0)
        assert info.repairs == {
            "files with a wrong number of tracks": 3,
            "notes without an end": 16,
        }
    shown = capsys.readouterr().out
    assert "\nchanged in reading\n" in shown
    assert "  3 files with a wrong number of tracks\n" in shown


def test_description_counts_what_is_there(both):
    info = DatasetInfo.load(str(both / "roll"))
    for split, found in pieces(both / "roll").items():
        described = info.splits[split]
        steps = [int(piece["num_steps"]) for piece in found.values()]
        assert described["piece_steps"] == steps
        assert described["num_steps"] == sum(steps)
        assert described["num_pieces"] == len(steps) > 0
        assert described["num_notes"] == 16 * len(steps)
        assert described["seconds"] == pytest.approx(4 * len(steps))
    assert len(info.splits["train"]["shards"]) == 2
    assert (both / "roll" / info.splits["train"]["shards"][0]).exists()
    assert sorted(os.listdir(both)) == ["roll", "tokens"]


def test_records_decode_to_the_music_that_was_read(both):
    info = DatasetInfo.load(str(both / "roll"))
    representation = info.make_representation()
    piece = Dataset.open(str(both / "roll")).piece("train", 0)
    number = int(piece["id"].split("piece")[1].split(".")[0])
    expected = representation.canonicalize(make_piece(number))
    assert representation.decode({"roll": piece["roll"]}) == expected


def test_vocabulary_is_fitted_on_the_training_pieces_alone(both):
    info = DatasetInfo.load(str(both / "tokens"))
    fitted = info.make_representation()
    assert (
        info.representation
        != make_representation(
            {"name": "chord_frames", "steps_per_quarter": 2}
        ).to_config()
    )
    used = {
        token
        for piece in pieces(both / "tokens")["train"].values()
        for token in piece["tokens"]
    }
    # All but the special tokens and silence occur in training.
    assert len(fitted.vocabulary) - len(used) <= 4


def test_preparation_moves_pieces_to_c(both, config, music, tmp_path):
    write(config + ":tokens", music, tmp_path / "original")
    moved, original = (
        DatasetInfo.load(str(path)) for path in (both / "tokens", tmp_path / "original")
    )
    assert moved.preparation == {"key": "C", "min_steps": 4}
    assert moved.fingerprint != original.fingerprint


def test_second_call_reuses_what_is_there(config, music, tmp_path, caplog):
    # What a job leaves that was killed.
    (tmp_path / "data.partial").mkdir()
    (tmp_path / "data.partial" / "train-00000-of-00009.tfrecord").write_bytes(b"x")
    write(config, music, tmp_path / "data")
    before = contents(tmp_path / "data")
    times = {path: os.stat(path).st_mtime_ns for path in (tmp_path / "data").iterdir()}
    with caplog.at_level("INFO", logger="absl"):
        write(config, music, tmp_path / "data")
    assert "is complete already" in caplog.text
    assert times == {path: os.stat(path).st_mtime_ns for path in times}
    # Written anew it is the same, byte for byte.
    write(config, music, tmp_path / "data", overwrite=True)
    assert contents(tmp_path / "data") == before
    assert os.listdir(tmp_path) == ["data"]


def test_other_settings_or_source_are_refused(config, music, tmp_path):
    write(config, music / "book0", tmp_path)
    for settings, message in [
        ((config + ":fine", music / "book0"), "steps_per_quarter was 4, is now 8"),
        ((config, music / "book1"), "source was .*book0.*--overwrite"),
    ]:
        with pytest.raises(UserError, match=message):
            write(*settings, tmp_path)
    with pytest.raises(UserError, match="split fractions was"):
        write(config, music / "book0", tmp_path, test_fraction=0.3)
    message = "limit_notes was 1000000, is now 9; num_shards was 0, is now 3; .*--over"
    with pytest.raises(UserError, match=message):
        limits = Limits(max_notes=9)
        write(config, music / "book0", tmp_path, limits=limits, num_shards=3)
    with pytest.raises(UserError, match="compression was '', is now 'gzip'"):
        write(config, music / "book0", tmp_path, compression="gzip")
    info = write(config + ":fine", music / "book0", tmp_path, overwrite=True)
    assert info.representation["steps_per_quarter"] == 8


def test_dataset_that_says_nothing_of_its_job_was_written_by_default(
    config, both, tmp_path
):
    shutil.copytree(both / "roll", tmp_path / "data")
    path = tmp_path / "data" / "dataset_info.json"
    fields = json.loads(path.read_text())
    assert fields.pop("job_settings")["num_shards"] == 2
    del fields["checksum"]  # as older datasets have none
    path.write_text(json.dumps(fields))
    info = DatasetInfo.load(str(tmp_path / "data"))
    write(config, info.source, tmp_path / "data")
    with pytest.raises(UserError, match="file_seconds was 30.0, is now 60"):
        write(config, info.source, tmp_path / "data", file_seconds=60)


def test_directory_with_other_files_is_left_alone(config, music, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match="expected a new or an empty directory"):
        write(config, music, tmp_path, overwrite=True)
    assert os.listdir(tmp_path) == ["thesis.txt"]


def test_file_in_place_of_the_directory_is_left_alone(config, music, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    for configs in (config, [config, config + ":tokens"]):
        with pytest.raises(UserError, match="thesis.txt: .* directory, found a file"):
            write(configs, music, tmp_path / "thesis.txt", overwrite=True)
        with pytest.raises(UserError, match="thesis.txt/data cannot be written"):
            write(configs, music, tmp_path / "thesis.txt" / "data")
    assert os.listdir(tmp_path) == ["thesis.txt"]


def test_copies_and_transpositions_are_in_one_split(config, tmp_path):
    (tmp_path / "music").mkdir()
    for i in range(12):
        for shift in (0, -2, 5):
            data = to_midi_bytes(transpose(make_piece(i), shift))
            (tmp_path / "music" / f"{i}_{shift}.mid").write_bytes(data)
    write(config, tmp_path / "music", tmp_path / "data", num_shards=1)
    homes = collections.defaultdict(set)
    for split, found in pieces(tmp_path / "data").items():
        for name in found:
            homes[name.split("_")[0]].add(split)
    assert len(homes) == 12
    assert all(len(splits) == 1 for splits in homes.values())
    assert set().union(*homes.values()) == set(SPLITS)


def test_archive_gives_the_same_pieces_as_its_folder(config, music, both, tmp_path):
    with zipfile.ZipFile(tmp_path / "music.zip", "w") as archive:
        for path in music.rglob("*.mid"):
            archive.write(path, path.relative_to(music))
    write(config, tmp_path / "music.zip", tmp_path / "data")
    expected = pieces(both / "roll")
    for split, found in pieces(tmp_path / "data").items():
        assert found.keys() == expected[split].keys()


def test_nothing_to_train_on_is_a_users_error_that_says_what_was_found(
    config, tmp_path
):
    (tmp_path / "music").mkdir()
    with pytest.raises(UserError, match="expected MIDI, MusicXML or ABC files, found"):
        write(config, tmp_path / "music", tmp_path / "data")
    (tmp_path / "music" / "bad.mid").write_bytes(b"")
    message = "found none: 1 files.*1 dropped \\(1 empty\\); bad.mid: "
    with pytest.raises(UserError, match=message):
        write(config, tmp_path / "music", tmp_path / "data")
    assert os.listdir(tmp_path) == ["music"]


def test_shards_are_of_equal_size_in_an_order_that_the_seed_decides(
    config, music, tmp_path
):
    orders = []
    for seed in (0, 0, 1):
        data = tmp_path / f"data{len(orders)}"
        info = write(config, music, data, num_shards=3, seed=seed, test_fraction=0)
        sizes = [
            (data / shard).stat().st_size for shard in info.splits["train"]["shards"]
        ]
        # No two differ by more than a piece.
        assert (
            max(sizes) - min(sizes)
            <= sum(sizes) / info.splits["train"]["num_pieces"] + 100
        )
        orders.append(list(pieces(data)["train"]))
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[0]) == sorted(orders[2])
    assert orders[0] != sorted(orders[0])


def test_compressed_records_are_read_as_others_are(config, music, both, tmp_path):
    info = write(config, music, tmp_path / "data", compression="gzip", num_shards=2)
    assert info.compression == "gzip"
    shard = tmp_path / "data" / info.splits["train"]["shards"][0]
    assert shard.read_bytes().startswith(b"\x1f\x8b")
    expected = pieces(both / "roll")
    for split, found in pieces(tmp_path / "data").items():
        for name, piece in found.items():
            np.testing.assert_array_equal(piece["roll"], expected[split][name]["roll"])
    with pytest.raises(UserError, match="did you mean 'gzip'"):
        write(config, music, tmp_path / "other", compression="gzipp")


def test_versions_hash_and_sizes_are_described(both, config, music, tmp_path):
    info = DatasetInfo.load(str(both / "roll"))
    assert {
        "tfmusic",
        "numpy",
        "tensorflow",
        "python",
    } <= info.versions.keys()
    assert info.num_files == 16
    shutil.copytree(music, tmp_path / "music")
    other = write(config, tmp_path / "music", tmp_path / "same")
    assert other.source_hash == info.source_hash
    (tmp_path / "music" / "junk.mid").write_bytes(b"other junk")
    other = write(config, tmp_path / "music", tmp_path / "other")
    assert other.source_hash != info.source_hash


def test_latents_are_not_made_from_music(music, tmp_path):
    with pytest.raises(UserError, match="latent_wgan .* -m pipelines.encode_latents$"):
        write("configs/latent_wgan.py", music, tmp_path / "data")
    assert os.listdir(tmp_path) == []


def test_impossible_requests_are_users_errors(config, music, tmp_path):
    with pytest.raises(UserError, match="leave something to train on"):
        write(config, music, tmp_path, test_fraction=1)
    with pytest.raises(UserError, match="the same experiment twice"):
        write([config, config], music, tmp_path)


def test_variants_of_one_experiment_have_directories_of_their_own(
    config, music, tmp_path
):
    write([config, config + ":fine"], music / "book0", tmp_path / "data")
    assert sorted(os.listdir(tmp_path / "data")) == ["roll", "roll_fine"]


def command(module, *arguments):
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--num_shard=2", "unknown flag --num_shard; did you mean --num_shards?"),
        (
            "--num_shards=-1",
            "flag --num_shards=-1: -1 is not a non-negative integer",
        ),
        (
            "--config.data.min_stepz=3",
            "field of config.data: unknown 'min_stepz' (did you mean 'min_steps'?); it "
            "can be",
        ),
    ],
)
def test_command_line_tells_users_of_their_mistakes(config, tmp_path, flag, message):
    run = command(
        "pipelines.build_tfrecords",
        f"--config={config}",
        f"--source={tmp_path}",
        f"--output_dir={tmp_path / 'data'}",
        flag,
    )
    assert run.returncode == 2
    assert run.stderr.startswith(f"error: {message}")
    assert run.stderr.count("\n") == 1


def test_command_says_how_to_go_on(config, music, tmp_path):
    def last_line(directory, *arguments):
        run = command(
            "tfmusic.build",
            f"--source={music}",
            f"--output_dir={directory}",
            *arguments,
        )
        return run.stdout.splitlines()[-1]

    assert last_line(tmp_path / "for folk", "--like=folk") == (
        "next: tfmusic train --config=bar_lstm:folk --init_from=folk "
        f"--data_dir='{tmp_path / 'for folk'}' --workdir=run "
        "--config.train.num_epochs=2 --config.optimizer.learning_rate=0.0005"
    )
    data = tmp_path / "data"
    assert last_line(data, f"--config={config}", "--validation_fraction=0") == (
        f"too little to train on: {data}: expected pieces in its validation split, "
        "found none; build it again with more music and --validation_fraction=0.1"
    )


def test_several_workers_write_the_same_bytes(config, music, both, tmp_path):
    run = command(
        "pipelines.build_tfrecords",
        f"--config={config}",
        f"--config={config}:tokens_in_c",
        f"--source={music}",
        f"--output_dir={tmp_path / 'data'}",
        "--num_shards=2",
        "--num_workers=3",
    )
    assert run.returncode == 0, run.stderr
    for name in ("roll", "tokens"):
        assert contents(tmp_path / "data" / name) == contents(both / name)
    assert "WARNING" not in run.stderr
    assert "train" in run.stdout
    assert "too_short" in run.stdout


def test_real_piano_music_becomes_two_datasets(shared_data, tmp_path):
    source = f"{shared_data}/piano_midi_de/**/*_1*.mid"
    configs = ["configs/two_hands_lstm.py", "configs/skuldur_lstm.py"]
    write(configs, source, tmp_path / "data")
    for name in ("two_hands_lstm", "skuldur_lstm"):
        info = DatasetInfo.load(str(tmp_path / "data" / name))
        assert sum(split["num_pieces"] for split in info.splits.values()) > 50
