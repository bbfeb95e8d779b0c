"""The wheel, installed where there is no clone."""

import os
import pathlib
import subprocess
import sys
import sysconfig
import venv

import pytest

from tests.pipelines.conftest import make_piece
from tfmusic.notes.writing import write_midi

ROOT = pathlib.Path(__file__).resolve().parents[1]
# Keeps Beam away, as where the extra [pipelines] is not installed.
WITHOUT_BEAM = "import sys; sys.modules['apache_beam'] = None\n"


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """An environment with the wheel and nothing else of the clone; gives its Python."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    options = ["--no-deps", "--no-build-isolation", "--wheel-dir", str(folder)]
    subprocess.run([*pip, "wheel", *options, str(ROOT)], check=True)
    (wheel,) = folder.glob("tfmusic-*.whl")
    venv.create(folder / "venv", with_pip=False)
    python = folder / "venv" / "bin" / "python"
    (packages,) = (folder / "venv").glob("lib/python*/site-packages")
    # What tfmusic needs is taken from the environment of the tests.
    (packages / "needed.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    target = ["install", "--no-deps", "--target", str(packages), str(wheel)]
    subprocess.run([*pip, *target], check=True)
    return python


def call(python, folder, *arguments, status=0):
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [str(python), "-m", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stderr
    return done


@pytest.mark.slow
def test_chain_in_an_empty_folder(installed, tmp_path):
    for i in range(12):
        (tmp_path / "music").mkdir(exist_ok=True)
        write_midi(make_piece(i), tmp_path / "music" / f"{i}.mid")
    where = subprocess.run(
        [str(installed), "-c", "import tfmusic; print(tfmusic.__file__)"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert str(ROOT) not in where
    data = ["--data_dir=data"]
    build = ["tfmusic", "build", "--config=chord_lstm:smoke", "--source=music"]
    call(installed, tmp_path, *build, "--output_dir=data", "--num_workers=2")
    train = ["tfmusic", "train", "--config=chord_lstm:smoke", "--workdir=run", *data]
    steps = ["--config.train.num_epochs=1", "--config.train.steps_per_epoch=3"]
    call(installed, tmp_path, *train, *steps, "--config.train.batch_size=4")
    score = ["tfmusic", "evaluate", "--workdir=run", *data, "--json=score.json"]
    call(installed, tmp_path, *score)
    call(installed, tmp_path, "tfmusic", "export", "--workdir=run", "--export_dir=m")
    generate = ["tfmusic", "generate", "--model_dir=m", "--output_dir=new"]
    call(installed, tmp_path, *generate, "--num_outputs=1", "--num_steps=40")
    assert (tmp_path / "new" / "piece_1.mid").exists()
    inspect = ["tfmusic", "inspect", *data, "--piece=0", "--output=x.mid"]
    assert "written to x.mid" in call(installed, tmp_path, *inspect).stdout
    assert (
        "--temperature=0.9" in call(installed, tmp_path, "tfmusic", "show", "m").stdout
    )


@pytest.mark.slow
def test_build_without_beam_says_what_to_install(installed, tmp_path):
    (packages,) = installed.parents[1].glob("lib/python*/site-packages")
    (packages / "sitecustomize.py").write_text(WITHOUT_BEAM)
    try:
        build = ["tfmusic", "build", "--config=chord_lstm:smoke", "--output_dir=d"]
        done = call(installed, tmp_path, *build, "--source=bach_chorales", status=2)
    finally:
        (packages / "sitecustomize.py").unlink()
    assert done.stderr.count("\n") == 1
    assert 'pip install "tfmusic[pipelines]"' in done.stderr
