"""From a source of music to complete datasets: plan, run the job, check, publish."""

import collections
import dataclasses
import json
import math
import os
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf
from absl import logging

from pipelines.dataset_job import SUMMARY_FILE, add_up, build
from pipelines.elements import Experiment, Job
from pipelines.report import format_info
from pipelines.running import run_pipeline
from pipelines.sources import SourceItem, open_source
from tfmusic.config import load_config
from tfmusic.data.dataset_info import (
    FILE_NAME,
    SPLITS,
    DatasetInfo,
    differences,
    preparation_of,
)
from tfmusic.errors import UserError, choose
from tfmusic.representations import make_representation

DROPPED_FILE = "dropped.jsonl"
_PIECES_PER_SHARD = 256


def write_datasets(
    configs: Sequence[str],
    source: str,
    output_dir: str,
    *,
    overwrite: bool = False,
    validation_fraction: float = 0.1,
    test_fraction: float = 0.1,
    num_shards: int = 0,
    num_workers: int = 0,
    beam_options: Mapping[str, str] | None = None,
) -> None:
    """Writes the datasets of experiments, unless they are there already.

    Everything is written beside `output_dir` and moved there when it is complete.

    Args:
        configs: Experiments, `FILE` or `FILE:VARIANT`.
        source: See `pipelines.sources.open_source`.
        output_dir: The dataset's directory; of several, the one they are in.
        overwrite: Whether datasets that are there are replaced.
        validation_fraction: Share of the pieces that are kept for validation.
        test_fraction: Share of the pieces that are kept for testing.
        num_shards: Files of each split; 0 makes one for every 256 pieces.
        num_workers: Worker processes; see `run_pipeline`.
        beam_options: Flags of Beam, by name.

    Raises:
        UserError: A config, the source or a fraction is not what it should be, there
            is another dataset, or there is no music to write.
    """
    fractions = (
        round(1 - validation_fraction - test_fraction, 9),
        validation_fraction,
        test_fraction,
    )
    if min(fractions) < 0 or fractions[0] <= 0:
        raise UserError(
            "--validation_fraction and --test_fraction: expected two of at least 0 "
            "that leave something to train on, not "
            f"{validation_fraction} and {test_fraction}"
        )
    output_dir = output_dir.rstrip("/")
    experiments = [
        experiment
        for experiment in plan(configs)
        if not is_written(
            os.path.join(output_dir, experiment.directory),
            experiment,
            source,
            fractions,
            overwrite,
        )
    ]
    if not experiments:
        return
    items = list_items(source)
    start = time.monotonic()
    partial_dir = output_dir + ".partial"
    if tf.io.gfile.exists(partial_dir):  # of a job that was interrupted
        tf.io.gfile.rmtree(partial_dir)
    for experiment in experiments:
        tf.io.gfile.makedirs(os.path.join(partial_dir, experiment.directory))
    shards = [
        num_shards or max(1, math.ceil(len(items) * fraction / _PIECES_PER_SHARD))
        for fraction in fractions
    ]
    job = Job(tuple(experiments), source, partial_dir, fractions, tuple(shards))
    try:
        run_pipeline(
            lambda pipeline, progress_file: build(
                pipeline, items, dataclasses.replace(job, progress_file=progress_file)
            ),
            len(items),
            num_workers,
            beam_options,
        )
        infos = describe_datasets(job, len(items))
        publish(job, output_dir)
    finally:
        if tf.io.gfile.exists(partial_dir):
            tf.io.gfile.rmtree(partial_dir)
    logging.info("read %d files in %.1f s", len(items), time.monotonic() - start)
    for experiment, info in zip(experiments, infos, strict=True):
        directory = os.path.join(output_dir, experiment.directory)
        sys.stdout.write(f"{directory}\n{format_info(info)}\n")


def plan(configs: Sequence[str]) -> list[Experiment]:
    """What each config asks for, and its directory within the job's output."""
    experiments = []
    loaded = [load_config(config) for config in configs]
    names = collections.Counter(config.name for config in loaded)
    for path, config in zip(configs, loaded, strict=True):
        directory = config.name if len(loaded) > 1 else ""
        if names[config.name] > 1:  # variants of one experiment
            directory = "_".join(filter(None, [config.name, path.partition(":")[2]]))
        preparation = preparation_of(config)
        choose("config.data.key", preparation["key"], ["original", "C"])
        representation = make_representation(config.representation)
        experiments.append(
            Experiment(directory, representation.to_config(), preparation)
        )
    directories = [experiment.directory for experiment in experiments]
    if len(set(directories)) < len(directories):
        raise UserError(f"--config: the same experiment twice: {', '.join(configs)}")
    return experiments


