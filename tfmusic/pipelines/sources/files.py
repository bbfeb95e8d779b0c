"""Files of music: in folders and zip archives, on this machine and in buckets."""

import abc
import collections
import dataclasses
import functools
import glob
import os
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator

import tensorflow as tf
from absl import logging

from tfmusic.errors import DropError, UserError
from tfmusic.files import prepare_path
from tfmusic.notes.reading import SUFFIXES
from tfmusic.pipelines.sources.items import SourceItem

# Damaged, compressed in an unknown way, encrypted.
_ARCHIVE_ERRORS = (zipfile.BadZipFile, NotImplementedError, RuntimeError)


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
        return SourceItem(shown, functools.partial(self.load, name), **fields)

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
                text = self.load(name, 2**30).decode("utf-8-sig")
                return folder and folder + "/", text
        return None


@dataclasses.dataclass(frozen=True)
class Folder(Collection):
    """A folder with its subfolders."""

    def names(self) -> list[str]:
        """All files of the folder and below."""
        # TensorFlow's walk ends at the first name that is not UTF-8.
        remote = "://" in self.path
        walk = (
            tf.io.gfile.walk(self.path)
            if remote
            else os.walk(self.path, followlinks=True)
        )
        return sorted(
            name_within(self.path, os.path.join(folder, name))
            for folder, _, names in walk
            for name in names
        )

    def load(self, name: str, max_bytes: int) -> bytes:
        """The contents of a file."""
        return load_file(os.path.join(self.path, name), max_bytes)

    def archive(self, name: str) -> Iterator[SourceItem]:
        """The music in a zip archive; one item that cannot be read if it is none."""
        archive = Archive(os.path.join(self.path, name))
        try:
            archive.names()
        except UserError as error:
            yield SourceItem(name, functools.partial(_refuse, str(error)))
            return
        for item in archive.music():
            yield dataclasses.replace(item, name=f"{name}/{item.name}")


@dataclasses.dataclass(frozen=True)
class Archive(Collection):
    """A zip archive, which is not unpacked."""

    def names(self) -> list[str]:
        """All files of the archive."""
        names = dict.fromkeys(sorted(_open_zip(self.path).namelist()))
        return [name for name in names if not name.endswith("/")]

    def load(self, name: str, max_bytes: int) -> bytes:
        """The contents of a file."""
        try:
            with _open_zip(self.path).open(name) as file:
                return file.read(max_bytes + 1)
        except (*_ARCHIVE_ERRORS, zlib.error, EOFError) as error:
            raise DropError("damaged_archive", f"{name}: {error}") from error
        except KeyError as error:
            raise DropError("unreadable", str(error.args[0])) from error


def open_collection(path: str) -> Collection:
    """The folder or zip archive that a user names.

    Raises:
        UserError: It is neither.
    """
    prepare_path(path)
    path = os.path.expanduser(path)
    if tf.io.gfile.isdir(path):
        return Folder(path)
    if tf.io.gfile.exists(path):
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
    # Only Python's glob knows "**", only TensorFlow's knows buckets.
    remote = "://" in pattern
    paths = tf.io.gfile.glob(pattern) if remote else glob.glob(pattern, recursive=True)
    folder = fixed_folder(pattern)
    is_folder = tf.io.gfile.isdir if remote else os.path.isdir
    files = [path for path in sorted(paths) if not is_folder(path)]
    yield from Folder(folder).choose(name_within(folder, path) for path in files)


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


def _refuse(reason: str, max_bytes: int) -> bytes:
    """Loads what cannot be loaded."""
    del max_bytes
    raise DropError("damaged_archive", reason)


def load_file(path: str, max_bytes: int) -> bytes:
    """The contents of a file, or its first `max_bytes` + 1 bytes.

    Raises:
        DropError: `unreadable`: it is gone, or may not be read.
    """
    prepare_path(path)
    # Only Python opens files whose names are not UTF-8, only TensorFlow buckets.
    opener = tf.io.gfile.GFile if "://" in path else open
    try:
        with opener(path, "rb") as file:
            return file.read(max_bytes + 1)
    except (OSError, tf.errors.OpError) as error:
        raise DropError("unreadable", str(error)) from error


# Kept open: reading the list of 100,000 files takes a second.
@functools.lru_cache(maxsize=1)
def _open_zip(path: str) -> zipfile.ZipFile:
    prepare_path(path)
    try:
        return zipfile.ZipFile(tf.io.gfile.GFile(path, "rb"))
    # The second one is for a file of a few bytes.
    except (zipfile.BadZipFile, tf.errors.InvalidArgumentError) as error:
        raise UserError(f"{path}: expected a zip archive, but {error}") from error
