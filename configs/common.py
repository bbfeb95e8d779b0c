"""What all experiments share: default sections, and variants as differences."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import ml_collections

from tfmusic.data.settings import DataSettings
from tfmusic.errors import choose
from tfmusic.settings import Settings
from tfmusic.training.settings import OptimizerSettings, TrainSettings

# A variant's name, empty for the default: what it is in one line, and the fields, by
# section, that it has otherwise.
Variants = Mapping[str, tuple[str, Mapping[str, Any]]]


def experiment(
    default: Mapping[str, Any], variants: Variants, variant: str = ""
) -> ml_collections.ConfigDict:
    """The config of an experiment's variant.

    Args:
        default: `name`, and the sections `representation`, `data`, `model`,
            `optimizer` and `train`. Fields of `data`, `optimizer` and `train` that are
            left out have the defaults of their settings classes.
        variants: The experiment's variants.
        variant: Which of them.

    Raises:
        UserError: There is no such variant.
    """
    if variant not in variants:
        choose(
            f"variant of {default['name']}",
            variant,
            [name for name in variants if name],
        )
    sections = {
        "seed": 0,
        "data": _defaults(DataSettings),
        "optimizer": _defaults(OptimizerSettings),
        "train": _defaults(TrainSettings),
    }
    fields = merge(sections, default, variants[variant][1])
    return ml_collections.ConfigDict(fields)


def merge(*parts: Mapping[str, Any]) -> dict[str, Any]:
    """Nested fields of which later ones replace earlier ones; `options` as a whole."""
    merged = {}
    for part in parts:
        for name, value in part.items():
            old = merged.get(name)
            is_section = isinstance(value, Mapping) and isinstance(old, Mapping)
            if is_section and name != "options":
                value = merge(old, value)
            merged[name] = value
    return merged


def _defaults(kind: type[Settings]) -> dict[str, Any]:
    """The fields of a section with their defaults."""
    return dataclasses.asdict(kind())
