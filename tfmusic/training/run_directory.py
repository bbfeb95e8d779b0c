"""What a run's directory says about itself: its config and its representation."""

import copy
import json
import os
from collections.abc import Mapping
from typing import Any

import ml_collections
import tensorflow as tf
from absl import logging

from tfmusic.data import weights
from tfmusic.data.dataset_info import FILE_NAME, SPLITS, DatasetInfo, differences
from tfmusic.errors import UserError
from tfmusic.files import make_directory, prepare_path, read_json, write_file, writing
from tfmusic.models import MusicModel, make_model
from tfmusic.notes.reading import SUFFIXES
from tfmusic.representations import Representation, make_representation
from tfmusic.stored import NUMBER, check_form, reading
from tfmusic.training.checkpoint_files import has_begun
from tfmusic.training.checkpoints import restore_weights
from tfmusic.training.experiment import check_config, without_gone_fields
from tfmusic.training.optimizers import Schedule
from tfmusic.training.settings import TrainSettings

_RUN = "what tfmusic train wrote about a run"
_REMEDY = "put it back from a copy, or use another --workdir"
_CONFIG_FORM = {"name": str, "seed?": int, "*": dict}
_DATASET_FORM = {
    "source": str,
    "source_hash?": str,
    "splits": {"train": {"num_pieces": int}, "*": {"num_pieces": int}},
}
_SCHEDULE_FORM = {
    "kind": str,
    "learning_rate": NUMBER,
    "warmup_steps": int,
    "decay_rate": NUMBER,
    "decay_steps": int,
}
# Sections that decide what the weights mean. The others (how long to train, how often
# to save) may change from one call to the next.
FIXED_SECTIONS = ("seed", "representation", "data", "model", "optimizer")


def save_run(
    workdir: str, config: ml_collections.ConfigDict, representation: Representation
) -> None:
    """Writes `config.json` and `representation.json` into a run's directory.

    They may say otherwise than before as long as the run has no checkpoint.

    Raises:
        UserError: The directory holds a run with another config or vocabulary, or one
            whose files are not all there.
    """
    prepare_path(workdir)
    _check_is_own(workdir)
    path = os.path.join(workdir, "config.json")
    new = json.loads(config.to_json_best_effort())
    if has_begun(workdir):
        if not tf.io.gfile.exists(path):
            raise UserError(
                f"{workdir} holds checkpoints but no config.json, which says what they "
                "are; put it back from a copy, or use another --workdir"
            )
        old = _read_config(path)
        changes = [
            f"{name} was {old_value!r}, now {new_value!r}"
            for name, old_value, new_value in differences(
                check_config(old), check_config(new)
            )
            if name.partition(".")[0] in FIXED_SECTIONS
        ]
        old_representation = load_run(workdir)[1]
        if not changes and old_representation != representation:
            name = what_differs(old_representation, representation)
            changes = [f"the dataset has another {name}"]
        if changes:
            raise UserError(
                f"{workdir} holds a run with another config: {'; '.join(changes)}; "
                "use another --workdir or the same config"
            )
        if old == new:
            return
    with writing(workdir):
        make_directory(workdir)
    # The config comes last: where it is, the run is described in full.
    _write(os.path.join(workdir, "representation.json"), representation.to_config())
    _write(path, new)


def _check_is_own(workdir: str) -> None:
    """Refuses to mix a run with music to learn from.

    What replaces a dataset would remove the run, and the music that a run makes on the
    way would be taken for that of a folder.

    Raises:
        UserError: The directory holds a dataset or music.
    """
    names = tf.io.gfile.listdir(workdir) if tf.io.gfile.isdir(workdir) else []
    for name in sorted(names):
        if name == FILE_NAME or name.lower().endswith(SUFFIXES):
            raise UserError(
                f"{workdir}: expected a folder of its own for the run, found {name} in "
                "it; choose another --workdir"
            )


def with_saved_warmup(
    workdir: str, config: ml_collections.ConfigDict
) -> ml_collections.ConfigDict:
    """A copy of a config; where it leaves the warm-up open, with that of the run.

    The length of a warm-up that is left open depends on that of the run, which may be
    made longer; what has been done stays as it was.
    """
    config = copy.deepcopy(config)
    prepare_path(workdir)
    path = os.path.join(workdir, "config.json")
    if not has_begun(workdir) or not tf.io.gfile.exists(path):
        return config
    if config.optimizer.get("warmup_steps", -1) < 0:
        saved = _read_config(path)["optimizer"]
        config.optimizer.warmup_steps = saved.get("warmup_steps", -1)
    return config


def what_differs(old: Representation, new: Representation) -> str:
    """What was fitted otherwise in two representations of the same settings."""
    for name in new.fitted_fields:
        if getattr(old, name) != getattr(new, name):
            return name
    return "representation"


def load_run(workdir: str) -> tuple[ml_collections.ConfigDict, Representation]:
    """Reads what `save_run` wrote.

    Raises:
        UserError: The directory is no run.
    """
    prepare_path(workdir)
    path = os.path.join(workdir, "config.json")
    if not tf.io.gfile.exists(path):
        raise UserError(
            f"{workdir}: expected a directory that tfmusic train wrote, found no "
            "config.json in it; train first, or check --workdir"
        )
    config = ml_collections.ConfigDict(_read_config(path))
    path = os.path.join(workdir, "representation.json")
    with reading(path, _RUN, _REMEDY):
        return config, make_representation(check_form(read_json(path), dict))


