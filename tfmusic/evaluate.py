"""Scores a trained model on held-out music: exact log-likelihood and other metrics.

It takes the weights with the lowest validation loss.
"""

from absl import flags

from tfmusic import command_line
from tfmusic.compat import import_tensorflow

_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Folder of a run of tfmusic train.", required=True
)
_DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "Dataset that tfmusic build wrote.", required=True
)
_SPLIT = flags.DEFINE_enum(
    "split", "test", ["train", "validation", "test"], "The pieces to score."
)
_JSON = flags.DEFINE_string("json", None, "Also write the result to this file.")


def main() -> None:
    """Evaluates as the flags say."""
    import_tensorflow()
    from tfmusic.training.scoring import evaluate_run

    evaluate_run(_WORKDIR.value, _DATA_DIR.value, _SPLIT.value, _JSON.value)


if __name__ == "__main__":
    command_line.run(main)
