"""Trained models that a new run goes on from, with other music."""

import dataclasses
import json
import os
from typing import Any

import ml_collections
import tensorflow as tf

from tfmusic.data.dataset_info import differences
from tfmusic.errors import UserError
from tfmusic.files import read_json, write_file
from tfmusic.models import MusicModel
from tfmusic.representations import Representation
from tfmusic.stored import check_form, reading
from tfmusic.training.experiment import check_config
from tfmusic.training.run_directory import hash_weights

FILE_NAME = "init_from.json"


@dataclasses.dataclass(frozen=True)
class Origin:
    """A trained model; `tfmusic.serving.origins` finds it.

    Attributes:
        name: What the user called it.
        config: What it was trained with.
        model: Built and restored.
    """

    name: str
    config: ml_collections.ConfigDict
    model: MusicModel

    @property
    def representation(self) -> Representation:
        """What its music was encoded with, fitted."""
        return self.model.representation

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
        names = {control.name for control in self.model.CONTROLS}
        old, new = (
            {
                f"config.model.{name}": value
                for name, value in check_config(each, ("model",))["model"].items()
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
        """Gives a model the weights; `check` has found that they fit."""
        # Not the states of random generators, which a network without dropout lacks.
        for weight, value in zip(model.weights, self.model.weights, strict=True):
            weight.assign(value)

    def save(self, workdir: str) -> None:
        """Keeps with a run what it began with, as `init_from.json`."""
        weights = hash_weights(self.model)
        told = {"model": self.config.name, "path": self.name, "weights": weights}
        write_file(os.path.join(workdir, FILE_NAME), json.dumps(told, indent=1))

    def for_building(self) -> ml_collections.ConfigDict:
        """Its config with its representation, which is not to be fitted again."""
        config = ml_collections.ConfigDict(self.config.to_dict())
        config.representation = self.representation.to_config()
        return config


def load_init_from(workdir: str) -> dict[str, Any] | None:
    """What `Origin.save` wrote; None for a run that began anew."""
    path = os.path.join(workdir, FILE_NAME)
    if not tf.io.gfile.exists(path):
        return None
    remedy = "put it back from a copy, or remove it"
    with reading(path, "what the run began with", remedy):
        return check_form(read_json(path), dict)


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
