"""Settings: the sections of a config as frozen classes with types and bounds."""

import dataclasses
import math
import typing
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import ml_collections

from tfmusic.errors import KINDS, UserError, choose


def setting(
    default: Any = dataclasses.MISSING,
    *,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
    choices: tuple[Any, ...] = (),
    not_empty: bool = False,
) -> Any:
    """A field of a `Settings` class with bounds.

    Args:
        default: The field's default; without one the config must give it.
        at_least: The smallest value; of each number where the field is a tuple.
        above: A number below all values.
        at_most: The greatest value.
        below: A number above all values.
        choices: All values that the field can have.
        not_empty: Whether a tuple has to have numbers in it.
    """
    bounds = dict(
        at_least=at_least,
        above=above,
        at_most=at_most,
        below=below,
        choices=choices,
        not_empty=not_empty,
    )
    return dataclasses.field(default=default, metadata=bounds)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Base of the sections. A subclass is a frozen dataclass; it gives types and docs.

    Fields are `bool`, `int`, `float`, `str`, `tuple[int, ...]`, `tuple[float, ...]` or
    `Mapping`. An `int` is accepted for a `float`; NaN and infinity are not, nor what
    the types of graphs, int32 and float32, cannot hold.

    Attributes:
        SECTION: Where the fields stand in a config, such as `"train"`; for messages.
    """

    SECTION: ClassVar[str] = ""

    def __post_init__(self):
        hints = typing.get_type_hints(type(self))
        for field in dataclasses.fields(self):
            name = f"config.{self.SECTION}.{field.name}"
            value = _checked_type(name, getattr(self, field.name), hints[field.name])
            _check_bounds(name, value, field.metadata)
            object.__setattr__(self, field.name, value)

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """The names of the fields."""
        return tuple(field.name for field in dataclasses.fields(cls))

    @classmethod
    def from_config(cls, section: Mapping[str, Any]) -> Self:
        """Reads a section of a config; fields that it lacks have their defaults.

        Raises:
            UserError: An unknown or missing field, a wrong type, or a value out of
                bounds.
        """
        for name in section:
            choose(f"field of config.{cls.SECTION}", name, cls.names())
        for field in dataclasses.fields(cls):
            default = (field.default, field.default_factory)
            is_required = default == (dataclasses.MISSING, dataclasses.MISSING)
            if is_required and field.name not in section:
                raise UserError(
                    f"config.{cls.SECTION}.{field.name}: it is missing, and it has no "
                    "default"
                )
        return cls(**section)


def _checked_type(name: str, value: Any, hint: Any) -> Any:
    """The value in the field's type.

    Raises:
        UserError: It has another type.
    """
    kind = typing.get_origin(hint) or hint
    if kind is Mapping and isinstance(value, (Mapping, ml_collections.ConfigDict)):
        return dict(value)
    if kind is tuple and isinstance(value, (list, tuple)):
        element = typing.get_args(hint)[0]
        return tuple(_checked_type(name, item, element) for item in value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value) if abs(value) < 2**1000 else math.inf
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise UserError(f"{name}: expected {KINDS[kind]}, got {value!r}")
    if kind is float and not math.isfinite(value):
        raise UserError(f"{name}: expected a finite number, got {value}")
    return value


def _check_size(name: str, value: Any) -> None:
    """Refuses numbers that graphs cannot hold.

    Raises:
        UserError: It is one.
    """
    most = {int: 2**31 - 1, float: 1e30}.get(type(value))
    if most is not None and abs(value) > most:
        words = f"at most {most:,}" if value > 0 else f"at least -{most:,}"
        raise UserError(f"{name}: expected {words}, got {value}")


def _check_bounds(name: str, value: Any, bounds: Mapping[str, Any]) -> None:
    """Compares a value, or each item of a tuple, with the field's bounds.

    Raises:
        UserError: It is out of bounds.
    """
    if choices := bounds.get("choices"):
        choose(name, value, choices)
    if bounds.get("not_empty") and not value:
        raise UserError(f"{name}: expected at least one number, got none")
    for item in value if isinstance(value, tuple) else (value,):
        _check_size(name, item)
        for bound, words, is_kept in (
            ("at_least", "at least", lambda item, limit: item >= limit),
            ("above", "more than", lambda item, limit: item > limit),
            ("at_most", "at most", lambda item, limit: item <= limit),
            ("below", "less than", lambda item, limit: item < limit),
        ):
            limit = bounds.get(bound)
            if limit is not None and not is_kept(item, limit):
                raise UserError(f"{name}: expected {words} {limit}, got {item}")
