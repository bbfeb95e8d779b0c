import json

import pytest

from tests.contracts import make_sequence
from tests.latents import write_latents_dataset
from tfmusic.data.dataset import Dataset
from tfmusic.data.dataset_info import DatasetInfo
from tfmusic.errors import UserError
from tfmusic.notes.reading import read_file
from tfmusic.serving.gallery import read_pieces, write_gallery
from tfmusic.serving.player import Player


def test_gallery_holds_what_it_says(tiny_export, tiny_run, tmp_path):
    pieces = Player(tiny_export).generate(num_outputs=2, num_steps=24, seed=1)
    account = write_gallery(
        str(tmp_path),
        pieces,
        "a test",
        references=read_pieces(tiny_run[0], "test"),
        training=read_pieces(tiny_run[0], "train"),
        audio=True,
        scores=True,
    )
    assert (tmp_path / "contents.txt").read_text() == account + "\n"
    lines = account.partition("\n\n|")[0].splitlines()
    named = {line.split("  ")[0] for line in lines if "  " in line}
    files = {path.name for path in tmp_path.iterdir()} - {"contents.txt"}
    assert named == files
    assert len(files) == 2 * 4 + 2
    assert len(read_file(tmp_path / "piece_1.mid").notes) == len(pieces[0].notes)
    assert (tmp_path / "piece_1.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "piece_2.wav").read_bytes().startswith(b"RIFF")
    assert "piece 2, played by " in account
    with open(tmp_path / "statistics.json") as file:
        groups = json.load(file)
    sizes = {name: len(groups[name]["pieces"]) for name in ("generated", "held-out")}
    assert sizes == {"generated": 2, "held-out": 1}
    assert "notes that begin on the beat, %" in account


def test_music_without_a_beat_is_measured_in_seconds(tiny_run, tmp_path):
    pieces = read_pieces(tiny_run[0], "train")
    account = write_gallery(
        str(tmp_path),
        pieces[:1],
        "a test",
        references=pieces,
        as_written=pieces,
        pictures=False,
        in_seconds=True,
    )
    assert "mean note length, seconds" in account
    assert "held-out, as written" in account
    assert "quarters" not in account
    assert "on the beat" not in account


def test_a_piece_without_a_beat_has_no_score_and_the_others_have(tmp_path):
    in_time = make_sequence([(60, 80, i, i + 1) for i in range(8)])
    free = make_sequence([(60, 80, i * 1.07, i * 1.07 + 1) for i in range(30)])
    pieces = [free, in_time]
    account = write_gallery(
        str(tmp_path), pieces, "a test", scores=True, pictures=False
    )
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["contents.txt", "piece_1.mid", "piece_2.mid", "piece_2.musicxml"]
    assert "no score of piece 1: expected music that follows a beat" in account


def test_what_a_choir_sings_is_written_in_its_voices(tmp_path):
    chords = ((72, 67, 64, 48), (71, 67, 62, 43))
    notes = [(p, 80, i, i + 1) for i, chord in enumerate(chords) for p in chord]
    piece = make_sequence(notes)
    write_gallery(str(tmp_path), [piece], "a test", pictures=False, voices=True)
    infos = read_file(tmp_path / "piece_1.mid").instrument_infos
    assert [info.name for info in infos] == ["Soprano", "Alto", "Tenor", "Bass"]
    write_gallery(str(tmp_path), [piece], "a test", pictures=False)
    infos = read_file(tmp_path / "piece_1.mid").instrument_infos
    assert "Alto" not in [info.name for info in infos]


def test_pieces_of_an_earlier_call_are_told_apart(tmp_path):
    pieces = [make_sequence([(60, 80, 0, 1)])] * 3
    write_gallery(str(tmp_path), pieces, "first", pictures=False)
    account = write_gallery(str(tmp_path), pieces[:1], "second", pictures=False)
    assert "of an earlier call, replaced: piece_1.mid\n" in account
    assert "of an earlier call, still here: piece_2.mid, piece_3.mid" in account
    again = write_gallery(str(tmp_path), pieces, "third", pictures=False)
    assert "replaced: piece_1.mid, piece_2.mid, piece_3.mid" in again
    assert "still here" not in again


def test_directory_without_a_dataset_is_refused(tmp_path):
    with pytest.raises(UserError, match="expected a dataset"):
        read_pieces(str(tmp_path), "test")


def test_pieces_of_latents_are_those_of_the_events_beside(tmp_path):
    data_dir = write_latents_dataset(tmp_path / "events", with_events=True)
    chunks = DatasetInfo.load(data_dir).make_representation().chunks
    pieces = read_pieces(data_dir, "validation")
    for i, piece in enumerate(pieces):
        assert piece.notes
        record = Dataset.open(data_dir).piece("validation", i)
        assert piece.filename == record["id"]
        assert piece.notes == chunks.decode(record).notes
    assert len(pieces) == 2
    data_dir = write_latents_dataset(tmp_path / "latents")
    with pytest.raises(UserError, match="give the dataset of chunks instead"):
        read_pieces(data_dir, "test")


def test_bucket_is_no_place_for_music():
    with pytest.raises(UserError, match="expected a path on this machine"):
        write_gallery("s3://bucket/music", [], "a test")


def test_a_file_is_no_place_for_music(tmp_path):
    (tmp_path / "music").write_text("notes")
    with pytest.raises(UserError, match="expected a directory for music, found a file"):
        write_gallery(str(tmp_path / "music"), [], "a test")
    with pytest.raises(UserError, match="music/new cannot be written"):
        write_gallery(str(tmp_path / "music" / "new"), [], "a test")
