"""The domain: note sequences in and out of files, on grids, transposed and cut.

A `NoteSequence` is note-seq's message: notes with start and end in seconds, and the
tempos, time and key signatures, pedals and pitch bends beside them. Nothing here
imports TensorFlow, and nothing outside imports note-seq, whose import takes a second.
"""

import warnings

with warnings.catch_warnings():
    # note-seq imports pydub, which warns where ffmpeg is missing; no audio is read.
    warnings.simplefilter("ignore")
    from note_seq.protobuf.music_pb2 import NoteSequence

__all__ = ["NoteSequence"]
