"""What became of each file is told once, whatever goes wrong with it."""

import collections
import functools
import io
import json
import os
import pathlib
import re
import zipfile

import numpy as np
import pytest

from tests.pipelines.conftest import make_piece
from tests.pipelines.damage import damage, midi_of
from tests.pipelines.test_build_tfrecords import contents, pieces
from tfmusic.data.dataset_info import DatasetInfo
from tfmusic.errors import UserError
from tfmusic.notes.writing import to_midi_bytes
from tfmusic.pipelines import sources
from tfmusic.pipelines.building import write_datasets
from tfmusic.pipelines.filters import Filters
from tfmusic.pipelines.sources import SourceItem
from tfmusic.pipelines.sources.files import load_file

COMPRESSIONS = {
    "stored": zipfile.ZIP_STORED,
    "deflate": zipfile.ZIP_DEFLATED,
    "bzip2": zipfile.ZIP_BZIP2,
    "lzma": zipfile.ZIP_LZMA,
}
TUNE = "X:{}\nM:4/4\nL:1/8\nK:C\n{}\n\n"
CONFIGS = """
import ml_collections

KINDS = {
    "roll": dict(name="binary_roll", onsets=True),
    "tokens": dict(name="chord_frames", steps_per_quarter=2),
    "high": dict(name="binary_roll", onsets=True, lowest_pitch=100, highest_pitch=108),
}

def get_config(variant):
    config = ml_collections.ConfigDict()
    config.name = variant
    config.representation = KINDS[variant]
    config.data = dict(key="original", min_steps=20 if variant == "roll" else 1)
    return config
"""


@pytest.fixture(scope="module")
def configs(tmp_path_factory):
    path = tmp_path_factory.mktemp("configs") / "experiment.py"
    path.write_text(CONFIGS)
    return [f"{path}:{name}" for name in ("roll", "tokens", "high")]


def told(directory):
    """The names of pieces that were kept, and of what was dropped; each may repeat."""
    kept = [name for split in pieces(directory).values() for name in split]
    lines = (directory / "dropped.jsonl").read_text().splitlines()
    return kept, [json.loads(line) for line in lines]


def check(directory, given):
    """Each piece is kept or dropped, once; gives why pieces were dropped.

    Args:
        directory: Of a dataset.
        given: How many pieces each file has.
    """
    kept, drops = told(directory)
    counts = collections.Counter(kept)
    counts.update(drop["name"] for drop in drops)
    assert max(counts.values()) == 1
    of_file = collections.Counter(
        re.sub(r"(\.abc)#\d+$", r"\1", name) for name in counts
    )
    whole = {name for name in counts if given.get(name, 1) > 1}  # none of it is read
    assert of_file == {name: 1 if name in whole else n for name, n in given.items()}
    info = DatasetInfo.load(str(directory))
    assert sum(info.dropped.values()) == len(drops)
    assert info.num_files == len(given)
    return collections.Counter(drop["reason"] for drop in drops)


def archive(members, compression):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", compression) as file:
        for name, content in members:
            file.writestr(name, content)
    return data.getvalue()


def spoil(data, rng):
    """Other bytes in the first member of an archive, whose list stays whole."""
    data = bytearray(data)
    head = 30 + data[26]  # of a member; its name is in it
    size = int.from_bytes(data[18:22], "little")
    for i in rng.integers(head, head + size, size=5):
        data[i] ^= 0x55
    return bytes(data)


def mixture(folder, seed):
    """Files of all kinds, good and bad; gives how many pieces each has."""
    rng = np.random.default_rng(seed)
    good = [to_midi_bytes(make_piece(i, num_notes=40)) for i in range(12)]
    given = {}

    def write(name, data, num_pieces=1):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
        given[name] = num_pieces

    for i in range(int(rng.integers(3, 12))):
        write(f"good{i}.mid", good[i])
    for i in range(int(rng.integers(1, 20))):
        write(f"damaged/{i}.mid", damage(good[i % 12], rng))
    write("short.mid", to_midi_bytes(make_piece(77, num_notes=3)))
    write("empty.abc", b"")
    tunes = [TUNE.format(i, "CDEF GABc|" * int(rng.integers(1, 9))) for i in range(4)]
    tunes[int(rng.integers(4))] = TUNE.format(9, "z8|")
    write("tunes.abc", "".join(tunes).encode(), 4)
    for name, compression in COMPRESSIONS.items():
        data = archive([("a.mid", good[0]), ("b.mid", good[1])], compression)
        (folder / f"{name}.zip").write_bytes(spoil(data, rng))
        given |= {f"{name}.zip/a.mid": 1, f"{name}.zip/b.mid": 1}
    (folder / "no.zip").write_bytes(rng.bytes(100))
    os.mkfifo(folder / "pipe.mid")
    (folder / "zeros.mid").symlink_to("/dev/zero")
    (folder / "nowhere.mid").symlink_to("gone")
    given |= dict.fromkeys(["no.zip", "pipe.mid", "zeros.mid", "nowhere.mid"], 1)
    (folder / "damaged" / "loop").symlink_to(folder)
    (folder / "again").symlink_to(folder / "damaged")
    return given


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(s, marks=pytest.mark.slow) for s in range(1, 8))]
)
def test_of_any_mixture_each_piece_is_kept_or_dropped_once(
    seed, configs, tmp_path, caplog
):
    (tmp_path / "music").mkdir()
    given = mixture(tmp_path / "music", seed)
    write_datasets(configs[:2], str(tmp_path / "music"), str(tmp_path / "data"))
    found = [check(tmp_path / "data" / name, given) for name in ("roll", "tokens")]
    for reasons in found:
        # Three members, for of what is stored only the checksum tells.
        assert reasons["damaged_archive"] == 5
        assert reasons["unreadable"] == 3
        assert not {"crashed", "timeout", "out_of_memory"} & reasons.keys()
    assert found[0]["too_short"] > found[1]["too_short"]
    assert "2 symbolic links lead to folders that are read already" in caplog.text


