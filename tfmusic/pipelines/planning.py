"""What a job has to do: its settings, its datasets, what is there already."""

import collections
import dataclasses
import functools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf
from absl import logging
from ml_collections import ConfigDict

from tfmusic.config import load_config
from tfmusic.data.dataset_info import (
    FILE_NAME,
    DatasetInfo,
    differences,
)
from tfmusic.data.settings import DataSettings
from tfmusic.errors import DropError, UserError
from tfmusic.files import exists, is_directory, is_remote, prepare_path
from tfmusic.notes.reading import Limits
from tfmusic.pipelines.catalog import open_catalog
from tfmusic.pipelines.elements import Experiment, Packed, make_batches
from tfmusic.pipelines.filters import Filters
from tfmusic.pipelines.resuming import hash_items
from tfmusic.pipelines.sources import SourceItem, open_source
from tfmusic.pipelines.sources.files import refuse
from tfmusic.representations import Latents, make_representation

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
        play_repeats: Whether the repeats of scores are played, or every measure once.
        file_seconds: How long one file may take.
        file_megabytes: How much memory one file may take.
        num_workers: See `tfmusic.pipelines.running.run_step`.
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
    play_repeats: bool = True
    file_seconds: float = 30.0
    file_megabytes: int = 1024
    num_workers: int = 0
    beam_options: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def fractions(self) -> tuple[float, ...]:
        """The fraction of each split.

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

    def to_dict(self) -> dict[str, Any]:
        """What has a say in pieces and shards beside filters and fractions, by flag."""
        names = ("num_shards", "seed", "file_seconds", "file_megabytes", "play_repeats")
        limits = dataclasses.asdict(self.limits).items()
        return {
            **{name: getattr(self, name) for name in names},
            **{name.replace("max_", "limit_"): limit for name, limit in limits},
        }


_DEFAULTS = Settings()


def plan(configs: Sequence[str | ConfigDict]) -> list[Experiment]:
    """What each config asks for, and its directory within the job's output.

    Raises:
        UserError: A config cannot be, is there twice, or learns from latents.
    """
    experiments = []
    loaded = [load_config(c) if isinstance(c, str) else c for c in configs]
    names = collections.Counter(config.name for config in loaded)
    for path, config in zip(configs, loaded, strict=True):
        directory = config.name if len(loaded) > 1 else ""
        if names[config.name] > 1:  # variants of one experiment
            directory = "_".join(filter(None, [config.name, path.partition(":")[2]]))
        preparation = DataSettings.from_config(config.data).preparation()
        representation = make_representation(config.representation)
        if isinstance(representation, Latents):
            raise UserError(
                f"--config: {config.name} learns from latents, which are not made from "
                "music; write them from a dataset of event chunks with python -m "
                "pipelines.encode_latents"
            )
        experiments.append(
            Experiment(directory, representation.to_config(), preparation)
        )
    directories = [experiment.directory for experiment in experiments]
    if len(set(directories)) < len(directories):
        raise UserError(f"--config: the same experiment twice: {', '.join(configs)}")
    return experiments


def check_output_dir(path: str) -> str:
    """The directory that is to be written, without what its name does not need.

    Raises:
        UserError: It cannot be: a file, a directory that this process is in, a bucket.
    """
    prepare_path(path)
    scheme, separator, rest = path.partition("://")
    if separator:
        cleaned, is_own = path.rstrip("/"), "/" in rest.rstrip("/")
    else:
        # A link stays, and leads to what is written.
        is_link = os.path.islink(path.rstrip(os.sep))
        cleaned = os.path.realpath(path) if is_link else os.path.normpath(path)
        here = os.path.join(os.path.realpath("."), "")
        is_own = path and not here.startswith(
            os.path.realpath(cleaned).rstrip("/") + "/"
        )
    if not is_own:
        raise UserError(
            f"--output_dir={path}: expected a directory of its own, which the job "
            "replaces; add a name to it, such as data"
        )
    if not separator and os.path.ismount(cleaned):
        raise UserError(
            f"--output_dir={path}: expected a directory that the job can replace; this "
            "is where a disk or volume is mounted; add a name to it, such as "
            f"{os.path.join(path, 'data')}"
        )
    if exists(cleaned) and not is_directory(cleaned):
        raise UserError(
            f"--output_dir={path}: expected a new or an empty directory, found a file; "
            "choose another"
        )
    return cleaned


def holds_dataset(directory: str) -> bool:
    """Whether a directory holds a dataset, of whatever kind; False for an empty one.

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
    return True


