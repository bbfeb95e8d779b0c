"""Set autoencoder: a quarter second of piano as a vector.

The notes and pedals of a quarter of a second as one vector.

Source: "TimeStepMusic" (E. Warner), after Kortvelesy, Morad and Prorok,
"Permutation-Invariant Set Autoencoders with Fixed-Size Embeddings for Multi-Agent
Learning", 2023. A chunk's events are ranked by a learned score; each becomes a value,
multiplied with the key of its rank, and the sum of all is the chunk's latent vector.
Its size and, by the keys again, its events are predicted from that. Made for played
performances with pedals, such as MAESTRO; the first half of a generator of such vectors
(`pipelines.encode_latents`).

Departures of `reference` from its source: all chunks hold up to 15 events, the first
too, and of more the longest are kept; sets that are full come back; the loss is summed
over a chunk's true events, where the source averages those that the predicted size
leaves.

Departures of the default: keys know of the set's size and keep their length, which
makes learning several times as fast; the order can be learned; durations by their
logarithm, without which long pedals end early; a pedal that stays down is an event of
every chunk in which it does.

What was measured: docs/results/set_autoencoder.md.
"""

from tfmusic.configs import common

DEFAULT = dict(
    name="set_autoencoder",
    representation=dict(
        name="event_chunks",
        steps_per_quarter=0,
        steps_per_second=960.0,
        chunk_seconds=0.25,
        max_events=15,
        pedal_bins=4,
        split_pedals=True,  # a held pedal is an event of each chunk
    ),
    data=dict(min_steps=64, window_steps=32),
    model=dict(
        name="set_autoencoder",
        latent_size=75,
        encoding="ponOHE",
        durations="logarithm",
        value_units=(256, 256),
        key_units=(64,),
        size_units=(128,),
        event_units=(256, 256),
        activation="relu",
        normalize=False,
        residual=True,
        keys_by_size=True,
        normalize_keys=True,
        learn_order=True,
        size_output="classes",
        continuous_coefficient=10.0,
        size_coefficient=1.0,
        latent_noise=0.0,
    ),
    optimizer=dict(learning_rate=0.001, warmup_steps=200),
    train=dict(
        batch_size=8,
        eval_batch_size=64,
        num_epochs=5,
        steps_per_epoch=2000,
        mixed_precision="none",
    ),
)
VARIANTS = {
    "": (
        "75 latents, the size that the source's text calls best; events one-hot by "
        "pedal, octave and note; wider networks, batches of 256 chunks.",
        dict(),
    ),
    "robust": (
        "The same, taught with noise on the latents, so that what is only near to "
        "them is music too; for generators, see configs/latent_wgan.py.",
        dict(model=dict(latent_noise=0.4)),
    ),
    "latents20": (
        "The same with 20 latents.",
        dict(model=dict(latent_size=20)),
    ),
    "reference": (
        "The source's code: 20 latents, networks of 2,374 weights, each event six "
        "numbers, Adam at 0.0001, batches of 100 chunks, 75 epochs.",
        dict(
            representation=dict(split_pedals=False),
            data=dict(window_steps=20),
            model=dict(
                latent_size=20,
                encoding="pon",
                durations="share",
                value_units=(13,),
                key_units=(17,),
                size_units=(10,),
                event_units=(13,),
                activation="mish",
                normalize=True,
                residual=False,
                keys_by_size=False,
                normalize_keys=False,
                learn_order=False,
                size_output="number",
                continuous_coefficient=1.0,
                size_coefficient=0.001,
            ),
            optimizer=dict(
                learning_rate=0.0001, schedule="constant", warmup_steps=0, clip_norm=0.0
            ),
            train=dict(
                batch_size=5, num_epochs=75, steps_per_epoch=0, min_steps_per_epoch=0
            ),
        ),
    ),
    "smoke": (
        "A minute on two cores.",
        dict(train=dict(num_epochs=2, steps_per_epoch=200)),
    ),
}


def get_config(variant: str = ""):
    """The experiment; `variant` is one of `VARIANTS`."""
    return common.experiment(DEFAULT, VARIANTS, variant)