def _read_config(path: str) -> dict[str, Any]:
    """The config of a run, checked.

    Raises:
        UserError: It is damaged.
    """
    with reading(path, _RUN, _REMEDY):
        saved = check_form(read_json(path), _CONFIG_FORM)
        config = without_gone_fields(saved, path)
        check_config(config)
        return config


def save_dataset_description(workdir: str, info: DatasetInfo) -> None:
    """Writes what a run learns from into its directory, as `dataset.json`.

    Raises:
        UserError: The run has learned from other music so far.
    """
    old, new = load_dataset_description(workdir), info.describe()
    if old and has_begun(workdir):
        if not is_same_music(old, new):
            raise UserError(
                f"{workdir} holds a run that learns from other music: from "
                f"{_name_music(old)}, not from {_name_music(new)}; use another "
                "--workdir or the dataset that it began with"
            )
    elif old != new:
        _write(os.path.join(workdir, "dataset.json"), new)


def is_same_music(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether two descriptions of datasets are of the same music, in equal splits.

    Where the source lies and what it is called says nothing if there are hashes. That
    of the pieces tells all; older datasets have none, and what their filters kept of
    the source is told by its notes.
    """
    if old.get("pieces_hash") and new.get("pieces_hash"):
        return old["pieces_hash"] == new["pieces_hash"]
    if old["splits"].keys() != new["splits"].keys():
        return False
    for name, split in old["splits"].items():
        there = new["splits"][name]
        sizes = {"num_pieces", "num_steps", "num_notes"} & split.keys() & there.keys()
        if any(split[size] != there[size] for size in sizes):
            return False
    hashes = old.get("source_hash"), new.get("source_hash")
    return hashes[0] == hashes[1] if all(hashes) else old["source"] == new["source"]


def _name_music(description: Mapping[str, Any]) -> str:
    number = description["splits"]["train"]["num_pieces"]
    known = description.get("pieces_hash") or description.get("source_hash")
    digits = (known or "unknown")[:16]
    return f"{description['source']} (hash {digits}, {number} pieces to train on)"


def load_dataset_description(workdir: str) -> dict[str, Any] | None:
    """What `save_dataset_description` wrote; None for a run without it."""
    path = os.path.join(workdir, "dataset.json")
    if not tf.io.gfile.exists(path):
        return None
    with reading(path, _RUN, _REMEDY):
        return check_form(read_json(path), _DATASET_FORM)


def save_schedule(workdir: str, schedule: Schedule, step: int) -> None:
    """Keeps the schedule that a run goes by, as `schedule.json`.

    Says so if it was another before: most last as long as the run, so more epochs, or
    another number of steps in each, change the learning rate from one step to the next.

    Args:
        workdir: The run's directory.
        schedule: The learning rate's.
        step: Training steps done.
    """
    path = os.path.join(workdir, "schedule.json")
    if step and tf.io.gfile.exists(path):
        with reading(path, _RUN, _REMEDY):
            old = Schedule.from_config(check_form(read_json(path), _SCHEDULE_FORM))
        if str(old) != str(schedule):
            logging.warning(
                "the learning rate's schedule was %s, is now %s: at step %d it gives "
                "%.3g, not %.3g",
                old,
                schedule,
                step,
                schedule(step),
                old(step),
            )
    _write(path, schedule.get_config())


def save_scores(workdir: str, scores: Mapping[str, Any]) -> None:
    """Keeps the result of an evaluation, as `scores_SPLIT.json`.

    Args:
        workdir: The run's directory.
        scores: Holds at least `split` and `weights`.
    """
    _write(os.path.join(workdir, f"scores_{scores['split']}.json"), dict(scores))


def load_scores(workdir: str, weights_hash: str) -> dict[str, dict[str, Any]]:
    """The results that `save_scores` kept for weights of this hash, by split."""
    found = {}
    for split in SPLITS:
        path = os.path.join(workdir, f"scores_{split}.json")
        if tf.io.gfile.exists(path):
            with reading(path, _RUN, f"evaluate the {split} split again"):
                scores = check_form(read_json(path), dict)
            if scores.get("weights") == weights_hash:
                found[split] = scores
    return found


def hash_weights(model: MusicModel) -> str:
    """Sixteen hex digits that stand for a model's weights.

    Checkpoints of several trainings may have one name.
    """
    return weights.fingerprint(model.get_weights(), model.representation)


def _write(path: str, value: Any) -> None:
    write_file(path, json.dumps(value, indent=1, sort_keys=True))


def restore_model(
    workdir: str, checkpoint: str | int = ""
) -> tuple[ml_collections.ConfigDict, MusicModel, str]:
    """Builds a run's model with its weights.

    Args:
        workdir: The run's directory.
        checkpoint: Which weights: "best", "latest" or a step; empty: as the run's
            setting `train.export_checkpoint` says.

    Returns:
        The run's config, the model, and the path of the checkpoint.

    Raises:
        UserError: The directory holds no run, or one without such a checkpoint.
    """
    config, representation = load_run(workdir)
    if checkpoint == "":
        checkpoint = TrainSettings.from_config(config.train).export_checkpoint
    model = make_model(representation, config.model)
    model.build_model()
    return config, model, restore_weights(model, workdir, checkpoint)
