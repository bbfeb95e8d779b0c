"""`giantmidi:PATH`: GiantMIDI-Piano, recordings of classical piano, transcribed.

Kong et al., "GiantMIDI-Piano: A Large-Scale MIDI Dataset for Classical Piano Music",
TISMIR 2022; https://github.com/bytedance/GiantMIDI-Piano. A program wrote down what it
heard, so notes are in seconds, without a beat, and some are wrong.
"""

import re
from collections.abc import Iterator

from tfmusic.errors import UserError
from tfmusic.pipelines.sources.files import open_collection
from tfmusic.pipelines.sources.items import SourceItem

# Surname, first names, title (perhaps with commas), the recording's eleven letters.
_NAME = re.compile(r"([^,]+), ([^,]*), (.+), ([\w-]{11})\.midi?", re.IGNORECASE)


def list_giantmidi(path: str) -> Iterator[SourceItem]:
    """The pieces of a folder or archive, each once, with what their names say.

    The set comes whole and as a part whose composers were checked; where both are there
    a piece is taken from the first.

    Raises:
        UserError: No file is named as those of the set are.
    """
    collection = open_collection(path)
    seen = set()
    for name in collection.names():
        file = name.rpartition("/")[2]
        if file in seen or not (found := _NAME.fullmatch(file)):
            continue
        seen.add(file)
        surname, first_names, title, recording = (
            part.strip() for part in found.groups()
        )
        composer = f"{first_names} {surname}".strip()
        metadata = {"composer": composer, "title": title, "recording": recording}
        yield collection.item(name, metadata=metadata)
    if not seen:
        raise UserError(
            f"giantmidi:{path}: expected names such as 'Bach, Johann Sebastian, "
            "Invention, 0123456789a.mid', found none; take the path itself to read "
            "the music without them"
        )
