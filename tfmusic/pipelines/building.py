"""From a source of music to complete datasets: plan, run the steps, publish."""

import collections
import dataclasses
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf
from absl import logging
from ml_collections import ConfigDict

from tfmusic.data.dataset_info import FILE_NAME, DatasetInfo
from tfmusic.errors import UserError, WriteError, choose
from tfmusic.files import move_directory, read_json, writing
from tfmusic.pipelines import account
from tfmusic.pipelines.catalog import Catalog, open_catalog
from tfmusic.pipelines.conversion import Converter
from tfmusic.pipelines.dataset_job import Convert, WriteShard
from tfmusic.pipelines.elements import (
    Experiment,
    Job,
    Packed,
    Recipe,
    counts_path,
    make_batches,
)
from tfmusic.pipelines.locking import locked
from tfmusic.pipelines.planning import (
    Settings,
    SourceNow,
    check_output_dir,
    is_written,
    plan,
)
from tfmusic.pipelines.resuming import take_over
from tfmusic.pipelines.running import run_step
from tfmusic.pipelines.sources import SourceItem
from tfmusic.pipelines.summary import format_info
from tfmusic.representations import make_representation


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
    output_dir = check_output_dir(output_dir)
    experiments = plan(configs)
    now = SourceNow(source, settings)

    def missing() -> list[Experiment]:
        return [
            experiment
            for experiment in experiments
            if not is_written(
                os.path.join(output_dir, experiment.directory), experiment, now
            )
        ]

    if not missing():
        return  # nothing is written then: not even a lock
    batches = now.batches
    with locked(output_dir), writing(output_dir):
        if left := missing():  # another call may have written some meanwhile
            _write_missing(left, source, batches, output_dir, settings)


def _write_missing(
    experiments: Sequence[Experiment],
    source: str,
    batches: Sequence[Packed],
    output_dir: str,
    settings: Settings,
) -> None:
    """Writes datasets; those that can be, if others cannot.

    Raises:
        UserError: There is one without music.
    """
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
    take_over(job, batches, partial_dir, settings.overwrite)
    try:
        infos = build_datasets(job, batches, partial_dir, settings)
    except UserError as error:
        if not isinstance(error, WriteError):  # another call would end in the same way
            tf.io.gfile.rmtree(partial_dir)
        raise
    done = [e for e, i in zip(experiments, infos, strict=True) if not _is_error(i)]
    publish(done, partial_dir, output_dir)
    num_files = sum(batch.num_files for batch in batches)
    logging.info("%d files in %.1f s", num_files, time.monotonic() - start)
    errors = []
    for experiment, info in zip(experiments, infos, strict=True):
        directory = os.path.join(output_dir, experiment.directory).rstrip("/")
        if _is_error(info):
            errors.append(f"{directory} is not written: {info}")
            continue
        drops = account.read_drops(directory)
        sys.stdout.write(f"{directory}\n{format_info(info, drops)}\n")
    if errors:
        raise UserError("; ".join(errors))


def _is_error(found: DatasetInfo | UserError) -> bool:
    return isinstance(found, UserError)


