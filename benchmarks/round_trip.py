"""What MIDI files and scores keep of music that is written with tfmusic.

    python -m benchmarks.round_trip [--quick] [--data=PATH ...] [--output=FILE]

Scores from music21's corpus, and MIDI files from the folders and zips that are named
(without any, those scores as MIDI), are read with `tfmusic.read_music` and written with
`tfmusic.write_music` as MIDI and as MusicXML. MIDI is read again with tfmusic, MusicXML
with music21 alone. Notes are compared by their places in quarter notes.
"""

import argparse
import collections
import dataclasses
import pathlib
import tempfile
import warnings
from collections.abc import Iterable, Sequence

import numpy as np
from music21 import (
    chord,
    converter,
    corpus,
    instrument,
    key,
    meter,
    note,
    stream,
    tempo,
)

import tfmusic
from benchmarks.midi_files import add_data_flag, lay_out
from tfmusic.notes import NoteSequence
from tfmusic.notes.beats import onto_beat
from tfmusic.notes.grid import TempoMap, metres

_EXACT = 1e-3  # quarters
_FEW = 1 / 16  # quarters: a note that was moved, but is there
_SAME_TEMPO = 0.03  # seconds


@dataclasses.dataclass
class Music:
    """What is compared.

    Attributes:
        notes: Sorted (pitch, start, end) in quarters.
        seconds: Of the starts of notes, sorted.
        metres: (quarters, numerator, denominator) of each change.
        keys: (quarters, tonic, is_minor) of each change.
        names: Of instruments.
        programs: Of instruments with notes.
        velocities: Sorted.
        num_controls: Pedals and other controls, and pitch bends.
        num_drums: Notes of drums, which are not among `notes`.
    """

    notes: list[tuple[int, float, float]]
    seconds: list[float]
    metres: list[tuple]
    keys: list[tuple]
    names: set[str]
    programs: list[int]
    velocities: list[int]
    num_controls: int = 0
    num_drums: int = 0


