"""Training steps against the same network of Keras' own layers in float32.

    python -m benchmarks.training [--quick] [--family=NAME] [--torch_python=PATH]

Both are one and the same model at its reference setting, trained by `model.fit` on one
and the same batch of random music: ours as `tfmusic.train` would on this machine (the
config's `train.mixed_precision`, our own loop of LSTM layers on a CPU), the other with
both switched off. A third row has our loop in float32, the precision of the baseline.
Set autoencoder and latent WGAN, which have no such layers, are compared with the plain
Keras networks of `benchmarks.gan_step`.

Where PyTorch is installed, or a Python that has it is named, the same network in it
(`benchmarks/plain_torch.py`) takes turns with these.
"""

import json
import os
import pathlib
import subprocess
import sys
import time

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags

from benchmarks import plain_autoencoder, plain_wgan
from tfmusic.config import load_config
from tfmusic.models import MusicModel, make_model
from tfmusic.networks.recurrence import LSTM
from tfmusic.representations import Representation, make_representation
from tfmusic.training.precision import choose_policy, dtype_policy
from tfmusic.training.settings import TrainSettings

_QUICK = flags.DEFINE_bool("quick", False, "Shorter windows, fewer repetitions.")
_TORCH = flags.DEFINE_string(
    "torch_python", sys.executable, "A Python that has PyTorch, to measure it too."
)

# Name of the claim, config and variant. A new family is a line here.
FAMILIES = {
    "skuldur": "configs/skuldur_lstm.py:reference",
    "chord": "configs/chord_lstm.py:reference",
    "biaxial": "configs/biaxial_lstm.py:reference",
    "two_hands": "configs/two_hands_lstm.py:reference",
    "roll": "configs/roll_lstm.py:reference",
    "performance": "configs/performance_lstm.py:reference",
    "next_frame": "configs/next_frame_lstm.py:reference",
    "seq2seq": "configs/frame_seq2seq.py:reference",
}
# Precision (None: as configured) and whether our loop is used.
WAYS = {
    "Keras, float32": ("none", False),
    "ours, float32": ("none", True),
    "ours": (None, True),
}
TORCH_WAYS = {"PyTorch, float32": "float32", "PyTorch, bfloat16": "bfloat16"}
_IS_FAST = LSTM.is_fast
# Families without LSTM layers.
OTHERS = ("set_autoencoder", "latent_wgan")
_FAMILY = flags.DEFINE_multi_enum(
    "family", None, [*FAMILIES, *OTHERS], "Measure this one alone; may be repeated."
)
VOCABULARY_SIZE = 350


def fit_vocabulary(representation: Representation) -> Representation:
    """A vocabulary of made-up chords, where one is needed."""
    if not hasattr(representation, "fit_counts"):
        return representation
    names = [f"{low}.{high}" for low in range(30) for high in range(low + 1, 90)]
    return representation.fit_counts(dict.fromkeys(names[:VOCABULARY_SIZE], 1))


def make_batch(model: MusicModel, batch_size: int, window_steps: int):
    """Examples of random windows; their content does not change the time."""
    rng = np.random.default_rng(0)
    length = window_steps + 1
    step = np.broadcast_to(np.arange(length, dtype=np.int32), [batch_size, length])
    windows = {"step": step, "num_steps": np.full(batch_size, length, np.int32)}
    for name, spec in model.representation.feature_specs.items():
        shape = [batch_size, length, *spec.shape[1:]]
        if spec.dtype == "bool":
            windows[name] = rng.random(shape) < 0.04
        elif name == "bar_position":
            windows[name] = step % 16
        elif name == "bar_length":
            windows[name] = np.full_like(step, 16)
        else:
            windows[name] = rng.integers(4, 100, shape, np.int32)
    seed = tf.constant([0, 0])
    return tf.vectorized_map(lambda w: model.example_fn(w, seed), windows)


def torch_settings(model: MusicModel, config) -> dict | None:
    """What `plain_torch.py` makes its network of; None: it has no such network."""
    settings = {
        "precisions": list(TORCH_WAYS.values()),
        "batch_size": config.train.batch_size,
        "window_steps": config.data.window_steps,
        "optimizer": {"adam": "Adam", "rmsprop": "RMSprop"}[config.optimizer.name],
        **config.model.to_dict(),
    }
    name = config.model.name
    if name == "token_lstm":
        number = model.vocabulary_size
        return settings | {"network": "tokens", "vocabulary_size": number}
    shape = model.representation.feature_specs.get("roll").shape[1:]
    if name == "biaxial_lstm":
        features = model.time_stack.layers[0].cell.kernel.shape[0]
        sizes = {"num_features": features, "num_pitches": shape[0]}
        return settings | sizes | {"network": "biaxial", "num_channels": shape[1]}
    if name == "frame_seq2seq":
        truth = config.model.teacher_forcing
        sizes = {"num_cells": shape[0] * shape[1], "truth": truth}
        return settings | sizes | {"network": "seq2seq"}
    if name not in ("roll_lstm", "next_frame_lstm"):
        return None
    sizes = {"num_hands": model.frames.num_hands, "num_keys": shape[-2] * shape[-1]}
    absent = {"branch_units": 0, "count_units": 0, "head_dropout": 0.0}
    head = {"key_units": config.model.get("head_units", 0)}
    return {"network": "roll"} | absent | head | sizes | settings


