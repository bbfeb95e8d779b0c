"""What an export says about itself: for a `Player`, for other clients, for people."""

import dataclasses
import json
from collections.abc import Iterable, Mapping
from typing import Any

import ml_collections
import tensorflow as tf

import tfmusic
from tfmusic.generation.controls import Control
from tfmusic.models import Endpoint, MusicModel
from tfmusic.models.steps import NEXT, STATE
from tfmusic.representations import Representation
from tfmusic.training.checkpoint_files import short_name
from tfmusic.training.init_from import load_init_from
from tfmusic.training.run_directory import (
    hash_weights,
    load_dataset_description,
    load_scores,
)

Functions = Mapping[str, tf.types.experimental.PolymorphicFunction]

# What names of inputs and outputs mean where neither a control nor the representation
# says it; scalars first, then one value for each piece.
_SETTINGS = {
    "num_outputs": "How many pieces to make.",
    "num_steps": "How many steps each piece may get at most.",
    "beam_width": "How many beams to follow.",
    "seed": "The same seed gives the same music.",
    "other_seed": "Where the pieces lead to: the first piece of this seed.",
}
_VALUES = {
    "num_steps": "How many steps of each piece count; what follows is padding.",
    "seed": "The same seed gives the same piece.",
    "place": "Which piece of its seed this is, from 0.",
    "log_likelihood": "Natural logarithm of each step's probability, 0 where padded.",
    "end_log_likelihood": "The same of each piece's ending where it does.",
    "restrike_log_likelihood": "Of it, what says which keys are struck again.",
    "spelling_log_likelihood": "Of it, what says the keys of chords without a token.",
    "free_log_likelihood": "The same where phrases, key and style are not known.",
    "noise": "Standard normal numbers [piece, vector, number]; spread scales them.",
    "other_noise": "Likewise, where the pieces lead to.",
    "latents": "The vector of each chunk, as the autoencoder has it, not normalised.",
    "mask": "Which cells [piece, time, voice] are to be written anew.",
    "is_given": "Which keys [piece, time, (hand,) key] do as the other arrays say.",
    "unmatched_steps": "In how many steps no chord has what is given.",
    "logits": "Of each token, before temperature, rules and controls.",
    "log_odds": "That each key [row, hand, key, channel] sounds and, in a second "
    "channel, begins to; before temperature and controls.",
    "counts": "How many keys each hand is expected to play.",
    "guarded_steps": "In how many steps a guard changed what was drawn.",
}


def make_card(
    config: ml_collections.ConfigDict, model: MusicModel, checkpoint: str, workdir: str
) -> dict[str, Any]:
    """The part of a card that is known before the graphs are.

    Args:
        config: The run's.
        model: Built and restored.
        checkpoint: The path that its weights come from.
        workdir: The run's directory: says what it learned from and how it was scored.

    Returns:
        `name`, `tfmusic` and `tensorflow` (versions), `checkpoint` (such as
        best/ckpt-500), `weights` (a hash of them), `config`, `num_parameters`,
        `representation`, `controls`, `search_controls` (of the beam search, if there is
        one), `infill_controls` (of `infill`, besides the others), `keep` (the names of
        voices or hands that `infill` can keep), `knows` (see `describe_knowledge`),
        `data` (source, licence, splits; None
        where the run does not know), `began_from` (the model whose weights the run
        began with, or None) and `scores` (the results of `tfmusic.evaluate` for these
        weights, by split).
    """
    weights = hash_weights(model)
    return {
        **describe_model(config, model),
        "checkpoint": short_name(checkpoint),
        "weights": weights,
        "data": load_dataset_description(workdir),
        "began_from": load_init_from(workdir),
        "scores": load_scores(workdir, weights),
    }


def describe_model(
    config: ml_collections.ConfigDict, model: MusicModel
) -> dict[str, Any]:
    """The part of `make_card` that follows from a model and from this version."""
    return {
        "name": config.name,
        "tfmusic": tfmusic.__version__,
        "tensorflow": tf.__version__,
        "config": json.loads(config.to_json_best_effort()),
        "num_parameters": model.count_params(),
        "representation": model.output_representation.to_config(),
        "controls": describe_controls(model.CONTROLS),
        "search_controls": describe_controls(model.SEARCH_CONTROLS),
        "infill_controls": describe_controls(model.INFILL_CONTROLS),
        "keep": list(model.output_representation.keep_names),
        "knows": describe_knowledge(
            model.output_representation, config.data.get("key", "original")
        ),
    }


def describe_knowledge(kind: Representation, key: str) -> dict[str, str]:
    """What a model knows of music, in words, and so what is left open.

    Args:
        kind: What its music is encoded as.
        key: The setting `data.key`: "C" where all music was moved to one key.

    Returns:
        A line each on `time`, `tempo`, `key`, `dynamics` and `instruments`.
    """
    names = getattr(kind, "instruments", ("Piano",))
    if kind.steps_per_quarter:
        time = f"beats: {kind.steps_per_quarter} steps in a quarter note"
        tempo = f"none: music is written at {kind.qpm:g} or at --qpm"
        if kind.has_tempos:
            tempo = "of its own, which may change; --qpm sets the first"
    else:
        time, tempo = "seconds, without beats", "as it is played"
    return {
        "time": time,
        "tempo": tempo,
        "key": (
            "C major and A minor alone: primers are moved there and back; --key"
            if key == "C"
            else "any; --key"
            if getattr(kind, "conditions", ())
            else "any"
        ),
        "dynamics": "yes" if kind.has_dynamics else "none: all notes are equally loud",
        "instruments": ", ".join(names),
    }


def describe_controls(controls: Iterable[Control]) -> dict[str, dict[str, Any]]:
    """Default, bounds and meaning of controls, by name."""
    described = (dataclasses.asdict(control) for control in controls)
    return {control.pop("name"): control for control in described}


def describe_endpoints(
    model: MusicModel, endpoints: Mapping[str, Endpoint], functions: Functions
) -> dict[str, Any]:
    """Every endpoint with its inputs and outputs.

    Args:
        model: The model whose endpoints they are.
        endpoints: Those, by name.
        functions: Their traced functions.

    Returns:
        For each endpoint `doc`, `inputs` and `outputs`; for each of those by name
        `dtype`, `shape` (None for a size that a request decides), `doc`, and where an
        input may be left out `default`.
    """

    def describe(specs, defaults: Mapping[str, Any]) -> dict[str, Any]:
        return {
            name: {
                "dtype": spec.dtype.name,
                "shape": spec.shape.as_list(),
                "doc": _meaning(model, name, spec),
                **({"default": defaults[name]} if name in defaults else {}),
            }
            for name, spec in specs.items()
        }

    described = {}
    for name, endpoint in endpoints.items():
        outputs = functions[name].get_concrete_function().structured_outputs
        inputs = {spec.name: spec for spec in endpoint.input_signature}
        described[name] = {
            "doc": endpoint.doc,
            "inputs": describe(inputs, endpoint.defaults),
            "outputs": describe(outputs, {}),
        }
    return described


def _meaning(model: MusicModel, name: str, spec: tf.TensorSpec) -> str:
    controls = (*model.CONTROLS, *model.SEARCH_CONTROLS, *model.INFILL_CONTROLS)
    docs = {control.name: control.doc for control in controls}
    docs |= {n: s.doc for n, s in model.output_representation.feature_specs.items()}
    docs |= _SETTINGS if spec.shape.rank == 0 else _VALUES
    if name.removeprefix(NEXT).startswith(STATE):
        return "What the model remembers."
    return docs.get(name, "")
