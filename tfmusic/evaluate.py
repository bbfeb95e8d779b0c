"""Scores a run's best weights on a split: the exact log-likelihood and the metrics."""

from absl import flags

from tfmusic import command_line

_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Directory of a run of tfmusic.train.", required=True
)
_DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "Dataset that pipelines.build_tfrecords wrote.", required=True
)
_SPLIT = flags.DEFINE_enum(
    "split", "test", ["train", "validation", "test"], "Which pieces to score."
)
_JSON = flags.DEFINE_string("json", None, "Also write the result to this file.")


def main() -> None:
    """Evaluates as the flags say."""
    from tfmusic.training.scoring import evaluate_run

    evaluate_run(_WORKDIR.value, _DATA_DIR.value, _SPLIT.value, _JSON.value)


if __name__ == "__main__":
    command_line.run(main)
