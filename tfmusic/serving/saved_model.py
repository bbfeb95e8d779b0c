"""Writes a trained model as a SavedModel whose graph does the whole generation."""

import json
import os
from collections.abc import Mapping
from typing import Any

import tensorflow as tf
from absl import logging

import tfmusic
from tfmusic.models import MusicModel
from tfmusic.serving.player import CARD, versions
from tfmusic.training.run import restore_model


def export_run(workdir: str, export_dir: str) -> str:
    """Exports a run's best weights as a new version.

    Args:
        workdir: The directory of a run.
        export_dir: Gets `export_dir/1`, `export_dir/2`, ... as TF Serving expects. A
            newest version that already holds these weights is kept as it is.

    Returns:
        The version's directory.

    Raises:
        UserError: `workdir` holds no run with a checkpoint.
    """
    config, model, checkpoint = restore_model(workdir)
    card = {
        "name": config.name,
        "tfmusic": tfmusic.__version__,
        "checkpoint": os.path.basename(checkpoint),
        "config": json.loads(config.to_json_best_effort()),
        "representation": model.representation.to_config(),
        "controls": {
            control.name: {
                "default": control.default,
                "minimum": control.minimum,
                "maximum": control.maximum,
                "doc": control.doc,
            }
            for control in model.CONTROLS
        },
        "endpoints": {name: e.doc for name, e in model.endpoints().items()},
    }
    found = versions(export_dir)
    if found:
        newest = os.path.join(export_dir, str(found[-1]))
        with tf.io.gfile.GFile(os.path.join(newest, CARD)) as file:
            if json.load(file) == json.loads(json.dumps(card)):
                logging.info("%s already holds these weights", newest)
                return newest
    path = os.path.join(export_dir, str(found[-1] + 1 if found else 1))
    export_model(model, card, path)
    logging.info("exported %s of %s to %s", card["checkpoint"], workdir, path)
    return path


def export_model(model: MusicModel, card: Mapping[str, Any], path: str) -> None:
    """Writes a model and its card as a SavedModel; a directory appears when complete.

    Args:
        model: Built and restored.
        card: What a `Player` needs to know; goes into `assets.extra/tfmusic.json`.
        path: The directory to make.
    """
    signatures = {
        name: endpoint.function for name, endpoint in model.endpoints().items()
    }
    # The variables alone: Keras would add a forward pass of its own for the model.
    module = tf.Module()
    module.weights = [variable.value for variable in model.variables]
    # A dot keeps a serving system from taking the unfinished directory for a version.
    partial = os.path.join(os.path.dirname(path), "." + os.path.basename(path))
    if tf.io.gfile.exists(partial):
        tf.io.gfile.rmtree(partial)
    tf.saved_model.save(module, partial, signatures=signatures)
    tf.io.gfile.makedirs(os.path.join(partial, os.path.dirname(CARD)))
    with tf.io.gfile.GFile(os.path.join(partial, CARD), "w") as file:
        json.dump(card, file, indent=1)
    tf.io.gfile.rename(partial, path)
