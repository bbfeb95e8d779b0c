"""The Beam transforms that turn files of music into records.

Read, split by content, count on the training pieces (vocabularies), encode, write. All
experiments are served by one reading of the files. Nothing here is defined in
`__main__`, so worker processes import it by name.
"""

import collections
import dataclasses
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import apache_beam as beam
import tensorflow as tf

from pipelines.elements import Drop, Encoded, Experiment, Job, Piece
from pipelines.sources import SourceItem
from tfmusic.data.dataset_info import SPLITS
from tfmusic.data.features import make_record
from tfmusic.data.splits import assign_splits, content_hash
from tfmusic.errors import DropError
from tfmusic.notes import NoteSequence
from tfmusic.notes.keys import transpose_to_c
from tfmusic.representations import Representation, make_representation

SUMMARY_FILE = "summary.json"


def build(pipeline: beam.Pipeline, items: list[SourceItem], job: Job) -> None:
    """Adds all steps to a pipeline; the last one writes `SUMMARY_FILE`."""
    read = (
        pipeline
        | "Items" >> beam.Create(items)
        | "Spread" >> beam.Reshuffle()
        | "Read" >> beam.ParDo(Read(job)).with_outputs("dropped", main="pieces")
    )
    splits = beam.pvalue.AsSingleton(
        read.pieces
        | "Contents" >> beam.Map(lambda piece: piece.content)
        | "AllContents" >> beam.combiners.ToList()
        | "Split" >> beam.Map(assign_splits, job.fractions)
    )
    fitted = beam.pvalue.AsDict(
        read.pieces
        | "Count" >> beam.ParDo(Count(job), splits)
        | "Sum" >> beam.CombinePerKey(add_up)
        | "Fit"
        >> beam.MapTuple(lambda number, counts: (number, fit(job, number, counts)))
    )
    encoded = read.pieces | "Encode" >> beam.ParDo(
        Encode(job), splits, fitted
    ).with_outputs("dropped", main="records")
    shards = (
        encoded.records
        | "Gather" >> beam.GroupByKey()
        | "Write" >> beam.ParDo(WriteShard(job))
    )
    drops = (read.dropped, encoded.dropped) | beam.Flatten()
    _ = (
        pipeline
        | "Once" >> beam.Create([None])
        | "Summarize"
        >> beam.Map(
            write_summary,
            job,
            beam.pvalue.AsList(shards),
            beam.pvalue.AsList(drops),
            fitted,
        )
    )


class Read(beam.DoFn):
    """Files into pieces, or into the output "dropped"."""

    def __init__(self, job: Job):
        self._job = job

    def process(self, item: SourceItem) -> Iterator[Any]:
        """Reads one file."""
        try:
            sequences = item.read()
        except DropError as error:
            drop = Drop(item.name, "read", error.reason, error.detail)
            yield beam.pvalue.TaggedOutput("dropped", drop)
            sequences = []
        for number, sequence in enumerate(sequences, 1):
            several = len(sequences) > 1
            name = f"{item.name}#{number}" if several else item.name
            sequence.id = name
            sequence.filename = item.name
            yield Piece(
                name=name,
                content=content_hash(sequence),
                split=item.split,
                metadata={**describe(sequence), **item.metadata},
                serialized=sequence.SerializeToString(),
            )
        # Encoding is the other half of the way.
        self._job.report_progress(1 if sequences else 2)


def describe(sequence: NoteSequence) -> dict[str, str]:
    """What a file says of its piece."""
    known = sequence.sequence_metadata
    found = {
        "title": known.title,
        "composer": ", ".join(known.composers) or known.artist,
    }
    return {name: text for name, text in found.items() if text}


def prepare(piece: Piece, experiment: Experiment) -> NoteSequence:
    """A piece as an experiment wants it.

    Raises:
        DropError: It cannot be had so.
    """
    sequence = NoteSequence.FromString(piece.serialized)
    if experiment.preparation["key"] == "C":
        return transpose_to_c(sequence)
    return sequence


class Count(beam.DoFn):
    """Training pieces into what each experiment's vocabulary is fitted on."""

    def __init__(self, job: Job):
        self._job = job

    def setup(self) -> None:
        """Makes the representations that have something to fit."""
        self._kinds = [
            make_representation(e.representation) for e in self._job.experiments
        ]

    def process(
        self, piece: Piece, splits: Mapping[str, str]
    ) -> Iterator[tuple[int, collections.Counter]]:
        """Counts one piece; (number of the experiment, its counts)."""
        if (piece.split or splits[piece.content]) != "train":
            return
        for number, (experiment, kind) in enumerate(
            zip(self._job.experiments, self._kinds, strict=True)
        ):
            if not kind.fitted_fields:
                continue
            try:
                yield number, kind.count(prepare(piece, experiment))
            except DropError:
                continue  # "Encode" meets it again, and reports it


