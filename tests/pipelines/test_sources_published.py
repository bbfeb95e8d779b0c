"""Published datasets as sources: their splits, and what they say of their pieces."""

import collections
import json
import zipfile

import numpy as np
import pytest
import tensorflow as tf

from tests.pipelines.conftest import make_piece
from tfmusic.data.splits import Content, assign_splits, group_alike
from tfmusic.errors import DropError, UserError
from tfmusic.notes.reading import Limits
from tfmusic.notes.transforms import LEFT, RIGHT, assign_hands
from tfmusic.notes.writing import to_midi_bytes
from tfmusic.pipelines.sources import open_source
from tfmusic.pipelines.sources.checksums import masked_crc32c
from tfmusic.representations import make_representation

TABLE = (
    "canonical_composer,canonical_title,split,year,midi_filename,audio_filename\n"
    'Alban Berg,"Sonata, Op. 1",train,2018,2018/a.midi,2018/a.wav\n'
    "Frédéric Chopin,Barcarolle,test,2004,2004/b.midi,2004/b.wav\n"
    "Claude Debussy,Images,validation,2004,2004/gone.midi,2004/gone.wav\n"
)
MATCHES = (
    "bl_split,index,steps,best_file,score,second_file,second_score\n"
    "traindata,0,347,Bach/one.mid,0.6,Bach/two.mid,0.02\n"
    "testdata,1,347,Bach/one.mid,0.2,Bach/two.mid,0.02\n"
    "validdata,0,347,Grieg/three.mid,0.3,Bach/two.mid,0.02\n"
    "testdata,0,347,Bach/two.mid,0.1,Bach/one.mid,0.09\n"
)


def items_of(source):
    return {item.name: item for item in open_source(source).items()}


def zipped(folder, path, below=""):
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, below / file.relative_to(folder))
    return path


def write_pieces(folder, names):
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(to_midi_bytes(make_piece(number)))


def test_maestro_is_what_its_table_lists(tmp_path):
    folder = tmp_path / "maestro"
    write_pieces(folder, ["2018/a.midi", "2004/b.midi", "2004/not_listed.midi"])
    (folder / "maestro-v3.0.0.csv").write_text(TABLE, encoding="utf-8")
    archive = zipped(folder, tmp_path / "maestro.zip", "maestro-v3.0.0")
    for source, prefix in ((folder, ""), (archive, "maestro-v3.0.0/")):
        items = items_of(f"maestro:{source}")
        assert list(items) == [
            f"{prefix}{name}.midi" for name in ("2018/a", "2004/b", "2004/gone")
        ]
        assert [item.split for item in items.values()] == [
            "train",
            "test",
            "validation",
        ]
        assert items[f"{prefix}2018/a.midi"].metadata == {
            "composer": "Alban Berg",
            "title": "Sonata, Op. 1",
            "year": 2018,
        }
        assert len(items[f"{prefix}2004/b.midi"].read()[0].notes) == 16
        with pytest.raises(DropError, match="unreadable"):
            items[f"{prefix}2004/gone.midi"].read()


def test_maestro_without_a_table_or_with_another_is_a_users_error(tmp_path):
    with pytest.raises(UserError, match="expected a table such as maestro-v3.0.0.csv"):
        items_of(f"maestro:{tmp_path}")
    (tmp_path / "maestro-v3.0.0.csv").write_text("split,year\ntrain,2004\n")
    with pytest.raises(UserError, match="expected a table with canonical_composer"):
        items_of(f"maestro:{tmp_path}")
    with pytest.raises(UserError, match="no folder or zip archive '/no/such'"):
        items_of("maestro:/no/such")


def test_piano_midi_de_has_composers_and_the_splits_of_the_table(tmp_path):
    names = ["Bach/one.mid", "Bach/two.mid", "Grieg/three.mid"]
    write_pieces(tmp_path / "midis", names)
    assert {i.split for i in items_of(f"piano_midi_de:{tmp_path}").values()} == {""}
    (tmp_path / "boulanger_split_match.csv").write_text(MATCHES)
    items = items_of(f"piano_midi_de:{tmp_path}")
    assert list(items) == [f"midis/{name}" for name in names]
    assert [item.metadata["composer"] for item in items.values()] == [
        "Bach",
        "Bach",
        "Grieg",
    ]
    # The better of two matches counts, and one that is hardly better than the next
    # does not.
    assert [item.split for item in items.values()] == ["train", "", "validation"]
    (tmp_path / "boulanger_split_match.csv").write_text("file,split\na,b\n")
    with pytest.raises(UserError, match="expected columns bl_split, best_file"):
        items_of(f"piano_midi_de:{tmp_path}")


