"""Turns an exported model into music; knows its arrays' meaning, not its network."""

import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tfmusic.errors import UserError, choose
from tfmusic.notes import NoteSequence
from tfmusic.representations import EncodeError, make_representation

CARD = os.path.join("assets.extra", "tfmusic.json")


class Player:
    """An exported model that plays.

    Attributes:
        path: The directory of the version that is loaded.
        card: What `export_model` wrote about the model: name, version, training step,
            config, representation and controls.
        representation: How the model's arrays encode music.
        guarded_steps: In how many steps of all pieces of the last `generate` a guard
            against standing still changed what was drawn.
    """

    def __init__(self, model_dir: str):
        """Loads an export.

        Args:
            model_dir: An export directory, of which the newest version is taken, or one
                numbered version in it.

        Raises:
            UserError: The directory holds no export.
        """
        self.path = newest_version(model_dir)
        with tf.io.gfile.GFile(os.path.join(self.path, CARD)) as file:
            self.card: dict[str, Any] = json.load(file)
        self.representation = make_representation(self.card["representation"])
        self.guarded_steps = 0
        # The loaded object owns the variables that its signatures use.
        self._model = tf.saved_model.load(self.path)

    @property
    def controls(self) -> dict[str, dict[str, Any]]:
        """Each control that generation takes: its default, bounds and meaning."""
        return self.card["controls"]

    def generate(
        self,
        num_outputs: int = 1,
        num_steps: int = 256,
        seed: int = 0,
        primer: NoteSequence | None = None,
        include_primer: bool = True,
        controls: Mapping[str, float] | None = None,
    ) -> list[NoteSequence]:
        """Makes new music, all pieces at once.

        Args:
            num_outputs: How many pieces.
            num_steps: Their length at most, in steps of the representation (frames or
                tokens), without the primer.
            seed: The same seed on the same machine gives the same music.
            primer: A beginning to go on from; None starts as the training pieces do.
            include_primer: Whether the pieces begin with the primer.
            controls: Values for `controls` that are not to have their defaults.

        Returns:
            The pieces, in the representation's tempo.

        Raises:
            UserError: A control that the model does not know or that is out of its
                bounds, a number below 1, or a primer that cannot be encoded.
        """
        for name, value in (("num_outputs", num_outputs), ("num_steps", num_steps)):
            if value < 1:
                raise UserError(f"{name}: expected at least 1, got {value}")
        inputs = {
            name: tf.constant(value, tf.float32)
            for name, value in self._check(controls or {}).items()
        }
        inputs["num_steps"] = tf.constant(num_steps, tf.int32)
        inputs["seed"] = tf.constant(seed, tf.int64)
        if primer is None:
            inputs["num_outputs"] = tf.constant(num_outputs, tf.int32)
            outputs = self._model.signatures["generate"](**inputs)
            prompt = None
        else:
            prompt = self._encode(primer)
            go_on = self._model.signatures["continue"]
            specs = go_on.structured_input_signature[1]
            for name, array in prompt.items():
                tiled = np.broadcast_to(array, (num_outputs, *array.shape))
                # Arrays may be narrower on disk than in the graph.
                inputs[name] = tf.cast(tf.constant(tiled), specs[name].dtype)
            outputs = go_on(**inputs)
        arrays = {name: tensor.numpy() for name, tensor in outputs.items()}
        lengths = arrays.pop("num_steps")
        self.guarded_steps = int(arrays.pop("guarded_steps", np.zeros(1)).sum())
        pieces = []
        for i, length in enumerate(lengths):
            features = {
                name: arrays[name][i, :length]
                for name in self.representation.feature_specs
            }
            if prompt and include_primer:
                features = {
                    name: np.concatenate([prompt[name], array])
                    for name, array in features.items()
                }
            pieces.append(self.representation.decode(features))
        return pieces

    def _encode(self, primer: NoteSequence) -> dict[str, np.ndarray]:
        try:
            return self.representation.encode(primer)
        except EncodeError as error:
            raise UserError(
                f"primer {primer.filename}: cannot be encoded as "
                f"{self.representation.name} ({error})"
            ) from error

    def _check(self, controls: Mapping[str, float]) -> dict[str, float]:
        """The value of every control, checked."""
        values = {name: spec["default"] for name, spec in self.controls.items()}
        for name, value in controls.items():
            spec = self.controls[
                choose(f"control of {self.card['name']}", name, values)
            ]
            try:
                values[name] = float(value)
            except ValueError:
                raise UserError(
                    f"{name}: expected a number, got {value!r} ({spec['doc']})"
                ) from None
            if not spec["minimum"] <= values[name] <= spec["maximum"]:
                raise UserError(
                    f"{name}: expected {spec['minimum']:g} to {spec['maximum']:g}, got "
                    f"{values[name]:g} ({spec['doc']})"
                )
        return values


def versions(export_dir: str) -> list[int]:
    """The complete numbered versions in an export directory, in rising order."""
    if not tf.io.gfile.isdir(export_dir):
        return []
    names = (name.rstrip("/") for name in tf.io.gfile.listdir(export_dir))
    return sorted(
        int(name)
        for name in names
        if name.isdigit() and tf.io.gfile.exists(os.path.join(export_dir, name, CARD))
    )


def newest_version(model_dir: str) -> str:
    """The directory of the newest version in `model_dir`, or itself if it is one.

    Raises:
        UserError: It is neither.
    """
    if tf.io.gfile.exists(os.path.join(model_dir, CARD)):
        return model_dir
    found = versions(model_dir)
    if not found:
        raise UserError(
            f"{model_dir}: expected a directory that tfmusic.export wrote, found no "
            "exported model in it; export one with python -m tfmusic.export"
        )
    return os.path.join(model_dir, str(found[-1]))
