"""Performance LSTM: keys down, keys up, time and loudness as one stream of events.

Source: Performance RNN (Simon and Oore, Magenta, 2017; Oore et al., "This Time with
Feeling", 2018), in its configuration `performance_with_dynamics`: three LSTM layers of
512 over events of 10 ms, 32 bins of velocities, the sustain pedal applied. Made for
played performances with their dynamics, such as MAESTRO.

Variants:
    (default)    Smaller layers and batches that two cores can train, the 88 keys of a
                 piano, dropout, a learning rate that falls, the end of a piece learned,
                 early stopping.
    reference    The published settings: all 128 pitches, no dropout, Adam at 0.001
                 throughout, batches of 64 sequences of up to 512 events.
    smoke        A minute on two cores.

Departures of `reference` from its source: events are read through an embedding of 512,
wider than there are events, where the source has them one-hot; windows start anywhere
in a piece instead of every 30 seconds; it is they, not pieces, that are transposed by
up to three semitones and stretched by 2.5 or 5 %, unless they hold a rest of a second;
gradients are clipped at 3 by the norm of all together. How long to train is not
published: 20,000 steps is the example of its documentation.

Measured on piano-midi.de (November 2026): 1,800 steps of the default, 32 minutes of one
core, give -2.06 nats an event on the test split, and -2.62 without `model.keys_down`,
where keys stay down: 12.1 pitches sounded at once in four pieces of 512 events, against
3.9 with it (3.5 in held-out music). `smoke` comes to -3.88 on validation.
"""

import ml_collections

VARIANTS = ("", "reference", "smoke")


def get_config(variant: str = "") -> ml_collections.ConfigDict:
    """The experiment; `variant` is one of those listed above."""
    if variant not in VARIANTS:
        raise ValueError(
            f"performance_lstm has no variant {variant!r}; it has "
            f"{', '.join(VARIANTS[1:])}"
        )
    config = ml_collections.ConfigDict()
    config.name = "performance_lstm"
    config.seed = 0
    config.representation = ml_collections.ConfigDict(
        dict(
            name="performance_events",
            steps_per_quarter=0,
            steps_per_second=100.0,
            max_shift_steps=100,
            num_velocity_bins=32,
            apply_sustain=True,
            lowest_pitch=21,
            highest_pitch=108,
        )
    )
    config.data = ml_collections.ConfigDict(
        dict(
            key="original",  # "C" moves each piece to C major or A minor
            min_steps=32,  # in events; shorter pieces are dropped by the job
            window_steps=512,
            window_stride=512,
            window_align_steps=1,  # steps of a beat or bar, for windows to begin there
            transpose_semitones=3,  # up or down at most, drawn for each training window
            stretch=0.05,  # longer or shorter at most, likewise
            velocity_shift=0,  # louder or softer at most, likewise
        )
    )
    config.model = ml_collections.ConfigDict(
        dict(
            name="token_lstm",
            embedding_size=256,
            input_encoding="embedding",
            keys_down=True,  # the network reads which keys are down, too
            cell="lstm",
            units=(384, 384),
            dropout=0.2,
            recurrent_dropout=0.0,
            head="linear",
            tied_output=False,
            loss_steps="all",
            learn_end=True,
            carry_state=False,  # True: windows begin where those before ended
        )
    )
    config.optimizer = ml_collections.ConfigDict(
        dict(
            name="adam",
            learning_rate=2e-3,
            schedule="cosine",
            warmup_steps=100,
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
            eval_batch_size=64,
            num_epochs=40,
            steps_per_epoch=0,  # 0: one pass over the data
            early_stopping_epochs=4,  # 0: never
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

    if variant == "reference":
        config.representation.update(lowest_pitch=0, highest_pitch=127)
        config.model.update(
            embedding_size=512,
            units=(512, 512, 512),
            keys_down=False,
            dropout=0.0,
            learn_end=False,
        )
        config.optimizer.update(
            learning_rate=1e-3, schedule="constant", warmup_steps=0, clip_norm=3.0
        )
        config.train.update(
            batch_size=64, num_epochs=40, steps_per_epoch=500, early_stopping_epochs=0
        )
    elif variant == "smoke":
        config.data.update(window_steps=64, window_stride=64)
        config.model.update(embedding_size=64, units=(96,))
        config.optimizer.update(learning_rate=5e-3, warmup_steps=20)
        config.train.update(batch_size=32, num_epochs=2, steps_per_epoch=100)
    return config
