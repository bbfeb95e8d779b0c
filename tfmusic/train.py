"""Trains a model on a dataset. Called again with the same flags, it resumes.

The workdir gets checkpoints, the curves of all epochs as metrics.png and metrics.csv,
music made on the way, and what `tensorboard --logdir=WORKDIR/tensorboard` shows.
"""

import functools

from absl import flags

from tfmusic import command_line
from tfmusic.compat import import_tensorflow
from tfmusic.config import change_fields, load_config

_CONFIG = flags.DEFINE_string(
    "config",
    None,
    "Experiment: NAME or FILE.py, and :VARIANT if wanted (tfmusic show lists them). "
    "--config.SECTION.FIELD=VALUE changes one of its fields.",
    required=True,
)
_DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "Dataset that tfmusic build wrote.", required=True
)
_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Folder of the run, made if it is not there.", required=True
)
_INIT_FROM = flags.DEFINE_string(
    "init_from",
    "",
    "Begin with the weights of a trained model: its name (tfmusic models), or the "
    "folder of a run or an export. The dataset must be encoded as its music was: "
    "tfmusic build --like=MODEL.",
)


def main() -> None:
    """Trains as the flags say."""
    config = load_config(_CONFIG.value)
    change_fields(config, command_line.config_changes())
    import_tensorflow()
    # After the flags are read: --help and a misspelt field need no TensorFlow.
    from tfmusic.serving.origins import find_origin
    from tfmusic.training.setup import train_and_evaluate

    name = _INIT_FROM.value
    find = functools.partial(find_origin, name) if name else None
    train_and_evaluate(config, _DATA_DIR.value, _WORKDIR.value, find)


if __name__ == "__main__":
    command_line.run(main, takes_extra_flags=True)
