"""Training steps against the same network of Keras' own layers in float32.

    python -m benchmarks.training [--quick] [--family=NAME] [--torch_python=PATH]

Both are one and the same model, trained by `model.fit` on one and the same batch of
random music: ours as `tfmusic.train` would on this machine (the config's
`train.mixed_precision`, our own loop of LSTM layers on a CPU), the other with both
switched off. A third row has our loop in float32, the precision of the baseline. Each
network is measured at its source's settings and at the default ones, chords also with
other vocabularies. Set autoencoder and latent WGAN, which have no such layers, are
compared with the plain Keras networks of `benchmarks.gan_step`.

Where PyTorch is installed, or a Python that has it is named, the same network in it
(`benchmarks/plain_torch.py`) takes turns with these.

The last column is the share of what the processor can do: the multiplications of the
matrix products of a step, forward and backward, over those of one large product in the
same time and precision.

PyTorch's threads wait for each other, TensorFlow's do not: on a busy machine the former
take many times as long. So a machine with a load above 2 is refused;
--cpu_seconds measures there too, each on one thread by the seconds of processor that it
takes.
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
from benchmarks.registry import config_path, fit_vocabulary
from tfmusic.config import load_config
from tfmusic.models import MusicModel, make_model
from tfmusic.networks import fused
from tfmusic.networks.recurrence import LSTM
from tfmusic.representations import Representation, make_representation
from tfmusic.training.precision import choose_policy, dtype_policy
from tfmusic.training.settings import TrainSettings

_QUICK = flags.DEFINE_bool("quick", False, "Shorter windows, fewer repetitions.")
_TORCH = flags.DEFINE_string(
    "torch_python", sys.executable, "A Python that has PyTorch, to measure it too."
)
_CPU_SECONDS = flags.DEFINE_bool(
    "cpu_seconds", False, "Seconds of processor on one thread, for a busy machine."
)

# By the name of the claim, a config and how many chords its vocabulary has.
NETWORKS = {
    "skuldur": ("skuldur_lstm:reference", 391),
    "skuldur_default": ("skuldur_lstm", 391),
    "chord": ("chord_lstm:reference", 391),
    "chord_4386": ("chord_lstm:bach_chorales", 4386),
    "chord_8192": ("chord_lstm", 8192),
    "biaxial": ("biaxial_lstm:reference", 0),
    "biaxial_default": ("biaxial_lstm", 0),
    "two_hands": ("two_hands_lstm:reference", 0),
    "two_hands_default": ("two_hands_lstm", 0),
    "roll": ("roll_lstm:reference", 0),
    "roll_default": ("roll_lstm", 0),
    "performance": ("performance_lstm:reference", 0),
    "performance_default": ("performance_lstm", 0),
    "next_frame": ("next_frame_lstm:reference", 0),
    "next_frame_default": ("next_frame_lstm", 0),
    "seq2seq": ("frame_seq2seq:reference", 0),
    "seq2seq_default": ("frame_seq2seq", 0),
}
# Precision (None: as configured) and whether our loop of LSTM layers and compiled code
# are used.
WAYS = {
    "Keras, float32": ("none", False),
    "ours, float32": ("none", True),
    "ours": (None, True),
}
TORCH_WAYS = {"PyTorch, float32": "float32", "PyTorch, bfloat16": "bfloat16"}
_IS_FAST = LSTM.is_fast
# As of `fused`; empty: the processor's best.
LEVEL = os.environ.get(fused.VARIABLE, "")
# Families without LSTM layers.
OTHERS = ("set_autoencoder", "latent_wgan")
_FAMILY = flags.DEFINE_multi_enum(
    "family", None, [*NETWORKS, *OTHERS], "Measure this one alone; may be repeated."
)
MOST_LOAD = 2.0
PEAK_SIZE = 2048


def now() -> float:
    """Seconds, by the clock or of this process' threads together."""
    return time.process_time() if _CPU_SECONDS.value else time.perf_counter()


def multiplications(model: MusicModel, batch_size: int, window_steps: int) -> float:
    """Those of a training step's matrix products, forward and backward."""
    stacks = [weight for weight in model.trainable_weights if len(weight.shape) == 2]
    per_row = sum(np.prod(kernel.shape) for kernel in stacks)
    settings = model.settings
    if getattr(settings, "embedding_size", 0):
        # Of an embedding rows are picked; where it is tied it is the last product too.
        tied = settings.tied_output
        per_row -= 0 if tied else model.vocabulary_size * settings.embedding_size
    rows = batch_size * window_steps * getattr(model, "num_pitches", 1)
    return 3.0 * per_row * rows


def peak(dtype: str) -> float:
    """Multiplications a second of one large product."""
    ones = tf.ones([PEAK_SIZE, PEAK_SIZE], dtype)
    product = tf.function(lambda: tf.matmul(ones, ones), autograph=False)
    times = []
    for _ in range(10):
        start = now()
        product().numpy()
        times.append(now() - start)
    return PEAK_SIZE**3 / min(times)


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
        elif name == "tokens":
            most = model.vocabulary_size
            windows[name] = rng.integers(4, most, shape, np.int32)
        else:  # places: any that there are
            windows[name] = rng.integers(0, 2, shape, np.int32)
    seed = tf.constant([0, 0])
    return tf.vectorized_map(lambda w: model.example_fn(w, seed), windows)


