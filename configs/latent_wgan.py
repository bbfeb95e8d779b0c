"""Latent WGAN: sixteen seconds of expressive piano, pedals and all, from noise.

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

Variants:
    (default)    64 chunks of 75 latents; noise for each chunk beside that of the whole,
                 layers for each chunk alone, a critic that sees sums over time too,
                 and over the events that chunks are decoded to;
                 no bound on the outputs, layer normalisation in the generator and none
                 in the critic, penalty coefficient 10, the means of features matched;
                 a moving average of the generator's weights plays.
    reference    The source's networks and settings, for latents of the autoencoder's
                 variant of this name: 20 of them, 1.16 and 4.37 million
                 weights, instance normalisation, penalty coefficient 0.1, features
                 matched example by example, Adam at 0.0001, batches of 10.
    attention    A generator in which each chunk looks at those before it; pieces of any
                 length, which end where it says.
    recurrent    The same with recurrent layers.
    joint        The autoencoder learns on with the GAN; for a dataset written
                 --with_events.
    augmented    Windows in other keys and tempos; likewise.
    smoke        A minute on two cores.

Departures of `reference` from its source: latents are normalised, and the hyperbolic
tangent at the end reaches four standard deviations, where it cut off what lay beyond 1;
the critic takes each of its steps on a batch of its own, and each before a step of the
generator; windows start every 64 chunks at a phase that changes from pass to pass,
where the source goes from chunk to chunk; it learns from the training split alone, so
that there are pieces to validate on.

Measured on MAESTRO v3 (November 2026), 75 latents of the autoencoder's variant `robust`
after its 10,000 steps; all 8,000 steps of the default took 49 minutes of one core. Norm
of the critic's gradient between real and generated on the test split: 1.21; with
penalty coefficient 0.1, after 250 steps on the validation split: 23.4. Against 256
held-out samples of the test split, by tfmusic.evaluate:

                                            generated untrained shuffled held-out
    Frechet distance                              9.1     177.6      6.0      2.0
    Frechet distance of samples' mean chunks     2.98     60.56     4.81     0.91
    notes a second                                8.9      19.7     10.7     10.7
    overlap of what samples are like, mean       0.60      0.20     0.32     0.85
        notes a second                           0.81      0.13     0.37     0.79
        pitches at once                          0.68      0.32     0.65     0.88
        range of pitches                         0.43      0.11     0.32     0.86
        entropy of pitch classes                 0.30      0.14     0.05     0.79
        share of notes in a scale                0.29      0.20     0.11     0.86
        mean velocity                            0.84      0.29     0.41     0.81
        spread of velocities                     0.72      0.18     0.34     0.88
        time between strokes                     0.87      0.21     0.38     0.94
        share of time with sustain pedal         0.51      0.24     0.25     0.87
    overlap of histograms, mean                  0.90      0.80     0.96     0.96

Shuffled are real chunks in an order of chance: what is pooled over chunks they have by
definition. By each of the nine overlaps generated samples are nearer to real ones than
shuffled and untrained ones are: in density, dynamics and rhythm by far, in the use of
the pedal, which is down for 0.59 of the time instead of 0.74, by half; least in key,
where 8,000 steps are no better than 2,000 were (0.60 in the mean then too). No melody
goes through a sample.

Pedals that are an event of each chunk (`representation.chunks.split_pedals`) brought
the overlap of their use from 0.39 to 0.51: as events of the first chunk alone, long
ones came too seldom, and the pedal was down for 0.34 of the time after 3,000 steps.
Rates that fall brought the Frechet distance on the validation split from 12.5 after
3,000 steps to 9.8, and to 6.8 at the end. What had made the difference before, from
19.1 and 0.35 after 2,500 steps: noise for each chunk and layers for each chunk alone,
without which the variety within a sample is missed; a critic with a layer over sums
over time, without which samples differ three times as much in their whole as music does
and the distance stays near 18; and higher rates (after 110 steps 13.4 with 0.0004 and
0.0008 for the critic, 23.1 with 0.0002 for both; 0.0008 and 0.0016 do not learn). That
the critic sees what chunks are decoded to (`moments_coefficient`) brings the mean
overlap to 0.48 after 310 steps and 0.58 after 1,000, where 250 steps without it gave
0.38 and 6,000 gave 0.57; the distance of latents, which then weigh less, falls more
slowly (6.6 after those 6,000). One step of the critic for each of the generator is too
few (46 after 300 steps, where three gave 21 after 200), and bfloat16 is no faster.

Variants, their Frechet distance on the validation split from one early step to another,
before the critic saw what chunks are decoded to:
    attention    step 75: 115, step 225: 27; 4 to 256 chunks long, of 256
    recurrent    step 60: 100, step 120: 89; 19 to 256 long (this and below: 64 pieces)
    augmented    step 30: 36, step 60: 24
    joint        step 30: 35, step 60: 22; the autoencoder's own loss 0.59, then 0.73
    reference    step 20: 15.7, step 40: 15.7, of 20 latents; too early to tell
"""

