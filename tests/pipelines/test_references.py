"""Real music to compare with: of datasets, as written, and of sources."""

import os

import pytest

from tests.pipelines.conftest import make_piece
from tfmusic.errors import UserError
from tfmusic.notes.writing import write_midi
from tfmusic.pipelines import references
from tfmusic.pipelines.building import write_datasets
from tfmusic.pipelines.references import read_references

CONFIG = "configs/chord_lstm.py:smoke"


@pytest.fixture
def music(tmp_path):
    folder = tmp_path / "music"
    for i in range(12):
        (folder / f"part_{i % 2}").mkdir(parents=True, exist_ok=True)
        write_midi(make_piece(i), folder / f"part_{i % 2}" / f"{i}.mid")
    return folder


@pytest.fixture
def data_dir(music, tmp_path):
    path = str(tmp_path / "data")
    write_datasets([CONFIG], str(music), path, test_fraction=0.4, num_workers=1)
    return path


def test_held_out_pieces_come_as_encoded_and_as_written(data_dir, music):
    found = read_references(data_dir)
    assert found.training
    names = [piece.filename for piece in found.held_out]
    assert len(names) > 1
    assert [piece.filename for piece in found.as_written] == names
    trained = {piece.filename for piece in found.training}
    assert not trained & set(names)
    for name, piece in zip(names, found.as_written, strict=True):
        number = int(name.split("/")[1].removesuffix(".mid"))
        assert len(piece.notes) == len(make_piece(number).notes)


def test_dataset_whose_source_is_gone_has_no_written_pieces(data_dir, music):
    music.rename(music.with_name("elsewhere"))
    found = read_references(data_dir)
    assert found.held_out
    assert found.as_written == []


def test_pieces_that_are_gone_are_left_out(data_dir, music):
    names = [piece.filename for piece in read_references(data_dir).held_out]
    (music / names[0]).unlink()
    (music / names[1]).write_bytes(b"MThd")
    found = read_references(data_dir).as_written
    assert [piece.filename for piece in found] == names[2:]


def test_folder_is_music_as_well(music):
    (music / "part_0" / "broken.mid").write_bytes(b"MThd")
    os.mkfifo(music / "part_0" / "pipe.mid")  # nobody waits for who never writes
    found = read_references(str(music))
    assert len(found.held_out) == 12
    assert not found.training
    assert not found.as_written
    assert read_references(str(music / "part_1" / "1.mid")).held_out


def test_of_a_large_source_some_are_taken(music, monkeypatch):
    monkeypatch.setattr(references, "MAX_PIECES", 5)
    names = [piece.filename for piece in read_references(str(music)).held_out]
    assert len(names) == 5
    assert names == [p.filename for p in read_references(str(music)).held_out]


def test_what_is_neither_dataset_nor_music_is_refused(tmp_path):
    with pytest.raises(UserError, match="expected a dataset .* found neither"):
        read_references(str(tmp_path))
    with pytest.raises(UserError, match="expected a dataset .*did you mean 'bach_ch"):
        read_references("bach_chorals")
