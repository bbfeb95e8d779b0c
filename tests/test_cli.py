"""The command `tfmusic` as a user meets it."""

import os
import pathlib
import subprocess
import sys

import pytest

import tfmusic
from tests.serving.exports import export_untrained
from tfmusic import cli, config, show
from tfmusic.errors import UserError

ROOT = pathlib.Path(__file__).resolve().parents[1]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
# Asks each command for its help in one process; TensorFlow is not to be imported.
ALL_HELP = """
import contextlib, io, runpy, sys
from absl import flags
from tfmusic.cli import COMMANDS, module_of
for name in COMMANDS:
    sys.argv = [f"tfmusic {name}", "--help"]
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        runpy.run_module(module_of(name), run_name="__main__", alter_sys=True)
    for flag in list(flags.FLAGS):
        delattr(flags.FLAGS, flag)
    print("==", name)
    print(text.getvalue())
assert "tensorflow" not in sys.modules, "help imports TensorFlow"
"""


def run(*arguments, **kwargs):
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        check=False,
        **kwargs,
    )


def test_overview_fits_a_screen():
    lines = cli.overview().splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    assert all(any(line.startswith(f"  {n} ") for line in lines) for n in cli.COMMANDS)


def test_help_of_each_command():
    done = run("-c", ALL_HELP, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 88  # module docstrings are wider
    for name in cli.COMMANDS:
        text = done.stdout.partition(f"== {name}\n")[2].partition("\n== ")[0]
        assert text.startswith(f"usage: tfmusic {name}"), text
    required = done.stdout.partition("== train\n")[2].partition("\n== ")[0]
    required = required.partition("required:\n")[2].partition("optional:")[0]
    assert all(f"--{n}=..." in required for n in ("config", "data_dir", "workdir"))
    assert "<none|gzip>" not in done.stdout
    assert "repeat this option" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "output"),
    [
        (["--version"], 0, f"tfmusic {tfmusic.__version__}\n"),
        ([], 0, cli.overview()),
        (["--help"], 0, cli.overview()),
    ],
)
def test_what_is_asked_of_the_command_itself(
    monkeypatch, capsys, arguments, status, output
):
    monkeypatch.setattr(sys, "argv", ["tfmusic", *arguments])
    cli.main()
    assert capsys.readouterr().out == output
    assert not status


def test_misspelt_command(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["tfmusic", "trian"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: command: unknown 'trian' (did you mean 'train'?)")
    assert error.count("\n") == 1


def test_reader_that_has_had_enough_breaks_nothing():
    code = f"{sys.executable} -m tfmusic show chord_lstm | head -1"
    code += "; echo ${PIPESTATUS[0]}"
    done = subprocess.run(
        ["bash", "-c", code],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "0"
    assert not done.stderr


def test_each_experiment_is_listed_in_one_line():
    lines = show.experiments().splitlines()
    assert config.list_configs()
    for name in config.list_configs():
        assert sum(line.startswith(f"  {name} ") for line in lines) == 1
    assert max(map(len, lines)) <= 79


def test_experiment_and_its_variants_are_shown():
    text = show.experiment("chord_lstm")
    assert "two LSTM layers of 512" in text
    assert ":bach_chorales" in text
    with pytest.raises(UserError, match="did you mean 'chord_lstm'"):
        show.experiment("chrod_lstm")


def test_exported_model_and_its_controls_are_shown(tmp_path):
    export_untrained("tokens", tmp_path / "model" / "1")
    text = show.model(str(tmp_path / "model"))
    assert "--temperature=1" in text
    assert "Above 1 the music is bolder" in text
    assert "licence" in text
    with pytest.raises(UserError, match="expected a directory that tfmusic.export"):
        show.model(str(ROOT / "tests"))


def test_run_is_told_from_a_model(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match="found the folder of a run; tfmusic export"):
        show.model(str(tmp_path))


def test_doctor_finds_all_that_is_needed():
    done = run("-m", "tfmusic", "doctor", cwd=ROOT)
    assert done.returncode == 0, done.stdout
    assert "MISSING" not in done.stdout
    assert "all that tfmusic needs is there" in done.stdout


def test_experiments_are_found_by_name_and_by_path(tmp_path):
    by_name = tfmusic.load_config("chord_lstm:smoke")
    assert by_name == tfmusic.load_config(str(ROOT / "configs/chord_lstm.py:smoke"))
    own = tmp_path / "mine.py"
    own.write_text(
        "from tfmusic.configs import chord_lstm, common\n"
        "DEFAULT = common.merge(chord_lstm.DEFAULT, dict(model=dict(dropout=0.5)))\n"
        'VARIANTS = {"": ("", {})}\n'
        'def get_config(variant=""):\n'
        "    return common.experiment(DEFAULT, VARIANTS, variant)\n"
    )
    assert tfmusic.load_config(str(own)).model.dropout == 0.5
    with pytest.raises(UserError, match="did you mean 'chord_lstm'"):
        tfmusic.load_config("chrod_lstm")


def test_work_whose_output_is_no_longer_read_does_not_end_as_if_done():
    code = "from tfmusic import command_line\nwith command_line.ends_well():\n"
    code += "    while True:\n        print('working')\n"
    done = subprocess.run(
        ["bash", "-c", f'{sys.executable} -c "$0" | head -1; echo ${{PIPESTATUS[0]}}']
        + [code],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        cwd=ROOT,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "1"
    assert "the same command resumes" in done.stderr
    assert done.stderr.count("\n") == 1


def test_misspelt_flag_of_evaluate_is_answered_with_what_it_may_mean():
    command = [sys.executable, "-m", "tfmusic.evaluate", "--workdir=run"]
    command += ["--data_dir=data", "--splitt=test"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert "error: --splitt: unknown; is --split meant? If it steers" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("generate", "--output_dir=x", "--num_outputs=two"),
            "expected a whole number, got 'two'",
        ),
        (("generate", "--output_dir=x", "--bars=x"), "expected a number, got 'x'"),
        (("show", "folkk"), "there is no 'folkk' (did you mean 'folk'?)"),
        (("show", __file__), "expected a model, found another file"),
        (("curves", "x", "--output=my.abc"), "expected a name that ends in .png"),
        (
            ("inspect", "--data_dir=x", "--piece=0", "--picture=my.mid"),
            "--picture=my.mid: expected a name that ends in .png",
        ),
        (
            ("inspect", "--data_dir=x", "--piece=0", "--output=my.txt"),
            "--output=my.txt: expected a name that ends in .mid or .midi",
        ),
    ],
)
def test_mistakes_are_answered_without_pythons_own_words(arguments, message):
    done = run("-m", "tfmusic", *arguments)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert message in done.stderr
