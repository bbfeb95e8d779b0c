"""The contents of files into pieces of music.

These functions meet whatever a collection holds, so they run in a process that may be
stopped (`pipelines.sandbox`). It starts in a second because nothing that they need
imports TensorFlow; it stays so.
"""

from collections.abc import Sequence

from tfmusic.errors import DropError
from tfmusic.notes import NoteSequence
from tfmusic.notes.reading import Limits, read_bytes, read_tunes


def parse_pieces(data: bytes, name: str, limits: Limits) -> Sequence[NoteSequence]:
    """The pieces of a MIDI, MusicXML or ABC file: a tunebook may hold several.

    Raises:
        DropError: It cannot be read.
    """
    if name.lower().endswith(".abc"):
        return read_tunes(data, name, limits)
    return [read_bytes(data, name, limits)]


def parse_chorale(data: bytes, name: str, limits: Limits) -> Sequence[NoteSequence]:
    """A piece in four parts.

    Raises:
        DropError: It cannot be read, or has another number of parts.
    """
    sequences = parse_pieces(data, name, limits)
    num_parts = len({note.part for note in sequences[0].notes})
    if num_parts != 4:
        raise DropError("not_four_parts", f"expected 4 parts, found {num_parts}")
    return sequences
