"""Checks of a whole experiment, before anything is read or written."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from absl import logging

from tfmusic.data.settings import DataSettings
from tfmusic.errors import UserError, choose
from tfmusic.models import MODELS
from tfmusic.representations import make_representation
from tfmusic.settings import Settings
from tfmusic.training.settings import OptimizerSettings, TrainSettings

SECTIONS = ("representation", "data", "model", "optimizer", "train")
# Fields of earlier versions, and the value with which they change nothing.
GONE = {"train.fast_lstm": True, "data.window_align_steps": 1}


def check_config(
    config: Mapping[str, Any], needed: Sequence[str] = SECTIONS
) -> dict[str, Any]:
    """Checks every field of an experiment: its name, its type, its bounds.

    Args:
        config: An experiment.
        needed: The sections that it has to have; others are checked if they are there.

    Returns:
        All fields by section; those that the config leaves out have their defaults.

    Raises:
        UserError: A field is unknown, missing, of another type or out of bounds; names
            the field and what was expected, and the closest name.
    """
    for name in config:
        choose("field of config", name, ("name", "seed", *SECTIONS))
    for name in needed:
        if name not in config:
            raise UserError(f"config.{name}: the section is missing")
    if not isinstance(config.get("seed", 0), int):
        raise UserError(f"config.seed: expected a whole number, got {config['seed']!r}")
    return {"seed": config.get("seed", 0)} | {
        name: read(config[name]) for name, read in _READERS.items() if name in config
    }


def _read_representation(section: Mapping[str, Any]) -> dict[str, Any]:
    return make_representation(section).settings()


def _read_model(section: Mapping[str, Any]) -> dict[str, Any]:
    section = dict(section)
    name = choose("config.model.name", section.get("name"), MODELS)
    parts = map(dataclasses.asdict, MODELS[name].settings(section))
    return {"name": name} | {k: v for part in parts for k, v in part.items()}


def _reader(kind: type[Settings]) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    return lambda section: dataclasses.asdict(kind.from_config(section))


_READERS = {
    "representation": _read_representation,
    "data": _reader(DataSettings),
    "model": _read_model,
    "optimizer": _reader(OptimizerSettings),
    "train": _reader(TrainSettings),
}


def without_gone_fields(config: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The config of an earlier version without fields that no longer exist.

    Args:
        config: As a run saved it.
        where: Its file, for messages.

    Raises:
        UserError: Such a field has a value that this version cannot do.
    """
    found = {
        name: dict(section) if isinstance(section, Mapping) else section
        for name, section in config.items()
    }
    for path, harmless in GONE.items():
        section, field = path.split(".")
        value = found.get(section, {}).pop(field, harmless)
        if value != harmless and section == "model":
            raise UserError(
                f"{where}: config.{path} is {value!r}, which this version of tfmusic "
                f"no longer has; load the run with the version that trained it"
            )
        if value != harmless:
            logging.warning("%s: config.%s is no longer used", where, path)
    return found