def add_up(counters: Iterable[collections.Counter]) -> collections.Counter:
    """The sum of counters."""
    total = collections.Counter()
    for counter in counters:
        total.update(counter)
    return total


def fit(job: Job, number: int, counts: collections.Counter) -> dict[str, Any]:
    """The fitted representation of an experiment, as `to_config` gives it."""
    representation = make_representation(job.experiments[number].representation)
    return representation.fit_counts(counts).to_config()


class Encode(beam.DoFn):
    """Pieces into ((experiment, split, shard), Encoded), or "dropped"."""

    def __init__(self, job: Job):
        self._job = job
        self._kinds: list[Representation] = []

    def process(
        self,
        piece: Piece,
        splits: Mapping[str, str],
        fitted: Mapping[int, Mapping[str, Any]],
    ) -> Iterator[Any]:
        """Encodes one piece for every experiment."""
        if not self._kinds:
            self._kinds = [
                make_representation(fitted.get(number, experiment.representation))
                for number, experiment in enumerate(self._job.experiments)
            ]
        split = piece.split or splits[piece.content]
        # The hash of the name, so that neighbours in a folder are strangers here: it
        # spreads pieces over shards and orders them within one.
        order = hashlib.sha256(piece.name.encode()).hexdigest()
        shard = int(order[:8], 16) % self._job.num_shards[SPLITS.index(split)]
        for number in range(len(self._kinds)):
            try:
                yield (number, split, shard), self._encode(piece, number, order)
            except DropError as error:
                stage = "encode"
                drop = Drop(piece.name, stage, error.reason, error.detail, number)
                yield beam.pvalue.TaggedOutput("dropped", drop)
        self._job.report_progress()

    def _encode(self, piece: Piece, number: int, order: str) -> Encoded:
        experiment = self._job.experiments[number]
        representation = self._kinds[number]
        sequence = prepare(piece, experiment)
        features = representation.encode(sequence)
        num_steps = len(next(iter(features.values())))
        min_steps = experiment.preparation["min_steps"]
        if num_steps < min_steps:
            raise DropError(
                "too_short",
                f"expected at least {min_steps} steps (data.min_steps), found "
                f"{num_steps}",
            )
        record = make_record(
            features,
            representation.feature_specs,
            piece.name,
            self._job.source,
            piece.metadata,
        )
        return Encoded(
            order=order,
            record=record,
            num_steps=num_steps,
            num_notes=len(sequence.notes),
            seconds=sequence.total_time,
            losses=representation.losses(sequence),
        )


class WriteShard(beam.DoFn):
    """The pieces of a shard into a file; gives what the summary says of it."""

    def __init__(self, job: Job):
        self._job = job

    def process(
        self, shard: tuple[tuple[int, str, int], Iterable[Encoded]]
    ) -> Iterator[dict[str, Any]]:
        """Writes one shard."""
        (number, split, index), pieces = shard
        pieces = sorted(pieces, key=lambda piece: piece.order)
        total = self._job.num_shards[SPLITS.index(split)]
        name = f"{split}-{index:05d}-of-{total:05d}.tfrecord"
        directory = self._job.experiments[number].directory
        path = os.path.join(self._job.output_dir, directory, name)
        with tf.io.TFRecordWriter(path) as writer:
            for piece in pieces:
                writer.write(piece.record)
        yield {
            "experiment": number,
            "split": split,
            "shard": name,
            "piece_steps": [piece.num_steps for piece in pieces],
            "num_notes": sum(piece.num_notes for piece in pieces),
            "seconds": sum(piece.seconds for piece in pieces),
            "losses": add_up(piece.losses for piece in pieces),
        }


def write_summary(
    _: None,
    job: Job,
    shards: list[dict[str, Any]],
    drops: list[Drop],
    fitted: Mapping[int, Mapping[str, Any]],
) -> None:
    """Tells the process that started the job how it went, on whatever machine."""
    summary = {
        "shards": sorted(shards, key=lambda shard: shard["shard"]),
        "drops": [
            dataclasses.asdict(drop)
            for drop in sorted(drops, key=lambda drop: (drop.name, drop.reason))
        ],
        "fitted": {str(number): config for number, config in fitted.items()},
    }
    with tf.io.gfile.GFile(os.path.join(job.output_dir, SUMMARY_FILE), "w") as file:
        json.dump(summary, file)
