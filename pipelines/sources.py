"""Where the music comes from: folders, archives, corpora."""

import dataclasses
import functools
import glob
import os
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf

from pipelines.parsing import parse_chorale, parse_pieces
from tfmusic.errors import DropError, UserError, choose
from tfmusic.notes import NoteSequence
from tfmusic.notes.reading import SUFFIXES, Limits

BACH_CHORALES = "bach_chorales"
DEFAULT_LIMITS = Limits()
# Damaged, compressed in an unknown way, encrypted.
_ARCHIVE_ERRORS = (zipfile.BadZipFile, NotImplementedError, RuntimeError)


@dataclasses.dataclass(frozen=True)
class SourceItem:
    """One file of a source, not read yet. Worker processes get a copy.

    Attributes:
        name: What the file is called within the source; no two share a name.
        load: Fetches its contents; of those that are larger than so many bytes, no
            more than one byte beyond. Raises DropError.
        metadata: What the source says of the piece: title, composer, year ...
        split: The split that the source puts it in; empty if it has no say.
        parse: (contents, name, limits) to pieces, most often one; a function of
            `pipelines.parsing`, as it runs in a process that may be stopped. Raises
            DropError.
    """

    name: str
    load: Callable[[int], bytes]
    metadata: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    split: str = ""
    parse: Callable[[bytes, str, Limits], Sequence[NoteSequence]] = parse_pieces

    def read(self, limits: Limits = DEFAULT_LIMITS) -> Sequence[NoteSequence]:
        """Loads and parses it in this process, trusting it.

        Raises:
            DropError: It cannot be had.
        """
        return self.parse(self.load(limits.max_bytes), self.name, limits)


@dataclasses.dataclass(frozen=True)
class Source:
    """Music to make a dataset of.

    Attributes:
        name: How the user called it.
        items: Lists its files, in a fixed order.
    """

    name: str
    items: Callable[[], Iterator[SourceItem]]


def open_source(text: str) -> Source:
    """Finds the music that a user names.

    Args:
        text: `bach_chorales`, the four-part chorales that music21 carries; `KIND:PATH`
            with a kind of `KINDS`; or a folder (with its subfolders), zip archive, file
            or glob pattern of MIDI, MusicXML and ABC files, local or in a bucket.

    Raises:
        UserError: There is no such thing.
    """
    if text == BACH_CHORALES:
        return Source(text, _bach_chorales)
    path = os.path.expanduser(text)
    kind, colon, rest = path.partition(":")
    if tf.io.gfile.isdir(path):
        list_items = functools.partial(_folder, path)
    elif tf.io.gfile.exists(path):
        is_zip = path.lower().endswith(".zip")
        list_items = functools.partial(_zip if is_zip else _file, path)
    elif colon and not rest.startswith("//") and re.fullmatch(r"\w{2,}", kind):
        choose("--source, the kind before the colon", kind, KINDS)
        list_items = functools.partial(KINDS[kind], rest)
    elif glob.has_magic(path):
        list_items = functools.partial(_glob, path)
    elif re.fullmatch(r"\w+", path):
        choose("--source, where there is no such folder", path, [BACH_CHORALES])
    else:
        raise UserError(
            f"--source: there is no file or folder {path!r}; expected {BACH_CHORALES}, "
            "KIND:PATH, a folder, a zip archive, a file or a glob pattern"
        )
    return Source(text, list_items)


def _folder(path: str) -> Iterator[SourceItem]:
    paths = (
        os.path.join(folder, name)
        for folder, _, names in tf.io.gfile.walk(path)
        for name in names
    )
    yield from _files(paths, path)


def _glob(pattern: str) -> Iterator[SourceItem]:
    # Only Python's glob knows "**", only TensorFlow's knows buckets.
    remote = "://" in pattern
    paths = tf.io.gfile.glob(pattern) if remote else glob.glob(pattern, recursive=True)
    fixed = re.match(r"[^*?[]*", pattern)[0]
    yield from _files(paths, os.path.dirname(fixed))


def _file(path: str) -> Iterator[SourceItem]:
    yield SourceItem(os.path.basename(path), functools.partial(load_file, path))


def _zip(path: str) -> Iterator[SourceItem]:
    for name in sorted(filter(is_music, _open_zip(path).namelist())):
        yield SourceItem(name, functools.partial(load_zip_member, path, name))


def _bach_chorales() -> Iterator[SourceItem]:
    from music21 import common

    folder = str(common.getCorpusFilePath() / "bach")
    for item in _folder(folder):
        metadata = {"composer": "Johann Sebastian Bach"}
        yield dataclasses.replace(item, metadata=metadata, parse=parse_chorale)


def _files(paths: Iterator[str], folder: str) -> Iterator[SourceItem]:
    for path in sorted(filter(is_music, paths)):
        name = os.path.relpath(path, folder or ".").replace(os.sep, "/")
        yield SourceItem(name, functools.partial(load_file, path))


# Each takes the path after the colon and lists its items.
KINDS: dict[str, Callable[[str], Iterator[SourceItem]]] = {
    "folder": _folder,
    "zip": _zip,
    "glob": _glob,
}


def is_music(path: str) -> bool:
    """Whether the file's name is one of music, and not hidden."""
    name = os.path.basename(path).lower()
    return name.endswith(SUFFIXES) and not name.startswith(".")


def load_file(path: str, max_bytes: int) -> bytes:
    """The contents of a file, which may be in a bucket."""
    with tf.io.gfile.GFile(path, "rb") as file:
        return file.read(max_bytes + 1)


def load_zip_member(path: str, name: str, max_bytes: int) -> bytes:
    """The contents of a file in a zip archive.

    Raises:
        DropError: It is damaged, compressed in an unknown way or encrypted.
    """
    try:
        with _open_zip(path).open(name) as file:
            return file.read(max_bytes + 1)
    except (*_ARCHIVE_ERRORS, zlib.error, EOFError) as error:
        raise DropError("damaged_archive", f"{name}: {error}") from error


# Kept open: reading the list of 100,000 files takes a second.
@functools.lru_cache(maxsize=1)
def _open_zip(path: str) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(tf.io.gfile.GFile(path, "rb"))
    # The second one is for a file of a few bytes.
    except (zipfile.BadZipFile, tf.errors.InvalidArgumentError) as error:
        raise UserError(f"{path}: expected a zip archive, but {error}") from error
