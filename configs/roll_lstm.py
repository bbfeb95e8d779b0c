"""Factorised baseline: one recurrent layer over one roll, every key by itself.

Source: the LSTM rows beside which polyphonic models are published on the four sets of
Boulanger-Lewandowski et al. (2012): Chung et al. 2014, Bai et al. 2018, Pascanu et al.
2013. Given all frames before, the keys of a frame are independent of each other.

Variants:
    (default)   For JSB Chorales, frames of a quarter note.
    eighths     For the other three sets: frames of an eighth, and as many steps of
                training for each, as they differ much in size.
    reference   The size of Chung et al.'s LSTM: 36 units, no layer before the logits,
                RMSprop; without their noise on the weights. Their batches are not
                published.
    smoke       A minute on two cores.

JSB Chorales, published split, nats a frame summed over 88 keys (Chung et al. -8.67, Bai
et al. -8.45, the biaxial network -5.86):

    python -m pipelines.build_tfrecords --config=configs/roll_lstm.py --output_dir=data
        --source=boulanger_lewandowski:JSB_Chorales.mat
    python -m tfmusic.train --config=configs/roll_lstm.py --data_dir=data --workdir=run
    python -m tfmusic.evaluate --workdir=run --data_dir=data --split=test

Test: -8.43 (standard error 0.11) after 6 minutes on two cores that others used as well.
Validation, nats a frame: 9.33 after 8 epochs, 8.73 after 16, 8.53 after 24, 8.41 after
32, 8.36 after 40, the lowest 8.32 after 49; stopped after 64. What validation found
worse: transposition by up to 2 semitones with batches of 8 (8.7 after 40 epochs, since
all these pieces stand in one key), and two layers of 200 with half their values dropped
(9.2 after 65).

The other sets, with `:eighths` in the first two commands and another file:
Piano_midi.mat -7.57 (standard error 0.26 over 25 pieces; Chung et al. -9.03, RRU -7.54)
after all 1,000 steps, 27 minutes of one busy core.
"""

import ml_collections

VARIANTS = ("", "eighths", "reference", "smoke")


def get_config(variant: str = "") -> ml_collections.ConfigDict:
    """The experiment; `variant` is one of those listed above."""
    if variant not in VARIANTS:
        raise ValueError(
            f"roll_lstm has no variant {variant!r}; it has {', '.join(VARIANTS[1:])}"
        )
    config = ml_collections.ConfigDict()
    config.name = "roll_lstm"
    config.seed = 0
    config.representation = ml_collections.ConfigDict(
        dict(
            name="binary_roll",
            steps_per_quarter=1,
            steps_per_second=0.0,
            qpm=120.0,
            velocity=80,
            onsets=False,
        )
    )
    config.data = ml_collections.ConfigDict(
        dict(
            key="original",  # "C" moves each piece to C major or A minor
            min_steps=1,  # shorter pieces are dropped by the job
            window_steps=160,
            window_stride=0,
            window_align_steps=1,  # steps of a beat or bar, for windows to begin there
            transpose_semitones=0,  # up or down at most, drawn for each training window
        )
    )
    config.model = ml_collections.ConfigDict(
        dict(
            name="roll_lstm",
            units=(256,),
            dropout=0.3,
            branch_units=0,
            key_units=128,
            count_units=0,
            key_loss_coefficient=88.0,  # the mean over 88 keys in nats a frame
            count_loss_coefficient=0.0,
            key_weights="none",
            max_key_weight=100.0,
            key_chains=False,  # True: learning begins where each key goes on by itself
            loss_steps="all",
        )
    )
    config.optimizer = ml_collections.ConfigDict(
        dict(
            name="adam",
            learning_rate=3e-3,
            schedule="cosine",
            warmup_steps=20,
            decay_rate=1.0,
            decay_epochs=0,  # 0: over the whole run
            clip_norm=1.0,
            clip_value=0.0,
            weight_decay=0.0,
            options=dict(),
        )
    )
    config.train = ml_collections.ConfigDict(
        dict(
            batch_size=16,
            eval_batch_size=16,
            num_epochs=100,
            steps_per_epoch=0,  # 0: one pass over the data
            early_stopping_epochs=15,  # 0: never
            keep_checkpoints=2,
            save_every_steps=500,  # within an epoch; 0: never
            distribute="auto",  # or mirrored, multi_worker (see TF_CONFIG), none
            scale_with_devices=False,  # True: batch_size is that of each device
            shard_files=False,  # True: each worker reads only its share of them
            num_cpu_devices=0,  # to try several without a GPU
            sample_every_epochs=1,  # pieces to hear in TensorBoard; 0: none
            profile_steps=0,  # for TensorBoard's profiler
            mixed_precision="auto",  # "bfloat16" where that is faster, or "none"
            fast_lstm=True,  # False: Keras' own LSTM layers on a CPU too
        )
    )
    if variant == "eighths":
        config.representation.steps_per_quarter = 2
        config.train.update(num_epochs=10, steps_per_epoch=100)
    elif variant == "reference":
        config.model.update(units=(36,), key_units=0)
        config.optimizer.update(
            name="rmsprop", learning_rate=1e-3, schedule="constant", warmup_steps=0
        )
        config.train.update(num_epochs=500, early_stopping_epochs=20)
        config.train.mixed_precision = "none"  # products this small gain nothing
    elif variant == "smoke":
        config.model.update(units=(64,), key_units=64)
        config.optimizer.learning_rate = 1e-2
        config.train.update(num_epochs=2, steps_per_epoch=60)
    return config