@dataclasses.dataclass(frozen=True)
class SourceNow:
    """The files of a source as they are now; looked at once.

    Attributes:
        name: How the user called it.
        settings: How they are read.
    """

    name: str
    settings: Settings

    @functools.cached_property
    def batches(self) -> list[Packed]:
        """The files, as they are read first.

        Raises:
            UserError: There are none.
        """
        items = _with_names_of_their_own(open_source(self.name).items())
        batches = list(make_batches("read", ((item, "") for item in items)))
        if not batches:
            raise UserError(
                f"--source={self.name}: expected MIDI, MusicXML or ABC files, found "
                "none"
            )
        return batches

    @property
    def num_files(self) -> int:
        """How many there are."""
        return sum(batch.num_files for batch in self.batches)

    @property
    def is_remote(self) -> bool:
        """Whether one of them is in a bucket."""
        return any(is_remote(item.path) for item in self._items())

    @functools.cached_property
    def hash(self) -> str:
        """SHA-256 over their names and contents; reads them all."""
        settings = self.settings
        limits = settings.limits.max_bytes, settings.file_seconds
        with open_catalog() as catalog:
            catalog.add_files(
                hash_items(self._items(), *limits, settings.file_megabytes)
            )
            return catalog.hash_source()

    def _items(self) -> Iterator[SourceItem]:
        for batch in self.batches:
            yield from batch.unpack().items


def is_written(directory: str, experiment: Experiment, source: SourceNow) -> bool:
    """Whether a directory holds the dataset already, of the source as it is now.

    Raises:
        UserError: It holds something else.
    """
    settings = source.settings
    if not holds_dataset(directory) or settings.overwrite:
        return False
    info = DatasetInfo.load(directory)
    wanted = make_representation(experiment.representation)
    # Of a config nothing is fitted; of a model's representation all is.
    fitted = [name for name in wanted.fitted_fields if getattr(wanted, name)]
    for name in fitted:
        if getattr(info.make_representation(), name) != getattr(wanted, name):
            raise UserError(
                f"{directory} holds another dataset: its {name} are not those of the "
                "model; replace it with --overwrite, or choose another --output_dir"
            )
    refuse_changes(
        directory,
        {**info.make_representation().settings(), **origin(info)},
        {
            **wanted.settings(),
            **experiment.preparation,
            "source": source.name,
            "split fractions": list(settings.fractions),
            "compression": settings.compression,
            **settings.filters.to_dict(),
            **settings.to_dict(),
        },
    )
    _compare_source(directory, info, source)
    logging.info("%s is complete already (fingerprint %s)", directory, info.fingerprint)
    return True


def _compare_source(directory: str, info: DatasetInfo, source: SourceNow) -> None:
    """Makes sure that the files of a source are those that a dataset was made of.

    Of files in buckets only how many there are is compared: to fetch all takes long.

    Raises:
        UserError: They are others.
    """
    if not info.source_hash:
        return
    try:
        num_files = source.num_files
    except UserError as error:
        logging.warning("whether the source has changed cannot be told: %s", error)
        return
    if num_files == info.num_files and (
        source.is_remote or source.hash == info.source_hash
    ):
        return
    raise UserError(
        f"{directory} holds a dataset of other files than --source={source.name} has "
        f"now ({info.num_files} then, {num_files} now); write it again with "
        "--overwrite, or choose another --output_dir"
    )


def origin(info: DatasetInfo) -> dict[str, Any]:
    """What the job was told that wrote the pieces of a dataset, by name."""
    return {
        **info.preparation,
        "source": info.source,
        "split fractions": list(info.split_fractions),
        "compression": info.compression,
        **_DEFAULTS.filters.to_dict(),
        **info.filters,
        **_DEFAULTS.to_dict(),
        **info.job_settings,
    }


def refuse_changes(
    directory: str, found: Mapping[str, Any], wanted: Mapping[str, Any]
) -> None:
    """Makes sure that a dataset that is there is the one that is wanted.

    Raises:
        UserError: It is not; names what differs.
    """
    changes = "; ".join(
        f"{name} was {old!r}, is now {new!r}"
        for name, old, new in differences(found, wanted)
    )
    if changes:
        raise UserError(
            f"{directory} holds another dataset: {changes}; replace it with "
            "--overwrite, or choose another --output_dir"
        )


def _with_names_of_their_own(items: Iterable[SourceItem]) -> Iterator[SourceItem]:
    """Files, of which those of a name that another has already cannot be used."""
    names: set[str] = set()
    counts = collections.Counter()
    for item in items:
        name = item.name
        while name in names:
            counts[item.name] += 1
            name = f"{item.name} ({counts[item.name] + 1})"
        if name != item.name:
            error = DropError("same_name", f"the source has {item.name} before")
            item = dataclasses.replace(
                item, name=name, load=functools.partial(refuse, error)
            )
        names.add(name)
        yield item
