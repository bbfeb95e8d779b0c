"""Which MIDI files benchmarks read: those that are named, or chorales of music21."""

import argparse
import pathlib
import zipfile
from collections.abc import Iterator
from typing import NamedTuple

from tfmusic.notes import reading, writing

_ENDINGS = (".mid", ".midi")


class MidiSet(NamedTuple):
    """The MIDI files of a folder with its zips, or of a zip.

    Attributes:
        name: What to call it.
        files: (zip or None, path) of each.
    """

    name: str
    files: list[tuple[pathlib.Path | None, str]]


def add_data_flag(parser: argparse.ArgumentParser) -> None:
    """Defines `--data`, which becomes a list of `MidiSet` or None."""
    parser.add_argument(
        "--data",
        type=_find,
        action="append",
        metavar="PATH",
        help="folder of MIDI files and zips, or zip; may be repeated",
    )


def lay_out(
    sets: list[MidiSet] | None, num_files: int, folder: pathlib.Path
) -> list[pathlib.Path]:
    """Puts files into a folder, and says which.

    Args:
        sets: Where they come from, as many from each, spread evenly over it; None:
            the Bach chorales of music21, rendered as MIDI, sixteen to a file.
        num_files: How many at most.
        folder: Is made.

    Returns:
        Their paths.
    """
    folder.mkdir()
    paths = []
    for content in _choose(sets, num_files) if sets else _render_chorales(num_files):
        paths.append(folder / f"{len(paths)}.mid")
        paths[-1].write_bytes(content)
    if not sets:
        print(f"Bach's chorales as music21 has them: {len(paths)} files of sixteen")
    return paths


def _find(text: str) -> MidiSet:
    path = pathlib.Path(text)
    if not path.exists():
        raise argparse.ArgumentTypeError(f"no such folder or zip: {text}")
    if not (files := _list_midi(path)):
        message = f"expected MIDI files or zips of them, found none in {text}"
        raise argparse.ArgumentTypeError(message)
    return MidiSet(path.name, files)


def _list_midi(place: pathlib.Path) -> list[tuple[pathlib.Path | None, str]]:
    if zipfile.is_zipfile(place):
        with zipfile.ZipFile(place) as archive:
            return [(place, n) for n in sorted(archive.namelist()) if _is_midi(n)]
    files = []
    for path in sorted(place.rglob("*")):
        if path.suffix == ".zip":
            files += _list_midi(path)
        elif _is_midi(path.name):
            files.append((None, str(path)))
    return files


def _is_midi(name: str) -> bool:
    return name.lower().endswith(_ENDINGS)


def _choose(sets: list[MidiSet], num_files: int) -> Iterator[bytes]:
    for name, files in sets:
        number = min(max(num_files // len(sets), 1), len(files))
        print(f"{name}: {number} of {len(files)} files")
        for i in range(number):
            archive, path = files[i * len(files) // number]
            if archive is None:
                yield pathlib.Path(path).read_bytes()
            else:
                with zipfile.ZipFile(archive) as file:
                    yield file.read(path)


def _render_chorales(num_files: int) -> Iterator[bytes]:
    """Chorales end to end, sixteen to a file: the length of a piano piece."""
    from music21 import corpus
    from note_seq import sequences_lib

    paths = [path for path in corpus.getComposer("bach") if path.suffix == ".mxl"]
    for i in range(0, min(16 * num_files, len(paths) - 15), 16):
        chorales = [reading.read_file(path) for path in paths[i : i + 16]]
        yield writing.to_midi_bytes(sequences_lib.concatenate_sequences(chorales))