def test_giantmidi_says_who_wrote_what_by_its_names(tmp_path):
    names = [
        "midis/Aaron, Michael, Piano Course, V8WvKK-1b2c.mid",
        "midis/Bach, Carl Philipp Emanuel, Sonata, Wq.49, No.1, a_cdefghijk.mid",
        "surname_checked_midis/Aaron, Michael, Piano Course, V8WvKK-1b2c.mid",
        "others/piece.mid",
    ]
    write_pieces(tmp_path / "set", names)
    archive = zipped(tmp_path / "set", tmp_path / "set.zip")
    for source in (tmp_path / "set", archive):
        items = items_of(f"giantmidi:{source}")
        assert list(items) == names[:2]
        assert [item.metadata for item in items.values()] == [
            {
                "composer": "Michael Aaron",
                "title": "Piano Course",
                "recording": "V8WvKK-1b2c",
            },
            {
                "composer": "Carl Philipp Emanuel Bach",
                "title": "Sonata, Wq.49, No.1",
                "recording": "a_cdefghijk",
            },
        ]
        assert len(items[names[0]].read()[0].notes) == 16
    with pytest.raises(UserError, match="giantmidi:.*expected names such as 'Bach, J"):
        items_of(f"giantmidi:{tmp_path}/set/others")


def test_pop909_songs_have_bars_of_four_beats(tmp_path):
    sequence = make_piece(0)
    sequence.time_signatures.add(numerator=1, denominator=4)
    waltz = make_piece(1)
    waltz.time_signatures.add(numerator=3, denominator=4)
    for name, song in (("001/001", sequence), ("002/002", waltz)):
        (tmp_path / "POP909" / name).parent.mkdir(parents=True)
        (tmp_path / "POP909" / f"{name}.mid").write_bytes(to_midi_bytes(song))
    write_pieces(tmp_path, ["POP909/001/versions/001-v1.mid"])
    archive = zipped(tmp_path / "POP909", tmp_path / "pop909.zip", "POP909")
    for source in (tmp_path, archive):
        items = items_of(f"pop909:{source}")
        assert list(items) == ["POP909/001/001.mid", "POP909/002/002.mid"]
        (song,), (other,) = (item.read() for item in items.values())
        metres = [(s.numerator, s.denominator) for s in song.time_signatures]
        assert metres == [(4, 4)]
        assert other.time_signatures[0].numerator == 3


def write_records(path, records):
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)
    return path


def test_records_of_note_sequences_are_pieces(tmp_path):
    pieces = [make_piece(i) for i in range(3)]
    pieces[1].sequence_metadata.title = "Second"
    records = [piece.SerializeToString() for piece in pieces]
    write_records(tmp_path / "notes.tfrecord-00000-of-00002", records[:2])
    write_records(tmp_path / "notes.tfrecord-00001-of-00002", records[2:])
    for path in (tmp_path, tmp_path / "notes.tfrecord*"):
        items = items_of(f"note_sequences:{path}")
        assert list(items) == [
            "notes.tfrecord-00000-of-00002/000000",
            "notes.tfrecord-00000-of-00002/000001",
            "notes.tfrecord-00001-of-00002/000000",
        ]
        assert [item.read() for item in items.values()] == [[p] for p in pieces]


def test_records_of_files_of_one_name_have_names_of_their_own(tmp_path):
    for i, folder in enumerate("ab"):
        (tmp_path / folder).mkdir()
        record = make_piece(i).SerializeToString()
        write_records(tmp_path / folder / "x.tfrecord", [record])
    items = items_of(f"note_sequences:{tmp_path}/*/x.tfrecord")
    assert list(items) == ["a/x.tfrecord/000000", "b/x.tfrecord/000000"]
    (file,) = items_of(f"note_sequences:{tmp_path}/a/x.tfrecord")
    assert file == "x.tfrecord/000000"


@pytest.mark.parametrize("num_bytes", [8, 10, 12])
def test_record_whose_head_is_cut_off_is_dropped(tmp_path, num_bytes):
    records = [make_piece(i).SerializeToString() for i in range(2)]
    path = write_records(tmp_path / "notes.tfrecord", records)
    path.write_bytes(path.read_bytes()[: 16 + len(records[0]) + num_bytes])
    whole, cut = items_of(f"note_sequences:{path}").values()
    assert len(whole.read()[0].notes) == 16
    with pytest.raises(DropError, match="cut_off: expected .* bytes, found 0"):
        cut.read()


