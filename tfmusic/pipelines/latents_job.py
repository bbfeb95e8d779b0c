"""From a dataset of event chunks to one of latents: check, encode, normalise, publish.

As in `tfmusic.pipelines.dataset_job`, Beam carries names alone, all that is done is on
disk, and what a killed job has done is not done again.
"""

import dataclasses
import hashlib
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging

from tfmusic.data import weights
from tfmusic.data.dataset import Dataset
from tfmusic.data.dataset_info import FILE_NAME, DatasetInfo, differences
from tfmusic.data.features import make_record, parse_record, write_records
from tfmusic.errors import UserError
from tfmusic.files import move_directory, prepare_path, read_json, write_file, writing
from tfmusic.pipelines import account
from tfmusic.pipelines.locking import locked
from tfmusic.pipelines.planning import (
    check_output_dir,
    holds_dataset,
    origin,
    refuse_changes,
)
from tfmusic.pipelines.quiet_beam import beam
from tfmusic.pipelines.running import run_step
from tfmusic.pipelines.summary import format_info
from tfmusic.representations import EventChunks, Latents, make_representation
from tfmusic.serving.player import Player

ENDPOINT = "encode"


@dataclasses.dataclass(frozen=True)
class LatentsJob:
    """What the job is to do, for all workers.

    Attributes:
        data_dir: The dataset of event chunks.
        model_path: The version of the export.
        work_dir: Where steps leave what they have done for the next ones.
        output_dir: Where the shards are written.
        compression: Of the records of both datasets.
        progress_file: See `tfmusic.pipelines.elements.Job`.
    """

    data_dir: str
    model_path: str
    work_dir: str
    output_dir: str
    compression: str
    progress_file: str = ""

    def report_progress(self) -> None:
        """Says that a shard is done."""
        if self.progress_file:
            with open(self.progress_file, "ab", buffering=0) as file:
                file.write(b".")

    def encoded_path(self, shard: str) -> str:
        """Where a shard is before it is normalised; its sums are beside it."""
        return os.path.join(self.work_dir, shard)

    def read(self, path: str, specs: Mapping) -> Iterator[dict]:
        """The pieces of a shard, as numpy arrays and bytes."""
        records = tf.data.TFRecordDataset(path, self.compression.upper())
        pieces = records.map(lambda record: parse_record(record, specs))
        return pieces.as_numpy_iterator()


class EncodeShard(beam.DoFn):
    """Shards of events into shards of latents as they come, and their sums."""

    def __init__(self, job: LatentsJob, representation: Latents):
        self._job = job
        self._representation = representation

    def setup(self) -> None:
        """Loads the autoencoder."""
        prepare_path(self._job.work_dir)
        self._player = Player(self._job.model_path, num_threads=0)

    def process(self, shard: str) -> Iterator[str]:
        """Encodes a shard unless that was done before."""
        path = self._job.encoded_path(shard)
        if not tf.io.gfile.exists(path + ".json"):
            size = self._representation.latent_size
            sums = {"count": 0, "sum": np.zeros(size), "squares": np.zeros(size)}
            sums["no_numbers"] = []
            records = self._records(shard, sums)
            write_records(path, records, self._job.compression, self._job.work_dir)
            sums = {name: np.asarray(value).tolist() for name, value in sums.items()}
            write_file(path + ".json", json.dumps(sums))
        self._job.report_progress()
        yield shard

    def _records(self, shard: str, sums: dict) -> Iterator[bytes]:
        chunks = self._representation.chunks
        source = os.path.join(self._job.data_dir, shard)
        for piece in self._job.read(source, chunks.feature_specs):
            inputs = {name: piece[name][np.newaxis] for name in chunks.feature_specs}
            latents = self._player.call(ENDPOINT, inputs)["latents"][0]
            if not np.all(np.isfinite(latents)):
                # Beam would make many lines of an error here.
                sums["no_numbers"].append(piece["id"].decode())
                continue
            exact = latents.astype(np.float64)
            sums["count"] += len(exact)
            sums["sum"] += exact.sum(axis=0)
            sums["squares"] += np.square(exact).sum(axis=0)
            yield _record({**piece, "latents": latents}, self._representation)


class NormalizeShard(beam.DoFn):
    """Encoded shards into those of the dataset."""

    def __init__(self, job: LatentsJob, representation: Latents):
        self._job = job
        self._representation = representation

    def process(self, shard: str) -> Iterator[str]:
        """Writes a shard; anew each time, for that takes no time."""
        kind = self._representation
        prepare_path(self._job.output_dir)
        pieces = self._job.read(self._job.encoded_path(shard), kind.feature_specs)
        records = (
            _record({**piece, "latents": kind.normalize(piece["latents"])}, kind)
            for piece in pieces
        )
        path = os.path.join(self._job.output_dir, shard)
        write_records(path, records, self._job.compression, self._job.work_dir)
        self._job.report_progress()
        yield shard


