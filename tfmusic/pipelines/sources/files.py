"""Files of music: in folders and zip archives, on this machine and in buckets.

TensorFlow is imported for paths in buckets only: files on this machine are fetched in
processes that do without it.
"""

import abc
import collections
import csv
import dataclasses
import fnmatch
import functools
import glob
import io
import lzma
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from absl import logging

from tfmusic.errors import DropError, UserError, first_line
from tfmusic.files import (
    exists,
    is_directory,
    is_remote,
    open_regular,
    prepare_path,
    system_errors,
)
from tfmusic.notes.reading import SUFFIXES
from tfmusic.pipelines.sources.items import SourceItem
from tfmusic.sandbox import Sandbox

# Damaged, compressed in an unknown way, encrypted.
_ARCHIVE_ERRORS = (
    zipfile.BadZipFile,
    EOFError,
    LookupError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    ValueError,
    lzma.LZMAError,
    struct.error,
    zlib.error,
)
_MOST_TEXT = 2**26  # bytes of a table that comes with the music
# For what is read before the music is: tables, and sets that are one file.
_LISTING_SECONDS, _LISTING_MEGABYTES = 120.0, 2048


@dataclasses.dataclass(frozen=True)
class Collection(abc.ABC):
    """Files that belong together, in a folder or in an archive.

    Attributes:
        path: The folder or the archive.
    """

    path: str

    @abc.abstractmethod
    def names(self) -> list[str]:
        """All files, relative to the folder, with slashes; in order, none twice."""

    @abc.abstractmethod
    def load(self, name: str, max_bytes: int) -> bytes:
        """The contents of a file, or its first `max_bytes` + 1 bytes.

        Raises:
            DropError: It cannot be read.
        """

    def item(self, name: str, **fields) -> SourceItem:
        """A file as an item of a source."""
        # Names are written into records and reports, and need not be UTF-8 themselves.
        shown = name.encode(errors="backslashreplace").decode()
        load = functools.partial(self.load, name)
        return SourceItem(shown, load, self._file_of(name), **fields)

    @abc.abstractmethod
    def _file_of(self, name: str) -> str:
        """The path of the file that holds a file of the collection."""

    def music(self) -> Iterator[SourceItem]:
        """All files of music; says how many of what others there are."""
        yield from self.choose(self.names())

    def choose(self, names: Iterable[str]) -> Iterator[SourceItem]:
        """The music among files; says how many of what others there are."""
        ignored = collections.Counter()
        for name in names:
            if is_music(name):
                yield self.item(name)
            elif is_zip(name) and (archive := self.archive(name)):
                yield from archive
            elif not is_hidden(name):
                ignored[os.path.splitext(name)[1].lower() or "no ending"] += 1
        if ignored:
            logging.warning(
                "%s: %d files are ignored, which are no MIDI, MusicXML or ABC by their "
                "names: %s",
                self.path,
                ignored.total(),
                ", ".join(
                    f"{ignored[ending]} of {ending}"
                    for ending in sorted(ignored, key=lambda e: (-ignored[e], e))[:9]
                ),
            )

    def archive(self, name: str) -> Iterator[SourceItem] | None:
        """The music in a zip archive among the files; None if there are to be none."""
        del name
        return None

    def text(self, pattern: str) -> tuple[str, str] | None:
        """The text of the first file whose name matches, and the folder it is in.

        Args:
            pattern: A regular expression for the name without its folder.

        Returns:
            The folder, empty or with a slash at its end, and the text in it; or None.
        """
        for name in self.names():
            folder, base = os.path.split(name)
            if re.fullmatch(pattern, base):
                load = functools.partial(self.load, name, _MOST_TEXT)
                try:
                    text = in_sandbox(self.path, load).decode("utf-8-sig")
                except UnicodeDecodeError as error:
                    raise UserError(
                        f"{self.path}: expected text in {name}, but {error}"
                    ) from error
                except DropError as error:
                    raise UserError(
                        f"{self.path}: {name} cannot be read: {error}"
                    ) from error
                return folder and folder + "/", text
        return None


