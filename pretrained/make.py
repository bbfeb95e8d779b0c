"""Makes a model that comes with tfmusic, from its data to one file.

    python -m pretrained.make chorales
    python -m pretrained.make piano --source=piano_midi_de:FOLDER

Builds the dataset, trains, scores the run with 64 pieces, and writes the model and its
hash. Called again it resumes where it was stopped. What it makes on the way is in
runs/pretrained/NAME. With --run=DIR it exports the weights of a run that is there.
"""

import dataclasses
import pathlib
import subprocess
import sys

from absl import app, flags

from tfmusic.errors import choose
from tfmusic.serving.catalogue import PLACES, write_hash

_SOURCE = flags.DEFINE_string("source", None, "The music, where no package carries it.")
_RUN = flags.DEFINE_string(
    "run", None, "A run that is trained and scored: its weights are exported again."
)
_WHEEL, _CLONE = PLACES


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a model is made.

    Attributes:
        config: The experiment.
        source: Of `tfmusic build`; empty: given by --source.
        place: The folder of the file: in the wheel, or in a clone alone.
    """

    config: str
    source: str
    place: pathlib.Path


RECIPES = {
    "chorales": Recipe("chord_lstm:bach_chorales", "bach_chorales", _WHEEL),
    "folk": Recipe("bar_lstm:folk", "folk", _WHEEL),
    "harmony": Recipe("coconet", "bach_chorales", _WHEEL),
    "piano": Recipe("bar_lstm:piano", "", _CLONE),
}


def main(arguments: list[str]) -> None:
    """Makes the model that the argument names."""
    if len(arguments) != 2:
        sys.exit(f"error: expected one name, of {', '.join(RECIPES)}")
    name = choose("model", arguments[1], RECIPES)
    recipe = RECIPES[name]
    path = recipe.place / f"{name}.zip"
    if _RUN.value:
        _export(f"--workdir={_RUN.value}", path)
        return
    source = _SOURCE.value or recipe.source
    if not source:
        sys.exit(f"error: {name}: expected --source=, where its music is")
    folder = f"runs/pretrained/{name}"
    data, run = f"--data_dir={folder}/data", f"--workdir={folder}/run"
    config = f"--config={recipe.config}"
    _call("build", config, f"--source={source}", f"--output_dir={folder}/data")
    _call("train", config, data, run)
    _call("evaluate", data, run, "--pieces=64")
    _export(run, path)


def _export(run: str, path: pathlib.Path) -> None:
    """Writes a run's model and its hash."""
    _call("export", run, f"--export_dir={path}")
    write_hash(str(path))


def _call(command: str, *arguments: str) -> None:
    """Runs a command of tfmusic; ends with its status if that is not 0."""
    done = subprocess.run([sys.executable, "-m", "tfmusic", command, *arguments])
    if done.returncode:
        sys.exit(done.returncode)


if __name__ == "__main__":
    app.run(main)
