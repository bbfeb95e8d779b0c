"""How fast music becomes TFRecords: the job against note-seq's own path.

    python -m benchmarks.build_tfrecords [--quick] [--data=PATH ...]

Both turn the same MIDI files into events of performances (10 ms, 32 bins of velocities,
128 pitches, pedal applied) in TFRecords; the number of pieces must agree. The files are
those of the folders and zips that are named, such as maestro-v3.0.0-midi.zip; without
any, the Bach chorales of music21, rendered as MIDI, sixteen to a file.
They take turns, as others may use the machine too: a third of the files through
note-seq, then all of them through the job, whose median counts, three times over.
note-seq reads, applies the pedal, quantizes, encodes and writes in one process, file
after file, and is spared the one-hot vectors that Magenta stores: it writes integers.
The job is `pipelines.build_tfrecords` as a user starts it, worker processes included.
Imports are made before the clock starts.

With `--miditok_python=PYTHON`, one that has miditok, the conversion alone is held
against MidiTok on symusic as well: notes a CPU second of one process, from a file's
bytes to those of its record's arrays, in turn three times over. MidiTok makes its own
events of performances (`MIDILike`); it neither checks nor hashes what it reads, nor
applies the pedal.

The bytes are those of the job's shards against the same events as float one-hot
vectors, which is what Magenta's SequenceExamples hold; one piece is really written so,
the others are computed from it by their number of events.
"""

import argparse
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
import warnings

import tensorflow as tf

from benchmarks.midi_files import add_data_flag, lay_out
from tfmusic.data.dataset_info import DatasetInfo
from tfmusic.notes.reading import Limits
from tfmusic.pipelines.building import write_datasets
from tfmusic.pipelines.conversion import Converter
from tfmusic.pipelines.elements import Recipe, Task
from tfmusic.pipelines.filters import Filters
from tfmusic.pipelines.parsing import parse_pieces
from tfmusic.pipelines.planning import plan

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # pydub's, of a missing ffmpeg
    from note_seq import midi_io, sequences_lib
    from note_seq.performance_encoder_decoder import PerformanceOneHotEncoding
    from note_seq.performance_lib import Performance

_CONFIG = "configs/performance_lstm.py:reference"
_NUM_TURNS = 3
_STEPS_PER_SECOND = 100
_VELOCITY_BINS = 32
_ENCODING = PerformanceOneHotEncoding(_VELOCITY_BINS, _STEPS_PER_SECOND)


