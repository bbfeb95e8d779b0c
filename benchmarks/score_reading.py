"""Whether scores and tunes are read right: note by note against other programs.

    python -m benchmarks.score_reading [--quick] [--output=FILE.md]

MusicXML: all that music21's corpus holds, as written and with repeats played, against
music21's own importer, `stripTies` and `expandRepeats`. ABC: all its tunes against
abc2midi, which symusic brings (`pip install symusic`). Pitch, onset and duration in
quarter notes must agree; where they do not the reason is looked for. Slow: most of the
time is music21's.
"""

import argparse
import collections
import contextlib
import os
import pathlib
import re
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence

import numpy as np

from tfmusic.notes import NoteSequence
from tfmusic.notes.grid import TempoMap
from tfmusic.notes.reading import ReadError, read_file, read_tunes
from tfmusic.notes.scores import remarks

# (pitch, onset, duration) and how often.
Notes = collections.Counter

_MOST_NOTES = 3000  # above, music21 takes minutes to expand repeats
_TICKS = 8  # of 480 in a quarter note, that times of abc2midi may differ by
# Why the two may differ, in the order in which it is asked.
_SAME = "the same"
_CUE = "music21 plays cue notes; left out here"
_APART = "music21 lets parts drift apart after a measure of unequal lengths"
_TIES = "music21 leaves tied notes apart, or joins what is struck again"
_OTHER = "other"