def build_datasets(
    job: Job, batches: Sequence[Packed], partial_dir: str, settings: Settings
) -> list[DatasetInfo | UserError]:
    """Runs the steps; the datasets are complete below `partial_dir` afterwards.

    Args:
        job: The job.
        batches: The files of the source, as they are read first.
        partial_dir: Where the job works.
        settings: Of the job.

    Returns:
        Of each what is in it, or why there is nothing to train on.

    Raises:
        UserError: None of them has anything to train on.
        WriteError: The disk is full, for example.
    """

    def run(title: str, make_step: Callable, elements: Sequence[Packed]) -> None:
        run_step(
            lambda path: make_step(dataclasses.replace(job, progress_file=path)),
            elements,
            title=title,
            total=sum(element.num_files for element in elements),
            num_workers=settings.num_workers,
            beam_options=settings.beam_options,
        )

    def convert(
        batches: Sequence[Packed], recipes: Sequence[Recipe], is_first: bool
    ) -> None:
        converter = Converter(
            tuple(recipes), job.limits, job.filters, is_first, job.play_repeats
        )
        run(
            "read" if is_first else "encode",
            lambda job: Convert(job, converter),
            batches,
        )
        names = (batch.unpack().name for batch in batches)
        catalog.add_batches(names, job.work_dir, again=not is_first)

    recipes = [
        Recipe(number, e.representation, e.preparation, counts=_has_to_be_fitted(e))
        for number, e in enumerate(job.experiments)
    ]
    with open_catalog() as catalog:
        convert(batches, recipes, is_first=True)
        account.warn_of_leaks(catalog.assign_splits(job.fractions), catalog)
        # Where there is nothing to fit a vocabulary on, there is no dataset to write.
        fitted = [
            dataclasses.replace(recipe, representation=representation, counts=False)
            for recipe in recipes
            if recipe.counts
            and (representation := fit(job, recipe, batches, catalog)) is not None
        ]
        if fitted:
            files = _readable_files(batches, catalog)
            convert(list(make_batches("encode", files)), fitted, is_first=False)
        final = {recipe.number: recipe for recipe in recipes + fitted}
        shards, infos = _plan_shards(job, final, catalog, partial_dir, settings)
    if all(map(_is_error, infos)):
        raise infos[0]
    run("write", WriteShard, shards)
    for experiment, info in zip(job.experiments, infos, strict=True):
        if not _is_error(info):
            info.save(os.path.join(partial_dir, "data", experiment.directory))
    return infos


def _readable_files(
    batches: Sequence[Packed], catalog: Catalog
) -> Iterator[tuple[SourceItem, str]]:
    """The files that could be read, and the SHA-256 of their contents."""
    for number, batch in enumerate(batches):
        hashes = catalog.readable_files(number)
        for item in batch.unpack().items:
            if item.name in hashes:
                yield item, hashes[item.name]


def _plan_shards(
    job: Job,
    recipes: Mapping[int, Recipe],
    catalog: Catalog,
    partial_dir: str,
    settings: Settings,
) -> tuple[list[Packed], list[DatasetInfo | UserError]]:
    """What is to be written, once all pieces are encoded.

    Args:
        job: The job.
        recipes: Of each experiment, with its fitted representation.
        catalog: Of all pieces.
        partial_dir: Where the job works.
        settings: Of the job.

    Returns:
        The shards of all datasets; and of each what is in it, or why there is nothing
        to train on.
    """
    shards, infos = [], []
    for number, experiment in enumerate(job.experiments):
        directory = os.path.join(partial_dir, "data", experiment.directory).rstrip("/")
        tf.io.gfile.makedirs(directory)
        new, described = account.lay_out(job, number, directory, catalog)
        is_fitted = _has_to_be_fitted(experiment) and not recipes[number].counts
        drops = catalog.drops(number, again=is_fitted)
        try:
            info = account.describe_dataset(
                job,
                number,
                recipes[number].representation,
                catalog,
                described,
                drops,
                settings.to_dict(),
            )
        except UserError as error:
            infos.append(error)
            continue
        infos.append(info)
        shards += new
        account.write_drops(drops, directory)
    return shards, infos


def _has_to_be_fitted(experiment: Experiment) -> bool:
    """Whether its representation is of a config, and not of a model."""
    kind = make_representation(experiment.representation)
    fields = kind.fitted_fields
    return bool(fields) and not any(getattr(kind, name) for name in fields)


def fit(
    job: Job, recipe: Recipe, batches: Sequence[Packed], catalog: Catalog
) -> dict[str, Any] | None:
    """The representation of an experiment, fitted on the pieces to train on.

    Returns:
        None if there is nothing in them.
    """
    total = collections.Counter()
    for number, batch in enumerate(batches):
        splits = catalog.splits_of(number)
        path = os.path.join(job.work_dir, batch.unpack().name)
        for name, of_piece in read_json(counts_path(path)).items():
            if splits[name] == "train":
                for key, count in of_piece.get(str(recipe.number), []):
                    total[_hashable(key)] += count
    if not total:
        return None
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
