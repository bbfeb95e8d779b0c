"""Finds trained models to go on from: `--init_from` and `--like`.

The weights are those of a run's `best/`, or of an export: a SavedModel's variables lie
in a checkpoint of the same layout, and its card says what they are. An export in one
file holds them in float16.
"""

import os

import ml_collections
import tensorflow as tf

from tfmusic.errors import UserError
from tfmusic.files import prepare_path
from tfmusic.models import make_model
from tfmusic.representations import make_representation
from tfmusic.serving.catalogue import CARD, find_model, read_card
from tfmusic.serving.packed import as_directory
from tfmusic.serving.player import newest_version
from tfmusic.stored import reading
from tfmusic.training.checkpoint_files import UNREADABLE
from tfmusic.training.checkpoints import read_weights
from tfmusic.training.experiment import check_config, without_gone_fields
from tfmusic.training.init_from import Origin
from tfmusic.training.run_directory import restore_model


def find_origin(name: str) -> Origin:
    """The trained model that a name means.

    Args:
        name: A run's directory, an export's directory or one file, or the name of a
            model that comes with tfmusic.

    Raises:
        UserError: It means none, or its weights cannot be read.
    """
    prepare_path(name)
    if tf.io.gfile.exists(os.path.join(name, "config.json")):
        config, model, _ = restore_model(name)
        return Origin(name, config, model)
    with as_directory(find_model(name)) as folder:
        return _read_export(name, newest_version(folder))


def _read_export(name: str, path: str) -> Origin:
    card = read_card(os.path.join(path, CARD))
    words, remedy = "a model's card", "export the model again"
    with reading(os.path.join(name, CARD), words, remedy):
        config = ml_collections.ConfigDict(without_gone_fields(card["config"], path))
        check_config(config, needed=("representation", "model"))
        representation = make_representation(card["representation"])
    if representation.name != config.representation["name"]:
        raise UserError(
            f"{name}: expected a model whose export tells how it reads music; give the "
            "folder of its run instead"
        )
    model = make_model(representation, config.model)
    model.build_model()
    try:
        read_weights(model, os.path.join(path, "variables", "variables"))
    except UNREADABLE as error:
        raise UserError(
            f"{name}: expected an export with the weights of its card, but they cannot "
            "be read; export the model again"
        ) from error
    return Origin(name, config, model)
