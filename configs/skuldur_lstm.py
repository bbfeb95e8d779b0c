"""Note/chord LSTM: music as one stream of note names, chords and durations.

Source: Classical-Piano-Composer (S. Skuldur, 2017), three LSTM layers of 512 over
windows of 100 tokens; experiment 1 of the AIDL UPC music generation project (2019)
uses the same network.

Variants:
    (default)    Notes and chords with octaves, durations and rests, all instruments, an
                 embedding, every step of a window learned, early stopping.
    reference    The published settings: the first instrument's note names and
                 normal-order chords, no durations, the token's index as one number,
                 recurrent dropout, only the last step of a window learned.
    smoke        A minute on two cores.

Departures of `reference` from its source, each a defect there: pieces are split into
training and validation, windows do not cross from one piece into the next, the
vocabulary travels with the weights.

Measured on piano-midi.de, two cores: `smoke` learns 200 steps in 53 s of a busy
machine; its loss falls from 5.66 to 4.06 nats a token over its two epochs, validation
ends at 3.94.
"""

import ml_collections

VARIANTS = ("", "reference", "smoke")


def get_config(variant: str = "") -> ml_collections.ConfigDict:
    """The experiment; `variant` is one of those listed above."""
    if variant not in VARIANTS:
        raise ValueError(
            f"skuldur_lstm has no variant {variant!r}; it has {', '.join(VARIANTS[1:])}"
        )
    config = ml_collections.ConfigDict()
    config.name = "skuldur_lstm"
    config.seed = 0
    config.representation = ml_collections.ConfigDict(
        dict(
            name="note_chord_tokens",
            mode="notes",
            steps_per_quarter=4,
            steps_per_second=0.0,
            qpm=100.0,
            max_duration_steps=32,
            max_shift_steps=16,
            max_vocabulary=2048,  # rarer chords are spelled by smaller ones; 0: all
            fit_semitones=0,  # with 5, most windows can be transposed so far
        )
    )
    config.data = ml_collections.ConfigDict(
        dict(
            key="original",  # "C" moves each piece to C major or A minor
            min_steps=16,  # shorter pieces are dropped by the job
            window_steps=192,
            window_stride=96,
            window_align_steps=1,  # steps of a beat or bar, for windows to begin there
            transpose_semitones=5,  # up or down at most, drawn for each training window
        )
    )
    config.model = ml_collections.ConfigDict(
        dict(
            name="token_lstm",
            embedding_size=256,
            input_encoding="embedding",
            cell="lstm",
            units=(384, 384),
            dropout=0.3,
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
            batch_size=64,
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
        config.representation.update(mode="reference", max_vocabulary=0)
        config.data.update(window_steps=100, window_stride=1, transpose_semitones=0)
        config.model.update(
            embedding_size=0,
            input_encoding="index",
            units=(512, 512, 512),
            recurrent_dropout=0.3,  # of the first two layers
            dropout=0.0,
            head="skuldur",
            loss_steps="last",
            learn_end=False,
        )
        config.optimizer.update(
            name="rmsprop",
            learning_rate=1e-3,
            schedule="constant",
            warmup_steps=0,
            clip_norm=0.0,
        )
        config.train.update(batch_size=128, num_epochs=200, early_stopping_epochs=0)
    elif variant == "smoke":
        config.data.update(window_steps=64, window_stride=64)
        config.model.update(embedding_size=64, units=(96,))
        config.train.update(batch_size=32, num_epochs=2, steps_per_epoch=100)
    return config