import ml_collections

VARIANTS = (
    "",
    "reference",
    "attention",
    "recurrent",
    "joint",
    "augmented",
    "smoke",
)


def get_config(variant: str = "") -> ml_collections.ConfigDict:
    """The experiment; `variant` is one of those listed above."""
    if variant not in VARIANTS:
        raise ValueError(
            f"latent_wgan has no variant {variant!r}; it has {', '.join(VARIANTS[1:])}"
        )
    config = ml_collections.ConfigDict()
    config.name = "latent_wgan"
    config.seed = 0
    config.representation = ml_collections.ConfigDict(
        dict(
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
        )
    )
    config.data = ml_collections.ConfigDict(
        dict(
            key="original",  # as the chunks were written
            min_steps=64,
            window_steps=64,  # that of model.num_chunks
            window_stride=0,  # 0: as long as a window
            window_align_steps=1,
            transpose_semitones=0,  # up or down at most, drawn for each training window
            stretch=0.0,  # longer or shorter at most, likewise
            velocity_shift=0,  # louder or softer at most, likewise
        )
    )
    config.model = ml_collections.ConfigDict(
        dict(
            name="latent_wgan",
            num_chunks=64,
            generator="convolutional",  # or attention, recurrent
            noise_size=64,
            generator_channels=(256, 256, 192, 128, 96),
            generator_units=(256, 256),  # of attention and recurrent
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
        )
    )
    config.optimizer = ml_collections.ConfigDict(
        dict(
            name="adam",
            learning_rate=3e-4,
            schedule="cosine",
            warmup_steps=0,
            decay_rate=1.0,
            decay_epochs=0,  # 0: over the whole run
            clip_norm=0.0,
            clip_value=0.0,
            weight_decay=0.0,
            options=dict(beta_1=0.5, beta_2=0.9),
        )
    )
    config.train = ml_collections.ConfigDict(
        dict(
            batch_size=3 * 12,  # critic_steps batches
            eval_batch_size=64,
            num_epochs=8,
            steps_per_epoch=1000,
            early_stopping_epochs=0,  # 0: never
            keep_checkpoints=2,
            save_every_steps=500,  # 0: at the end of each epoch only
            distribute="auto",  # or mirrored, multi_worker, none
            scale_with_devices=False,
            shard_files=False,  # True: each worker reads only its share of them
            num_cpu_devices=0,
            sample_every_epochs=1,  # 0: never
            mixed_precision="none",  # a penalty on gradients is no place to save digits
            profile_steps=0,
        )
    )

    if variant == "reference":
        config.representation.latent_size = 20
        config.representation.chunks.split_pedals = False
        config.model.update(
            noise_size=50,
            generator_channels=(640, 320, 160, 80, 40),
            bound=4.0,
            critic_channels=(40, 80, 160, 320, 640),
            feature_size=1280,
            normalize="instance",
            normalize_critic="instance",
            chunk_units=(),
            local_noise=False,
            pool_all=False,
            average_decay=0.0,
            unit_chunks=False,
            moments_coefficient=0.0,
            penalty_coefficient=0.1,
            critic_steps=5,
            critic_rate=1.0,
            matching="pairs",
        )
        config.optimizer.update(learning_rate=1e-4, schedule="constant")
        config.optimizer.options = ml_collections.ConfigDict()
        config.train.update(batch_size=5 * 10, num_epochs=50, steps_per_epoch=0)
    elif variant in ("attention", "recurrent"):
        config.model.generator = variant
    elif variant in ("joint", "augmented"):
        config.representation.with_events = True
        if variant == "joint":
            config.model.joint = True
        else:
            config.data.update(transpose_semitones=5, stretch=0.1)
    elif variant == "smoke":
        config.data.window_steps = 16
        config.model.update(
            num_chunks=16,
            generator_channels=(128, 96, 64),
            critic_channels=(64, 96, 128),
            feature_size=128,
            chunk_units=(64, 64),
            critic_steps=2,
        )
        config.train.update(batch_size=2 * 16, num_epochs=2, steps_per_epoch=100)
    return config
