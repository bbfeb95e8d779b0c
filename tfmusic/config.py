"""Experiments: Python files that define `get_config(variant)`."""

import importlib.util
import inspect
import os
import re
from collections.abc import Sequence

import ml_collections
from absl import flags

from tfmusic.errors import UserError, choose


def load_config(path_and_variant: str) -> ml_collections.ConfigDict:
    """Loads an experiment.

    Args:
        path_and_variant: `FILE` or `FILE:VARIANT`, such as
            `configs/chord_lstm.py:smoke`.

    Returns:
        What the file's `get_config` gives, locked: unknown fields are errors.

    Raises:
        UserError: There is no such file, it does not define `get_config`, or it has no
            such variant.
    """
    path, variant = find_config(path_and_variant)
    spec = importlib.util.spec_from_file_location("experiment", path)
    if spec is None:
        raise UserError(f"config {path!r}: expected a Python file, FILE.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not hasattr(module, "get_config"):
        raise UserError(
            f"config {path}: expected a function get_config that gives a ConfigDict"
        )
    if not inspect.signature(module.get_config).parameters:
        if variant:
            raise UserError(f"config {path}: it has no variants, such as {variant!r}")
        return module.get_config().lock()
    try:
        return module.get_config(variant).lock()
    except ValueError as error:  # how config files refuse an unknown variant
        raise UserError(f"config {path}: {error}") from error


def find_config(path_and_variant: str) -> tuple[str, str]:
    """The file and the variant (may be empty) that `FILE` or `FILE:VARIANT` names.

    Raises:
        UserError: There is no such file.
    """
    path, _, variant = path_and_variant.partition(":")
    if not os.path.isfile(path):
        raise UserError(
            f"config {path!r}: there is no such file; expected FILE.py or "
            "FILE.py:VARIANT"
        )
    return path, variant


def check_fields(argv: Sequence[str]) -> None:
    """Says which field is unknown that a command line changes.

    Args:
        argv: The program and its arguments; some are `--config.section.field=VALUE`.

    Raises:
        UserError: There is no such field; names the closest one and lists them all.
    """
    others = flags.FlagValues()
    others.set_gnu_getopt(True)
    flags.DEFINE_string("config", None, "The experiment.", others)
    arguments = others(argv, known_only=True)
    changes = [re.match(r"--?(?:no)?config\.([\w.]+)", a) for a in arguments]
    for fields in [change[1].split(".") for change in changes if change]:
        path, section = "config", load_config(others.config)
        for field in fields:
            is_section = isinstance(section, ml_collections.ConfigDict)
            choose(f"field of {path}", field, section if is_section else [])
            path, section = f"{path}.{field}", section[field]
