"""From a source of music to complete datasets: plan, run the steps, publish."""

import collections
import dataclasses
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf
from absl import logging
from ml_collections import ConfigDict

from tfmusic.data.dataset_info import FILE_NAME, DatasetInfo
from tfmusic.errors import UserError, WriteError, choose
from tfmusic.files import move_directory, prepare_path, read_json
from tfmusic.pipelines import account
from tfmusic.pipelines.conversion import Converter
from tfmusic.pipelines.dataset_job import Batch, Convert, WriteShard
from tfmusic.pipelines.elements import Experiment, Job, Recipe, counts_path, index_path
from tfmusic.pipelines.planning import (
    Settings,
    check_output_dir,
    is_written,
    list_items,
    plan,
    take_over,
)
from tfmusic.pipelines.running import run_step
from tfmusic.pipelines.sources import SourceItem
from tfmusic.pipelines.summary import format_info
from tfmusic.representations import make_representation

_FILES_PER_BATCH = 32


def write_datasets(
    configs: Sequence[str | ConfigDict],
    source: str,
    output_dir: str,
    **settings: Any,
) -> None:
    """Writes the datasets of experiments, unless they are there already.

    Everything is written beside `output_dir` and moved there when it is complete. What
    a job left there that was killed is used, if it was about the same.

    Args:
        configs: Experiments, `FILE` or `FILE:VARIANT`; one alone may be loaded already.
        source: See `tfmusic.pipelines.sources.open_source`.
        output_dir: The dataset's directory; of several, the one they are in.
        **settings: Of `Settings`.

    Raises:
        UserError: A config, the source or a setting is not what it should be, there
            is another dataset, or there is no music to write.
    """
    settings = Settings(**settings)
    choose("--compression", settings.compression or "none", ["none", "gzip"])
    prepare_path(output_dir)
    output_dir = output_dir.rstrip("/")
    check_output_dir(output_dir)
    experiments = [
        experiment
        for experiment in plan(configs)
        if not is_written(
            os.path.join(output_dir, experiment.directory),
            experiment,
            source,
            settings,
        )
    ]
    if not experiments:
        return
    items = list_items(source)
    start = time.monotonic()
    partial_dir = output_dir + ".partial"
    job = Job(
        experiments=tuple(experiments),
        source=source,
        fractions=settings.fractions,
        num_shards=settings.num_shards,
        seed=settings.seed,
        compression=settings.compression,
        limits=settings.limits,
        filters=settings.filters,
        play_repeats=settings.play_repeats,
        file_seconds=settings.file_seconds,
        file_megabytes=settings.file_megabytes,
        work_dir=os.path.join(partial_dir, "work"),
    )
    take_over(job, items, partial_dir, settings.overwrite)
    try:
        infos = build_datasets(job, items, partial_dir, settings)
    except UserError as error:
        if not isinstance(error, WriteError):  # another call would end in the same way
            tf.io.gfile.rmtree(partial_dir)
        raise
    publish(experiments, partial_dir, output_dir)
    logging.info("%d files in %.1f s", len(items), time.monotonic() - start)
    for experiment, info in zip(experiments, infos, strict=True):
        directory = os.path.join(output_dir, experiment.directory).rstrip("/")
        drops = account.read_drops(directory)
        sys.stdout.write(f"{directory}\n{format_info(info, drops)}\n")


