"""Scores a trained run on a split of a dataset."""

import collections
import functools
import json
import os
import sys
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from tfmusic.data.dataset import Dataset
from tfmusic.data.settings import DataSettings
from tfmusic.data.windows import Windows
from tfmusic.errors import UserError, choose
from tfmusic.evaluation.likelihood import LikelihoodTotal
from tfmusic.evaluation.reconstruction import ReconstructionTotal
from tfmusic.evaluation.sample_overlap import (
    SampleStatistics,
    compare_samples,
    format_comparison,
)
from tfmusic.files import make_directory, prepare_path, write_file, writing
from tfmusic.models import MusicModel
from tfmusic.training.checkpoint_files import short_name
from tfmusic.training.run_directory import (
    hash_weights,
    is_same_music,
    load_dataset_description,
    restore_model,
    save_scores,
    what_differs,
)
from tfmusic.training.settings import TrainSettings

# Whole pieces are long; a few at once fill two cores and leave memory alone.
PIECES_PER_BATCH = 4
# Enough for distributions of twenty bins.
NUM_SAMPLES = 256
# What stands beside the figures when they are printed.
_IN_WORDS = {
    "log_likelihood_per_step": "how well each step is guessed; 0 would be always",
    "log_likelihood_per_second": "the same for each second of music",
    "standard_error": "of the first, over pieces",
    "restrike_log_likelihood_per_step": "of the first, which keys are struck again",
    "spelling_log_likelihood_per_step": "of the first, the keys of unknown chords",
    "free_log_likelihood_per_step": "the first, were key, plan and style not known",
    "restrike_nats": "which keys are struck again, in training's windows",
    "spelling_nats": "the keys of unknown chords, in training's windows",
    "accuracy": "the part of steps of which the likeliest token is right",
    "loss": "what training makes small, in its windows",
    "loss_per_step": "the same without padding",
    "nats_per_step": "how far guesses are off, in training's windows; 0 is best",
    "nats_of_all_steps": "the same, where training makes something else small",
    "perplexity": "among how many equally likely steps that is a choice",
}


def evaluate_run(
    workdir: str,
    data_dir: str,
    split: str,
    json_path: str | None = None,
    more: Callable[[], dict[str, Any]] = dict,
    prints: bool = True,
    checkpoint: str | int = "",
) -> dict[str, Any]:
    """Scores a run's weights, prints the result and keeps it with the run.

    It is not kept if the run has not learned from this dataset, for what is kept stands
    in exports beside the data of the run.

    Whole pieces are scored in the way of the model's family, one of `SCORES`. The loss
    and the other metrics are those of training, over windows that cover each step once.

    Args:
        workdir: The directory of a run.
        data_dir: A dataset of the same representation.
        split: `"train"`, `"validation"` or `"test"`.
        json_path: Where the result is to be written too.
        more: Called when the scores are printed; what it gives is kept with them.
        prints: Whether the scores are printed.
        checkpoint: Which weights, see `restore_model`.

    Returns:
        At least `num_steps`, `num_pieces`, `split`, `weights` (a hash of them),
        `source` and `source_hash` (of the dataset), and what the scoring gives.

    Raises:
        UserError: There is no such run or dataset, they do not fit each other, the
            split is empty, or the result cannot be written.
    """
    if json_path:
        prepare_path(json_path)
        with writing(json_path):
            make_directory(os.path.dirname(json_path) or ".")
    config, model, path = restore_model(workdir, checkpoint)
    settings = TrainSettings.from_config(config.train)
    dataset = Dataset.open(data_dir, settings.memory_megabytes)
    info, representation = dataset.info, dataset.representation
    info.check(config)
    if representation != model.representation:
        changed = what_differs(model.representation, representation)
        raise UserError(
            f"{data_dir}: its {changed} is not that of {workdir}; score on the dataset "
            "of the run, or train anew"
        )
    choose("split", split, info.splits)
    if not info.splits[split]["num_pieces"]:
        raise UserError(f"{data_dir}: the split {split!r} has no pieces")

    pieces = dataset.pieces(split)
    scores = SCORES[model.SCORED_BY](model, pieces, info.splits[split])
    model.compile_for_training("sgd")
    windows, batch_size = Windows(
        DataSettings.from_config(config.data),
        include_end=model.learns_end,
        consecutive=model.carries_state,
    ).for_evaluation(settings.eval_batch_size, max(info.splits[split]["piece_steps"]))
    batches = dataset.evaluation(
        split, windows, model.example_fn, batch_size=batch_size
    )
    metrics = model.evaluate(batches, verbose=0, return_dict=True)
    result = {
        "split": split,
        "checkpoint": short_name(path),
        "weights": hash_weights(model),
        "source": info.source,
        "source_hash": info.source_hash,
        **scores,
        **{name: float(value) for name, value in metrics.items()},
    }
    for name, value in result.items() if prints else ():
        text = f"{value:.4f}" if isinstance(value, float) else str(value)
        words = _IN_WORDS.get(name, "")
        sys.stdout.write(f"{name:28s} {text:12s} {words}".rstrip() + "\n")
    result |= more()
    if json_path:
        write_file(json_path, json.dumps(result, indent=1))
    learned = load_dataset_description(workdir)
    if learned and not is_same_music(learned, info.describe()):
        logging.info("not kept with %s, which learned from other music", workdir)
        return result
    # Last: a run that may only be read is scored all the same.
    save_scores(workdir, result)
    return result


