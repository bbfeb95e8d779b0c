"""Whether MIDI files are read right, as a page in Markdown.

    python -m benchmarks.reading_checks --data=PATH [--data=PATH ...] [--files=60]

Every file is read by tfmusic, by note-seq, and by a plain reader of the tests that uses
mido and goes through all events one by one (`tests/notes/midi_reference.py`).
"""

import argparse
import collections
import dataclasses
import datetime
import warnings
import zipfile
from collections.abc import Iterator

import numpy as np

from benchmarks.midi_files import MidiSet, add_data_flag
from tests.notes.midi_reference import Reference, find_differences
from tfmusic.notes import NoteSequence, repairs, wire
from tfmusic.notes.reading import ReadError, read_bytes
from tfmusic.notes.transforms import sustained_ends

_INTRODUCTION = """\
## MIDI

Written by `python -m benchmarks.reading_checks` on {date}. Each file is read three
times: by tfmusic; by a reader of the tests that plays all tracks event by event, by
channel (`tests/notes/midi_reference.py`, on mido); by note-seq (on pretty_midi).

*Equal* are files in which tfmusic has what the reference has: every note with start,
end, velocity, program and instrument; where the pedal of its channel makes it end; all
controls and pitch bends of each instrument; all tempos, metres and keys; times to the
microsecond. *Held* are notes that end later by the sustain pedal.

| set | files | read | equal | notes | held | held by note-seq |
|---|---:|---:|---:|---:|---:|---:|"""


@dataclasses.dataclass
class _Account:
    """What became of the files of a set."""

    files: int = 0
    read: int = 0
    equal: int = 0
    notes: int = 0
    held: int = 0
    held_by_note_seq: int = 0
    refused: collections.Counter = dataclasses.field(
        default_factory=collections.Counter
    )
    unequal: list[str] = dataclasses.field(default_factory=list)
    repaired: collections.Counter = dataclasses.field(
        default_factory=collections.Counter
    )
    other_notes: dict[str, str] = dataclasses.field(default_factory=dict)


def main() -> None:
    """Prints the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--files", type=int, default=60, help="of a zip at most; of a folder all"
    )
    add_data_flag(parser)
    arguments = parser.parse_args()
    accounts = {}
    for midi_set in arguments.data or parser.error(
        "--data: expected music, found none"
    ):
        account = accounts[midi_set.name] = _Account()
        for name, data in _choose(midi_set, arguments.files):
            _read(name, data, account)
    print(_INTRODUCTION.format(date=datetime.date.today()))
    for name, account in accounts.items():
        print(
            f"| {name} | {account.files} | {account.read} | {account.equal} "
            f"| {account.notes:,} | {account.held:,} | {account.held_by_note_seq:,} |"
        )
    print()
    for name, account in accounts.items():
        _explain(name, account)


def _choose(midi_set: MidiSet, num_files: int) -> Iterator[tuple[str, bytes]]:
    files = midi_set.files
    number = len(files) if files[0][0] is None else min(num_files, len(files))
    for archive, path in (files[i * len(files) // number] for i in range(number)):
        if archive is None:
            with open(path, "rb") as file:
                yield path, file.read()
        else:
            with zipfile.ZipFile(archive) as file:
                yield path, file.read(path)


def _read(name: str, data: bytes, account: _Account) -> None:
    name = name.rpartition("/")[2]
    account.files += 1
    try:
        with repairs.counted() as found:
            sequence = read_bytes(data, name)
    except ReadError as error:
        account.refused[error.reason] += 1
        return
    account.read += 1
    account.notes += len(sequence.notes)
    account.held += _num_held(sequence)
    account.repaired.update(found)
    try:
        differences = find_differences(sequence, Reference(data))
    except (IndexError, OSError) as error:
        differences = [f"mido cannot read it ({error})"]
    account.equal += not differences
    account.unequal += [f"{name}: {difference}" for difference in differences]
    try:
        theirs = _read_by_note_seq(data)
    except Exception as error:  # whatever it does with a broken file
        account.other_notes[name] = f"cannot be read ({error})"
        return
    account.held_by_note_seq += _num_held(theirs)
    ours, theirs = _note_rows(sequence), _note_rows(theirs)
    lacks, has = (ours - theirs).total(), (theirs - ours).total()
    if lacks or has:
        what = f"lacks {lacks:,} of {ours.total():,} notes, and has {has:,} others"
        if _without_programs(ours) == _without_programs(theirs):
            what = f"has other programs for {has:,} of {ours.total():,} notes"
        account.other_notes[name] = what


def _read_by_note_seq(data: bytes) -> NoteSequence:
    # After tfmusic.notes: note-seq's own `__init__` wants more than its reader does.
    from note_seq import midi_io

    with warnings.catch_warnings():
        # pretty_midi warns of tempos outside the first track.
        warnings.simplefilter("ignore")
        return midi_io.midi_to_note_sequence(data)


def _num_held(sequence: NoteSequence) -> int:
    ends = wire.columns(sequence, "notes", "end_time")["end_time"]
    return int(np.sum(sustained_ends(sequence) > ends + 1e-6))


def _note_rows(sequence: NoteSequence) -> collections.Counter:
    return collections.Counter(
        (
            *(round(n.start_time, 3), round(n.end_time, 3), n.pitch, n.velocity),
            *(n.is_drum, n.program),
        )
        for n in sequence.notes
    )


def _without_programs(rows: collections.Counter) -> collections.Counter:
    result = collections.Counter()
    for (*note, _), number in rows.items():
        result[tuple(note)] += number
    return result


def _explain(name: str, account: _Account) -> None:
    lines = []
    for reason, number in account.refused.most_common():
        lines.append(f"refused: {number} {reason}")
    for what, number in account.repaired.most_common():
        lines.append(f"repaired: {number} {what}")
    lines += account.unequal
    for file, what in account.other_notes.items():
        lines.append(f"note-seq's reading of {file} {what}")
    if lines:
        print(f"{name}:\n")
        print("\n".join(f"- {line}" for line in lines) + "\n")


if __name__ == "__main__":
    main()