def main() -> None:
    """Prints the table and, last, the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="10 files instead of 100")
    parser.add_argument(
        "--miditok_python", help="Python with miditok, to compare with it as well"
    )
    add_data_flag(parser)
    arguments = parser.parse_args()
    num_files = 10 if arguments.quick else 100
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        paths = [str(p) for p in lay_out(arguments.data, num_files, folder / "music")]
        _compare(paths, folder)
        if arguments.miditok_python:
            _compare_with_miditok(paths, arguments.miditok_python)
        else:
            print("no --miditok_python=PYTHON: not compared with MidiTok")


def _compare(paths: list[str], folder: pathlib.Path) -> None:
    data_dir = folder / "data"
    their_seconds, our_turns, num_events = 0.0, [], []
    for turn in range(_NUM_TURNS):
        begin = time.perf_counter()
        with tf.io.TFRecordWriter(str(folder / f"{turn}.tfrecord")) as writer:
            num_events += [
                _convert_by_note_seq(path, writer) for path in paths[turn::_NUM_TURNS]
            ]
        their_seconds += time.perf_counter() - begin

        begin = time.perf_counter()
        music = str(folder / "music")
        write_datasets([_CONFIG], music, str(data_dir), overwrite=True)
        our_turns.append(time.perf_counter() - begin)
    our_seconds = statistics.median(our_turns)

    info = DatasetInfo.load(str(data_dir))
    num_pieces = sum(split["num_pieces"] for split in info.splits.values())
    if num_pieces != len(paths):
        sys.exit(f"the job wrote {num_pieces} pieces of {len(paths)}")
    hours = sum(split["seconds"] for split in info.splits.values()) / 3600
    our_bytes = sum(path.stat().st_size for path in data_dir.glob("*.tfrecord"))
    their_bytes = _one_hot_size(paths[0], folder) / num_events[0] * sum(num_events)

    print(
        f"\n{len(paths)} files, {hours:.1f} hours of music, {sum(num_events):,} events"
    )
    print(f"{'':36s}{'seconds':>9s}{'pieces/s':>10s}{'MB/hour':>10s}")
    for name, seconds, size in [
        ("note-seq, one process", their_seconds, their_bytes),
        ("pipelines.build_tfrecords", our_seconds, our_bytes),
    ]:
        print(
            f"{name:36s}{seconds:9.1f}{len(paths) / seconds:10.2f}"
            f"{size / hours / 1e6:10.2f}"
        )
    print(f"build_tfrecords.pieces_ratio = {their_seconds / our_seconds:.1f}")
    print(f"build_tfrecords.bytes_ratio = {their_bytes / our_bytes:.1f}")


def _compare_with_miditok(paths: list[str], python: str) -> None:
    (experiment,) = plan([_CONFIG])
    recipe = Recipe(0, experiment.representation, experiment.preparation, counts=False)
    converter = Converter((recipe,), Limits(), Filters())
    tasks = [
        Task(pathlib.Path(path).read_bytes(), path, parse_pieces, {}) for path in paths
    ]
    command = [python, "-m", "benchmarks.plain_miditok", *paths]
    ours, theirs = [], []
    for _ in range(_NUM_TURNS):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(
                f"{python}: expected Python with miditok, but {done.stderr[-300:]}"
            )
        theirs.append(float(done.stdout.split()[-1]))
        begin = time.process_time()
        converted = [piece for task in tasks for piece in converter(task)]
        ours.append(time.process_time() - begin)
    num_notes = sum(e.num_notes for c in converted for e in c.encoded.values())
    ours, theirs = statistics.median(ours), statistics.median(theirs)
    print(f"\n{'':36s}{'CPU s':>9s}{'notes/s':>12s}")
    for name, seconds in [("MidiTok on symusic", theirs), ("the conversion", ours)]:
        print(f"{name:36s}{seconds:9.2f}{num_notes / seconds:12,.0f}")
    print(f"build_tfrecords.notes_per_second_ratio = {theirs / ours:.1f}")


def _events_by_note_seq(path: str) -> list[int]:
    sequence = midi_io.midi_file_to_note_sequence(path)
    sequence = sequences_lib.apply_sustain_control_changes(sequence)
    quantized = sequences_lib.quantize_note_sequence_absolute(
        sequence, _STEPS_PER_SECOND
    )
    performance = Performance(quantized, num_velocity_bins=_VELOCITY_BINS)
    return [_ENCODING.encode_event(event) for event in performance]


def _convert_by_note_seq(path: str, writer: tf.io.TFRecordWriter) -> int:
    events = _events_by_note_seq(path)
    example = tf.train.Example()
    example.features.feature["events"].int64_list.value.extend(events)
    writer.write(example.SerializeToString())
    return len(events)


def _one_hot_size(path: str, folder: pathlib.Path) -> int:
    """Bytes of one piece as float one-hot vectors, as Magenta's records hold them."""
    example = tf.train.SequenceExample()
    inputs = example.feature_lists.feature_list["inputs"]
    labels = example.feature_lists.feature_list["labels"]
    for event in _events_by_note_seq(path):
        vector = [0.0] * _ENCODING.num_classes
        vector[event] = 1.0
        inputs.feature.add().float_list.value.extend(vector)
        labels.feature.add().int64_list.value.append(event)
    record = folder / "one_hot.tfrecord"
    with tf.io.TFRecordWriter(str(record)) as writer:
        writer.write(example.SerializeToString())
    return record.stat().st_size


if __name__ == "__main__":
    main()