class Torch:
    """PyTorch's network of a family, in a process of its own."""

    def __init__(self, settings: dict):
        """Starts it; raises `OSError` where there is no PyTorch."""
        program = pathlib.Path(__file__).with_name("plain_torch.py")
        self._process = subprocess.Popen(
            [_TORCH.value, program, json.dumps(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        version, num_threads, size = self._process.stdout.readline().split()
        self.description = (
            f"PyTorch {version}, {num_threads} threads, {int(size):,} parameters"
        )

    def seconds(self, num_steps: int) -> list[float]:
        """What so many steps take, by each of the settings' precisions."""
        print(num_steps, file=self._process.stdin, flush=True)
        return [float(part) for part in self._process.stdout.readline().split()]

    def close(self) -> None:
        """Ends it."""
        self._process.stdin.close()
        self._process.wait()


def has_torch() -> bool:
    """Whether the Python of `--torch_python` has PyTorch; says so if not."""
    probe = [_TORCH.value, "-c", "import torch"]
    if subprocess.run(probe, capture_output=True).returncode == 0:
        return True
    print(f"PyTorch is left out: {_TORCH.value} does not have it (--torch_python)")
    return False


def make_calls(config, representation: Representation):
    """For each of `WAYS` a function that takes so many steps; and one of the models."""
    calls = {}
    for way, (precision, fast) in WAYS.items():
        if precision is None:
            precision = TrainSettings.from_config(config.train).mixed_precision
        keras.utils.set_random_seed(0)
        with dtype_policy(choose_policy(precision)):
            model = make_model(representation, config.model)
        model.build_model()
        model.compile_for_training(keras.optimizers.Adam(1e-3))
        batch = make_batch(model, config.train.batch_size, config.data.window_steps)
        data = tf.data.Dataset.from_tensors(batch).repeat()

        def call(num_steps, model=model, data=data):
            model.fit(data, epochs=1, steps_per_epoch=num_steps, verbose=0)

        # Layers look at it when they are traced.
        LSTM.is_fast = _IS_FAST if fast else False
        call(1)
        calls[way] = call
    return calls, model


def seconds_per_step(name: str, quick: bool, with_torch: bool) -> dict[str, float]:
    """The best of several turns of each way; the ways take turns."""
    config = load_config(FAMILIES[name])
    if quick and "segment_steps" not in config.model:
        config.data.window_steps //= 4
    representation = fit_vocabulary(make_representation(config.representation))
    calls, model = make_calls(config, representation)
    settings = torch_settings(model, config) if with_torch else None
    torch = Torch(settings) if settings else None
    times = {way: [] for way in calls}
    if torch:
        times |= {way: [] for way in TORCH_WAYS}
    start = time.perf_counter()
    calls["ours"](2)
    # A turn of half a second, beside which what `fit` does once is little.
    num_steps = int(np.clip(1 / (time.perf_counter() - start), 1, 50))
    # The best of many short turns is that of a quiet moment.
    for _ in range((3 if quick else 5) * (4 if num_steps > 1 else 1)):
        for way, call in calls.items():
            start = time.perf_counter()
            call(num_steps)
            times[way].append(time.perf_counter() - start)
        if torch:
            for way, seconds in zip(TORCH_WAYS, torch.seconds(num_steps), strict=True):
                times[way].append(seconds)
    print(
        f"{FAMILIES[name]}: batch {config.train.batch_size} x "
        f"{config.data.window_steps} steps, {model.count_params():,} parameters"
    )
    if torch:
        torch.close()
        print(f"  ({torch.description})")
    return {way: min(values) / num_steps for way, values in times.items()}


def plain_ratios(name: str, quick: bool, with_torch: bool) -> dict[str, float]:
    """How much faster the families without LSTM layers are than others, by claim."""
    config = load_config(f"configs/{name}.py:reference")
    torch = None
    if with_torch:
        settings = {
            **config.representation.to_dict(),
            **config.model.to_dict(),
            "network": name,
            # Alone, as ours: the autoencoder's layers are too small to gain by less,
            # and the WGAN's penalty on gradients is no place to save digits.
            "precisions": ["float32"],
            "batch_size": config.train.batch_size,
            "window_steps": config.data.window_steps,
            "optimizer": "Adam",
        }
        torch = Torch(settings)
    if name == "set_autoencoder":
        measured = plain_autoencoder.measure_autoencoder(
            "published sizes", config, 100 if quick else 500, 0, torch
        )
        ratios = {f"{name}_ratio": measured["padded"]}
    else:
        measured = plain_wgan.measure_wgan(
            4, 0, num_turns=3 if quick else 15, torch=torch
        )
        ratios = {f"{name}_ratio": measured["compiled"]}
    if torch:
        torch.close()
        print(f"  ({torch.description})")
        ratios[f"{name}_pytorch_float32_ratio"] = measured["PyTorch"]
    return ratios


def main(argv: list[str]) -> None:
    """Measures and prints."""
    del argv
    with_torch = has_torch()
    ratios = {}
    for name in _FAMILY.value or (*FAMILIES, *OTHERS):
        if name in OTHERS:
            ratios |= plain_ratios(name, _QUICK.value, with_torch)
            continue
        seconds = seconds_per_step(name, _QUICK.value, with_torch)
        baseline, *_ = seconds.values()
        batch = load_config(FAMILIES[name]).train.batch_size
        for way, value in seconds.items():
            print(
                f"  {way:18}{value * 1e3:10,.0f} ms/step{batch / value:10,.1f} "
                f"windows/s{baseline / value:8.2f}"
            )
        ratios[f"{name}_ratio"] = baseline / seconds["ours"]
        for way, label in TORCH_WAYS.items():
            if way in seconds:
                ours = seconds["ours, " + label if label == "float32" else "ours"]
                ratios[f"{name}_pytorch_{label}_ratio"] = seconds[way] / ours
    print(
        f"\nTensorFlow {tf.__version__}, {tf.config.list_logical_devices()[-1].name}; "
        f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores."
    )
    for name, ratio in ratios.items():
        print(f"training.{name} = {ratio:.2f}")


if __name__ == "__main__":
    app.run(main)
