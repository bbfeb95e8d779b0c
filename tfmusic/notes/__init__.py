"""The domain: note sequences in and out of files, on grids, transposed and cut.

A `NoteSequence` is note-seq's message: notes with start and end in seconds, and the
tempos, time and key signatures, pedals and pitch bends beside them. Nothing here
imports TensorFlow, and nothing outside imports note-seq, whose import takes a second.
"""

import importlib
import importlib.util
import pathlib
import sys
import warnings
from types import ModuleType

_MESSAGES = "note_seq.protobuf.music_pb2"


def _load_messages() -> ModuleType:
    """The module of note-seq's messages, without all of note-seq: pandas, bokeh ..."""
    if _MESSAGES not in sys.modules:
        package = importlib.util.find_spec("note_seq").submodule_search_locations[0]
        path = pathlib.Path(package) / "protobuf" / "music_pb2.py"
        spec = importlib.util.spec_from_file_location(_MESSAGES, path)
        # By its own name, so that note-seq and pickle find it too.
        sys.modules[_MESSAGES] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[_MESSAGES])
    return sys.modules[_MESSAGES]


def import_note_seq(name: str) -> ModuleType:
    """Imports a module of note-seq; the first one takes a second."""
    with warnings.catch_warnings():
        # note-seq imports pydub, which warns where ffmpeg is missing; no audio is read.
        warnings.simplefilter("ignore")
        return importlib.import_module(f"note_seq.{name}")


NoteSequence = _load_messages().NoteSequence

__all__ = ["NoteSequence", "import_note_seq"]
