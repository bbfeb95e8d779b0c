"""Pieces and commands in a notebook, and the notebooks of examples/."""

import html
import os
import pathlib
import re
import signal
import subprocess
import sys
import urllib.request

import pytest

import tfmusic.api
from tests.contracts import make_sequence
from tfmusic.notes import NoteSequence, Pieces

nbformat = pytest.importorskip("nbformat", reason="pip install nbformat")
nbclient = pytest.importorskip("nbclient", reason="pip install nbclient ipykernel")
ROOT = pathlib.Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
PIECE = make_sequence([(60, 80, 0.0, 0.5), (67, 80, 0.5, 2.0)])


def shown(piece):
    """The document that a notebook shows."""
    return html.unescape(re.search(r'srcdoc="([^"]*)"', piece._repr_html_())[1])


def run(notebook, folder, monkeypatch):
    """Runs all cells; gives what they print and show, together."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    resources = {"metadata": {"path": str(folder)}}
    nbclient.NotebookClient(notebook, timeout=600, resources=resources).execute()
    outputs = [o for cell in notebook.cells for o in cell.get("outputs", [])]
    assert not [o.text for o in outputs if o.get("name") == "stderr"]
    printed = "".join(o.text for o in outputs if o.output_type == "stream")
    return printed, [o.data for o in outputs if "data" in o]


def test_piece_is_one_line_and_a_list_a_line_for_each():
    piece = NoteSequence()
    piece.CopyFrom(PIECE)
    piece.filename = "music/tune.mid"
    line = "<NoteSequence 'tune.mid': 2 notes, 1 instrument, 1.0 s>"
    assert (repr(piece), repr([piece])) == (line, f"[{line}]")
    assert "pitch: 67" in str(piece)
    assert repr(Pieces([piece])) == f"1 piece\n  0: {line}"
    many = Pieces([piece] * 12)
    assert repr(many).splitlines()[-1] == "  and 2 more"
    assert repr(many[9:]).splitlines()[0] == "3 pieces"


def test_piece_is_shown_with_all_that_it_takes_to_play():
    piece = NoteSequence()
    piece.CopyFrom(PIECE)
    piece.sequence_metadata.title = "</script><b>"
    document = shown(piece)
    assert "2 notes" in document and "</script><b>" not in document
    # Of the piano, those samples that are near to the notes.
    assert re.findall(r'"(\d+)": "[A-Za-z0-9+/]{1000}', document) == ["57", "69"]
    assert not re.search(r"^(import|export) |<script src|<link", document, re.MULTILINE)
    many = Pieces([piece] * 10)
    assert shown(many).count('"notes":') == 8
    assert "<p>and 2 more</p>" in shown(many)
    assert Pieces()._repr_html_() is None


def test_music_plays_on_a_page_where_there_is_no_notebook(tmp_path):
    tfmusic.write_music(PIECE, tmp_path / "tune.mid")
    code = (
        "import sys, tfmusic; sys.modules['tensorflow'] = None\n"
        "tune = tfmusic.read_music('tune.mid')\n"
        "tfmusic.play_music([tune, tune], titles=['one', 'two'])\n"
        "print('after it')\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "BROWSER": "true"},
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        address = process.stdout.readline().split()[2]
        with urllib.request.urlopen(f"{address}api/pieces", timeout=10) as answer:
            titles = re.findall(r'"title":"(\w+)"', answer.read().decode())
        assert titles == ["one", "two"]
        process.send_signal(signal.SIGINT)
        assert process.stdout.read() == "after it\n"
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "titles", "message"),
    [
        ([], (), "expected pieces, got none"),
        ([[PIECE]], "ab", "of the 1 pieces, got 2"),
    ],
)
def test_nothing_to_play_is_a_users_error(arguments, titles, message):
    with pytest.raises(tfmusic.UserError, match=message):
        tfmusic.play_music(*arguments, titles=titles)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_stored_without_outputs(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert not cell.get("outputs") and not cell.get("execution_count")


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs_as_it_stands(path, tmp_path, monkeypatch):
    notebook = nbformat.read(path, as_version=4)
    printed, data = run(notebook, tmp_path, monkeypatch)
    assert sum("text/html" in shown for shown in data) >= 2
    assert all(len(shown["text/plain"]) < 500 for shown in data)
    if path.stem == "own_files":
        # A bar of the job, a line that moves, the log, and each of them once.
        assert "\rread" in printed
        assert re.search(r"step \d+ of \d+, loss [^\n]*left *\r", printed)
        assert printed.count(" parameters, ") == 1
        assert printed.count("verdict: ") == 1
        assert "nats a step on pieces" in printed
