import json
import re
import resource
import shutil

import numpy as np
import pytest

from tests.pipelines.conftest import make_piece
from tests.pipelines.damage import damage, far_away, running_status
from tests.pipelines.test_build_tfrecords import command, pieces
from tfmusic.data.dataset_info import DatasetInfo
from tfmusic.notes.reading import SUFFIXES, Limits
from tfmusic.notes.writing import to_midi_bytes
from tfmusic.pipelines.building import write_datasets


def account(directory):
    """Names of the files that became pieces, and why the others did not."""
    kept = {
        re.sub(r"#\d+$", "", name)
        for split in pieces(directory).values()
        for name in split
    }
    lines = (directory / "dropped.jsonl").read_text().splitlines()
    drops = {drop["name"]: drop for drop in map(json.loads, lines)}
    return kept, drops


def names_below(folder):
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES
    }


def test_every_file_is_a_piece_or_is_dropped_for_a_reason(config, tmp_path):
    music = tmp_path / "music"
    music.mkdir()
    rng = np.random.default_rng(5)
    good = [to_midi_bytes(make_piece(i)) for i in range(8)]
    for i, data in enumerate(good):
        (music / f"good{i}.mid").write_bytes(data)
    for i in range(60):
        (music / f"damaged{i}.mid").write_bytes(damage(good[i % 8], rng))
    (music / "far.mid").write_bytes(far_away())
    (music / "large.mid").write_bytes(running_status(200_000))
    (music / "many.mid").write_bytes(running_status(90_000))
    (music / "none.abc").write_bytes(rng.bytes(1000))
    (music / "cut.mxl").write_bytes(b"PK\3\4" + rng.bytes(1000))
    limits = Limits(max_bytes=100_000, max_notes=10_000)
    write_datasets([config], str(music), str(tmp_path / "data"), limits=limits)
    kept, drops = account(tmp_path / "data")
    assert kept | drops.keys() == names_below(music)
    assert not kept & drops.keys()
    assert kept >= {f"good{i}.mid" for i in range(8)}
    expected = {
        "far.mid": ("too_many_quarters", "--limit_quarters"),
        "large.mid": ("too_large", "--limit_bytes"),
        "many.mid": ("too_many_notes", "--limit_notes"),
        "none.abc": ("bad_abc", ""),
        "cut.mxl": ("bad_musicxml", ""),
    }
    for name, (reason, flag) in expected.items():
        assert (drops[name]["reason"], drops[name]["kept_by"]) == (reason, flag)
    assert drops["many.mid"]["measured"] == 15_001
    assert all(drop["detail"] for drop in drops.values())
    assert not {"crashed", "timeout", "out_of_memory"} & {
        drop["reason"] for drop in drops.values()
    }


def test_file_that_takes_too_long_or_too_much_is_dropped_alone(config, tmp_path):
    music = tmp_path / "music"
    music.mkdir()
    for i in range(4):
        (music / f"good{i}.mid").write_bytes(to_midi_bytes(make_piece(i)))
    (music / "endless.mid").write_bytes(running_status(12_000_000))
    limits = Limits(max_notes=10**7, max_quarters=1e9, max_seconds=1e9)
    for settings, reason, flag in [
        ({"file_seconds": 0.3}, "timeout", "--file_seconds"),
        ({"file_megabytes": 64}, "out_of_memory", "--file_megabytes"),
    ]:
        data = tmp_path / reason
        write_datasets([config], str(music), str(data), limits=limits, **settings)
        kept, drops = account(data)
        assert kept == {f"good{i}.mid" for i in range(4)}
        (drop,) = drops.values()
        assert (drop["reason"], drop["kept_by"]) == (reason, flag)
        assert DatasetInfo.load(str(data)).dropped == {reason: 1}


@pytest.mark.slow
def test_two_thousand_damaged_files_and_all_odd_ones(config, shared_data, tmp_path):
    music = tmp_path / "music"
    shutil.copytree(shared_data / "odd_midi", music / "odd")
    originals = sorted((shared_data / "piano_midi_de").rglob("*.mid"))
    rng = np.random.default_rng(0)
    (music / "damaged").mkdir()
    (music / "good").mkdir()
    for i in range(2000):
        data = originals[i % len(originals)].read_bytes()
        (music / "damaged" / f"{i}.mid").write_bytes(damage(data, rng))
        if i < len(originals):
            (music / "good" / f"{i}.mid").write_bytes(data)
    (music / "far.mid").write_bytes(far_away())
    (music / "fifty_megabytes.mid").write_bytes(running_status(50 * 2**20))
    for number, extra in enumerate([[], ["--limit_bytes=100e6"]]):
        data = tmp_path / f"data{number}"
        run = command(
            "pipelines.build_tfrecords",
            f"--config={config}",
            f"--source={music}",
            f"--output_dir={data}",
            "--file_seconds=300",  # others may use the machine
            *extra,
        )
        assert run.returncode == 0, run.stderr
        kept, drops = account(data)
        # Of a tunebook each tune is kept or dropped.
        files = {re.sub(r"(\.abc)#\d+$", r"\1", name) for name in kept | drops.keys()}
        assert files == names_below(music)
        assert not kept & drops.keys()
        assert kept >= {f"good/{i}.mid" for i in range(len(originals))}
        assert len([name for name in kept if name.startswith("damaged")]) > 50
        assert drops["far.mid"]["reason"] == "too_many_quarters"
        large = drops["fifty_megabytes.mid"]["reason"]
        assert large == ("too_many_events" if extra else "too_large")
    # Of the largest process; the job alone, with TensorFlow in it, is half of that.
    most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    assert most < 1.5 * 2**20
