"""Training steps of the set autoencoder, against loops over chunks and events.

    python -m benchmarks.gan_step [--quick]

The baseline is a plain Keras model of the same layers, trained by `fit` in eager mode,
as "TimeStepMusic" goes about it: a Python loop turns event after event into its vector,
and another encodes, decodes and compares chunk after chunk. Both get the same weights
and the same chunks, whose sizes are distributed as in MAESTRO, so that their first
losses must be equal, which is checked.
"""

import math
import os
import time

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags

from tfmusic.config import load_config
from tfmusic.models import make_model
from tfmusic.models.set_autoencoder import SetAutoencoder
from tfmusic.representations import make_representation

_QUICK = flags.DEFINE_bool("quick", False, "Fewer steps.")

CONFIG = "configs/set_autoencoder.py:reference"
# The mean of events in a chunk of 0.25 s of MAESTRO, and of their durations' spread.
EVENTS_PER_CHUNK = 3.5
DURATIONS = (1.2, 95.0)


class LoopingAutoencoder(keras.Model):
    """The layers of a `SetAutoencoder`, one chunk and one event at a time."""

    def __init__(self, model: SetAutoencoder):
        super().__init__()
        self.model = model
        self.kind = model.representation

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        """The loss was made by `call`."""
        del x, y, sample_weight, training
        return y_pred

    def call(self, inputs):
        """The mean loss of chunks `[batch, event, 4]` and sizes `[batch]`."""
        events, num_events = (array.numpy() for array in inputs)
        losses = [
            self.chunk_loss(chunk[:count])
            for chunk, count in zip(events, num_events, strict=True)
        ]
        return tf.add_n(losses) / len(losses)

    def vector(self, event: np.ndarray) -> list[float]:
        """An event as six numbers: pedal, octave, note, start, duration, intensity."""
        number, start, duration, intensity = event.tolist()
        octave, note = divmod(number, 12)
        pedal = max(number - 87, 0) / 3
        keys = (0.0, 0.0) if pedal else ((octave - 3.5) / 3.5, (note - 5.5) / 5.5)
        shape, median = self.kind.duration_lognormal
        deviation = math.log(duration / median) / shape
        return [
            pedal,
            *keys,
            2 * start / self.kind.chunk_steps - 1,
            0.5 * math.erfc(-deviation / math.sqrt(2)),
            (intensity - 64) / 64,
        ]

    def chunk_loss(self, chunk: np.ndarray) -> tf.Tensor:
        """Encodes and decodes one chunk, `[event, 4]`."""
        model, size = self.model, len(chunk)
        slots = tf.eye(self.kind.max_events)
        latent = model.of_size(tf.constant([[float(size)]]))
        if size:
            vectors = tf.constant([self.vector(event) for event in chunk])
            order = tf.argsort(model.order(vectors)[:, 0], stable=True)
            vectors = tf.gather(vectors, order)
            keys = model.value_keys.perceptron(slots)[:size]
            values = model.values(vectors) * keys
            latent += tf.reduce_sum(values, axis=0, keepdims=True)
        loss = model.size_coefficient * tf.square(model.sizes(latent)[0, 0] - size)
        if not size:
            return loss
        keys = model.event_keys.perceptron(slots)[:size]
        errors = tf.square(model.events(latent * keys) - vectors)
        for i in range(size):
            is_key = float(vectors[i, 0] < 0.1)
            loss += errors[i, 0] + is_key * (errors[i, 1] + errors[i, 2])
            loss += model.continuous_coefficient * tf.reduce_mean(errors[i, 3:])
        return loss


def make_chunks(num_chunks: int, max_events: int, seed: int):
    """Chunks of random events, int32 [num_chunks, event, 4], and their sizes."""
    random = np.random.default_rng(seed)
    shape = (num_chunks, max_events)
    events = [
        random.integers(0, 91, shape),
        random.integers(0, 240, shape),
        np.exp(random.normal(math.log(DURATIONS[1]), DURATIONS[0], shape)) + 1,
        random.integers(1, 128, shape),
    ]
    sizes = np.minimum(random.geometric(1 / (EVENTS_PER_CHUNK + 1), num_chunks) - 1, 15)
    return np.stack(events, axis=-1).astype(np.int32), sizes.astype(np.int32)


def make_autoencoder() -> SetAutoencoder:
    """The reference system's, ready to train."""
    config = load_config(CONFIG)
    representation = make_representation(
        {**config.representation, "duration_lognormal": DURATIONS}
    )
    keras.utils.set_random_seed(0)
    model = make_model(representation, config.model)
    model.build_model()
    model.compile_for_training(keras.optimizers.Adam(config.optimizer.learning_rate))
    return model


def measure_autoencoder(num_steps: int, num_slow_steps: int) -> float:
    """Prints steps a second of both, taking turns, and gives their ratio."""
    config = load_config(CONFIG)
    windows, steps = config.train.batch_size, config.data.window_steps
    ours, theirs = make_autoencoder(), LoopingAutoencoder(make_autoencoder())
    theirs.compile(
        keras.optimizers.Adam(config.optimizer.learning_rate), run_eagerly=True
    )
    events, sizes = make_chunks(windows * steps, 15, seed=0)
    batch = {
        "events": tf.reshape(events, [windows, steps, 15, 4]),
        "num_events": tf.reshape(sizes, [windows, steps]),
    }
    one = tf.data.Dataset.from_tensors((batch, {}, tf.ones([windows, steps])))
    slow = tf.data.Dataset.from_tensors(((events, sizes),))

    def seconds(model, dataset, num_steps):
        start = time.perf_counter()
        history = model.fit(dataset.repeat(num_steps), verbose=0)
        return (time.perf_counter() - start) / num_steps, history.history["loss"][0]

    _, loss = seconds(ours, one, 1)  # traces
    _, other = seconds(theirs, slow, 1)
    if not math.isclose(loss, other, rel_tol=1e-4):
        raise AssertionError(f"the first losses differ: {loss} and {other}")
    times = np.array(
        [
            (
                seconds(ours, one, num_steps)[0],
                seconds(theirs, slow, num_slow_steps)[0],
            )
            for _ in range(3)
        ]
    )
    fast, looping = np.median(times, axis=0)
    print(f"{'autoencoder, batches of 100 chunks':40}{'steps/s':>10}")
    print(f"{'  tfmusic':40}{1 / fast:10.1f}")
    print(f"{'  loops over chunks and events, eager fit':40}{1 / looping:10.2f}")
    return looping / fast


def main(argv: list[str]) -> None:
    """Measures and prints."""
    del argv
    num_steps, num_slow_steps = (100, 2) if _QUICK.value else (500, 5)
    ratio = measure_autoencoder(num_steps, num_slow_steps)
    print(f"\nTensorFlow {tf.__version__}, {os.cpu_count()} cores; medians of 3 turns.")
    print(f"gan_step.autoencoder_ratio = {ratio:.1f}")


if __name__ == "__main__":
    app.run(main)
