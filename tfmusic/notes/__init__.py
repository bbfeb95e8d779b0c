"""The domain: note sequences in and out of files, on grids, transposed and cut.

A `NoteSequence` is note-seq's message: notes with start and end in seconds, and the
tempos, time and key signatures, pedals and pitch bends beside them. Nothing here
imports TensorFlow, and nothing outside imports note-seq.
"""

from tfmusic.compat import import_parts_of

import_parts_of("note_seq")

from note_seq.protobuf.music_pb2 import NoteSequence  # noqa: E402

__all__ = ["NoteSequence"]
