"""Trains a model: `python -m tfmusic.train --config=configs/chord_lstm.py ...`.

Called again with the same flags it goes on from the newest checkpoint.
"""

from absl import flags
from ml_collections import config_flags

from tfmusic import command_line
from tfmusic.config import find_config

_CONFIG = config_flags.DEFINE_config_file(
    "config",
    None,
    "Experiment, FILE or FILE:VARIANT; --config.section.field=VALUE changes a field.",
    lock_config=True,
)
_DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "Dataset that pipelines.build_tfrecords wrote.", required=True
)
_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Directory of the run: checkpoints and logs.", required=True
)
flags.mark_flag_as_required("config")


def main() -> None:
    """Trains as the flags say."""
    # The flag's own value would fail at its first use, with a traceback.
    find_config(config_flags.get_config_filename(flags.FLAGS["config"]))
    # After the flags are parsed: --help and a misspelt field need no TensorFlow.
    from tfmusic.training.setup import train_and_evaluate

    train_and_evaluate(_CONFIG.value, _DATA_DIR.value, _WORKDIR.value)


if __name__ == "__main__":
    command_line.run(main)