def main() -> None:
    """Prints the table and writes it, with one line a claim at its end."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="8 files instead of 50")
    parser.add_argument("--output", type=pathlib.Path, help="Markdown file to write")
    add_data_flag(parser)
    arguments = parser.parse_args()
    number = 8 if arguments.quick else 50
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        sets = {
            "scores": _choose_scores(number),
            "MIDI": lay_out(arguments.data, number, folder / "midi"),
        }
        columns = {
            f"{source} as {target}": _measure(paths, folder / f"x{ending}")
            for source, paths in sets.items()
            for target, ending in (("MIDI", ".mid"), ("MusicXML", ".musicxml"))
        }
    table = _table(columns)
    print(table)
    if arguments.output:
        arguments.output.write_text(table + "\n", encoding="utf-8")
    for name, rows in columns.items():
        label = name.lower().replace(" ", "_")
        print(f"round_trip.{label}.notes_kept = {rows['notes, exactly']}")


def _choose_scores(number: int) -> list[pathlib.Path]:
    paths = [path for path in corpus.getPaths() if path.suffix in (".mxl", ".xml")]
    paths.sort()
    return [pathlib.Path(paths[i * len(paths) // number]) for i in range(number)]


def _measure(paths: Iterable[pathlib.Path], target: pathlib.Path) -> dict[str, str]:
    """The rows of one column of the table."""
    kept = collections.defaultdict(list)
    reasons: collections.Counter = collections.Counter()
    for path in paths:
        try:
            sequence = tfmusic.read_music(path)
        except tfmusic.UserError as error:
            reasons[f"not read: {getattr(error, 'reason', 'error')}"] += 1
            continue
        try:
            tfmusic.write_music(sequence, target)
        except tfmusic.UserError as error:
            reasons[_short(str(error))] += 1
            continue
        if target.suffix == ".mid":
            found = _of_sequence(tfmusic.read_music(target))
        else:
            found, sequence = _of_score(target), onto_beat(sequence)
        for row, (part, whole) in _compare(_of_sequence(sequence), found).items():
            if whole:
                kept[row].append((part, whole))
        kept["pieces written"].append((1, 1))
    rows = {row: _rate(pairs) for row, pairs in kept.items()}
    rows["pieces written"] = str(len(kept["pieces written"]))
    rows["not written"] = "; ".join(f"{n} {text}" for text, n in reasons.most_common())
    return rows


def _short(message: str) -> str:
    return "without a beat" if "follows a beat" in message else message.split(";")[0]


def _rate(pairs: Sequence[tuple[int, int]]) -> str:
    part, whole = np.sum(pairs, axis=0).tolist()
    # What is not whole is never rounded to it.
    percent = np.floor(1000 * part / whole) / 10
    return f"{percent:g} % of {whole:,}"


def _of_sequence(sequence: NoteSequence) -> Music:
    tempo_map = TempoMap.of(sequence)
    pitched = [n for n in sequence.notes if not n.is_drum]

    def quarters(seconds: float) -> float:
        return float(tempo_map.to_quarters(max(seconds, 0.0)))

    notes = sorted(
        (n.pitch, quarters(n.start_time), quarters(n.end_time)) for n in pitched
    )
    return Music(
        notes,
        sorted(n.start_time for n in pitched),
        # A metre holds in its upbeat too, as scores write it.
        _changes(
            (max(start, 0.0), numerator, denominator)
            for start, numerator, denominator in metres(sequence, tempo_map)
            if sequence.time_signatures
        ),
        _changes(
            (quarters(s.time), s.key, s.mode == s.MINOR)
            for s in sequence.key_signatures
        ),
        {info.name for info in sequence.instrument_infos if info.name},
        sorted({n.program for n in pitched}),
        sorted(n.velocity for n in pitched),
        len(sequence.control_changes) + len(sequence.pitch_bends),
        len(sequence.notes) - len(pitched),
    )


def _of_score(path: pathlib.Path) -> Music:
    """A MusicXML file as music21 reads it, ties joined."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        score = converter.parse(path, forceSource=True)
    notes, velocities, programs = [], [], set()
    for part in score.parts:
        found = _joined(part)
        notes += [(pitch, start, end) for pitch, start, end, _ in found]
        velocities += [velocity for *_, velocity in found]
        programs |= {i.midiProgram or 0 for i in part[instrument.Instrument]}
    notes.sort()
    flat = score.parts[0].flatten()
    marks = [(0.0, 120.0)] + [
        (float(mark.offset), mark.getQuarterBPM())
        for mark in flat[tempo.MetronomeMark]
        if mark.getQuarterBPM()
    ]
    sequence = NoteSequence()
    place, seconds, qpm = 0.0, 0.0, 120.0
    for quarters, value in marks:
        seconds += (quarters - place) * 60 / qpm
        place, qpm = quarters, value
        sequence.tempos.add(time=seconds, qpm=qpm)
    starts = np.array([start for _, start, _ in notes])
    return Music(
        notes,
        sorted(TempoMap.of(sequence).to_seconds(starts).tolist()),
        _changes(
            (float(m.offset), m.numerator, m.denominator)
            for m in flat[meter.TimeSignature]
        ),
        _changes(
            (float(k.offset), k.tonic.pitchClass, k.mode == "minor")
            for k in flat[key.Key]
        ),
        {part.partName for part in score.parts if part.partName},
        sorted(programs),
        sorted(velocities),
    )


