"""The steps of the job that Beam spreads over workers.

What Beam carries are packed lists of files and of places in files; the music stays on
disk, in `Job.work_dir`. So memory hardly grows with the source, any runner can run the
steps, and what was done before a job was killed is not done again: the result of a
batch is there when its index is, and the index is written last.
"""

import dataclasses
import itertools
import json
import os
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import tensorflow as tf

from tfmusic.data.features import record_of_packed, write_records
from tfmusic.data.splits import SPLITS
from tfmusic.errors import DropError
from tfmusic.files import file_stamp, prepare_path, replacing, write_file
from tfmusic.pipelines.conversion import Converter
from tfmusic.pipelines.elements import (
    Batch,
    Converted,
    Drop,
    Job,
    Packed,
    Place,
    Task,
    counts_path,
    data_path,
    index_path,
)
from tfmusic.pipelines.quiet_beam import beam
from tfmusic.pipelines.resuming import fetch, hash_contents
from tfmusic.pipelines.sources import SourceItem
from tfmusic.sandbox import Sandbox

_BYTES_AT_ONCE = 32 << 20


class Convert(beam.DoFn):
    """Batches of files into records, and an index of them."""

    def __init__(self, job: Job, converter: Converter):
        self._job = job
        self._converter = converter

    def setup(self) -> None:
        """Makes ready to start a process."""
        prepare_path(self._job.work_dir)
        self._sandbox = Sandbox(
            self._converter, self._job.file_seconds, self._job.file_megabytes
        )

    def teardown(self) -> None:
        """Ends it."""
        self._sandbox.close()

    def process(self, packed: Packed) -> Iterator[str]:
        """Converts a batch unless that was done before."""
        batch = packed.unpack()
        path = os.path.join(self._job.work_dir, batch.name)
        if tf.io.gfile.exists(index_path(path)):
            self._job.report_progress(len(batch.items))
        else:
            self._convert(batch, path)
        yield batch.name

    def _convert(self, batch: Batch, path: str) -> None:
        index = {"files": {}, "stamps": {}, "pieces": [], "drops": [], "num_bytes": 0}
        counts = {}
        with (
            replacing(data_path(path)) as partial,
            tf.io.gfile.GFile(partial, "wb") as file,
        ):
            file.write(b"")  # an empty file is a file too
            for item in batch.items:
                pieces = self._convert_item(item, batch.hashes.get(item.name), index)
                for piece in pieces:
                    drops = [piece] if isinstance(piece, Drop) else piece.drops
                    index["drops"] += [
                        dataclasses.asdict(dataclasses.replace(d, split=item.split))
                        for d in drops
                    ]
                    if isinstance(piece, Drop):
                        continue
                    self._keep(piece, item, index, file)
                    counts[piece.name] = {
                        number: list(counter.items())
                        for number, counter in piece.counts.items()
                    }
                self._job.report_progress()
        write_file(counts_path(path), json.dumps(counts))
        write_file(index_path(path), json.dumps(index))

    def _convert_item(
        self, item: SourceItem, expected: str | None, index: dict[str, Any]
    ) -> Sequence[Converted | Drop]:
        stage, data = "load", b""
        # Before it is read: what changes meanwhile has another stamp later.
        index["stamps"][item.name] = file_stamp(item.path)
        try:
            data = fetch(item, self._job.limits.max_bytes, self._sandbox)
            if item.split and item.split not in SPLITS:
                raise DropError(
                    "unknown_split",
                    f"expected one of {', '.join(SPLITS)} in the source's table, found "
                    f"{item.split!r}",
                )
            if expected and hash_contents(data) != expected:
                raise DropError(
                    "changed", "the file has changed between two readings by this job"
                )
            stage = "read"
            task = Task(data, item.name, item.parse, item.metadata)
            return self._sandbox(task)
        except DropError as error:
            drop = Drop.of(error, item.name, stage, split=item.split)
            index["drops"].append(dataclasses.asdict(drop))
            return []
        finally:
            index["files"][item.name] = hash_contents(data)

    def _keep(
        self, piece: Converted, item: SourceItem, index: dict[str, Any], file: BinaryIO
    ) -> None:
        """Writes the records of a piece, and their places into the index."""
        places = {}
        for number, encoded in piece.encoded.items():
            record = record_of_packed(
                encoded.arrays,
                encoded.num_steps,
                piece.name,
                self._job.source,
                piece.metadata,
            )
            file.write(record)
            places[number] = {
                "offset": index["num_bytes"],
                "length": len(record),
                "hash": hash_contents(b"".join(map(bytes, encoded.arrays.values()))),
                "num_steps": encoded.num_steps,
                "num_notes": encoded.num_notes,
                "seconds": encoded.seconds,
                "losses": encoded.losses,
                "repairs": piece.repairs,
            }
            index["num_bytes"] += len(record)
        index["pieces"].append(
            {
                "name": piece.name,
                "file": item.name,
                "content": piece.content,
                "sketch": piece.sketch,
                "split": item.split,
                "encoded": places,
            }
        )


class WriteShard(beam.DoFn):
    """Shards onto disk."""

    def __init__(self, job: Job):
        self._job = job

    def process(self, packed: Packed) -> Iterator[str]:
        """Writes a shard unless that was done before."""
        shard = packed.unpack()
        prepare_path(shard.path)
        if not tf.io.gfile.exists(shard.path):
            records, work_dir = read_places(shard.places), self._job.work_dir
            write_records(shard.path, records, shard.compression, work_dir)
        self._job.report_progress()
        yield shard.path


def read_places(places: Sequence[Place]) -> Iterator[bytes]:
    """Reads records in the order of their places, many at a time.

    Neighbours in a shard come from anywhere, and to open a file for each would take
    most of the time where files are in a bucket.
    """
    begin = 0
    while begin < len(places):
        end, num_bytes = begin, 0
        while end < len(places) and num_bytes < _BYTES_AT_ONCE:
            num_bytes += places[end].length
            end += 1
        records = {}
        by_file = itertools.groupby(sorted(places[begin:end]), lambda p: p.path)
        for path, group in by_file:
            with tf.io.gfile.GFile(path, "rb") as file:
                for place in group:
                    file.seek(place.offset)
                    records[place] = file.read(place.length)
        yield from (records[place] for place in places[begin:end])
        begin = end