def is_written(
    directory: str,
    experiment: Experiment,
    source: str,
    fractions: Sequence[float],
    overwrite: bool,
) -> bool:
    """Whether a directory holds the dataset already.

    Raises:
        UserError: It holds something else.
    """
    if not tf.io.gfile.exists(directory) or not tf.io.gfile.listdir(directory):
        return False
    if not tf.io.gfile.exists(os.path.join(directory, FILE_NAME)):
        raise UserError(
            f"{directory}: expected a new or an empty directory, found one with other "
            "files; choose another --output_dir"
        )
    if overwrite:
        return False
    info = DatasetInfo.load(directory)
    changes = [
        f"{name} was {old!r}, is now {new!r}"
        for name, old, new in differences(
            {
                **info.make_representation().settings(),
                **info.preparation,
                "source": info.source,
                "split fractions": list(info.split_fractions),
            },
            {
                **make_representation(experiment.representation).settings(),
                **experiment.preparation,
                "source": source,
                "split fractions": list(fractions),
            },
        )
    ]
    if changes:
        raise UserError(
            f"{directory} holds another dataset: {'; '.join(changes)}; replace it with "
            "--overwrite, or choose another --output_dir"
        )
    logging.info("%s is complete already (fingerprint %s)", directory, info.fingerprint)
    return True


def list_items(source: str) -> list[SourceItem]:
    """The files of a source.

    Raises:
        UserError: It has none.
    """
    items = list(open_source(source).items())
    if not items:
        raise UserError(
            f"--source={source}: expected MIDI, MusicXML or ABC files, found none"
        )
    return items


def describe_datasets(job: Job, num_files: int) -> list[DatasetInfo]:
    """Completes the datasets that the job wrote with their descriptions.

    Raises:
        UserError: One of them has no pieces to train on.
    """
    with tf.io.gfile.GFile(os.path.join(job.output_dir, SUMMARY_FILE)) as file:
        summary = json.load(file)
    infos = []
    for number, experiment in enumerate(job.experiments):
        drops = [
            drop for drop in summary["drops"] if drop["experiment"] in (-1, number)
        ]
        shards = [shard for shard in summary["shards"] if shard["experiment"] == number]
        info = DatasetInfo(
            representation=summary["fitted"].get(
                str(number), experiment.representation
            ),
            preparation=experiment.preparation,
            source=job.source,
            split_fractions=job.fractions,
            splits={split: describe_split(shards, split) for split in SPLITS},
            dropped=dict(collections.Counter(d["reason"] for d in drops).most_common()),
            losses=dict(add_up(shard["losses"] for shard in shards)),
        )
        check_not_empty(info, drops, num_files)
        infos.append(info)
        directory = os.path.join(job.output_dir, experiment.directory)
        lines = [
            json.dumps({k: v for k, v in drop.items() if k != "experiment"}) + "\n"
            for drop in drops
        ]
        with tf.io.gfile.GFile(os.path.join(directory, DROPPED_FILE), "w") as file:
            file.write("".join(lines))
        info.save(directory)
    return infos


def describe_split(shards: Sequence[Mapping[str, Any]], split: str) -> dict[str, Any]:
    """What the description says of a split, from what was written."""
    shards = [shard for shard in shards if shard["split"] == split]
    piece_steps = [steps for shard in shards for steps in shard["piece_steps"]]
    return {
        "num_pieces": len(piece_steps),
        "num_steps": sum(piece_steps),
        "num_notes": sum(shard["num_notes"] for shard in shards),
        "seconds": round(sum(shard["seconds"] for shard in shards), 1),
        "max_steps": max(piece_steps, default=0),
        "shards": [shard["shard"] for shard in shards],
        "piece_steps": piece_steps,
    }


def check_not_empty(
    info: DatasetInfo, drops: Sequence[Mapping[str, Any]], num_files: int
) -> None:
    """Makes sure that there is something to train on, and warns of empty splits.

    Raises:
        UserError: There is not; says what became of the files.
    """
    if not info.splits["train"]["num_pieces"]:
        reasons = ", ".join(f"{n} {reason}" for reason, n in info.dropped.items())
        example = f"; {drops[0]['name']}: {drops[0]['detail']}" if drops else ""
        kept = sum(split["num_pieces"] for split in info.splits.values())
        raise UserError(
            f"--source={info.source}: expected pieces to train on, found none: "
            f"{num_files} files, {kept} pieces kept for validation and testing, "
            f"{len(drops)} dropped ({reasons or 'none'}){example}"
        )
    for split, fraction in zip(SPLITS, info.split_fractions, strict=True):
        if fraction and not info.splits[split]["num_pieces"]:
            logging.warning("the %s split has no pieces: there are too few", split)


def publish(job: Job, output_dir: str) -> None:
    """Moves complete datasets to where they belong."""
    for experiment in job.experiments:
        directory = os.path.join(output_dir, experiment.directory).rstrip("/")
        if tf.io.gfile.exists(directory):
            tf.io.gfile.rmtree(directory)
        tf.io.gfile.makedirs(os.path.dirname(directory) or ".")
        written = os.path.join(job.output_dir, experiment.directory).rstrip("/")
        if not experiment.directory:
            tf.io.gfile.remove(os.path.join(written, SUMMARY_FILE))
        tf.io.gfile.rename(written, directory)