def torch_settings(model: MusicModel, config) -> dict | None:
    """What `plain_torch.py` makes its network of; None: it has no such network."""
    settings = {
        "precisions": list(TORCH_WAYS.values()),
        "cpu_seconds": _CPU_SECONDS.value,
        "batch_size": config.train.batch_size,
        "window_steps": config.data.window_steps,
        "optimizer": {"adam": "Adam", "rmsprop": "RMSprop"}[config.optimizer.name],
        **config.model.to_dict(),
    }
    name = config.model.name
    if name in ("token_lstm", "chord_lstm"):
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

        # What is traced now looks at these.
        LSTM.is_fast = _IS_FAST if fast else False
        os.environ[fused.VARIABLE] = LEVEL if fast else "0"
        call(1)
        calls[way] = call
    return calls, model


def seconds_per_step(name: str, quick: bool, with_torch: bool) -> dict[str, float]:
    """The best of several turns of each way, which take turns; prints them."""
    family, vocabulary_size = NETWORKS[name]
    config = load_config(config_path(family))
    if quick and "segment_steps" not in config.model:
        config.data.window_steps //= 4
    representation = fit_vocabulary(
        make_representation(config.representation), vocabulary_size
    )
    calls, model = make_calls(config, representation)
    settings = torch_settings(model, config) if with_torch else None
    torch = Torch(settings) if settings else None
    times = {way: [] for way in calls}
    if torch:
        times |= {way: [] for way in TORCH_WAYS}
    start = now()
    calls["ours"](2)
    # A turn of half a second, beside which what `fit` does once is little.
    num_steps = int(np.clip(1 / (now() - start), 1, 50))
    # The best of many short turns is that of a quiet moment.
    for _ in range((3 if quick else 5) * (4 if num_steps > 1 else 1)):
        for way, call in calls.items():
            start = now()
            call(num_steps)
            times[way].append(now() - start)
        if torch:
            for way, seconds in zip(TORCH_WAYS, torch.seconds(num_steps), strict=True):
                times[way].append(seconds)
    sizes = config.train.batch_size, config.data.window_steps
    vocabulary = f", {model.vocabulary_size:,} tokens" if vocabulary_size else ""
    print(
        f"{name} ({family}): batch {sizes[0]} x {sizes[1]} steps, "
        f"{model.count_params():,} parameters{vocabulary}"
    )
    if torch:
        torch.close()
        print(f"  ({torch.description})")
    found = {way: min(values) / num_steps for way, values in times.items()}
    bounds = {"float32": peak("float32"), "bfloat16": peak("bfloat16")}
    policy = choose_policy(TrainSettings.from_config(config.train).mixed_precision)
    ours = "bfloat16" if "bfloat16" in policy else "float32"
    for way, value in found.items():
        dtype = ours if way == "ours" else way.split(", ")[1]
        share = multiplications(model, *sizes) / value / bounds[dtype]
        print(
            f"  {way:18}{value * 1e3:10,.1f} ms/step{sizes[0] / value:10,.1f} "
            f"windows/s{found['Keras, float32'] / value:8.2f}{share:8.0%} of the peak"
        )
        if way == "ours":
            found_share = share
    return found | {"share": found_share}


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
            "cpu_seconds": _CPU_SECONDS.value,
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
    load = os.getloadavg()[0]
    if _CPU_SECONDS.value:
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    elif load > MOST_LOAD:
        raise SystemExit(
            f"expected a load of at most {MOST_LOAD:g}, got {load:.1f}: wait until the "
            "machine has nothing else to do, or measure with --cpu_seconds"
        )
    with_torch = has_torch()
    ratios = {}
    for name in _FAMILY.value or (*NETWORKS, *OTHERS):
        if name in OTHERS:
            ratios |= plain_ratios(name, _QUICK.value, with_torch)
            continue
        seconds = seconds_per_step(name, _QUICK.value, with_torch)
        ratios[f"{name}_ratio"] = seconds["Keras, float32"] / seconds["ours"]
        ratios[f"{name}_peak_share"] = seconds["share"]
        for way, label in TORCH_WAYS.items():
            if way in seconds:
                ours = seconds["ours, " + label if label == "float32" else "ours"]
                ratios[f"{name}_pytorch_{label}_ratio"] = seconds[way] / ours
    print(
        f"\nTensorFlow {tf.__version__}, {tf.config.list_logical_devices()[-1].name}; "
        f"{'seconds of processor, one thread; ' if _CPU_SECONDS.value else ''}"
        f"load average {load:.1f} on {os.cpu_count()} cores."
    )
    for name, ratio in ratios.items():
        print(f"training.{name} = {ratio:.2f}")


if __name__ == "__main__":
    app.run(main)