def main() -> None:
    """Prints the tables and, last, the claims."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one file in twenty")
    parser.add_argument("--output", help="also writes the tables here, as Markdown")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # music21's, of what it passes over
    step = 20 if arguments.quick else 1
    lines = _heading()
    scores, claims = _compare_scores(_corpus(".xml", ".mxl", ".musicxml")[::step])
    tunes, more = _compare_tunes(_corpus(".abc")[::step])
    for line in (*scores, "", *tunes):
        print(line)
        lines.append(line)
    if arguments.output:
        pathlib.Path(arguments.output).write_text("\n".join(lines) + "\n")
    print()
    for name, value in {**claims, **more}.items():
        print(f"score_reading.{name} = {value}")


def _heading() -> list[str]:
    return [
        "# Scores and tunes read, note by note",
        "",
        f"Measured on {time.strftime('%Y-%m-%d')}, one process, by "
        "`python -m benchmarks.score_reading`",
        "on the files that music21 installs.",
        "",
    ]


def _corpus(*suffixes: str) -> list[pathlib.Path]:
    from music21 import corpus

    paths = corpus.corpora.CoreCorpus().getPaths()
    return sorted(path for path in paths if path.suffix in suffixes)


def _notes(sequence: NoteSequence) -> Notes:
    spans = TempoMap.of(sequence).to_quarters(
        np.array([(n.start_time, n.end_time) for n in sequence.notes])
    )
    return Notes(
        (note.pitch, *_rounded(start, end - start))
        for note, (start, end) in zip(sequence.notes, spans.tolist(), strict=True)
    )


def _rounded(*quarters: float) -> tuple[float, ...]:
    """To 192nd notes: programs round tuplets, and each in its own way."""
    return tuple(round(48 * float(q) + 1e-3) / 48 for q in quarters)


# --- MusicXML ---


def _compare_scores(paths: Sequence[pathlib.Path]) -> tuple[list[str], dict]:
    reasons, repeats, lost = (collections.Counter() for _ in range(3))
    seconds, num_notes, examples, refused = 0.0, 0, [], []
    for i, path in enumerate(paths):
        print(f"\r{i + 1} of {len(paths)} scores", end="", file=sys.stderr, flush=True)
        begin = time.process_time()
        try:
            played = read_file(path)
        except ReadError as error:
            refused.append(f"{_name(path)}: {error}")
            continue
        seconds += time.process_time() - begin
        num_notes += len(played.notes)
        said = remarks(played)
        lost.update(_counts(said.get("left out", "")))
        ours = _notes(read_file(path, play_repeats=False))
        reason, difference = _reason(ours, path, said)
        reasons[reason] += 1
        if reason != _SAME:
            examples.append(f"| {_name(path)} | {difference} | {reason} |")
        if "repeats" in said:
            repeats[_compare_repeats(_notes(played), path, said["repeats"])] += 1
    print(file=sys.stderr)
    rate = len(paths) / max(seconds, 1e-9)
    lines = [
        "## MusicXML against music21",
        "",
        f"{len(paths)} files, {num_notes:,} notes as played; {rate:.0f} files a "
        f"second; {len(refused)} refused.",
        "",
        *_table("as written", reasons),
        "",
        *_table("with repeats", repeats),
        "",
        *_table("left out and counted", lost),
        "",
        "| file | notes here alone, in music21 alone, of | reason |",
        "|---|---|---|",
        *examples,
        *refused,
    ]
    claims = {
        "scores": len(paths),
        "scores_refused": len(refused),
        "scores_same": reasons[_SAME],
        "scores_unexplained": reasons[_OTHER],
        "scores_per_second": round(rate),
    }
    return lines, claims


def _name(path: pathlib.Path) -> str:
    return f"{path.parent.name}/{path.name}"


def _counts(text: str) -> dict[str, int]:
    found = re.findall(r"(\d+) ([^,]+)", text)
    return {name: int(number) for number, name in found}


def _table(title: str, counts: collections.Counter) -> list[str]:
    rows = [f"| {name} | {count:,} |" for name, count in counts.most_common()]
    return [f"| {title} | |", "|---|--:|", *rows]


def _parse(path: pathlib.Path):
    from music21 import converter

    # No pickles: they would be written outside of this run.
    return converter.parse(path, forceSource=True, storePickle=False)


def _reason(ours: Notes, path: pathlib.Path, said: dict[str, str]) -> tuple[str, str]:
    score = _parse(path)
    lengths = [_measure_lengths(part) for part in score.parts]
    theirs = _music21_notes(score)
    alone, missing = ours - theirs, theirs - ours
    difference = f"{alone.total()}, {missing.total()}, {ours.total()}"
    if not alone and not missing:
        return _SAME, difference
    if "cue notes" in said.get("left out", "") and not alone:
        return _CUE, difference
    if any(len(set(column)) > 1 for column in zip(*lengths, strict=False)):
        return _APART, difference
    if _sounding(ours) == _sounding(theirs):
        return _TIES, difference
    return _OTHER, difference


def _measure_lengths(part) -> list[float]:
    starts = [measure.offset for measure in part.getElementsByClass("Measure")]
    return np.round(np.diff(np.array(starts, float)), 3).tolist()


def _music21_notes(score) -> Notes:
    score.toSoundingPitch(inPlace=True)
    found = Notes()
    for part in score.parts:
        part = part.flatten()
        part.stripTies(inPlace=True)  # a copy would take a third of the time
        for element in part.notes:
            if not element.quarterLength or "Harmony" in element.classes:
                continue  # grace notes, chord symbols
            times = _rounded(element.offset, element.quarterLength)
            for pitch in getattr(element, "pitches", ()):
                found[(int(pitch.ps), *times)] += 1
    return found


def _sounding(notes: Notes) -> dict[int, list[tuple[float, float]]]:
    """When each pitch sounds: notes that touch or overlap are one."""
    spans = collections.defaultdict(list)
    for pitch, start, length in sorted(notes):
        known = spans[pitch]
        if known and start <= known[-1][1] + 0.01:
            known[-1] = known[-1][0], max(known[-1][1], start + length)
        else:
            known.append((start, start + length))
    return {p: [_coarse(*span) for span in known] for p, known in spans.items()}


def _coarse(start: float, end: float) -> tuple[float, float]:
    return round(start, 1), round(end, 1)


def _compare_repeats(ours: Notes, path: pathlib.Path, said: str) -> str:
    from music21.exceptions21 import Music21Exception

    if said != "played":
        return "not understood here: as written"
    if ours.total() > _MOST_NOTES:
        return f"more than {_MOST_NOTES:,} notes: not compared"
    try:
        theirs = _music21_notes(_parse(path).expandRepeats())
    except Music21Exception:
        return "music21 cannot expand them"
    difference = (ours - theirs).total() + (theirs - ours).total()
    if difference == 0:
        return _SAME
    if abs(ours.total() - theirs.total()) <= 0.01 * ours.total():
        return "the same measures, differing as written"
    return "another order of measures"


# --- ABC ---


def _compare_tunes(paths: Sequence[pathlib.Path]) -> tuple[list[str], dict]:
    reasons, lost, refused = (collections.Counter() for _ in range(3))
    seconds, num_tunes, examples = 0.0, 0, []
    for i, path in enumerate(paths):
        print(f"\r{i + 1} of {len(paths)} books", end="", file=sys.stderr, flush=True)
        for tune in _tunes(path):
            num_tunes += 1
            begin = time.process_time()
            try:
                (sequence,) = read_tunes(tune.encode(), "tune.abc")
            except ReadError as error:
                refused[error.reason] += 1
                continue
            seconds += time.process_time() - begin
            lost.update(_counts(remarks(sequence).get("left out", "")))
            plain = _plain(tune)
            (sequence,) = read_tunes(plain.encode(), "tune.abc")
            reason = _tune_reason(_notes(sequence), plain)
            reasons[reason] += 1
            if reason == "other notes" and len(examples) < 20:
                number = re.match(r"X:\s*(\S*)", tune)[1]
                examples.append(f"| {_name(path)} | {number} |")
    print(file=sys.stderr)
    rate = num_tunes / max(seconds, 1e-9)
    same = reasons[_SAME]
    lines = [
        "## ABC against abc2midi",
        "",
        f"{num_tunes:,} tunes of {len(paths)} files; {rate:.0f} tunes a second; "
        f"{refused.total()} refused ({', '.join(refused) or 'none'}).",
        "",
        *_table("with repeats; without grace notes, ornaments, fermatas", reasons),
        "",
        *_table("left out and counted", lost),
        "",
        "| the first with other notes | number |",
        "|---|---|",
        *examples,
    ]
    claims = {
        "tunes": num_tunes,
        "tunes_refused": refused.total(),
        "tunes_same_percent": round(100 * same / max(num_tunes, 1), 1),
        "tunes_per_second": round(rate),
    }
    return lines, claims


def _tunes(path: pathlib.Path) -> list[str]:
    data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    text = "\n".join(line.strip() for line in text.splitlines())
    return re.findall(r"^X:.*(?:\n(?!X:).+)*", text, re.M)


def _plain(tune: str) -> str:
    """A tune without what abc2midi performs: ornaments, staccato, swing, fermatas."""
    lines = []
    for line in tune.split("\n"):
        if line.startswith(("%", "R:")):
            continue
        if not re.match(r"[A-Za-z]:(?![|:])", line):
            fields = re.compile(r"(\[[A-Za-z]:[^\]]*\])")
            line = "".join(
                part if fields.fullmatch(part) else _plain_music(part)
                for part in fields.split(line)
            )
        lines.append(line)
    return "\n".join(lines) + "\n"


def _plain_music(text: str) -> str:
    text = re.sub(r'(?<!\\)%.*|"[^"]*"|\{[^}]*\}|![^!\s]*!|\+[^+\s]*\+', "", text)
    return re.sub(r"[~HLMOPSTuv.]", "", text)


def _tune_reason(ours: Notes, tune: str) -> str:
    import symusic  # needed by nothing else

    settings = "%%MIDI chordattack 0\n%%MIDI nobeataccents\n"
    tune = re.sub(r"^(X:.*\n)", r"\1" + settings, tune, count=1)
    try:
        with _without_output():
            score = symusic.Score.from_abc(tune)
    except RuntimeError:
        return "abc2midi fails"
    # It begins every note a tick late, and ends it in time.
    theirs = sorted(
        (note.time - 1, note.pitch, note.duration + 1)
        for track in score.tracks
        for note in track.notes
    )
    ours = sorted(
        (round(480 * start), pitch, round(480 * length))
        for pitch, start, length in ours.elements()
    )
    if len(ours) != len(theirs):
        return "other notes"
    ours, theirs = np.array(ours), np.array(theirs)
    if (ours[:, 1] != theirs[:, 1]).any():
        return "other notes"
    return _SAME if abs(ours - theirs).max() <= _TICKS else "other rhythm"


@contextlib.contextmanager
def _without_output() -> Iterator[None]:
    """Silences a program that is called: what it says goes to a file that is lost."""
    with tempfile.TemporaryFile() as file:
        kept = os.dup(1), os.dup(2)
        try:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
            yield
        finally:
            for number, copy in zip((1, 2), kept, strict=True):
                os.dup2(copy, number)
                os.close(copy)


if __name__ == "__main__":
    main()
