"""Pieces as HTML that shows and plays them wherever it is shown, without a server.

The rolls and the piano are those of the page; scripts, styles and the sounds that the
pieces take are within the text. For the output of a notebook.
"""

import base64
import html
import json
import pathlib
import re
from collections.abc import Sequence

from tfmusic.notes import NoteSequence
from tfmusic.studio.pieces import summary, title_of, to_page

_STATIC = pathlib.Path(__file__).with_name("static")
# In order of use; each imports only from those before it.
_SCRIPTS = ("colours", "dom", "roll", "player", "embedded")
_MOST_PIECES = 8
_MOST_NOTES = 50_000
# Every second sample of the piano: half the size, and hardly to be heard.
_SAMPLES = range(21, 109, 6)
_PIECE_PIXELS, _MORE_PIXELS = 266, 40


def to_html(pieces: Sequence[NoteSequence], titles: Sequence[str] = ()) -> str:
    """A frame with a roll that plays for each piece.

    Args:
        pieces: The first eight are shown.
        titles: A title for each; file names, or numbers, by default.
    """
    shown, num_notes = [], 0
    for number, piece in enumerate(pieces[:_MOST_PIECES]):
        num_notes += len(piece.notes)
        if shown and num_notes > _MOST_NOTES:
            break
        page = to_page(piece)
        page["title"] = titles[number] if titles else title_of(piece)
        if page["title"] == "Piece" and len(pieces) > 1:
            page["title"] = f"Piece {number + 1}"
        page["summary"] = summary(page)
        shown.append(page)
    num_left = len(pieces) - len(shown)
    more = f"<p>and {num_left} more</p>" if num_left else ""
    data = json.dumps({"pieces": shown, "sounds": _sounds(shown)})
    document = _DOCUMENT.format(
        style=(_STATIC / "style.css").read_text(encoding="utf-8"),
        more=more,
        data=data.replace("<", "\\u003c"),
        script=_script(),
    )
    height = len(shown) * _PIECE_PIXELS + bool(num_left) * _MORE_PIXELS
    return (
        f'<iframe srcdoc="{html.escape(document)}" width="100%" height="{height}" '
        'style="border: 0" allow="autoplay">Trust this notebook to see and hear the '
        "music.</iframe>"
    )


def _sounds(pages: Sequence[dict]) -> dict[int, str]:
    """The samples that the notes take, as base64 by pitch."""
    pitches = {
        note[0]
        for page in pages
        for note in page["notes"]
        if not page["tracks"][note[4]]["drums"]
    }
    nearest = {min(_SAMPLES, key=lambda s: abs(s - pitch)) for pitch in pitches}
    return {
        pitch: base64.b64encode((_STATIC / f"piano/{pitch}.mp3").read_bytes()).decode()
        for pitch in sorted(nearest)
    }


def _script() -> str:
    """The modules as one: a document without a server cannot import."""
    parts = [
        (_STATIC / f"js/{name}.js").read_text(encoding="utf-8") for name in _SCRIPTS
    ]
    return re.sub(r"^import .*\n|^export ", "", "\n".join(parts), flags=re.MULTILINE)


_DOCUMENT = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="color-scheme" content="light dark">
<title>Music</title>
<style>{style}</style>
<body class="embedded">
<div id="pieces"></div>{more}
<script type="application/json" id="data">{data}</script>
<script type="module">{script}</script>
</body>
</html>
"""
