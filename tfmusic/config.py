"""Experiments: Python files that define `get_config(variant)`."""

import ast
import contextlib
import difflib
import functools
import importlib.machinery
import importlib.util
import inspect
import operator
import os
import pathlib
import re
import sys
import traceback
from collections.abc import Iterator, Mapping
from typing import Any

import ml_collections

import tfmusic
from tfmusic import checks
from tfmusic.errors import KINDS, UserError, choose


def _find_configs() -> pathlib.Path:
    """The folder of the experiments that come with tfmusic.

    In a clone it stands beside the package; `tfmusic.configs` is imported from there.
    """
    package = pathlib.Path(tfmusic.__path__[0])
    if (package / "configs").is_dir():
        return package / "configs"
    folder = package.parent / "configs"
    spec = importlib.machinery.ModuleSpec("tfmusic.configs", None, is_package=True)
    spec.submodule_search_locations = [str(folder)]
    sys.modules.setdefault("tfmusic.configs", importlib.util.module_from_spec(spec))
    return folder


CONFIGS = _find_configs()


def list_configs() -> list[str]:
    """The names of the experiments that come with tfmusic."""
    others = ("__init__", "common")
    return sorted(p.stem for p in CONFIGS.glob("*.py") if p.stem not in others)


def load_config(name_or_path: str) -> ml_collections.ConfigDict:
    """Loads an experiment.

    Args:
        name_or_path: An experiment that comes with tfmusic, or a file, with or without
            a variant: `chord_lstm`, `chord_lstm:smoke`, `my_config.py:large`.

    Returns:
        What the file's `get_config` gives, locked: unknown fields are errors.

    Raises:
        UserError: There is no such experiment, the file does not define `get_config`,
            or it has no such variant.
    """
    path, variant = find_config(name_or_path)
    module = load_module(path)
    has_variants = bool(inspect.signature(module.get_config).parameters)
    if variant and not has_variants:
        raise UserError(f"config {path}: it has no variants, such as {variant!r}")
    try:
        with _running(path):
            config = module.get_config(*[variant] * has_variants)
    except UserError:
        raise
    except ValueError as error:  # how config files refuse an unknown variant
        raise UserError(f"config {path}: {error}") from error
    if not isinstance(config, ml_collections.ConfigDict):
        raise UserError(
            f"config {path}: expected get_config to give a ConfigDict, got "
            f"{type(config).__name__}"
        )
    return config.lock()


@contextlib.contextmanager
def _running(path: str) -> Iterator[None]:
    """Tells what goes wrong in the file of an experiment, and where.

    Raises:
        UserError: Something did; a ValueError is left as it is.
    """
    try:
        yield
    except (UserError, ValueError):
        raise
    except (Exception, SystemExit) as error:  # one that calls sys.exit has failed too
        lines = [
            frame.lineno
            for frame in traceback.extract_tb(error.__traceback__)
            if os.path.abspath(frame.filename) == os.path.abspath(path)
        ]
        number = error.lineno if isinstance(error, SyntaxError) else [0, *lines][-1]
        raise UserError(
            f"config {path}, line {number}: {type(error).__name__}: {error}"
        ) from error


def nearest_variant(config: ml_collections.ConfigDict) -> str:
    """The experiment that comes with tfmusic and differs least from one, by its name.

    Of others, which come from a file of the user's, only the name is known.

    Args:
        config: An experiment, as a run or an export keeps it.
    """
    if config.name not in list_configs():
        return config.name

    def differences(name: str) -> int:
        other = load_config(name)
        sections = ("representation", "data", "model")
        return sum(
            config[section].get(field, value) != value
            for section in sections
            for field, value in other[section].items()
        )

    variants = load_module(find_config(config.name)[0]).VARIANTS
    names = [":".join(filter(None, (config.name, variant))) for variant in variants]
    return min(names, key=differences)


def change_fields(
    config: ml_collections.ConfigDict, changes: Mapping[str, str]
) -> None:
    """Gives fields of an experiment other values.

    Args:
        config: The experiment.
        changes: What stands in a command line as `--config.section.field=VALUE`, by
            name, `config.section.field`.

    Raises:
        UserError: There is no such field, or its value is of another type.
    """
    for name, text in changes.items():
        check_field(config, name)
        *sections, field = name.split(".")[1:]
        section = functools.reduce(operator.getitem, sections, config)
        try:
            section[field] = _read_as(section[field], text)
        except (SyntaxError, TypeError, ValueError) as error:
            words = KINDS.get(type(section[field]), "one of its fields behind a dot")
            raise UserError(f"--{name}={text}: expected {words}") from error


def _read_as(old: Any, text: str) -> Any:
    """What a text says in place of a field's value; raises what `ast` raises."""
    if isinstance(old, str):
        return text
    if isinstance(old, bool):
        text = text.capitalize()  # true and false are as good
    value = ast.literal_eval(text)
    if isinstance(old, tuple):
        value = tuple(value) if isinstance(value, list | tuple) else (value,)
    return value


def load_module(path: str):
    """Runs the file of an experiment.

    Raises:
        UserError: It is no Python file, fails, or defines no `get_config`.
    """
    spec = importlib.util.spec_from_file_location("experiment", path)
    if spec is None:
        raise UserError(f"config {path!r}: expected a Python file, FILE.py")
    module = importlib.util.module_from_spec(spec)
    try:
        with _running(path):
            spec.loader.exec_module(module)
    except UserError:
        raise
    except ValueError as error:
        raise UserError(f"config {path}: {error}") from error
    if not hasattr(module, "get_config"):
        raise UserError(
            f"config {path}: expected a function get_config that gives a ConfigDict"
        )
    return module


def find_config(name_or_path: str) -> tuple[str, str]:
    """The file and the variant (may be empty) that a name or a path means.

    Raises:
        UserError: There is no such experiment.
    """
    name, _, variant = checks.text("config", name_or_path).partition(":")
    if os.path.isfile(name):
        return name, variant
    known = list_configs()
    # A path into a clone means the same experiment where there is no clone.
    base = re.sub(r"^configs[/\\\\](\w+)\.py$", r"\1", name)
    if base in known:
        return str(CONFIGS / f"{base}.py"), variant
    close = difflib.get_close_matches(base, known, n=1)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    raise UserError(
        f"config {name!r}: there is no such file or experiment{hint}; expected FILE.py "
        f"or one of {', '.join(known)}, and perhaps :VARIANT"
    )


def check_field(config: ml_collections.ConfigDict, name: str) -> None:
    """Refuses `config.section.field` where there is no such field.

    Raises:
        UserError: There is none; names the closest one and lists them all.
    """
    path, *fields = name.split(".")
    section = config
    for field in fields:
        is_section = isinstance(section, ml_collections.ConfigDict)
        choose(f"field of {path}", field, section if is_section else [])
        path, section = f"{path}.{field}", section[field]
