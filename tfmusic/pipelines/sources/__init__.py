"""Where the music comes from: folders, archives, corpora, published datasets."""

import functools
import glob
import os
import re
from collections.abc import Callable, Iterator

from tfmusic.errors import UserError, choose
from tfmusic.files import exists, is_directory, prepare_path
from tfmusic.pipelines.sources.boulanger_lewandowski import list_boulanger_lewandowski
from tfmusic.pipelines.sources.chorales import list_bach_chorales
from tfmusic.pipelines.sources.files import (
    list_collection,
    list_file,
    list_glob,
)
from tfmusic.pipelines.sources.folk import list_folk
from tfmusic.pipelines.sources.giantmidi import list_giantmidi
from tfmusic.pipelines.sources.items import Source, SourceItem
from tfmusic.pipelines.sources.jsb_chorales_16th import list_jsb_chorales_16th
from tfmusic.pipelines.sources.maestro import list_maestro
from tfmusic.pipelines.sources.note_sequences import list_note_sequences
from tfmusic.pipelines.sources.piano_midi_de import list_piano_midi_de
from tfmusic.pipelines.sources.pop909 import list_pop909

__all__ = ["BACH_CHORALES", "CORPORA", "KINDS", "Source", "SourceItem", "open_source"]

BACH_CHORALES = "bach_chorales"
# What comes with this package's own dependencies, by name alone.
CORPORA: dict[str, Callable[[], Iterator[SourceItem]]] = {
    BACH_CHORALES: list_bach_chorales,
    "folk": list_folk,
}
# Each takes the path after the colon and lists its items.
KINDS: dict[str, Callable[[str], Iterator[SourceItem]]] = {
    "boulanger_lewandowski": list_boulanger_lewandowski,
    "folder": list_collection,
    "giantmidi": list_giantmidi,
    "glob": list_glob,
    "jsb_chorales_16th": list_jsb_chorales_16th,
    "maestro": list_maestro,
    "note_sequences": list_note_sequences,
    "piano_midi_de": list_piano_midi_de,
    "pop909": list_pop909,
    "zip": list_collection,
}


def open_source(text: str) -> Source:
    """Finds the music that a user names.

    Args:
        text: `bach_chorales`, the four-part chorales that music21 carries, or `folk`,
            its tunes of the British Isles; `KIND:PATH` with a kind of `KINDS`; or a
            folder (with its subfolders), zip archive, file or glob pattern of MIDI,
            MusicXML and ABC files, local or in a bucket.

    Raises:
        UserError: There is no such thing.
    """
    if text in CORPORA:
        return Source(text, CORPORA[text])
    kind, colon, rest = text.partition(":")
    if kind in KINDS and colon:
        return Source(text, functools.partial(KINDS[kind], os.path.expanduser(rest)))
    prepare_path(text)
    path = os.path.expanduser(text)
    is_there = exists(path)
    is_zip = path.lower().endswith(".zip") and (is_there or not glob.has_magic(path))
    if is_directory(path) or is_zip:
        list_items = functools.partial(list_collection, path)
    elif is_there:
        list_items = functools.partial(list_file, path)
    elif colon and not rest.startswith("//") and re.fullmatch(r"\w{2,}", kind):
        choose("--source, the kind before the colon", kind, KINDS)
    elif glob.has_magic(path):
        list_items = functools.partial(list_glob, path)
    elif re.fullmatch(r"\w+", path):
        here = f"--source: there is no file or folder {path!r}; as music of a package"
        choose(here, path, CORPORA)
    else:
        raise UserError(
            f"--source: there is no file or folder {path!r}; expected "
            f"{', '.join(CORPORA)}, KIND:PATH, a folder, a zip archive, a file or a "
            "glob pattern"
        )
    return Source(text, list_items)
