"""What is attacked: a small dataset, a run, an export of it, and music."""

import atexit
import dataclasses
import functools
import os
import pathlib
import shutil
import tempfile

from tests.experiments import tiny_config, write_config


@dataclasses.dataclass(frozen=True)
class Victims:
    """Paths of what a child has made.

    Attributes:
        folder: Of all that follows.
        config: A file of an experiment.
        data: Its dataset.
        run: Its run, of one epoch.
        export: Its export.
        packed: The same in one file.
        tokens: An export of an untrained model of tokens, with many controls.
        music: A MIDI file.
    """

    folder: str
    config: str
    data: str
    run: str
    export: str
    packed: str
    tokens: str
    music: str


def places(folder: str) -> Victims:
    """Where everything is, or is to be."""
    names = ("config.py", "data", "run", "export", "model.zip", "tokens")
    names += ("piece.mid",)
    return Victims(folder, *(os.path.join(folder, name) for name in names))


def short_config():
    """An experiment whose training takes two steps."""
    return tiny_config(num_epochs=1, steps_per_epoch=2, keep_checkpoints=1)


def make_victims(folder: str) -> None:
    """Makes all of them; uses TensorFlow, so it is for a child."""
    from tests.experiments import made_up_piece, write_tiny_data
    from tests.serving.exports import export_untrained
    from tfmusic.api import write_music
    from tfmusic.serving.saved_model import export_run
    from tfmusic.training.setup import train_and_evaluate

    found = places(folder)
    write_config(short_config(), found.config)
    write_tiny_data(found.data)
    train_and_evaluate(short_config(), found.data, found.run)
    export_run(found.run, found.export)
    export_run(found.run, found.packed)
    export_untrained("tokens_bars", os.path.join(found.tokens, "1"))
    write_music(made_up_piece(0), found.music)


@functools.cache
def victims() -> Victims:
    """All of them, made once in a child of this process."""
    folder = tempfile.mkdtemp(prefix="tfmusic_attack_")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    child = os.fork()
    if not child:
        try:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1)
            make_victims(folder)
        except BaseException:
            import traceback

            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if status:
        raise RuntimeError("what is to be attacked could not be made")
    return places(folder)


def scratch(name: str) -> str:
    """A path beside the victims at which there is nothing."""
    folder = pathlib.Path(victims().folder) / "scratch"
    folder.mkdir(exist_ok=True)
    return tempfile.mkdtemp(prefix=name, dir=folder) + "/new"
