"""Trained models to go on from with other music.

The weights are those of a run's `best/`, or of an export: a SavedModel's variables lie
in a checkpoint of the same layout, and its card says what they are.
"""

import dataclasses
import json
import os
from typing import Any

import ml_collections
import tensorflow as tf

from tfmusic.data.dataset_info import differences
from tfmusic.errors import UserError
from tfmusic.files import prepare_path, read_json, write_file
from tfmusic.models import MusicModel, make_model
from tfmusic.representations import Representation, make_representation
from tfmusic.training.checkpoints import read_weights, restore_weights
from tfmusic.training.experiment import check_config, without_gone_fields
from tfmusic.training.run_directory import hash_weights, load_run

CARD = os.path.join("assets.extra", "tfmusic.json")
FILE_NAME = "init_from.json"


@dataclasses.dataclass(frozen=True)
class Origin:
    """A trained model.

    Attributes:
        name: What the user called it.
        path: Its directory: a run's, or of an export's version.
        config: What it was trained with.
        representation: What its music was encoded with, fitted.
        is_run: Whether it is a run, and not an export.
    """

    name: str
    path: str
    config: ml_collections.ConfigDict
    representation: Representation
    is_run: bool

    def check(
        self, config: ml_collections.ConfigDict, representation: Representation
    ) -> None:
        """Makes sure that its weights mean the same in another run.

        Args:
            config: The run's.
            representation: The run's dataset's.

        Raises:
            UserError: They do not; names the fields that differ.
        """
        ours, theirs = representation.to_config(), self.representation.to_config()
        ours["data.key"] = config.data.get("key", "original")
        theirs["data.key"] = self.config.data.get("key", "original")
        if changes := _in_words(theirs, ours):
            raise UserError(
                f"--init_from={self.name}: its music was encoded otherwise than the "
                f"dataset: {changes}; encode yours with tfmusic build "
                f"--like={self.name}"
            )
        names = {control.name for control in self._make_model().CONTROLS}
        old, new = (
            {
                f"config.model.{name}": value
                for name, value in check_config(each)["model"].items()
                if name not in names and not name.endswith("dropout")
            }
            for each in (self.config, config)
        )
        if changes := _in_words(old, new):
            raise UserError(
                f"--init_from={self.name}: its network is another: {changes}; set the "
                "fields as the model has them"
            )

    def restore(self, model: MusicModel) -> None:
        """Gives a model the weights; `check` has found that they fit.

        Raises:
            UserError: They cannot be read.
        """
        own = self._make_model()
        if self.is_run:
            restore_weights(own, self.path)
        else:
            _read_export(own, self.path)
        # A model in training may have a state of its own behind them.
        for variable, value in zip(model.variables, own.variables, strict=False):
            variable.assign(value)

    def save(self, workdir: str) -> None:
        """Keeps with a run what it began with, as `init_from.json`."""
        own = self._make_model()
        self.restore(own)
        told = {"model": self.config.name, "path": self.path}
        told["weights"] = hash_weights(own)
        write_file(os.path.join(workdir, FILE_NAME), json.dumps(told, indent=1))

    def for_building(self) -> ml_collections.ConfigDict:
        """Its config with its representation, which nothing is to be fitted to."""
        config = ml_collections.ConfigDict(self.config.to_dict())
        config.representation = self.representation.to_config()
        return config

    def _make_model(self) -> MusicModel:
        model = make_model(self.representation, self.config.model)
        model.build_model()
        return model


def find_origin(name: str, flag: str = "--init_from") -> Origin:
    """The trained model that a name means.

    Args:
        name: A run's or an export's directory.
        flag: Where the name was given, for messages.

    Raises:
        UserError: It means none.
    """
    path = find_model(name, flag)
    if not path.endswith(CARD):
        return Origin(name, path, *load_run(path), is_run=True)
    card = read_json(path)
    config = ml_collections.ConfigDict(without_gone_fields(card["config"], path))
    kind = make_representation(card["representation"])
    check_config(config, needed=("representation", "model"))
    if kind.name != config.representation["name"]:
        raise UserError(
            f"{flag}={name}: expected a model whose export holds what it reads; give "
            "the folder of its run"
        )
    return Origin(name, path.removesuffix(CARD), config, kind, is_run=False)


def find_model(name: str, flag: str) -> str:
    """The directory of a run, or the card of an export's newest version.

    Raises:
        UserError: There is neither.
    """
    prepare_path(name)
    if tf.io.gfile.exists(os.path.join(name, "config.json")):
        return name
    versions = [name]
    if tf.io.gfile.isdir(name):
        found = (entry.rstrip("/") for entry in tf.io.gfile.listdir(name))
        numbers = sorted((int(n) for n in found if n.isdigit()), reverse=True)
        versions += [os.path.join(name, str(number)) for number in numbers]
    for version in versions:
        card = os.path.join(version, CARD)
        if tf.io.gfile.exists(card):
            return card
    raise UserError(
        f"{flag}={name}: expected the folder of a run of tfmusic train or of an "
        "export, found neither"
    )


def load_init_from(workdir: str) -> dict[str, Any] | None:
    """What `Origin.save` wrote; None for a run that began anew."""
    path = os.path.join(workdir, FILE_NAME)
    return read_json(path) if tf.io.gfile.exists(path) else None


def _read_export(model: MusicModel, path: str) -> None:
    prefix = os.path.join(path, "variables", "variables")
    try:
        read_weights(model, prefix)
    except (AssertionError, ValueError, tf.errors.OpError) as error:
        raise UserError(
            f"{path}: expected an export of tfmusic with the weights of its card, but "
            "they cannot be read; export the model again"
        ) from error


def _in_words(old: dict[str, Any], new: dict[str, Any]) -> str:
    return "; ".join(
        f"{name} is {_short(theirs)} in the model, {_short(ours)} here"
        for name, theirs, ours in differences(old, new)
    )


def _short(value: Any) -> str:
    """A value, or of a vocabulary only its size."""
    if isinstance(value, (list, tuple)) and len(value) > 8:
        return f"one of {len(value):,d} entries"
    return repr(value)
