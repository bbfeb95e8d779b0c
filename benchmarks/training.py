"""Training steps against the same network of Keras' own layers in float32.

    python -m benchmarks.training [--quick] [--family=NAME]

Both are one and the same model at its reference setting, trained by `model.fit` on one
and the same batch of random music: ours as `tfmusic.train` would on this machine
(`train.mixed_precision = "auto"`, our own loop of LSTM layers on a CPU), the other with
both switched off. A third row has our loop in float32, the precision of the baseline.
"""

import time

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags

from tfmusic.config import load_config
from tfmusic.models import MusicModel, make_model
from tfmusic.recurrence import LSTM
from tfmusic.representations import Representation, make_representation
from tfmusic.training.precision import choose_computation, dtype_policy

_QUICK = flags.DEFINE_bool("quick", False, "Shorter windows, fewer repetitions.")
_FAMILY = flags.DEFINE_string("family", None, "Measure this one alone.")

# Name of the claim, config and variant. A new family is a line here.
FAMILIES = {
    "skuldur": "configs/skuldur_lstm.py:reference",
    "chord": "configs/chord_lstm.py:reference",
    "biaxial": "configs/biaxial_lstm.py:reference",
    "two_hands": "configs/two_hands_lstm.py:reference",
}
# Precision and whether our loop is used.
WAYS = {
    "Keras, float32": ("none", False),
    "ours, float32": ("none", True),
    "ours": ("auto", True),
}
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


def seconds_per_step(name: str, quick: bool) -> dict[str, float]:
    """The best of several turns of each way; the ways take turns."""
    config = load_config(FAMILIES[name])
    batch_size = config.train.batch_size
    window_steps = config.data.window_steps // (4 if quick else 1)
    repetitions, num_steps = (3, 1) if quick else (5, 2)
    representation = fit_vocabulary(make_representation(config.representation))
    calls = {}
    for way, (precision, fast) in WAYS.items():
        keras.utils.set_random_seed(0)
        with dtype_policy(choose_computation(precision, fast)):
            model = make_model(representation, config.model)
        model.build_model()
        model.compile_for_training(keras.optimizers.Adam(1e-3))
        data = tf.data.Dataset.from_tensors(make_batch(model, batch_size, window_steps))
        data = data.repeat()

        def call(model=model, data=data):
            model.fit(data, epochs=1, steps_per_epoch=num_steps, verbose=0)

        LSTM.enabled = fast  # layers look at it when they are traced
        call()
        calls[way] = call
    times = {way: [] for way in calls}
    for _ in range(repetitions):
        for way, call in calls.items():
            start = time.perf_counter()
            call()
            times[way].append((time.perf_counter() - start) / num_steps)
    print(
        f"{FAMILIES[name]}: batch {batch_size} x {window_steps} steps, "
        f"{model.count_params():,} parameters"
    )
    return {way: min(values) for way, values in times.items()}


def main(argv: list[str]) -> None:
    """Measures and prints."""
    del argv
    names = [_FAMILY.value] if _FAMILY.value else list(FAMILIES)
    ratios = {}
    for name in names:
        seconds = seconds_per_step(name, _QUICK.value)
        baseline, *_ = seconds.values()
        batch = load_config(FAMILIES[name]).train.batch_size
        for way, value in seconds.items():
            print(
                f"  {way:18}{value * 1e3:10,.0f} ms/step{batch / value:10,.1f} "
                f"windows/s{baseline / value:8.2f}"
            )
        ratios[name] = baseline / seconds["ours"]
    print(
        f"\nTensorFlow {tf.__version__}, {tf.config.list_logical_devices()[-1].name}."
    )
    for name, ratio in ratios.items():
        print(f"training.{name}_ratio = {ratio:.2f}")


if __name__ == "__main__":
    app.run(main)
