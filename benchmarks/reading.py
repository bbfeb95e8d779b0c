"""How fast MIDI files become NoteSequences: tfmusic against note-seq's own reader.

    python -m benchmarks.reading [--quick] [--data=PATH ...]

Both read the same files in the same run, up to the finished NoteSequence, the best of
three times each; the notes must agree in number. The files are those of the folders
and zips that are named; without any, the Bach chorales of music21, rendered as MIDI.
"""

import argparse
import pathlib
import tempfile
import time

from benchmarks.midi_files import add_data_flag, lay_out
from tfmusic.notes import reading

_NUM_TURNS = 3  # of which the best counts: others may use the machine too


def main() -> None:
    """Prints the table and, last, the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="16 files instead of 120")
    add_data_flag(parser)
    arguments = parser.parse_args()
    num_files = 16 if arguments.quick else 120
    with tempfile.TemporaryDirectory() as folder:
        music = pathlib.Path(folder) / "music"
        _compare(lay_out(arguments.data, num_files, music))


def _compare(paths: list[pathlib.Path]) -> None:
    # After tfmusic.notes: note-seq's own `__init__` wants more than its reader does.
    from note_seq import midi_io

    readers = {
        "tfmusic.notes.reading.read_file": reading.read_file,
        "note_seq.midi_file_to_note_sequence": midi_io.midi_file_to_note_sequence,
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


if __name__ == "__main__":
    main()
