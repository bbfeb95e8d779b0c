"""Set autoencoders in plain Keras, to measure ours against.

One goes about it as "TimeStepMusic" does, in eager mode: a Python loop turns event
after event into its vector, and another encodes, decodes and compares chunk after
chunk. The other is what Keras is good at: vectors made beforehand, all slots of all
chunks at once and the unused ones masked, compiled by `fit`.
"""

import math
import time

import keras
import ml_collections
import numpy as np
import tensorflow as tf

from tfmusic.models import make_model
from tfmusic.models.set_autoencoder import SetAutoencoder
from tfmusic.representations import make_representation

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


class PaddedAutoencoder(keras.Model):
    """The layers of a `SetAutoencoder`, on all slots whether they are used or not."""

    def __init__(self, model: SetAutoencoder):
        super().__init__()
        self.model = model
        self.max_events = model.representation.max_events

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        """The loss was made by `call`."""
        del x, y, sample_weight, training
        return y_pred

    def call(self, inputs):
        """The mean loss of vectors `[batch, event, 6]` and sizes `[batch]`."""
        vectors, sizes = inputs
        model = self.model
        used = tf.sequence_mask(sizes, self.max_events)
        scores = tf.where(used, model.order(vectors)[..., 0], tf.float32.max)
        order = tf.argsort(scores, axis=-1, stable=True)
        vectors = tf.gather(vectors, order, batch_dims=1)
        weight = tf.cast(used, tf.float32)
        slots = tf.eye(self.max_events)
        values = model.values(vectors) * model.value_keys.perceptron(slots)
        number = tf.cast(sizes, tf.float32)[:, None]
        latents = tf.reduce_sum(values * weight[..., None], axis=1)
        latents += model.of_size(number)
        keys = model.event_keys.perceptron(slots)
        errors = tf.square(model.events(latents[:, None] * keys) - vectors)
        is_key = tf.cast(vectors[..., 0] < 0.1, tf.float32)
        loss = errors[..., 0] + is_key * (errors[..., 1] + errors[..., 2])
        loss += model.continuous_coefficient * tf.reduce_mean(errors[..., 3:], axis=-1)
        size_loss = tf.square(model.sizes(latents) - number)[:, 0]
        total = tf.reduce_sum(weight * loss, axis=-1)
        return tf.reduce_mean(total + model.size_coefficient * size_loss)


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


def make_autoencoder(config: ml_collections.ConfigDict) -> SetAutoencoder:
    """The config's, ready to train."""
    representation = make_representation(
        {**config.representation, "duration_lognormal": DURATIONS}
    )
    keras.utils.set_random_seed(0)
    model = make_model(representation, config.model)
    model.build_model()
    model.compile_for_training(keras.optimizers.Adam(config.optimizer.learning_rate))
    return model


def measure_autoencoder(
    title: str,
    config: ml_collections.ConfigDict,
    num_steps: int,
    num_slow_steps: int,
    torch=None,
) -> dict[str, float]:
    """Prints steps a second of all, taking turns; by baseline, how much faster we are.

    Args:
        title: Of the table.
        config: With encoding "pon".
        num_steps: Of each turn.
        num_slow_steps: Of each turn of the loops; 0: without them.
        torch: A `benchmarks.training.Torch` to take turns with these; None: without it.

    Raises:
        AssertionError: They do not reckon the same.
    """
    rate = config.optimizer.learning_rate
    windows, steps = config.train.batch_size, config.data.window_steps
    ours = make_autoencoder(config)
    padded = PaddedAutoencoder(make_autoencoder(config))
    padded.compile(keras.optimizers.Adam(rate))
    looping = LoopingAutoencoder(make_autoencoder(config))
    looping.compile(keras.optimizers.Adam(rate), run_eagerly=True)

    events, sizes = make_chunks(windows * steps, 15, seed=0)
    vectors = ours.representation.to_vectors(events, "pon").astype(np.float32)
    batch = {
        "events": tf.reshape(events, [windows, steps, 15, 4]),
        "num_events": tf.reshape(sizes, [windows, steps]),
    }
    runs = {
        "tfmusic": (ours, (batch, {}, tf.ones([windows, steps])), num_steps),
        "padded": (padded, ((vectors, sizes),), num_steps),
        "loops": (looping, ((events, sizes),), num_slow_steps),
    }
    if not num_slow_steps:
        del runs["loops"]

    def fit(model, data, num_steps):
        batches = tf.data.Dataset.from_tensors(data).repeat(num_steps)
        start = time.perf_counter()
        history = model.fit(batches, verbose=0, shuffle=False)
        return (time.perf_counter() - start) / num_steps, history.history["loss"][0]

    losses = [fit(model, data, 1)[1] for model, data, _ in runs.values()]  # traces
    if not np.allclose(losses, losses[0], rtol=1e-4):
        raise AssertionError(f"the first losses differ: {losses}")
    calls = {name: lambda run=run: fit(*run)[0] for name, run in runs.items()}
    if torch:
        calls["PyTorch"] = lambda: torch.seconds(num_steps)[0] / num_steps
    times = [[call() for call in calls.values()] for _ in range(3)]
    seconds = dict(zip(calls, np.median(times, axis=0), strict=True))
    print(f"{f'{title}, {windows * steps} chunks a step':40}{'steps/s':>10}")
    for name, value in seconds.items():
        print(f"  {name:38}{1 / value:10.2f}")
    print(f"  ({ours.count_params():,} parameters)")
    return {name: value / seconds["tfmusic"] for name, value in seconds.items()}