@dataclasses.dataclass(frozen=True)
class Folder(Collection):
    """A folder with its subfolders."""

    def names(self) -> list[str]:
        """All files of the folder and below, each folder being read once."""
        return sorted(
            name_within(self.path, os.path.join(folder, name))
            for folder, names in _walk(self.path)
            for name in names
        )

    def _file_of(self, name: str) -> str:
        return os.path.join(self.path, name)

    def load(self, name: str, max_bytes: int) -> bytes:
        """The contents of a file."""
        return load_file(os.path.join(self.path, name), max_bytes)

    def archive(self, name: str) -> Iterator[SourceItem]:
        """The music in a zip archive; one item that cannot be read if it is none."""
        archive = Archive(os.path.join(self.path, name))
        try:
            archive.names()
        except UserError as error:
            load = functools.partial(refuse, DropError("damaged_archive", str(error)))
            yield SourceItem(name, load, archive.path)
            return
        for item in archive.music():
            yield dataclasses.replace(item, name=f"{name}/{item.name}")


@dataclasses.dataclass(frozen=True)
class Archive(Collection):
    """A zip archive, which is not unpacked."""

    def names(self) -> list[str]:
        """All files of the archive; what is in it twice stands there twice."""
        names = sorted(_open_zip(self.path).namelist())
        return [name for name in names if not name.endswith("/")]

    def music(self) -> Iterator[SourceItem]:
        """All files of music; says how many of what others there are."""
        names = self.names()
        _open_zip.cache_clear()  # its list of a million files takes as many kilobytes
        yield from self.choose(names)

    def _file_of(self, name: str) -> str:
        del name
        return self.path

    def load(self, name: str, max_bytes: int) -> bytes:
        """The contents of a file; the last of several that have its name."""
        try:
            with _open_zip(self.path).open(name) as file:
                return file.read(max_bytes + 1)
        except KeyError as error:
            raise DropError("unreadable", str(error.args[0])) from error
        except (*_ARCHIVE_ERRORS, *system_errors()) as error:
            raise DropError("damaged_archive", f"{name}: {error}") from error


def read_table(text: str, what: str) -> list[dict[str, str]]:
    """The rows of a table, by the names of columns in its first line.

    Raises:
        UserError: It is none.
    """
    try:
        return list(csv.DictReader(io.StringIO(text)))
    except csv.Error as error:
        raise UserError(f"{what}: expected a table, but {error}") from error


def in_sandbox(path: str, work: Callable[[], Any]) -> Any:
    """Does a work that meets a file before any music is read; gives its result.

    Args:
        path: The file. Those in buckets are trusted, and read in this process.
        work: A function of a module, perhaps with arguments.

    Raises:
        DropError: The work does, or it takes too long or too much.
    """
    if is_remote(path):
        return work()
    sandbox = Sandbox(_call, _LISTING_SECONDS, _LISTING_MEGABYTES)
    try:
        return sandbox(work)
    finally:
        sandbox.close()


def _call(work: Callable[[], Any]) -> Any:
    return work()


def open_collection(path: str) -> Collection:
    """The folder or zip archive that a user names.

    Raises:
        UserError: It is neither.
    """
    prepare_path(path)
    path = os.path.expanduser(path)
    if is_directory(path):
        return Folder(path)
    if exists(path):
        archive = Archive(path)
        archive.names()  # complains if it is none
        return archive
    raise UserError(f"--source: there is no folder or zip archive {path!r}")


def list_collection(path: str) -> Iterator[SourceItem]:
    """The music in a folder or zip archive."""
    return open_collection(path).music()


def list_glob(pattern: str) -> Iterator[SourceItem]:
    """The music that a pattern names, such as `music/**/*.mid`."""
    prepare_path(pattern)
    folder = fixed_folder(pattern)
    if is_remote(pattern):
        import tensorflow as tf

        paths = [p for p in tf.io.gfile.glob(pattern) if not tf.io.gfile.isdir(p)]
    elif "**" in pattern:  # glob follows symbolic links, and loops of them
        parts = name_within(folder, pattern).split("/")
        names = Folder(folder).names()
        yield from Folder(folder).choose(
            name for name in names if _matches(name.split("/"), parts)
        )
        return
    else:
        paths = [path for path in glob.glob(pattern) if not os.path.isdir(path)]
    yield from Folder(folder).choose(name_within(folder, p) for p in sorted(paths))