def test_damaged_records_are_dropped_one_by_one(tmp_path):
    low, endless = make_piece(0), make_piece(0)
    low.notes[3].pitch = 300
    endless.notes[0].end_time = float("inf")
    records = [
        b"\xff\xff no message",
        low.SerializeToString(),
        endless.SerializeToString(),
        make_piece(1).SerializeToString(),
        make_piece(2).SerializeToString(),
    ]
    path = write_records(tmp_path / "notes.tfrecord", records)
    path.write_bytes(path.read_bytes()[:-100])
    found = []
    for item in items_of(f"note_sequences:{path}").values():
        try:
            found.append(len(item.read()[0].notes))
        except DropError as error:
            found.append(error.reason)
    assert found == [
        "no_note_sequence",
        "impossible_notes",
        "impossible_notes",
        16,
        "cut_off",
    ]


def test_record_whose_bytes_have_changed_is_dropped(tmp_path):
    records = [make_piece(i).SerializeToString() for i in range(4)]
    path = write_records(tmp_path / "notes.tfrecord", records)
    data = bytearray(path.read_bytes())
    data[16 + len(records[0]) + 12 + 40] ^= 1  # in the second record
    path.write_bytes(data)
    items = list(items_of(f"note_sequences:{path}").values())
    assert len(items) == 4
    with pytest.raises(DropError, match="damaged_record: its checksum"):
        items[1].read()
    assert [len(items[i].read()[0].notes) for i in (0, 2, 3)] == [16] * 3
    # Of the third the length: neither it nor what follows can be found.
    data[2 * 16 + len(records[0]) + len(records[1])] ^= 1
    path.write_bytes(data)
    items = list(items_of(f"note_sequences:{path}").values())
    assert len(items) == 3
    with pytest.raises(DropError, match="the length of the record at byte .* damaged"):
        items[2].read()


@pytest.mark.parametrize(
    ("field", "values", "reason"),
    [
        ("notes", {"start_time": float("nan"), "end_time": 1.0}, "impossible_notes"),
        ("notes", {"start_time": 0.0, "end_time": 1e300}, "too_many_seconds"),
        ("notes", {"start_time": 3000.0, "end_time": 3001.0}, "too_long_pause"),
        ("tempos", {"time": 1.0, "qpm": float("nan")}, "impossible_tempos"),
        ("tempos", {"time": 1.0, "qpm": 1e300}, "too_many_quarters"),
        ("time_signatures", {"time": float("inf")}, "impossible_times"),
        ("control_changes", {"time": -1e300}, "too_many_seconds"),
    ],
)
def test_record_of_numbers_that_are_no_music_is_dropped(
    field, values, reason, tmp_path
):
    piece = make_piece(0)
    getattr(piece, field).add(**values)
    path = write_records(tmp_path / "x.tfrecord", [piece.SerializeToString()])
    (item,) = items_of(f"note_sequences:{path}").values()
    with pytest.raises(DropError, match=reason):
        item.read()


@pytest.mark.parametrize("size", [0, 1, 3, 4, 5, 100, 4097])
def test_checksum_is_that_of_tensorflow(size, tmp_path):
    data = np.random.default_rng(size).bytes(size)
    path = write_records(tmp_path / "x", [data])
    assert masked_crc32c(data).to_bytes(4, "little") == path.read_bytes()[-4:]


def test_files_without_records_are_dropped_and_none_are_a_users_error(tmp_path):
    with pytest.raises(UserError, match="expected TFRecord files, found none"):
        items_of(f"note_sequences:{tmp_path}/x*")
    (tmp_path / "x.tfrecord").write_bytes(b"MThd and so on, which is music of its own")
    (item,) = items_of(f"note_sequences:{tmp_path}/x*").values()
    with pytest.raises(DropError, match="expected an uncompressed TFRecord file"):
        item.read()


def test_all_of_maestro_is_listed_with_its_splits(shared_data):
    items = items_of(f"maestro:{shared_data}/maestro-v3.0.0-midi.zip")
    splits = collections.Counter(item.split for item in items.values())
    assert splits == {"train": 962, "validation": 137, "test": 177}
    homes = collections.defaultdict(set)
    for item in items.values():
        homes[item.metadata["composer"], item.metadata["title"]].add(item.split)
    # As published: several performances of one composition are in one split.
    shared = [title for title, found in homes.items() if len(found) > 1]
    assert len(shared) == 5
    (sequence,) = next(iter(items.values())).read()
    assert len(sequence.notes) > 1000


def test_all_of_piano_midi_de_is_there(shared_data):
    items = items_of(f"piano_midi_de:{shared_data}/piano_midi_de")
    splits = collections.Counter(item.split for item in items.values())
    assert splits == {"": 218, "train": 83, "validation": 12, "test": 24}
    assert len({item.metadata["composer"] for item in items.values()}) == 26
    (sequence,) = items["midis/Bach/bach_846.mid"].read()
    assert set(assign_hands(sequence).tolist()) == {RIGHT, LEFT}


