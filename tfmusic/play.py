"""Opens a page that plays music files and shows them as piano rolls.

tfmusic play out.mid                a MIDI, MusicXML or ABC file, or several

The page is that of tfmusic studio without its models; TensorFlow is not needed.
"""

from absl import flags

from tfmusic import command_line
from tfmusic.errors import UserError

_PORT = flags.DEFINE_integer(
    "port", None, "Port; the first free one from 8765 on by default."
)
_OPEN = flags.DEFINE_bool("open", True, "Open the page in the browser.")
_MOST_FILES = 32


def main() -> None:
    """Serves the page."""
    from tfmusic.notes.guarded import read_guarded
    from tfmusic.notes.limits import ReadError
    from tfmusic.studio.server import check_installed, serve

    files = command_line.arguments()
    if not 1 <= len(files) <= _MOST_FILES:
        raise UserError(
            f"play: expected 1 to {_MOST_FILES} files, as in tfmusic play out.mid, got "
            f"{len(files)}"
        )
    check_installed()
    from tfmusic.studio.app import Studio
    from tfmusic.studio.pieces import LIMITS

    pieces = []
    for file in files:
        try:
            pieces.append(read_guarded(file, LIMITS))
        except ReadError as error:
            raise UserError(
                f"{file}: expected a readable MIDI, MusicXML or ABC file; {error}"
            ) from error
    serve(Studio(None, pieces), "127.0.0.1", _PORT.value, _OPEN.value, "play")


if __name__ == "__main__":
    command_line.run(main, takes_arguments=True)
