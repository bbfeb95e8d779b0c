"""The domain: note sequences in and out of files, on grids, transposed and cut.

A `NoteSequence` is note-seq's message: notes with start and end in seconds, and the
tempos, time and key signatures, pedals and pitch bends beside them. Nothing here
imports TensorFlow, and nothing outside imports note-seq.

`print(sequence)` shows all of a NoteSequence; `repr`, and so a list or the end of a
notebook's cell, shows one line.
"""

import os

from tfmusic.compat import import_parts_of

import_parts_of("note_seq")

from note_seq.protobuf.music_pb2 import NoteSequence  # noqa: E402

__all__ = ["NoteSequence", "Pieces"]


def _in_words(sequence: NoteSequence) -> str:
    name = os.path.basename(sequence.filename) or sequence.sequence_metadata.title
    num_instruments = len({(n.instrument, n.is_drum) for n in sequence.notes})
    return (
        f"<NoteSequence{f' {name!r}' if name else ''}: {len(sequence.notes)} notes, "
        f"{num_instruments} instrument{'s' * (num_instruments != 1)}, "
        f"{sequence.total_time:.1f} s>"
    )


# A message's own `repr` is the text of all notes: thousands of lines for a few pieces.
NoteSequence.__repr__ = _in_words


class Pieces(list[NoteSequence]):
    """A list of pieces that is shown as a line for each."""

    _MOST_LINES = 10

    def __getitem__(self, index):
        """A piece; a slice is `Pieces` too."""
        found = super().__getitem__(index)
        return Pieces(found) if isinstance(index, slice) else found

    def __repr__(self):
        shown = [f"  {i}: {p!r}" for i, p in enumerate(self[: self._MOST_LINES])]
        if len(self) > len(shown):
            shown.append(f"  and {len(self) - len(shown)} more")
        return "\n".join([f"{len(self)} piece{'s' * (len(self) != 1)}", *shown])