def _record(piece: Mapping, representation: Latents) -> bytes:
    specs = representation.feature_specs
    return make_record(
        {name: piece[name] for name in specs},
        specs,
        piece["id"].decode(),
        piece["source"].decode(),
        json.loads(piece["metadata"]),
    )


def write_latents(
    data_dir: str,
    model_dir: str,
    output_dir: str,
    with_events: bool = False,
    overwrite: bool = False,
    num_workers: int = 0,
    beam_options: Mapping[str, str] | None = None,
) -> None:
    """Writes a dataset of latents, unless it is there already.

    Args:
        data_dir: A dataset of event chunks.
        model_dir: An export of an autoencoder of such chunks.
        output_dir: The dataset's directory.
        with_events: Whether the events of the chunks are written beside the latents.
        overwrite: Whether another dataset that is there is replaced.
        num_workers: See `tfmusic.pipelines.running.run_step`.
        beam_options: Flags of Beam, by name.

    Raises:
        UserError: One of the directories does not hold what it should, the dataset is
            corrupted, dataset and autoencoder do not fit each other, or latents are not
            finite.
    """
    output_dir = check_output_dir(output_dir)
    _check_apart(data_dir, output_dir)
    dataset = Dataset.open(data_dir)
    info = dataset.info
    player = Player(model_dir)
    kind = latents_of(player, info, data_dir)
    kind = dataclasses.replace(kind, with_events=with_events)
    if holds_dataset(output_dir) and not overwrite:
        _check_written(output_dir, kind, info)
        return
    for split in info.splits:
        dataset.check_records(split)
    with locked(output_dir), writing(output_dir):
        _write(
            data_dir, output_dir, player, kind, info, num_workers, beam_options or {}
        )


def _write(
    data_dir: str,
    output_dir: str,
    player: Player,
    kind: Latents,
    info: DatasetInfo,
    num_workers: int,
    beam_options: Mapping[str, str],
) -> None:
    """Writes the dataset.

    Raises:
        UserError: Latents are not finite.
    """
    start = time.monotonic()
    partial_dir = output_dir + ".partial"
    job = LatentsJob(
        data_dir=data_dir,
        model_path=player.path,
        work_dir=os.path.join(partial_dir, "work"),
        output_dir=os.path.join(partial_dir, "data"),
        compression=info.compression,
    )
    _take_over(job, info, kind, partial_dir)
    shards = [shard for split in info.splits.values() for shard in split["shards"]]

    def run(title: str, step: type, kind: Latents) -> None:
        run_step(
            lambda path: step(dataclasses.replace(job, progress_file=path), kind),
            shards,
            title=title,
            total=len(shards),
            num_workers=num_workers,
            beam_options=beam_options,
        )

    run("encode", EncodeShard, kind)
    sums = {shard: read_json(job.encoded_path(shard) + ".json") for shard in shards}
    if broken := [piece for found in sums.values() for piece in found["no_numbers"]]:
        tf.io.gfile.rmtree(partial_dir)  # another call would come to the same end
        raise UserError(
            f"{player.path}: the latents of {broken[0]} are NaN or infinite; export an "
            "autoencoder that is trained"
        )
    kind = fit(kind, [sums[shard] for shard in info.splits["train"]["shards"]])
    run("write", NormalizeShard, kind)
    weights.save_weights(weights.read_export(player.path), job.output_dir)
    account.write_drops(account.read_drops(data_dir), job.output_dir)
    written = describe(info, kind, job.output_dir)
    written.save(job.output_dir)
    _publish(job.output_dir, partial_dir, output_dir)
    logging.info("%d shards in %.1f s", len(shards), time.monotonic() - start)
    sys.stdout.write(
        f"{output_dir}\n{format_info(written, account.read_drops(data_dir))}\n"
    )


