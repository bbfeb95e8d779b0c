"""Writes a trained model as a SavedModel that generates by itself.

It takes the weights with the lowest validation loss.
"""

from absl import flags

from tfmusic import command_line
from tfmusic.compat import import_tensorflow

_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Folder of a run of tfmusic train.", required=True
)
_EXPORT_DIR = flags.DEFINE_string(
    "export_dir",
    None,
    "Folder for the model; each export is a numbered version in it.",
    required=True,
)


def main() -> None:
    """Exports as the flags say."""
    import_tensorflow()
    from tfmusic.serving.saved_model import export_run

    export_run(_WORKDIR.value, _EXPORT_DIR.value)


if __name__ == "__main__":
    command_line.run(main)
