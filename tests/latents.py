"""Small datasets of latents, written without the job."""

import dataclasses
import functools

import numpy as np

from tests.data.builders import write_dataset
from tfmusic.data import weights
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
    model = SetAutoencoder(events, **network)
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
