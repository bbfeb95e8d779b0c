"""Small datasets of latents, written without the job."""

import dataclasses
import functools

import keras
import numpy as np
import tensorflow as tf

from tests.data.builders import write_dataset
from tfmusic.data import weights
from tfmusic.models import make_model
from tfmusic.models.set_autoencoder import SetAutoencoder
from tfmusic.representations import make_representation

CHUNKS = {
    "name": "event_chunks",
    "steps_per_quarter": 0,
    "steps_per_second": 960.0,
    "chunk_seconds": 0.25,
    "max_events": 5,
    "duration_lognormal": (1.2, 95.0),
}
LENGTHS = {"train": [40, 61, 17, 33], "validation": [40, 35], "test": [50]}


@functools.cache
def make_latents(seed=1, with_events=False, latent_size=6, **chunks):
    """The representation of a small autoencoder's latents, and its weights."""
    network = {
        "latent_size": latent_size,
        "value_units": (8,),
        "key_units": (8,),
        "size_units": (8,),
        "event_units": (8,),
    }
    events = make_representation({**CHUNKS, **chunks})
    model = SetAutoencoder(events, SetAutoencoder.Settings(**network))
    model.build_model()
    random = np.random.default_rng(seed)
    arrays = [
        random.normal(0, 0.3, w.shape).astype(np.float32) for w in model.get_weights()
    ]
    representation = make_representation(
        {
            "name": "latents",
            "chunks": events.to_config(),
            "latent_size": latent_size,
            "with_events": with_events,
            "autoencoder": weights.fingerprint(arrays, events),
            "network": {"name": "set_autoencoder", **network},
            "means": random.normal(0, 1, latent_size).tolist(),
            "deviations": random.uniform(0.5, 2, latent_size).tolist(),
        }
    )
    return representation, arrays


def make_piece(representation, num_steps, number):
    """Latents that go up and down, and events where the representation has them."""
    random = np.random.default_rng(number)
    phases = random.uniform(0, 6, representation.latent_size)
    steps = np.arange(num_steps)[:, None]
    piece = {"latents": np.sin(steps / 3 + phases).astype(np.float32)}
    if representation.with_events:
        size = representation.chunks.max_events
        shape = (num_steps, size)
        columns = [
            random.integers(20, 60, shape),
            random.integers(0, representation.chunks.chunk_steps, shape),
            random.integers(50, 400, shape),
            random.integers(30, 100, shape),
        ]
        counts = random.integers(0, size + 1, num_steps)
        used = np.arange(size) < counts[:, None]
        events = np.stack(columns, axis=-1) * used[..., None]
        piece |= {"events": events, "num_events": counts}
    return piece


def write_latents_dataset(path, lengths=None, **settings):
    """Writes pieces of latents and the autoencoder's weights; gives the directory."""
    representation, arrays = make_latents(**settings)
    write_dataset(
        str(path),
        lengths or LENGTHS,
        representation,
        lambda num_steps, number: make_piece(representation, num_steps, number),
    )
    weights.save_weights(arrays, str(path))
    return str(path)


def unnormalized(representation):
    """The same representation with latents as the autoencoder gives them."""
    size = representation.latent_size
    return dataclasses.replace(
        representation, means=(0.0,) * size, deviations=(1.0,) * size
    )


SMALL_WGAN = dict(
    name="latent_wgan",
    num_chunks=8,
    noise_size=6,
    generator_channels=(8, 6),
    generator_units=(8, 8),
    chunk_units=(8, 8),
    num_heads=2,
    critic_channels=(6, 8),
    feature_size=8,
    critic_steps=2,
)


def make_latent_wgan(seed=1, with_events=False, **settings):
    """A small latent WGAN with the weights of its autoencoder."""
    keras.utils.set_random_seed(seed)
    representation, arrays = make_latents(with_events=with_events)
    model = make_model(representation, {**SMALL_WGAN, **settings})
    model.build_model()
    for variable, array in zip(model.autoencoder.variables, arrays, strict=True):
        variable.assign(array)
    return model


def make_batch(model, num_rows, seed=0):
    """Windows as a dataset gives them: inputs, and which chunks are in the piece."""
    kind, length = model.representation, model.num_chunks
    names = ["events", "num_events"] if kind.with_events else ["latents"]
    pieces = [make_piece(kind, length, seed + i) for i in range(num_rows)]
    x = {name: tf.constant(np.stack([p[name] for p in pieces])) for name in names}
    x = {n: tf.cast(v, tf.int32) if v.dtype.is_integer else v for n, v in x.items()}
    x["seed"] = tf.constant([[seed, i] for i in range(num_rows)], tf.int32)
    inside = np.ones([num_rows, length], np.float32)
    inside[0, length // 2 :] = 0.0 if model.form.has_end else 1.0
    return x, {}, tf.constant(inside)