def test_all_of_pop909_is_there(shared_data):
    items = items_of(f"pop909:{shared_data}/pop909-midi.zip")
    assert len(items) == 909
    (sequence,) = items["POP909/001/001.mid"].read()
    names = [info.name for info in sequence.instrument_infos]
    assert names == ["MELODY", "BRIDGE", "PIANO"]


def contents_of(items):
    for item in items:
        (sequence,) = item.read()
        yield item.name, Content.of(sequence, item.split)


def check_no_leaks(items):
    """No two pieces that are equal, in any key or nearly, are in two splits."""
    named = dict(contents_of(items))
    splits = assign_splits(named.values(), (0.8, 0.1, 0.1))
    homes = collections.defaultdict(set)
    for content in named.values():
        homes[content.hash].add(content.split or splits[content.hash])
    assert all(len(found) == 1 for found in homes.values())
    return named


def test_nothing_of_piano_midi_de_is_in_two_splits(shared_data):
    items = list(items_of(f"piano_midi_de:{shared_data}/piano_midi_de").values())
    check_no_leaks(items[::5])


@pytest.mark.slow
@pytest.mark.parametrize(
    "source",
    ["piano_midi_de:{}/piano_midi_de", "maestro:{}/maestro-v3.0.0-midi.zip"],
    ids=["piano_midi_de", "maestro"],
)
def test_nothing_is_in_two_splits(shared_data, source):
    items = items_of(source.format(shared_data)).values()
    named = check_no_leaks(items)
    assert len({c.hash for c in named.values()}) == len(named)


@pytest.mark.slow
def test_performances_of_a_work_are_together(shared_data):
    """MAESTRO's own splits keep works apart, so no group may lie in two of them."""
    path = f"{shared_data}/maestro-v3.0.0-midi.zip"
    items = list(items_of(f"maestro:{path}").values())
    contents = [content for _, content in contents_of(items)]
    groups = group_alike(contents)
    homes = collections.defaultdict(set)
    for content in contents:
        homes[groups[content.hash]].add(content.split)
    assert all(len(found) == 1 for found in homes.values())
    assert len(homes) < 0.4 * len(items)


def test_versions_of_a_chorale_are_in_one_split():
    items = items_of("bach_chorales")
    pairs = [
        ("bwv398", "bwv197.7-a"),
        ("bwv18.5-lz", "bwv18.5-w"),
        ("bwv253", "bwv414"),
        ("bwv274", "bwv62.6"),
        ("bwv117.4", "bwv177.4"),
    ]
    named = dict(contents_of(items[f"{name}.mxl"] for name in np.ravel(pairs).tolist()))
    for seed in range(5):
        rng = np.random.default_rng(seed)
        fractions = rng.dirichlet(np.ones(3))
        splits = assign_splits(named.values(), fractions)
        for one, other in pairs:
            one, other = named[f"{one}.mxl"], named[f"{other}.mxl"]
            assert splits[one.hash] == splits[other.hash]


def write_voices(path, **splits):
    path.write_text(json.dumps({"train": [], "valid": [], "test": [], **splits}))
    return f"jsb_chorales_16th:{path}"


def test_voices_in_sixteenths_come_back_in_their_splits(tmp_path):
    piece = [[72, 67, 64, 48], [72, -1, 62, 48], [74, -1, 62, 48]]
    source = write_voices(tmp_path / "set.json", train=[piece], test=[piece[:1]])
    items = items_of(source)
    assert {name: item.split for name, item in items.items()} == {
        "set/train/0000": "train",
        "set/test/0000": "test",
    }
    item = items["set/train/0000"]
    [sequence] = item.parse(item.load(1), item.name, Limits())
    kind = make_representation({"name": "voice_frames", "onsets": False})
    found = kind.encode(sequence)["pitch"]
    assert found.tolist() == np.where(np.array(piece) < 0, 0, piece).tolist()


@pytest.mark.parametrize(
    "text", ["{", "{}", '{"train": [[1]], "valid": [], "test": []}', "[]"]
)
def test_other_files_of_voices_are_refused(tmp_path, text):
    path = tmp_path / "set.json"
    path.write_text(text)
    with pytest.raises(UserError, match="expected the published JSON file"):
        items_of(f"jsb_chorales_16th:{path}")


def test_published_chorales_in_sixteenths(shared_data):
    path = shared_data / "jsb_chorales_16th" / "Jsb16thSeparated.json"
    items = open_source(f"jsb_chorales_16th:{path}").items()
    splits = collections.Counter(item.split for item in items)
    assert splits == {"train": 229, "validation": 76, "test": 77}
