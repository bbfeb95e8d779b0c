import gzip
import os
import zipfile

import pytest

from tests.pipelines.conftest import make_piece
from tfmusic.errors import DropError, UserError
from tfmusic.notes.reading import Limits, read_bytes
from tfmusic.notes.writing import to_midi_bytes
from tfmusic.pipelines.planning import check_output_dir
from tfmusic.pipelines.sources import open_source

ABC = "X:{n}\nT:Tune {n}\nM:4/4\nL:1/4\nK:C\n{notes}|\n\n"


def test_dataset_goes_where_a_link_leads_and_not_where_a_disk_is_mounted(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there")
    assert check_output_dir(f"{tmp_path}/link/") == str(tmp_path / "there")
    assert check_output_dir(str(tmp_path / "new")) == str(tmp_path / "new")
    with pytest.raises(UserError, match="is mounted; add a name to it, such as /proc/"):
        check_output_dir("/proc")


def read(source):
    """Notes of every piece by name, or why there are none."""
    found = {}
    for item in open_source(str(source)).items():
        try:
            found[item.name] = [
                [(note.pitch, note.start_time) for note in sequence.notes]
                for sequence in item.read()
            ]
        except DropError as error:
            found[item.name] = error.reason
    return found


def test_folder_zip_and_glob_give_the_same_pieces(music, tmp_path):
    with zipfile.ZipFile(tmp_path / "music.zip", "w") as archive:
        for path in music.rglob("*"):
            archive.write(path, path.relative_to(music))
    folder = read(music)
    assert len(folder) == 16
    assert folder["book1/piece3.mid"][0][0][1] == 0
    assert isinstance(folder["junk.mid"], str)
    assert ".hidden.mid" not in folder
    assert read(tmp_path / "music.zip") == folder
    assert read(f"zip:{tmp_path / 'music.zip'}") == folder
    assert read(f"{music}/**/*.mid") == folder
    assert read(f"folder:{music}") == folder
    books = {name: piece for name, piece in folder.items() if name.startswith("book")}
    assert read(f"{music}/book*/*") == books
    assert list(folder) == sorted(folder)


def test_file_whose_name_is_not_utf8_is_read_as_others_are(tmp_path):
    (tmp_path / "music").mkdir()
    for i, name in enumerate((b"a\xff.mid", b"b.mid")):
        path = os.path.join(os.fsencode(tmp_path), b"music", name)
        with open(path, "wb") as file:
            file.write(to_midi_bytes(make_piece(i)))
    os.symlink("gone", os.path.join(os.fsencode(tmp_path), b"music/c\xff.mid"))
    for source in (tmp_path / "music", f"{tmp_path}/music/*.mid"):
        found = read(source)
        assert list(found) == ["a\\udcff.mid", "b.mid", "c\\udcff.mid"]
        *pieces, reason = found.values()
        assert [len(piece) for (piece,) in pieces] == [16, 16]
        assert reason == "unreadable"


def test_single_file_is_a_source(music):
    assert list(read(music / "book0" / "piece0.mid")) == ["piece0.mid"]


def test_tunebook_gives_every_tune(tmp_path):
    tunes = "".join(ABC.format(n=n, notes="CDEF"[:n]) for n in (2, 3))
    (tmp_path / "book.abc").write_text(tunes)
    (pieces,) = read(tmp_path).values()
    assert [len(piece) for piece in pieces] == [2, 3]


def test_archive_may_mix_formats(tmp_path):
    chorales = {item.name: item for item in open_source("bach_chorales").items()}
    with zipfile.ZipFile(tmp_path / "music.zip", "w") as archive:
        archive.writestr("a/piece.mid", to_midi_bytes(make_piece(0)))
        archive.writestr("b/TUNE.ABC", ABC.format(n=1, notes="CDEF"))
        archive.writestr("c/score.mxl", chorales["bwv269.mxl"].load(2**20))
        archive.writestr("c/notes.txt", "no music")
        archive.writestr("__MACOSX/a/._piece.mid", b"left by a file manager")
    found = read(tmp_path / "music.zip")
    assert list(found) == ["a/piece.mid", "b/TUNE.ABC", "c/score.mxl"]
    assert [len(pieces[0]) for pieces in found.values()][:2] == [16, 4]
    assert len(found["c/score.mxl"][0]) > 100


def test_zips_and_gzips_in_a_folder_are_read(tmp_path):
    midi = to_midi_bytes(make_piece(0))
    (tmp_path / "a.mid.gz").write_bytes(gzip.compress(midi))
    book = ABC.format(n=1, notes="CD") + ABC.format(n=2, notes="CDE")
    (tmp_path / "b.ABC.gz").write_bytes(gzip.compress(book.encode()))
    (tmp_path / "more").mkdir()
    with zipfile.ZipFile(tmp_path / "more" / "c.zip", "w") as archive:
        archive.writestr("d/e.mid", midi)
    (tmp_path / "more" / "f.zip").write_bytes(b"no archive")
    (tmp_path / "more" / "g.mid.gz").write_bytes(gzip.compress(midi)[:-20])
    found = read(tmp_path)
    assert list(found) == [
        "a.mid.gz",
        "b.ABC.gz",
        "more/c.zip/d/e.mid",
        "more/f.zip",
        "more/g.mid.gz",
    ]
    assert [len(piece) for piece in found["b.ABC.gz"]] == [2, 3]
    assert found["a.mid.gz"] == found["more/c.zip/d/e.mid"]
    assert len(found["a.mid.gz"][0]) == 16
    assert found["more/f.zip"] == found["more/g.mid.gz"] == "damaged_archive"
    assert list(read(f"{tmp_path}/more/*.zip")) == ["c.zip/d/e.mid", "f.zip"]


def test_a_gzip_that_unpacks_to_too_much_is_refused():
    bomb = gzip.compress(b"X:1\n" + bytes(10**6))
    with pytest.raises(DropError, match="too_large"):
        read_bytes(bomb, "a.abc.gz", Limits(max_bytes=10**5))


def test_files_that_are_no_music_are_named(tmp_path, caplog):
    for name in ("a.mscz", "b.MSCZ", "c.gp5", "README", ".DS_Store", "d.mid"):
        (tmp_path / name).write_bytes(b"x")
    assert list(read(tmp_path)) == ["d.mid"]
    assert "4 files are ignored" in caplog.text
    assert "2 of .mscz, 1 of .gp5, 1 of no ending" in caplog.text


def test_damaged_member_of_an_archive_is_one_piece_dropped(tmp_path):
    path = tmp_path / "music.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for i in range(2):
            archive.writestr(f"{i}.mid", to_midi_bytes(make_piece(i)))
    data = bytearray(path.read_bytes())
    data[100] ^= 0xFF  # within the first member
    path.write_bytes(bytes(data))
    found = read(path)
    assert found["0.mid"] == "damaged_archive"
    assert len(found["1.mid"][0]) == 16


def test_file_that_is_no_archive_is_a_users_error(tmp_path):
    (tmp_path / "music.zip").write_bytes(b"no archive")
    with pytest.raises(UserError, match="music.zip: expected a zip archive"):
        read(tmp_path / "music.zip")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("bach_chorale", "did you mean 'bach_chorales'"),
        ("/no/such/folder", "no file or folder '/no/such/folder'; expected"),
        ("folders:/music", "did you mean 'folder'"),
    ],
)
def test_unknown_source_says_what_there_is(source, message):
    with pytest.raises(UserError, match=message):
        open_source(source)


def test_folk_tunes_are_pieces_with_their_rhythm():
    items = {item.name: item for item in open_source("folk").items()}
    assert len(items) == 1104  # books of many tunes, and files of one
    name = "ryansMammoth/42dHighlandRegimentStrathspey.abc"
    (sequence,) = items[name].read()
    assert list(sequence.sequence_metadata.genre) == ["strathspey"]
    assert items[name].metadata["tag"] == "ryan's mammoth collection"
    first, second = items["oneills1850/0001-0050.abc"].read()[:2]
    assert first.sequence_metadata.title == "The Enchanted Valley"
    assert (second.time_signatures[0].numerator, len(second.notes)) == (2, 84)


def test_chorales_have_four_parts():
    items = {item.name: item for item in open_source("bach_chorales").items()}
    assert len(items) > 400
    (sequence,) = items["bwv269.mxl"].read()
    assert {info.name for info in sequence.part_infos} == {
        "Soprano",
        "Alto",
        "Tenor",
        "Bass",
    }
    assert items["bwv269.mxl"].metadata["composer"] == "Johann Sebastian Bach"
    with pytest.raises(DropError, match="not_four_parts: expected 4 parts, found 1"):
        items["bwv846.mxl"].read()
