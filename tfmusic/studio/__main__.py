"""Opens a page to make music with: choose a model, generate, hear, see, change, save.

tfmusic studio                      with the models that come with tfmusic
tfmusic studio --models=DIR         and one that tfmusic export wrote; repeatable

The page is served to this machine alone, and nothing leaves it. docs/studio.md tells
what is on it.
"""

from absl import flags

from tfmusic import command_line
from tfmusic.errors import UserError

_MODELS = flags.DEFINE_multi_string(
    "models",
    [],
    "Folder that tfmusic export wrote, or its one file; its music can be made too. "
    "Repeatable.",
)
_HOST = flags.DEFINE_string(
    "host",
    "127.0.0.1",
    "Address to serve at; any but this machine's own asks visitors for a token.",
)
_PORT = flags.DEFINE_integer(
    "port", None, "Port; the first free one from 8765 on by default."
)
_OPEN = flags.DEFINE_bool("open", True, "Open the page in the browser.")


def main() -> None:
    """Serves the page."""
    from tfmusic.studio.server import check_installed, serve

    check_installed()
    from tfmusic.studio.app import Studio
    from tfmusic.studio.shelf import Shelf

    shelf = Shelf(_MODELS.value)
    if not shelf.cards:
        raise UserError("expected a model: give --models=DIR, as tfmusic export wrote")
    serve(Studio(shelf), _HOST.value, _PORT.value, _OPEN.value, "studio")


if __name__ == "__main__":
    command_line.run(main)
