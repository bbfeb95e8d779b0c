"""Music in a notebook: pieces that show and play themselves, and what commands say.

Nothing here needs Jupyter; where there is none, a page opens.
"""

import logging
import sys
from collections.abc import Iterator, Sequence

import absl.logging

from tfmusic.command_line import is_no_chatter
from tfmusic.compat import in_notebook
from tfmusic.errors import UserError
from tfmusic.notes import NoteSequence, Pieces
from tfmusic.studio import embedded


def begin() -> None:
    """Shows pieces as rolls that play; in a notebook, also the lines of the log."""
    NoteSequence._repr_html_ = lambda piece: embedded.to_html([piece])
    Pieces._repr_html_ = lambda pieces: embedded.to_html(pieces) if pieces else None
    if in_notebook():
        _show_log()


def _show_log() -> None:
    """Shows the lines of the log as they are, once, among what cells print."""
    absl.logging.set_verbosity(absl.logging.INFO)
    if not logging.getLogger().handlers:
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(logging.Formatter("%(message)s"))
        handler.addFilter(is_no_chatter)
        logging.getLogger().addHandler(handler)
    # TensorFlow, if it is here already, prints its own.
    tensorflow = logging.getLogger("tensorflow")
    tensorflow.propagate = not tensorflow.handlers


def show(
    pieces: Sequence[NoteSequence | Sequence[NoteSequence]], titles: Sequence[str]
) -> None:
    """Shows pieces; see `tfmusic.play_music`."""
    flat = list(_flat(pieces))
    if not flat:
        raise UserError("play_music: expected pieces, got none")
    if titles and len(titles) != len(flat):
        raise UserError(
            f"titles: expected one for each of the {len(flat)} pieces, got "
            f"{len(titles)}; leave them out to see file names"
        )
    if in_notebook():
        from IPython.display import display

        html = embedded.to_html(flat, titles)
        display({"text/html": html, "text/plain": repr(Pieces(flat))}, raw=True)
    else:
        _open_page(flat, titles)


def _flat(pieces) -> Iterator[NoteSequence]:
    for piece in pieces:
        if isinstance(piece, NoteSequence):
            yield piece
        else:
            yield from piece


def _open_page(pieces: Sequence[NoteSequence], titles: Sequence[str]) -> None:
    from tfmusic.studio.server import check_installed, serve

    check_installed()
    from tfmusic.studio.app import Studio

    named = []
    for number, piece in enumerate(pieces):
        copy = NoteSequence()
        copy.CopyFrom(piece)
        if titles:
            copy.filename = titles[number]
        named.append(copy)
    try:
        serve(Studio(None, named), "127.0.0.1", None, True, "play")
    except KeyboardInterrupt:
        return
