"""The contents of files into pieces of music.

These functions meet whatever a collection holds, so they run in a process that may be
stopped (`tfmusic.sandbox`). It starts in a second because nothing that they
need imports TensorFlow; it stays so.
"""

from collections.abc import Sequence

from google.protobuf.message import DecodeError

from tfmusic.errors import DropError
from tfmusic.notes import NoteSequence, wire
from tfmusic.notes.checks import check_possible
from tfmusic.notes.limits import check_limit, check_pauses
from tfmusic.notes.reading import Limits, read_bytes, read_tunes


def parse_pieces(
    data: bytes, name: str, limits: Limits, play_repeats: bool = True
) -> Sequence[NoteSequence | DropError]:
    """The pieces of a MIDI, MusicXML or ABC file: a tunebook may hold several.

    Args:
        data: The contents of the file.
        name: Its name.
        limits: What it may hold.
        play_repeats: Whether the repeats of a score are played.

    Returns:
        Of each piece the music, or why it cannot be read.

    Raises:
        DropError: It cannot be read.
    """
    if name.lower().endswith((".abc", ".abc.gz")):
        return read_tunes(data, name, limits, play_repeats)
    return [read_bytes(data, name, limits, play_repeats)]


def parse_chorale(
    data: bytes, name: str, limits: Limits, play_repeats: bool = True
) -> Sequence[NoteSequence]:
    """A piece in four parts.

    Raises:
        DropError: It cannot be read, or has another number of parts.
    """
    sequences = parse_pieces(data, name, limits, play_repeats)
    num_parts = len({note.part for note in sequences[0].notes})
    if num_parts != 4:
        raise DropError("not_four_parts", f"expected 4 parts, found {num_parts}")
    return sequences


def parse_note_sequence(
    data: bytes, name: str, limits: Limits, play_repeats: bool = True
) -> Sequence[NoteSequence]:
    """A serialized NoteSequence, as far as it can be music: as it is to be played.

    Raises:
        DropError: `no_note_sequence`, what `check_possible` finds, or one of the
            limits.
    """
    del play_repeats
    check_limit("bytes", len(data), limits)
    try:
        sequence = NoteSequence.FromString(data)
    except DecodeError as error:
        raise DropError("no_note_sequence", f"{name}: {error}") from error
    last = check_possible(sequence, limits)
    notes = wire.columns(sequence, "notes", "start_time", "end_time")
    check_pauses(notes["start_time"], notes["end_time"], limits)
    sequence.total_time = last
    return [sequence]