def _matches(path: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether glob's pattern names a path, both given by their parts.

    `**` stands for any number of folders; hidden ones only a dot names.
    """
    if not pattern:
        return not path
    first, *rest = pattern
    if first == "**" and _matches(path, rest):
        return True
    if not path or (path[0].startswith(".") and not first.startswith(".")):
        return False
    if first == "**":
        return _matches(path[1:], pattern)
    return fnmatch.fnmatch(path[0], first) and _matches(path[1:], rest)


def fixed_folder(pattern: str) -> str:
    """The folder that all files are in that a pattern may name."""
    return os.path.dirname(re.match(r"[^*?[]*", pattern)[0]) or "."


def name_within(folder: str, path: str) -> str:
    """The name of a file relative to a folder, with slashes."""
    return os.path.relpath(path, folder).replace(os.sep, "/")


def list_file(path: str) -> Iterator[SourceItem]:
    """A single file."""
    folder, name = os.path.split(path)
    yield Folder(folder).item(name)


def is_music(path: str) -> bool:
    """Whether the file's name is one of music, maybe packed by gzip, and not hidden."""
    name = path.lower().removesuffix(".gz")
    return name.endswith(SUFFIXES) and not is_hidden(name)


def is_zip(path: str) -> bool:
    """Whether the file's name is that of a zip archive, and not hidden."""
    return path.lower().endswith(".zip") and not is_hidden(path)


def is_hidden(path: str) -> bool:
    """Whether file managers hide the file, or leave it behind in archives."""
    return os.path.basename(path).startswith(".") or path.startswith("__MACOSX/")


def refuse(error: DropError, max_bytes: int) -> bytes:
    """Loads what cannot be loaded."""
    del max_bytes
    raise error


def load_file(path: str, max_bytes: int) -> bytes:
    """The contents of a file, or its first `max_bytes` + 1 bytes.

    Raises:
        DropError: `unreadable`: it is gone, may not be read, or is no file but a pipe
            or a device.
    """
    prepare_path(path)
    try:
        with open_regular(path) as file:
            return file.read(max_bytes + 1)
    except system_errors() as error:
        raise DropError("unreadable", f"{path}: {first_line(error)}") from error


def _walk(path: str) -> Iterator[tuple[str, list[str]]]:
    """Each folder below a path, once, and the names of its files.

    Symbolic links are followed after all else, so that what a link leads to is called
    by its own place if that is below the path too.
    """
    if is_remote(path):
        import tensorflow as tf

        yield from ((folder, names) for folder, _, names in tf.io.gfile.walk(path))
        return
    # TensorFlow's walk ends at the first name that is not UTF-8.
    seen, refused, num_passed, starts = set(), [], 0, [path]
    while starts:
        links = []
        for start in starts:
            for folder, folders, names in os.walk(start, onerror=refused.append):
                status = os.stat(folder)
                if (status.st_dev, status.st_ino) in seen:
                    folders.clear()
                    num_passed += 1
                    continue
                seen.add((status.st_dev, status.st_ino))
                below = [os.path.join(folder, name) for name in folders]
                links += filter(os.path.islink, below)
                yield folder, names
        starts = sorted(links)
    if num_passed:
        logging.warning(
            "%s: %d symbolic links lead to folders that are read already; they are "
            "passed over",
            path,
            num_passed,
        )
    for error in refused:
        logging.warning("%s cannot be read: %s", error.filename, first_line(error))


# Kept open: reading the list of 100,000 files takes a second.
@functools.lru_cache(maxsize=1)
def _open_zip(path: str) -> zipfile.ZipFile:
    prepare_path(path)
    try:
        file = open_regular(path)
        if is_remote(path):
            return zipfile.ZipFile(file)
        file.close()  # it is a file; the archive opens it again, and closes it
        return zipfile.ZipFile(path)
    except (*_ARCHIVE_ERRORS, *system_errors()) as error:
        reason = first_line(error)
        raise UserError(f"{path}: expected a zip archive, but {reason}") from error