def test_dataset_without_music_does_not_cost_the_others(configs, music, tmp_path):
    with pytest.raises(UserError, match="data/high is not written: .*13 no_notes"):
        write_datasets(configs, str(music), str(tmp_path / "data"))
    assert sorted(os.listdir(tmp_path)) == ["data"]
    assert sorted(os.listdir(tmp_path / "data")) == ["roll", "tokens"]
    assert DatasetInfo.load(str(tmp_path / "data" / "tokens")).num_files == 16


def load_and(what, path, max_bytes):
    """A file with which something happens as soon as it was read once."""
    data = load_file(path, max_bytes)
    if what == "vanishes":
        os.remove(path)
    elif what == "changes":
        pathlib.Path(path).write_bytes(to_midi_bytes(make_piece(50)))
    return data


def list_changing(path):
    for number, name in enumerate(sorted(os.listdir(path))):
        what = {2: "vanishes", 3: "changes"}.get(number, "stays")
        file = os.path.join(path, name)
        yield SourceItem(name, functools.partial(load_and, what, file), file)


def test_file_that_is_another_at_the_second_reading_is_dropped_there_alone(
    configs, tmp_path, monkeypatch
):
    (tmp_path / "music").mkdir()
    for i in range(10):
        data = to_midi_bytes(make_piece(i, num_notes=40))
        (tmp_path / "music" / f"{i}.mid").write_bytes(data)
    monkeypatch.setitem(sources.KINDS, "changing", list_changing)
    source = f"changing:{tmp_path / 'music'}"
    # Tokens are encoded once the vocabulary is known, which takes a second reading.
    write_datasets(configs[:2], source, str(tmp_path / "data"))
    given = {f"{i}.mid": 1 for i in range(10)}
    assert not check(tmp_path / "data" / "roll", given)
    reasons = check(tmp_path / "data" / "tokens", given)
    assert reasons == {"unreadable": 1, "changed": 1}


def maestro(folder, rows):
    folder.mkdir()
    for i in range(8):
        (folder / f"{i}.mid").write_bytes(to_midi_bytes(make_piece(i)))
    head = "canonical_composer,canonical_title,split,year,midi_filename\n"
    (folder / "maestro-v3.0.0.csv").write_text(head + "\n".join(rows))
    return f"maestro:{folder}"


def test_rows_of_a_table_without_a_split_that_there_is_are_dropped(configs, tmp_path):
    splits = ["train", "train", "validation", "test", "treno", "", "TRAIN", "train"]
    rows = [f"Bach,Air,{split},2004,{i}.mid" for i, split in enumerate(splits)]
    rows.append("Bach,Air,test,2004,0.mid")  # the first file again
    source = maestro(tmp_path / "music", rows)
    write_datasets(configs[1:2], source, str(tmp_path / "data"))
    given = {f"{i}.mid": 1 for i in range(8)} | {"0.mid (2)": 1}
    reasons = check(tmp_path / "data", given)
    assert reasons == {"unknown_split": 3, "same_name": 1}
    _, drops = told(tmp_path / "data")
    assert "found 'treno'" in " ".join(drop["detail"] for drop in drops)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\xff\xfe\x00", "expected text in maestro-v3.0.0.csv, but"),
        (b"a,b\n\0,1\n", "row|table"),
        (b"midi_filename\n" + b"x" * 200_000, "field larger than field limit"),
    ],
)
def test_damaged_table_is_one_line(data, message, tmp_path):
    source = maestro(tmp_path / "music", [])
    (tmp_path / "music" / "maestro-v3.0.0.csv").write_bytes(data)
    with pytest.raises(UserError, match=message):
        list(sources.open_source(source).items())


