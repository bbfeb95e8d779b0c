"""Latent WGAN: textures of expressive piano, from noise.

Sixteen seconds of expressive piano, pedals and all, from noise.

Source: "TimeStepMusic" (E. Warner): a Wasserstein GAN with gradient penalty (Gulrajani
et al., 2017) over what a set autoencoder (configs/set_autoencoder.py) makes of quarters
of a second. It learns from a dataset of latents, which python -m
pipelines.encode_latents writes from one of event chunks and an exported autoencoder,
best the variant `robust` of configs/set_autoencoder.py.

    python -m pipelines.encode_latents --data_dir=chunks --model_dir=autoencoder \
        --output_dir=latents
    python -m tfmusic.train --config=configs/latent_wgan.py --data_dir=latents \
        --workdir=run
    python -m tfmusic.evaluate --workdir=run --data_dir=latents --split=test
    python -m tfmusic.export --workdir=run --export_dir=model
    python -m tfmusic.generate --model_dir=model --output_dir=music

A batch of training holds `model.critic_steps` batches, one for each step of the critic
that goes before a step of the generator. `loss` is the Frechet distance between real
and generated pairs of chunks: it tells the best weights, nothing trains on it.

Departures of `reference` from its source: latents are normalised, and the hyperbolic
tangent at the end reaches four standard deviations, where it cut off what lay beyond 1;
it learns from the training split alone, so that there are pieces to validate on. As in
the source a window starts at every chunk, and a tenth as many is the number of steps
that the critic takes in an epoch.

What was measured: docs/results/latent_wgan.md.
"""

from tfmusic.configs import common

DEFAULT = dict(
    name="latent_wgan",
    representation=dict(
        name="latents",
        latent_size=75,
        with_events=False,
        chunks=dict(
            name="event_chunks",
            steps_per_quarter=0,
            steps_per_second=960.0,
            chunk_seconds=0.25,
            max_events=15,
            pedal_bins=4,
            split_pedals=True,
        ),
    ),
    data=dict(min_steps=64, window_steps=64),
    model=dict(
        name="latent_wgan",
        num_chunks=64,
        generator="convolutional",  # recurrent, attention, recurrent_attention
        noise_size=64,
        generator_channels=(256, 256, 192, 128, 96),
        generator_units=(256, 256),  # of the others
        chunk_units=(256, 256),
        local_noise=True,
        num_heads=4,
        bound=0.0,  # 0: none
        critic_channels=(96, 128, 192, 256, 256),
        feature_size=256,
        normalize="layer",
        normalize_critic="none",
        pool_all=True,
        average_decay=0.999,
        unit_chunks=True,
        moments_coefficient=0.3,  # 0: the critic sees latents alone
        critic_steps=3,
        critic_rate=2.0,
        penalty_coefficient=10.0,
        matching="means",
        matching_coefficient=0.1,
        joint=False,
        joint_coefficient=0.01,
    ),
    optimizer=dict(
        learning_rate=0.0003,
        warmup_steps=0,
        clip_norm=0.0,
        options=dict(beta_1=0.5, beta_2=0.9),
    ),
    train=dict(
        batch_size=36,
        eval_batch_size=64,
        num_epochs=8,
        steps_per_epoch=1000,
        mixed_precision="none",
    ),
)
VARIANTS = {
    "": (
        "64 chunks of 75 latents; noise for each chunk beside that of the whole, "
        "layers for each chunk alone, a critic that sees sums over time too, and "
        "over the events that chunks are decoded to; no bound on the outputs, layer "
        "normalisation in the generator and none in the critic, penalty coefficient "
        "10, the means of features matched; a moving average of the generator's "
        "weights plays.",
        dict(),
    ),
    "reference": (
        "The source's networks and settings, for latents of the autoencoder's "
        "variant of this name: 20 of them, 1.16 and 4.37 million weights, instance "
        "normalisation, penalty coefficient 0.1, features matched example by "
        "example, Adam at 0.0001, batches of 10.",
        dict(
            representation=dict(latent_size=20, chunks=dict(split_pedals=False)),
            data=dict(window_stride=1),
            model=dict(
                noise_size=50,
                generator_channels=(640, 320, 160, 80, 40),
                chunk_units=(),
                local_noise=False,
                bound=4.0,
                critic_channels=(40, 80, 160, 320, 640),
                feature_size=1280,
                normalize="instance",
                normalize_critic="instance",
                pool_all=False,
                average_decay=0.0,
                unit_chunks=False,
                moments_coefficient=0.0,
                critic_steps=5,
                critic_rate=1.0,
                penalty_coefficient=0.1,
                matching="pairs",
            ),
            optimizer=dict(learning_rate=0.0001, schedule="constant", options=dict()),
            train=dict(
                batch_size=50, num_epochs=50, steps_per_epoch=0, min_steps_per_epoch=0
            ),
        ),
    ),
    "attention": (
        "A generator in which each chunk looks at those before it; pieces of any "
        "length, which end where it says.",
        dict(model=dict(generator="attention")),
    ),
    "recurrent": (
        "The same with recurrent layers. After 300 steps still far from music, see "
        "docs/results/latent_wgan.md.",
        dict(model=dict(generator="recurrent")),
    ),
    "recurrent_attention": (
        "Recurrent layers, each of which also looks back at all chunks before. After "
        "800 steps still far from music, likewise.",
        dict(model=dict(generator="recurrent_attention")),
    ),
    "joint": (
        "The autoencoder learns on with the GAN; for a dataset written --with_events.",
        dict(representation=dict(with_events=True), model=dict(joint=True)),
    ),
    "augmented": (
        "Windows in other keys and tempos; likewise.",
        dict(
            representation=dict(with_events=True),
            data=dict(transpose_semitones=5, stretch=0.1),
        ),
    ),
    "smoke": (
        "A minute on two cores.",
        dict(
            data=dict(window_steps=16),
            model=dict(
                num_chunks=16,
                generator_channels=(128, 96, 64),
                chunk_units=(64, 64),
                critic_channels=(64, 96, 128),
                feature_size=128,
                critic_steps=2,
            ),
            train=dict(batch_size=32, num_epochs=2, steps_per_epoch=100),
        ),
    ),
}


def get_config(variant: str = ""):
    """The experiment; `variant` is one of `VARIANTS`."""
    return common.experiment(DEFAULT, VARIANTS, variant)
