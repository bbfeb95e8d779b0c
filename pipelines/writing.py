"""From a source of music to complete datasets: plan, run the steps, check, publish."""

import collections
import dataclasses
import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf
from absl import logging
from ml_collections import ConfigDict

from pipelines import account
from pipelines.conversion import Converter
from pipelines.dataset_job import Batch, Convert, WriteShard
from pipelines.elements import Experiment, Job, Recipe, counts_path, index_path
from pipelines.files import read_json, written_beside
from pipelines.filters import Filters
from pipelines.report import format_info
from pipelines.running import run_step
from pipelines.sources import SourceItem, open_source
from tfmusic.config import load_config
from tfmusic.data import storage
from tfmusic.data.dataset_info import (
    FILE_NAME,
    DatasetInfo,
    differences,
    preparation_of,
)
from tfmusic.errors import UserError, choose
from tfmusic.notes.reading import Limits
from tfmusic.representations import make_representation

_FILES_PER_BATCH = 32
_NO_LIMITS_CHANGED = Limits()
_NO_FILTERS = Filters()


@dataclasses.dataclass(frozen=True)
class Settings:
    """How datasets are made, beside their configs and source.

    Attributes:
        overwrite: Whether datasets that are there are replaced, and what an earlier
            job left behind is thrown away.
        validation_fraction: Share of the pieces that are kept for validation.
        test_fraction: Share of the pieces that are kept for testing.
        num_shards: Files of each split; 0 makes one for every 256 pieces.
        seed: Decides the order of the pieces and which shard they are in.
        compression: Of the records: `""` or `"gzip"`.
        limits: What a file may hold.
        filters: What is kept of the source.
        file_seconds: How long one file may take.
        file_megabytes: How much memory one file may take.
        num_workers: See `pipelines.running.run_step`.
        beam_options: Flags of Beam, by name.
    """

    overwrite: bool = False
    validation_fraction: float = 0.1
    test_fraction: float = 0.1
    num_shards: int = 0
    seed: int = 0
    compression: str = ""
    limits: Limits = _NO_LIMITS_CHANGED
    filters: Filters = _NO_FILTERS
    file_seconds: float = 30.0
    file_megabytes: int = 1024
    num_workers: int = 0
    beam_options: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def fractions(self) -> tuple[float, ...]:
        """The share of each split.

        Raises:
            UserError: They are impossible.
        """
        validation, test = self.validation_fraction, self.test_fraction
        train = round(1 - validation - test, 9)
        if min(train, validation, test) < 0 or train <= 0:
            raise UserError(
                "--validation_fraction and --test_fraction: expected two of at least 0 "
                f"that leave something to train on, not {validation} and {test}"
            )
        return train, validation, test


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
        source: See `pipelines.sources.open_source`.
        output_dir: The dataset's directory; of several, the one they are in.
        **settings: Of `Settings`.

    Raises:
        UserError: A config, the source or a setting is not what it should be, there
            is another dataset, or there is no music to write.
    """
    settings = Settings(**settings)
    choose("--compression", settings.compression or "none", ["none", "gzip"])
    storage.prepare(output_dir)
    output_dir = output_dir.rstrip("/")
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
        file_seconds=settings.file_seconds,
        file_megabytes=settings.file_megabytes,
        work_dir=os.path.join(partial_dir, "work"),
    )
    take_over(job, items, partial_dir, settings.overwrite)
    try:
        infos = build_datasets(job, items, partial_dir, settings)
    except UserError:  # another call would come to the same end
        tf.io.gfile.rmtree(partial_dir)
        raise
    publish(experiments, partial_dir, output_dir)
    logging.info("%d files in %.1f s", len(items), time.monotonic() - start)
    for experiment, info in zip(experiments, infos, strict=True):
        directory = os.path.join(output_dir, experiment.directory).rstrip("/")
        drops = account.read_drops(directory)
        sys.stdout.write(f"{directory}\n{format_info(info, drops)}\n")


def plan(configs: Sequence[str | ConfigDict]) -> list[Experiment]:
    """What each config asks for, and its directory within the job's output."""
    experiments = []
    loaded = [load_config(c) if isinstance(c, str) else c for c in configs]
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
    settings: Settings,
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
    if settings.overwrite:
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
                **_NO_FILTERS.to_dict(),
                **info.filters,
            },
            {
                **make_representation(experiment.representation).settings(),
                **experiment.preparation,
                "source": source,
                "split fractions": list(settings.fractions),
                **settings.filters.to_dict(),
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


def take_over(
    job: Job, items: Sequence[SourceItem], partial_dir: str, overwrite: bool
) -> None:
    """Makes the directory that the job works in, or finds it as a killed job left it.

    Files are taken for the same if their names are.
    """
    files = [[item.name, item.split, dict(item.metadata)] for item in items]
    text = json.dumps([dataclasses.asdict(job), account.software_versions(), files])
    key = hashlib.sha256(text.encode()).hexdigest()
    key_path = os.path.join(partial_dir, "job.json")
    if tf.io.gfile.exists(partial_dir):
        is_known = not overwrite and tf.io.gfile.exists(key_path)
        if is_known and read_json(key_path) == key:
            logging.info("continuing what %s holds", partial_dir)
            return
        tf.io.gfile.rmtree(partial_dir)
    tf.io.gfile.makedirs(job.work_dir)
    with written_beside(key_path) as file:
        json.dump(key, file)


def build_datasets(
    job: Job, items: Sequence[SourceItem], partial_dir: str, settings: Settings
) -> list[DatasetInfo]:
    """Runs the steps; the datasets are complete below `partial_dir` afterwards.

    Raises:
        UserError: One of them has no pieces to train on.
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
        converter = Converter(tuple(recipes), job.limits, job.filters, is_first)
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
                job, number, final[number], indexes, described, drops
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
    return bool(make_representation(experiment.representation).fitted_fields)


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
        storage.move_directory(written, directory, last=FILE_NAME)
    tf.io.gfile.rmtree(partial_dir)