@pytest.mark.slow
@pytest.mark.parametrize("name", COMPRESSIONS)
def test_member_that_unpacks_to_all_memory_costs_itself_alone(name, configs, tmp_path):
    bomb = bytes(80 * 2**20)
    good = [(f"{i}.mid", to_midi_bytes(make_piece(i))) for i in range(3)]
    if name == "stored":
        bomb = bomb[: 2**20]
    data = archive([("bomb.mid", bomb), *good], COMPRESSIONS[name])
    (tmp_path / "music.zip").write_bytes(data)
    write_datasets(
        configs[1:2],
        str(tmp_path / "music.zip"),
        str(tmp_path / "data"),
        file_megabytes=48,
        num_workers=1,
    )
    kept, (drop,) = told(tmp_path / "data")
    assert len(kept) == 3
    assert drop["name"] == "bomb.mid"


def test_pattern_with_two_stars_names_what_it_names_without_loops(tmp_path):
    for name in ("a/b/1.mid", "a/2.mid", "3.mid", ".hidden/4.mid", "a/5.abc"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "a" / "up").symlink_to(tmp_path / "a")
    (tmp_path / "a" / "b" / "up").symlink_to(tmp_path / "a")

    def names(pattern):
        return [i.name for i in sources.open_source(f"{tmp_path}/{pattern}").items()]

    assert names("**/*.mid") == ["3.mid", "a/2.mid", "a/b/1.mid"]
    assert names("a/**/*.mid") == ["2.mid", "b/1.mid"]
    assert names("a/**") == ["2.mid", "5.abc", "b/1.mid"]
    assert names("**/b/*") == ["a/b/1.mid"]
    assert names("**/.hidden/*.mid") == [".hidden/4.mid"]


def test_forged_delta_time_does_not_make_hours_of_music(configs, tmp_path):
    music = tmp_path / "music"
    music.mkdir()
    notes = b"".join(b"\0\x90%c\x40\x60\x80%c\x40" % (p, p) for p in (60, 62, 64, 65))
    (music / "good.mid").write_bytes(midi_of(notes * 9))
    # Half an hour of one note, and half an hour between two notes.
    (music / "held.mid").write_bytes(
        midi_of(notes + b"\0\x90\x40\x40\xe9\xbc\0\x80\x40\0")
    )
    (music / "silent.mid").write_bytes(
        midi_of(notes + b"\xe9\xbc\0\xb0\x01\x01" + notes)
    )
    write_datasets(configs[1:2], str(music), str(tmp_path / "data"))
    kept, drops = told(tmp_path / "data")
    assert kept == ["good.mid"]
    assert {(d["name"], d["reason"], d["kept_by"]) for d in drops} == {
        ("held.mid", "too_long_pause", "--limit_pause_seconds"),
        ("silent.mid", "too_long_pause", "--limit_pause_seconds"),
    }
    assert all(d["measured"] > 1700 for d in drops)


def grow(music):
    (music / "new.mid").write_bytes(to_midi_bytes(make_piece(70)))


def rewrite(music):
    (music / "3.mid").write_bytes(to_midi_bytes(make_piece(71)))


def touch(music):
    os.utime(music / "3.mid", (1, 1))


def move_away(music):
    music.rename(music.with_name("elsewhere"))


@pytest.mark.parametrize(
    "change",
    [
        rewrite,
        pytest.param(touch, marks=pytest.mark.slow),
        pytest.param(grow, marks=pytest.mark.slow),
        pytest.param(move_away, marks=pytest.mark.slow),
    ],
)
def test_finished_dataset_is_kept_only_if_its_files_are_the_same(
    change, configs, tmp_path
):
    music = tmp_path / "music"
    music.mkdir()
    for i in range(5):
        (music / f"{i}.mid").write_bytes(to_midi_bytes(make_piece(i)))
    build = functools.partial(
        write_datasets, configs[1:2], str(music), str(tmp_path / "data"), num_workers=1
    )
    build()
    before = contents(tmp_path / "data")
    change(music)
    if change in (grow, rewrite):
        with pytest.raises(
            UserError, match=r"other files than .*music has now \(5 then"
        ):
            build()
    else:
        build()
    assert contents(tmp_path / "data") == before


@pytest.mark.slow
def test_descriptions_of_datasets_differ_by_what_is_kept(configs, tmp_path):
    music = tmp_path / "music"
    music.mkdir()
    for i in range(5):
        piece = make_piece(i)
        for note in list(piece.notes):
            piece.notes.add().CopyFrom(note)
            piece.notes[-1].pitch += 12
            piece.notes[-1].instrument = 1
        for number, name in enumerate(("melody", "piano")):
            piece.instrument_infos.add(instrument=number, name=name)
        (music / f"{i}.mid").write_bytes(to_midi_bytes(piece))
    infos = []
    for number, names in enumerate([("melody",), ("piano",), ("melody",)]):
        filters = Filters(instruments=names)
        data = tmp_path / f"data{number}"
        write_datasets(configs[:1], str(music), str(data), filters=filters)
        infos.append(DatasetInfo.load(str(data)))
    assert infos[0].source_hash == infos[1].source_hash
    assert infos[0].pieces_hash != infos[1].pieces_hash
    assert infos[0].pieces_hash == infos[2].pieces_hash