def latents_of(player: Player, info: DatasetInfo, data_dir: str) -> Latents:
    """What an autoencoder makes of a dataset, not normalised yet.

    Raises:
        UserError: They do not fit each other.
    """
    chunks = info.make_representation()
    if not isinstance(chunks, EventChunks):
        raise UserError(
            f"{data_dir}: expected a dataset of event_chunks, found {chunks.name}"
        )
    if ENDPOINT not in player.card["endpoints"]:
        raise UserError(
            f"{player.path}: expected an autoencoder, whose endpoints are encode and "
            f"decode; {player.card['name']} has {', '.join(player.card['endpoints'])}"
        )
    changes = "; ".join(
        f"{name} is {ours!r} in the dataset and {theirs!r} in the autoencoder"
        for name, ours, theirs in differences(
            chunks.settings(), player.representation.settings()
        )
    )
    if changes:
        raise UserError(
            f"{data_dir} and {player.path} do not fit each other: {changes}; write a "
            "dataset for the autoencoder, or train one on the dataset"
        )
    network = player.card["config"]["model"]
    found = weights.read_export(player.path)
    return make_representation(
        {
            "name": Latents.name,
            "chunks": player.representation.to_config(),
            "latent_size": network["latent_size"],
            "autoencoder": weights.fingerprint(found, player.representation),
            "network": network,
        }
    )


def fit(kind: Latents, sums: Sequence[Mapping]) -> Latents:
    """Knows the means and deviations over encoded shards, from the sums of each."""
    count = sum(entry["count"] for entry in sums)
    means = np.sum([entry["sum"] for entry in sums], axis=0) / count
    squares = np.sum([entry["squares"] for entry in sums], axis=0) / count
    deviations = np.sqrt(np.maximum(squares - means**2, 0))
    # A number that is always the same tells nothing and must not be divided by 0.
    deviations = np.where(deviations > 1e-6, deviations, 1.0)
    return dataclasses.replace(
        kind, means=tuple(means.tolist()), deviations=tuple(deviations.tolist())
    )


def describe(info: DatasetInfo, kind: Latents, directory: str) -> DatasetInfo:
    """The description of the dataset: that of the chunks, but for what they are."""
    splits = {}
    for name, split in info.splits.items():
        paths = [os.path.join(directory, shard) for shard in split["shards"]]
        size = sum(tf.io.gfile.stat(path).length for path in paths)
        splits[name] = {**split, "num_bytes": size}
    return dataclasses.replace(
        info,
        representation=kind.to_config(),
        splits=splits,
        versions={**info.versions, **account.software_versions()},
    )


def _check_apart(data_dir: str, output_dir: str) -> None:
    """Refuses to write over the chunks, whose directory would be replaced.

    Raises:
        UserError: They are in `output_dir`.
    """
    source, target = (
        path.rstrip("/") if "://" in path else os.path.realpath(path)
        for path in (data_dir, output_dir)
    )
    if f"{source}/".startswith(f"{target}/"):
        raise UserError(
            f"--output_dir={output_dir}: expected a directory without the event chunks "
            f"of --data_dir={data_dir}, which are in it; choose another"
        )


def _check_written(directory: str, kind: Latents, info: DatasetInfo) -> None:
    """Makes sure that the dataset in a directory is the one that is wanted.

    Raises:
        UserError: It is another.
    """
    found = DatasetInfo.load(directory)
    refuse_changes(
        directory,
        _identity(found, found.representation),
        _identity(info, kind.to_config()),
    )
    logging.info("%s is complete already (autoencoder %s)", directory, kind.autoencoder)


def _identity(info: DatasetInfo, representation: Mapping) -> dict[str, Any]:
    """What tells latents from others, beside the versions of the software, by name."""
    return {
        "autoencoder": representation.get("autoencoder"),
        "with_events": representation.get("with_events"),
        "source hash": info.source_hash[:16],
        **origin(info),
        **{f"{name} split": sizes for name, sizes in info.describe()["splits"].items()},
    }


def _take_over(
    job: LatentsJob, info: DatasetInfo, kind: Latents, partial_dir: str
) -> None:
    """Makes the directory to work in, or finds it as a killed job left it."""
    about = [kind.to_config(), dataclasses.asdict(info), account.software_versions()]
    key = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
    key_path = os.path.join(partial_dir, "job.json")
    if tf.io.gfile.exists(partial_dir):
        if tf.io.gfile.exists(key_path) and read_json(key_path) == key:
            logging.info("continuing what %s holds", partial_dir)
            return
        tf.io.gfile.rmtree(partial_dir)
    with writing(partial_dir):
        for directory in (job.work_dir, job.output_dir):
            tf.io.gfile.makedirs(directory)
    write_file(key_path, json.dumps(key))


def _publish(written: str, partial_dir: str, output_dir: str) -> None:
    if tf.io.gfile.exists(output_dir):
        tf.io.gfile.rmtree(output_dir)
    move_directory(written, output_dir, last=FILE_NAME)
    tf.io.gfile.rmtree(partial_dir)
