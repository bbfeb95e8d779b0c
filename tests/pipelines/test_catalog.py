"""The index of a million files is on disk; what is in memory of each is little."""

import functools
import hashlib
import json
import tracemalloc

import numpy as np
import pytest

from tfmusic.data import sketches
from tfmusic.errors import UserError
from tfmusic.pipelines import account
from tfmusic.pipelines.catalog import open_catalog
from tfmusic.pipelines.elements import index_path, make_batches
from tfmusic.pipelines.planning import Settings
from tfmusic.pipelines.sources import SourceItem
from tfmusic.pipelines.sources.files import load_file


def digest(*parts):
    return hashlib.sha256(str(parts).encode()).hexdigest()


def piece_of(name, split=""):
    """What a batch's index says of a piece without near-duplicates."""
    numbers = np.random.default_rng(int(digest(name)[:8], 16)).integers(
        1 << 32, size=128
    )
    sketch = np.append(900, np.sort(numbers)).astype(">u4").tobytes().hex()
    found = {"offset": 0, "length": 500, "hash": digest("arrays", name)}
    sizes = {"num_steps": 99, "num_notes": 50, "seconds": 9.5}
    return {
        "name": name,
        "file": name,
        "content": digest(name),
        "sketch": sketch,
        "split": split,
        "encoded": {"0": {**found, **sizes, "losses": {"unisons": 2}, "repairs": {}}},
    }


def drop_of(name, experiment=-1):
    fields = {"stage": "read", "reason": "not_midi", "detail": "expected MIDI"}
    return {"name": name, **fields, "split": "", "experiment": experiment}


def write_index(folder, batch, pieces, drops=()):
    names = [entry["name"] for entry in [*pieces, *drops]]
    index = {
        "files": {name: digest("bytes", name) for name in names},
        "pieces": pieces,
        "drops": list(drops),
    }
    with open(index_path(f"{folder}/{batch}"), "w") as file:
        json.dump(index, file)


class Spread:
    """As much of a job as spreads pieces over shards."""

    num_shards, seed, compression = 0, 0, ""


def go_through(folder, num_files):
    """All that the job does between its steps; gives what it found."""
    items = (
        SourceItem(name, functools.partial(load_file, name), f"/music/{name}")
        for name in (f"composer {i % 97}/piece {i}.mid" for i in range(num_files))
    )
    batches = list(make_batches("read", ((item, "") for item in items)))
    names = []
    for batch in (batch.unpack() for batch in batches):
        path = folder / f"{batch.name}.json"
        if not path.exists():
            good, bad = batch.items[1:], batch.items[:1]
            write_index(
                folder,
                batch.name,
                [piece_of(item.name) for item in good],
                [drop_of(item.name) for item in bad],
            )
        names.append(batch.name)
    with open_catalog() as catalog:
        catalog.add_batches(names, str(folder), again=False)
        catalog.assign_splits(Settings().fractions)
        shards, described = account.lay_out(Spread, 0, "data", catalog)
        account.write_drops(catalog.drops(0, again=False), str(folder))
        hashes = catalog.hash_source(), catalog.hash_pieces(0)
    return shards, described, hashes


@pytest.mark.slow
def test_file_takes_less_than_a_kilobyte_of_memory(tmp_path, monkeypatch):
    # Parts small enough for both sizes to have several.
    monkeypatch.setattr(sketches, "_PIECES_PER_FILE", 500)
    monkeypatch.setattr(sketches, "_ROWS_AT_ONCE", 500)
    peaks = []
    for num_files in (500, 3_000, 9_000):  # at first all is imported
        folder = tmp_path / str(num_files)
        folder.mkdir()
        tracemalloc.start()
        shards, *_ = go_through(folder, num_files)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert sum(len(shard.unpack().places) for shard in shards) == 9_000 - 282
    assert (peaks[-1] - peaks[-2]) / 6_000 < 300


def test_index_tells_what_lists_of_all_files_told(tmp_path):
    shards, described, hashes = go_through(tmp_path, 700)
    indexes = [json.loads(path.read_text()) for path in sorted(tmp_path.glob("*.json"))]
    files = sorted([n, h] for index in indexes for n, h in index["files"].items())
    pieces = [piece for index in indexes for piece in index["pieces"]]
    assert hashes[0] == hashlib.sha256(json.dumps(files).encode()).hexdigest()
    places = [place for shard in shards for place in shard.unpack().places]
    assert len(places) == len(pieces) == 678
    train = described["train"]
    assert train["shard_pieces"] == [
        len(shard.unpack().places) for shard in shards if "train" in shard.unpack().path
    ]
    assert train["losses"] == {"unisons": 2 * train["num_pieces"]}
    assert train["seconds"] == 9.5 * train["num_pieces"]
    lines = (tmp_path / "dropped.jsonl").read_text().splitlines()
    names = [json.loads(line)["name"] for line in lines]
    assert names == sorted(
        f"composer {i % 97}/piece {i}.mid" for i in range(0, 700, 32)
    )


def test_second_reading_drops_each_piece_of_a_file_once(tmp_path):
    tunes = [{**piece_of(f"a.abc#{i}"), "file": "a.abc"} for i in (1, 2)]
    write_index(tmp_path, "read-0", [*tunes, piece_of("b.mid")], [drop_of("c.mid")])
    write_index(tmp_path, "encode-0", [], [drop_of("a.abc"), drop_of("b.mid", 0)])
    with open_catalog() as catalog:
        catalog.add_batches(["read-0"], str(tmp_path), again=False)
        assert set(catalog.readable_files(0)) == {"a.abc#1", "a.abc#2", "b.mid"}
        catalog.add_batches(["encode-0"], str(tmp_path), again=True)
        first, fitted = catalog.drops(0, again=False), catalog.drops(0, again=True)
        other = catalog.drops(1, again=True)
        assert [drop["name"] for drop in first] == ["c.mid"]
        expected = ["a.abc#1", "a.abc#2", "b.mid", "c.mid"]
        assert [drop["name"] for drop in fitted] == expected
        assert [drop["name"] for drop in fitted] == expected  # again, if asked again
        assert [drop["name"] for drop in other] == ["a.abc#1", "a.abc#2", "c.mid"]


def test_name_that_is_not_utf8_is_kept_as_it_is(tmp_path):
    write_index(tmp_path, "read-0", [piece_of("b.mid")], [drop_of("a\udcff.zip")])
    with open_catalog() as catalog:
        catalog.add_batches(["read-0"], str(tmp_path), again=False)
        assert [d["name"] for d in catalog.drops(0, again=False)] == ["a\udcff.zip"]
        files = [["a\udcff.zip", digest("bytes", "a\udcff.zip")]]
        files.append(["b.mid", digest("bytes", "b.mid")])
        expected = hashlib.sha256(json.dumps(files).encode()).hexdigest()
        assert catalog.hash_source() == expected


def test_full_disk_for_the_index_is_one_line(tmp_path):
    write_index(tmp_path, "read-0", [piece_of(f"{i}.mid") for i in range(3000)])
    with (
        pytest.raises(
            UserError, match="full.*; make room, also in the folder for temp"
        ),
        open_catalog() as catalog,
    ):
        catalog._rows.execute("PRAGMA max_page_count = 50")
        catalog.add_batches(["read-0"], str(tmp_path), again=False)
