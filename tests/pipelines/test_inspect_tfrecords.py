import subprocess
import sys

import pytest

from tests.latents import write_latents_dataset
from tfmusic.errors import UserError
from tfmusic.inspect import show_dataset, show_piece
from tfmusic.notes.reading import read_file
from tfmusic.pipelines.building import write_datasets


@pytest.fixture(scope="module")
def data_dir(config, music, tmp_path_factory):
    path = str(tmp_path_factory.mktemp("inspect") / "data")
    write_datasets([config + ":tokens"], str(music), path)
    return path


def test_description_is_shown(data_dir, capsys):
    show_dataset(data_dir)
    shown = capsys.readouterr().out
    for text in (
        *("chord_frames", "train", "too_short", "entries", "dropped.jsonl"),
        *("16 files", "source hash", "data.min_steps", "numpy=", "hours"),
    ):
        assert text in shown
    show_dataset(data_dir, dropped=True)
    lines = capsys.readouterr().out.splitlines()
    assert (
        "short.mid: encode: too_short: expected at least 4 steps (data.min_steps), "
        "found 1; kept by data.min_steps" in lines
    )


def test_piece_is_written_as_midi_and_drawn(data_dir, tmp_path, capsys):
    path, picture = tmp_path / "piece.mid", tmp_path / "piece.png"
    show_piece(data_dir, "train", 0, str(path), str(picture))
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "train piece 0: book" in capsys.readouterr().out
    assert len(read_file(path).notes) > 1


def test_piece_of_latents_is_that_of_the_events_beside(tmp_path, capsys):
    data_dir = write_latents_dataset(tmp_path / "events", with_events=True)
    show_piece(data_dir, "train", 0, str(tmp_path / "piece.mid"), None)
    assert "latents: float32 [40, 6]" in capsys.readouterr().out
    assert len(read_file(tmp_path / "piece.mid").notes) > 1
    data_dir = write_latents_dataset(tmp_path / "latents")
    with pytest.raises(UserError, match="give the dataset of chunks instead"):
        show_piece(data_dir, "train", 0, None, None)


def test_piece_that_is_not_there_is_a_users_error(data_dir):
    with pytest.raises(UserError, match="piece 99: the test split of .* has 1 pieces"):
        show_piece(data_dir, "test", 99, None, None)


def test_inspection_waits_for_neither_beam_nor_tensorflow(data_dir):
    code = (
        "import sys; from tfmusic.inspect import show_dataset; "
        f"show_dataset({data_dir!r}); "
        "sys.exit('apache_beam' in sys.modules or 'tensorflow' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
