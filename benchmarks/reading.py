"""How fast MIDI files become NoteSequences: tfmusic against note-seq's own reader.

    python -m benchmarks.reading [--quick] [--data=FOLDER]

Both read the same files in the same run, up to the finished NoteSequence, the best of
three times each; the notes must agree in number. The files are those of the folder,
which may hold MIDI files and zips of them; without one, the Bach chorales of music21,
rendered as MIDI, sixteen to a file.
"""

import argparse
import pathlib
import tempfile
import time
import warnings
import zipfile
from collections.abc import Iterator

from tfmusic.notes import reading, writing

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # pydub's, of a missing ffmpeg
    import note_seq

_DEFAULT_DATA = pathlib.Path(__file__).resolve().parents[2] / "shared" / "data"
_SETS = ("piano_midi_de", "maestro-v3.0.0-midi.zip")
_NUM_TURNS = 3  # of which the best counts: others may use the machine too
_MIDI = (".mid", ".midi")


def main() -> None:
    """Prints the table and, last, the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="16 files instead of 120")
    parser.add_argument("--data", type=pathlib.Path, help="folder of MIDI files, zips")
    arguments = parser.parse_args()
    if arguments.data and not arguments.data.is_dir():
        parser.error(f"--data: no such folder: {arguments.data}")
    num_files = 16 if arguments.quick else 120
    with tempfile.TemporaryDirectory() as folder:
        paths = _lay_out(_choose(arguments.data, num_files), pathlib.Path(folder))
        _compare(paths)


def _compare(paths: list[pathlib.Path]) -> None:
    readers = {
        "tfmusic.notes.reading.read_file": reading.read_file,
        "note_seq.midi_file_to_note_sequence": note_seq.midi_file_to_note_sequence,
    }
    seconds, notes = dict.fromkeys(readers, 0.0), dict.fromkeys(readers, 0)
    for path in paths:
        for name, read in readers.items():
            times = []
            for _ in range(_NUM_TURNS):
                begin = time.perf_counter()
                sequence = read(str(path))
                times.append(time.perf_counter() - begin)
            seconds[name] += min(times)
            notes[name] += len(sequence.notes)
    ours, theirs = readers
    if notes[ours] != notes[theirs]:
        raise SystemExit(f"the readers disagree on the number of notes: {notes}")
    print(f"\n{'reader':38}{'files/s':>10}{'notes/s':>12}{'seconds':>10}")
    for name in readers:
        files_rate, notes_rate = len(paths) / seconds[name], notes[name] / seconds[name]
        print(f"{name:38}{files_rate:10.1f}{notes_rate:12,.0f}{seconds[name]:10.2f}")
    print(f"{len(paths)} files, {notes[ours]:,} notes\n")
    print(f"reading.notes_ratio = {seconds[theirs] / seconds[ours]:.1f}")


def _choose(data: pathlib.Path | None, num_files: int) -> Iterator[bytes]:
    """The contents of about so many files, spread evenly over every set of them."""
    sets = [data] if data else [_DEFAULT_DATA / name for name in _SETS]
    found = {place: files for place in sets if (files := _list_midi(place))}
    if not found and data:
        raise SystemExit(f"--data: neither MIDI files nor zips of them in {data}")
    if not found:
        print(f"No MIDI files in {_DEFAULT_DATA}: reading music21's Bach chorales.")
        yield from _render_chorales(num_files)
    for place, files in found.items():
        step = max(len(files) * len(found) // num_files, 1)
        print(f"{place.name}: {len(files[::step])} of {len(files)} files")
        for container, name in files[::step]:
            if container is None:
                yield name.read_bytes()
            else:
                with zipfile.ZipFile(container) as archive:
                    yield archive.read(name)


def _list_midi(place: pathlib.Path) -> list[tuple]:
    """(zip or None, name) of every MIDI file in a folder, its zips, or a zip."""
    if place.suffix == ".zip" and place.is_file():
        with zipfile.ZipFile(place) as archive:
            return [(place, n) for n in sorted(archive.namelist()) if _is_midi(n)]
    files = []
    for path in sorted(place.rglob("*")):
        if path.suffix == ".zip":
            files += _list_midi(path)
        elif _is_midi(path.name):
            files.append((None, path))
    return files


def _is_midi(name: str) -> bool:
    return name.lower().endswith(_MIDI)


def _render_chorales(num_files: int) -> Iterator[bytes]:
    """Chorales end to end, sixteen to a file: the length of a piano piece."""
    from music21 import corpus

    paths = [path for path in corpus.getComposer("bach") if path.suffix == ".mxl"]
    for i in range(0, min(16 * num_files, len(paths) - 15), 16):
        chorales = [reading.read_file(path) for path in paths[i : i + 16]]
        yield writing.to_midi_bytes(note_seq.concatenate_sequences(chorales))


def _lay_out(contents: Iterator[bytes], folder: pathlib.Path) -> list[pathlib.Path]:
    """Files on disk, where both readers take them from."""
    paths = []
    for i, data in enumerate(contents):
        paths.append(folder / f"{i}.mid")
        paths[-1].write_bytes(data)
    return paths


if __name__ == "__main__":
    main()
