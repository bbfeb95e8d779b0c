"""Training steps of set autoencoder and latent WGAN, against plain Keras models.

    python -m benchmarks.gan_step [--quick]

The plain autoencoders (`benchmarks.plain_autoencoder`), one in loops and one compiled,
get the same weights and the same chunks as ours, with as many events as those of
MAESTRO have on average, so that their first losses must be equal, which is checked.

The plain WGAN (`benchmarks.plain_wgan`) is written as Keras' own example of one is, of
the published sizes, run by `fit` in eager mode and compiled.
"""

import os

import ml_collections
import tensorflow as tf
from absl import app, flags

from benchmarks.plain_autoencoder import measure_autoencoder
from benchmarks.plain_wgan import measure_wgan
from tfmusic.config import load_config

_QUICK = flags.DEFINE_bool("quick", False, "Fewer steps.")


def main(argv: list[str]) -> None:
    """Measures and prints."""
    del argv
    num_steps, num_slow_steps = (100, 1) if _QUICK.value else (500, 5)
    reference = load_config("configs/set_autoencoder.py:reference")
    small = measure_autoencoder("published sizes", reference, num_steps, num_slow_steps)
    wide = measure_autoencoder("default sizes", widened(reference), num_steps, 0)
    wgan = measure_wgan(*((3, 2) if _QUICK.value else (20, 10)))
    print(f"\nTensorFlow {tf.__version__}, {os.cpu_count()} cores; medians of 3 turns.")
    print(f"gan_step.autoencoder_ratio = {small['loops']:.1f}")
    print(f"gan_step.autoencoder_padded_ratio = {small['padded']:.2f}")
    print(f"gan_step.autoencoder_wide_padded_ratio = {wide['padded']:.2f}")
    print(f"gan_step.wgan_ratio = {wgan['eager']:.2f}")
    print(f"gan_step.wgan_compiled_ratio = {wgan['compiled']:.2f}")


def widened(reference: ml_collections.ConfigDict) -> ml_collections.ConfigDict:
    """The reference's encoding and losses, with the default's layers and batches."""
    default = load_config("configs/set_autoencoder.py")
    config = reference.copy_and_resolve_references()
    for name in ("latent_size", "activation", "normalize", "residual"):
        config.model[name] = default.model[name]
    for name in ("value_units", "key_units", "size_units", "event_units"):
        config.model[name] = default.model[name]
    config.data.window_steps = default.data.window_steps
    config.train.batch_size = default.train.batch_size
    return config


if __name__ == "__main__":
    app.run(main)