def build_datasets(
    job: Job, items: Sequence[SourceItem], partial_dir: str, settings: Settings
) -> list[DatasetInfo]:
    """Runs the steps; the datasets are complete below `partial_dir` afterwards.

    Raises:
        UserError: One of them has no pieces to train on.
        WriteError: The disk is full, for example.
    """

    def run(title: str, make_step: Callable, elements: Sequence, total: int) -> None:
        run_step(
            lambda path: make_step(dataclasses.replace(job, progress_file=path)),
            elements,
            title=title,
            total=total,
            num_workers=settings.num_workers,
            beam_options=settings.beam_options,
        )

    def convert(stage: str, items: Sequence[SourceItem], recipes: list[Recipe]) -> dict:
        batches = make_batches(stage, items)
        is_first = stage == "read"
        converter = Converter(
            tuple(recipes), job.limits, job.filters, is_first, job.play_repeats
        )
        run(stage, lambda job: Convert(job, converter), batches, len(items))
        paths = {b.name: os.path.join(job.work_dir, b.name) for b in batches}
        return {name: read_json(index_path(path)) for name, path in paths.items()}

    recipes = [
        Recipe(number, e.representation, e.preparation, counts=_is_fitted(e))
        for number, e in enumerate(job.experiments)
    ]
    indexes = convert("read", items, recipes)
    splits = account.split_pieces(indexes, job.fractions)
    fitted = [
        dataclasses.replace(
            recipe, representation=fit(job, recipe, indexes, splits), counts=False
        )
        for recipe in recipes
        if recipe.counts
    ]
    encoded = indexes
    if fitted:
        unreadable = {
            drop["name"]
            for index in indexes.values()
            for drop in index["drops"]
            if drop["experiment"] == -1
        }
        readable = [item for item in items if item.name not in unreadable]
        encoded = {**indexes, **convert("encode", readable, fitted)}
    final = {recipe.number: recipe.representation for recipe in recipes + fitted}

    shards, infos = [], []
    for number, experiment in enumerate(job.experiments):
        directory = os.path.join(partial_dir, "data", experiment.directory).rstrip("/")
        tf.io.gfile.makedirs(directory)
        new, described = account.lay_out(job, number, directory, encoded, splits)
        shards += new
        drops = account.select_drops(encoded, number)
        infos.append(
            account.describe_dataset(
                job,
                number,
                final[number],
                indexes,
                described,
                drops,
                settings.to_dict(),
            )
        )
        account.write_drops(drops, directory)
    run("write", WriteShard, shards, len(shards))
    for experiment, info in zip(job.experiments, infos, strict=True):
        info.save(os.path.join(partial_dir, "data", experiment.directory))
    return infos


def make_batches(stage: str, items: Sequence[SourceItem]) -> list[Batch]:
    """Divides files among workers: the same way however many there are."""
    return [
        Batch(f"{stage}-{start:08d}", tuple(items[start : start + _FILES_PER_BATCH]))
        for start in range(0, len(items), _FILES_PER_BATCH)
    ]


def _is_fitted(experiment: Experiment) -> bool:
    """Whether its representation has yet to be fitted to the music."""
    kind = make_representation(experiment.representation)
    return any(not getattr(kind, name) for name in kind.fitted_fields)


def fit(
    job: Job, recipe: Recipe, batches: Sequence[str], splits: Mapping[str, str]
) -> dict[str, Any]:
    """The representation of an experiment, fitted on the pieces to train on."""
    total = collections.Counter()
    for batch in batches:
        counts = read_json(counts_path(os.path.join(job.work_dir, batch)))
        for name, of_piece in counts.items():
            if splits[name] == "train":
                for key, count in of_piece.get(str(recipe.number), []):
                    total[_hashable(key)] += count
    return make_representation(recipe.representation).fit_counts(total).to_config()


def _hashable(key: Any) -> Any:
    """Keys of counts were tuples before they were JSON."""
    return tuple(map(_hashable, key)) if isinstance(key, list) else key


def publish(
    experiments: Sequence[Experiment], partial_dir: str, output_dir: str
) -> None:
    """Moves complete datasets to where they belong."""
    for experiment in experiments:
        directory = os.path.join(output_dir, experiment.directory).rstrip("/")
        if tf.io.gfile.exists(directory):
            tf.io.gfile.rmtree(directory)
        written = os.path.join(partial_dir, "data", experiment.directory).rstrip("/")
        move_directory(written, directory, last=FILE_NAME)
    tf.io.gfile.rmtree(partial_dir)
