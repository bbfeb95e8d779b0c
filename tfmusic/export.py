"""Writes a run's best weights as a SavedModel that generates by itself."""

from absl import flags

from tfmusic import command_line

_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Directory of a run of tfmusic.train.", required=True
)
_EXPORT_DIR = flags.DEFINE_string(
    "export_dir", None, "Gets a numbered directory for each version.", required=True
)


def main() -> None:
    """Exports as the flags say."""
    from tfmusic.serving.saved_model import export_run

    export_run(_WORKDIR.value, _EXPORT_DIR.value)


if __name__ == "__main__":
    command_line.run(main)
