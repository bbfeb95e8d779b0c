"""The names that notebooks use."""

import importlib
import inspect
import os
import pathlib
import subprocess
import sys

import pytest

import tfmusic
from tests.contracts import make_sequence
from tests.pipelines.conftest import make_piece

ROOT = pathlib.Path(__file__).resolve().parents[1]
PIECE = make_sequence([(60, 80, 0.0, 0.5), (64, 80, 0.5, 1.0), (67, 80, 1.0, 2.0)])
# The example's config in a size that takes seconds.
TINY = """
import importlib.util

spec = importlib.util.spec_from_file_location("whole", {path!r})
whole = importlib.util.module_from_spec(spec)
spec.loader.exec_module(whole)


def get_config(variant=""):
    config = whole.get_config(variant)
    config.data.update(min_steps=1, window_steps=8, window_stride=8)
    config.model.update(embedding_size=8, units=(8,))
    config.train.update(batch_size=2, eval_batch_size=2, steps_per_epoch=2)
    return config
"""


def test_every_name_is_there_and_documented():
    assert len(tfmusic.API) == 14
    assert set(dir(tfmusic)) == {*tfmusic.API, "__version__"}
    for name in tfmusic.API:
        assert inspect.getdoc(getattr(tfmusic, name)), name
        assert name not in {p.stem for p in (ROOT / "tfmusic").iterdir()}, name
    with pytest.raises(AttributeError, match="no attribute 'read_musik'"):
        tfmusic.read_musik  # noqa: B018


def test_reading_writing_and_drawing_take_no_tensorflow(tmp_path):
    code = (
        "import sys, tfmusic\n"
        "piece = tfmusic.read_music('piece.mid')\n"
        "for name in ('again.mid', 'piece.musicxml', 'piece.wav'):\n"
        "    tfmusic.write_music(piece, name)\n"
        "picture = tfmusic.plot_music(piece, titles=['a piece'])\n"
        "picture.save('piece.png')\n"
        "sys.exit('tensorflow' in sys.modules)\n"
    )
    tfmusic.write_music(PIECE, tmp_path / "piece.mid")
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert run.returncode == 0
    assert (tmp_path / "again.mid").read_bytes() == (
        tmp_path / "piece.mid"
    ).read_bytes()
    assert (tmp_path / "piece.wav").read_bytes().startswith(b"RIFF")
    assert (tmp_path / "piece.png").read_bytes().startswith(b"\x89PNG")
    notes = tfmusic.read_music(tmp_path / "piece.musicxml").notes
    assert [note.pitch for note in notes] == [60, 64, 67]


def test_name_without_a_known_ending_is_refused(tmp_path):
    with pytest.raises(tfmusic.UserError, match=r"ends in \.mid, .*\.wav"):
        tfmusic.write_music(PIECE, tmp_path / "piece.ogg")


UNPLAYABLE = make_sequence([(60, 80, float("nan"), 1.0)])


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda folk: tfmusic.load_config(3), "config: expected a text, got 3"),
        (
            lambda folk: tfmusic.draw_primer(folk, "data", seed="a"),
            "seed: expected a whole number, got 'a'",
        ),
        (
            lambda folk: folk.cut_primer("x.mid", bars=2),
            r"piece: expected music, as tfmusic\.read_music gives it, got 'x\.mid'",
        ),
        (
            lambda folk: folk.score(UNPLAYABLE),
            "sequence: .* times that go on, found 1 notes of others",
        ),
        (
            lambda folk: tfmusic.compare_music([PIECE], [UNPLAYABLE]),
            "held_out: .* times that go on, found 1 notes of others",
        ),
    ],
)
def test_wrong_arguments_are_a_users_error(call, expected):
    with pytest.raises(tfmusic.UserError, match=expected):
        call(tfmusic.load_model("folk"))


def test_titles_that_are_not_as_many_as_pieces_are_a_users_error():
    with pytest.raises(tfmusic.UserError, match="each of the 2 pieces, got 1"):
        tfmusic.plot_music(PIECE, PIECE, titles=["one"])


def test_dataset_without_beam_is_a_users_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    for name in [name for name in sys.modules if name.startswith("tfmusic.pipelines.")]:
        monkeypatch.delitem(sys.modules, name)
    importlib.invalidate_caches()
    with pytest.raises(tfmusic.UserError, match="Apache Beam.*pip install"):
        tfmusic.build_dataset("configs/chord_lstm.py", "bach_chorales", "none")


@pytest.mark.slow
def test_example_of_the_docs_runs_as_it_stands(tmp_path):
    page = (ROOT / "docs" / "notebooks.md").read_text(encoding="utf-8")
    example = page.partition("```python\n")[2].partition("```")[0]
    (tmp_path / "configs").mkdir()
    whole = str(ROOT / "configs" / "chord_lstm.py")
    (tmp_path / "configs" / "chord_lstm.py").write_text(TINY.format(path=whole))
    for i in range(12):
        tfmusic.write_music(make_piece(i), tmp_path / "my_midi_folder" / f"{i}.mid")
    tfmusic.write_music(make_piece(3), tmp_path / "beginning.mid")
    done = subprocess.run(
        [sys.executable, "-c", example],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "nats a step: -" in done.stdout
    assert "generated" in done.stdout.split("nats a step")[1]
    assert tfmusic.read_music(tmp_path / "piece.mid").notes
    assert (tmp_path / "pieces.png").exists()