def score_likelihood(
    model: MusicModel, pieces: tf.data.Dataset, described: dict[str, Any]
) -> dict[str, Any]:
    """The exact log-likelihood of pieces from their first step.

    In nats per step of the representation, every step of equal weight: the metric of
    Boulanger-Lewandowski et al. 2012 where a step is a frame. Also in nats per second
    of music, which tells for tokens, whose steps have no fixed length. Beside it stands
    in nats per step whatever else a model says of each step.

    Args:
        model: With `score`.
        pieces: As `Dataset.pieces` gives them.
        described: What `DatasetInfo.splits` says of them.
    """
    score = tf.function(model.score, reduce_retracing=True)
    totals = collections.defaultdict(LikelihoodTotal)
    names = list(model.representation.feature_specs)
    pieces = pieces.map(
        lambda piece: ({name: piece[name] for name in names}, piece["num_steps"])
    )
    for features, num_steps in pieces.padded_batch(PIECES_PER_BATCH):
        for name, values in score(features, num_steps).items():
            if values.shape.rank == 2:  # not that of the end
                totals[name].update(values.numpy(), num_steps.numpy())
    total = totals.pop("log_likelihood")
    more = {f"{name}_per_step": t.log_likelihood_per_step for name, t in totals.items()}
    return total.result(float(described.get("seconds", 0.0))) | more


def score_reconstruction(
    model: MusicModel, pieces: tf.data.Dataset, described: dict[str, Any]
) -> dict[str, Any]:
    """How much of pieces is left when they are encoded and decoded.

    See `ReconstructionTotal`; besides, `overflow_share` of the events, which the
    representation had left out before. Arguments as of `score_likelihood`.
    """
    kind = model.representation
    reconstruct = model.endpoints()["reconstruct"].function
    total, num_events = ReconstructionTotal(), 0
    for piece in pieces:
        arrays = {name: piece[name] for name in kind.feature_specs}
        outputs = reconstruct(*(array[tf.newaxis] for array in arrays.values()))
        made = {name: outputs[name][0].numpy() for name in arrays}
        true = {name: array.numpy() for name, array in arrays.items()}
        total.update(kind.decode(true), kind.decode(made))
        num_events += int(true["num_events"].sum())
    lost = described.get("losses", {}).get("overflows", 0)
    return {
        "num_steps": described["num_steps"],
        **total.result(),
        "overflow_share": lost / max(num_events + lost, 1),
    }


def score_samples(
    model: MusicModel, pieces: tf.data.Dataset, described: dict[str, Any]
) -> dict[str, Any]:
    """How near generated samples come to held-out ones; prints a table.

    Beside generated samples stand those of the same network untrained, real chunks in
    an order of chance, and, as the most that can be reached, other held-out samples.
    All have gone through the run's autoencoder; see `evaluation.sample_overlap`.
    `frechet` is the distance that training calls `loss`, `frechet_of_means` that of the
    samples' mean chunks. Arguments as of `score_likelihood`.
    """
    held_out = [[], []]
    for i, piece in enumerate(pieces):
        windows = {
            name: _whole_windows(piece[name], model.num_chunks)
            for name in model.representation.feature_specs
        }
        held_out[i % 2].extend(model.latents(windows).numpy())
    if not all(held_out):
        raise UserError(
            f"expected at least two pieces of {model.num_chunks} chunks to compare "
            "samples with; score on a larger split"
        )
    random = np.random.default_rng(0)
    keras.utils.set_random_seed(0)  # of the untrained network's weights
    number = min(NUM_SAMPLES, *(len(windows) for windows in held_out))
    reference, other = (random.permutation(windows)[:number] for windows in held_out)
    chunks = random.permutation(np.reshape(other, [-1, other.shape[-1]]))
    noise = model.noise(number, model.num_chunks, tf.constant(0, tf.int64))
    groups = {
        "generated": model.sequences(noise),
        "untrained": model.sequences(noise, model.make_generator()),
        "shuffled": model.form.with_end(np.reshape(chunks, other.shape)),
        "held_out": model.form.with_end(other),
    }
    decode = functools.partial(_describe_samples, model, tf.function(model.decode))
    known = decode(model.form.with_end(reference))
    found = {name: decode(sequences) for name, sequences in groups.items()}
    sys.stdout.write(format_comparison(found, known) + "\n")
    distances, real = {}, model.form.with_end(reference)
    for name, made in groups.items():
        distances[f"{name}.frechet"] = model.form.distance(real, made)
        distances[f"{name}.frechet_of_means"] = model.form.distance_of_means(real, made)
    return {
        "num_steps": described["num_steps"],
        "num_pieces": described["num_pieces"],
        "num_samples": number,
        **compare_samples(found, known),
        **distances,
    }


def _whole_windows(steps: tf.Tensor, size: int) -> tf.Tensor:
    """Steps `[time, ...]` as windows `[window, size, ...]`; what is left over goes."""
    number = len(steps) // size
    return tf.reshape(steps[: number * size], [number, size, *steps.shape[1:]])


def _describe_samples(model, decode, sequences) -> SampleStatistics:
    kind = model.output_representation
    arrays = {name: array.numpy() for name, array in decode(sequences).items()}
    music = [
        kind.decode({name: arrays[name][i][:length] for name in kind.feature_specs})
        for i, length in enumerate(arrays["num_steps"])
    ]
    return SampleStatistics.of(music, model.num_chunks * kind.chunk_seconds)


# How whole pieces are scored, by `MusicModel.SCORED_BY`.
SCORES: dict[str, Callable[..., dict[str, Any]]] = {
    "likelihood": score_likelihood,
    "reconstruction": score_reconstruction,
    "samples": score_samples,
}