def _joined(part: stream.Part) -> list[tuple[int, float, float, int]]:
    """Notes of a part, those that ties join as one."""
    found = []
    for element in part.flatten().notes:
        members = element.notes if isinstance(element, chord.Chord) else [element]
        start = float(element.offset)
        end = start + float(element.quarterLength)
        for member in members:
            kind = (
                member.tie.type if isinstance(member, note.Note) and member.tie else ""
            )
            velocity = member.volume.velocity or element.volume.velocity or 0
            found.append([member.pitch.midi, start, end, velocity, kind])
    found.sort(key=lambda row: row[1])
    result, open_ties = [], {}
    for row in found:
        pitch, start, end, _, kind = row
        before = open_ties.get((pitch, round(start, 4)), [])
        if kind in ("stop", "continue") and before:
            first = before.pop()
            first[2] = end
        else:
            first = row
            result.append(row)
        if kind in ("start", "continue"):
            open_ties.setdefault((pitch, round(end, 4)), []).append(first)
    return [tuple(row[:4]) for row in result]


def _changes(marks: Iterable[tuple]) -> list[tuple]:
    """Marks at their places, without repetitions; of several at one, the last."""
    result = []
    for place, *value in sorted(marks, key=lambda mark: mark[0]):
        if result and result[-1][0] == round(place, 3):
            result.pop()
        if not result or result[-1][1:] != tuple(value):
            result.append((round(place, 3), *value))
    return result


def _compare(given: Music, found: Music) -> dict[str, tuple[int, int]]:
    """How many of each kind are kept, of how many."""
    return {
        "notes, exactly": (
            _num_same(given.notes, found.notes, _EXACT),
            len(given.notes),
        ),
        "notes, within a sixty-fourth": (
            _num_same(given.notes, found.notes, _FEW),
            len(given.notes),
        ),
        "starts of notes, within a sixty-fourth": (
            _num_same(given.notes, found.notes, _FEW, ends=False),
            len(given.notes),
        ),
        "notes that begin at the same second": _num_near(given.seconds, found.seconds),
        "notes with their velocity": (
            sum(
                (
                    collections.Counter(given.velocities)
                    & collections.Counter(found.velocities)
                ).values()
            ),
            len(given.velocities),
        ),
        "metres": (_num_common(given.metres, found.metres), len(given.metres)),
        "keys": (_num_common(given.keys, found.keys), len(given.keys)),
        "names of instruments": (len(given.names & found.names), len(given.names)),
        "programs": (_num_common(given.programs, found.programs), len(given.programs)),
        "notes of drums": (min(given.num_drums, found.num_drums), given.num_drums),
        "controls and bends": (
            min(given.num_controls, found.num_controls),
            given.num_controls,
        ),
    }


def _num_same(
    given: Sequence[tuple], found: Sequence[tuple], tolerance: float, ends: bool = True
) -> int:
    """How many notes have one of the same pitch, start and, if they count, end."""
    by_pitch = collections.defaultdict(list)
    for pitch, start, end in found:
        by_pitch[pitch].append((start, end * ends))
    number = 0
    for pitch, start, end in given:
        others = by_pitch[pitch]
        place = np.array([start, end * ends])
        near = np.flatnonzero(
            (np.abs(np.array(others).reshape(-1, 2) - place) < tolerance).all(axis=1)
        )
        if len(near):
            number += 1
            del others[near[0]]
    return number


def _num_near(given: Sequence[float], found: Sequence[float]) -> tuple[int, int]:
    distances = [
        min((abs(found[j] - time) for j in _around(found, time)), default=np.inf)
        for time in given
    ]
    return sum(d < _SAME_TEMPO for d in distances), len(given)


def _around(times: Sequence[float], time: float) -> Iterable[int]:
    i = int(np.searchsorted(times, time))
    return range(max(i - 1, 0), min(i + 1, len(times)))


def _num_common(given: Sequence, found: Sequence) -> int:
    return len(set(given) & set(found))


def _table(columns: dict[str, dict[str, str]]) -> str:
    names = list(columns)
    rows = list(dict.fromkeys(row for column in columns.values() for row in column))
    lines = [f"| | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for row in rows:
        cells = [columns[name].get(row) or "-" for name in names]
        lines.append(f"| {row} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
