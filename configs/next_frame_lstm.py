"""Next-frame LSTM: for every key, whether it starts, goes on or is silent next.

Source: experiment 2 of F. Carrascosa, O. Casanovas, A. Pintaudi and M. Pomes, "Music
generation" (AIDL, UPC Barcelona, 2019): a roll of starts and sustains, two LSTM layers
of 512, a ReLU layer of 256, learning the step after 160.

Variants:
    (default)    Smaller layers that two cores can train, sixteenth steps, the exact
                 likelihood of each frame as loss, every step of a window learned.
    reference    The published settings: twelve steps a quarter, windows of 160, one
                 class for the whole frame, the last step alone learned.
    binary       The default with the cross-entropy of each start and sustain.
    focal        The default with the focal loss of experiment 4.
    scheduled    The default with more and more of its own frames as inputs.
    smoke        A minute on two cores.

Departures of `reference` from its source, each a defect there: an empty frame is a
class of its own and not the lowest key; all instruments are read, not the first alone;
windows do not cross from one piece into the next; validation counts all of its split.
Its classes' logits serve as log odds against silence when it generates and is scored:
what is likelier than silence sounds, one key or several.

    python -m pipelines.build_tfrecords --config=configs/next_frame_lstm.py
        --source=piano_midi_de:PATH --output_dir=data
    python -m tfmusic.train --config=configs/next_frame_lstm.py --data_dir=data
        --workdir=run

piano-midi.de (263 training pieces, November 2026): 3,600 steps of the default, 20
minutes of one core, give -4.71 nats a frame on the test split; 84 % of the notes of
four pieces then lie in a scale, as in held-out music. `smoke` comes to -7.66 on
validation, where F1 of sounding keys is 0.63.
"""

import ml_collections

VARIANTS = ("", "reference", "binary", "focal", "scheduled", "smoke")


def get_config(variant: str = "") -> ml_collections.ConfigDict:
    """The experiment; `variant` is one of those listed above."""
    if variant not in VARIANTS:
        raise ValueError(
            f"next_frame_lstm has no variant {variant!r}; it has "
            f"{', '.join(VARIANTS[1:])}"
        )
    config = ml_collections.ConfigDict()
    config.name = "next_frame_lstm"
    config.seed = 0
    config.representation = ml_collections.ConfigDict(
        dict(
            name="start_sustain",
            steps_per_quarter=4,
            steps_per_second=0.0,
            qpm=100.0,
            velocity=80,
        )
    )
    config.data = ml_collections.ConfigDict(
        dict(
            key="original",  # "C" moves each piece to C major or A minor
            min_steps=33,  # shorter pieces are dropped by the job
            window_steps=128,
            window_stride=64,
            window_align_steps=1,  # steps of a beat or bar, for windows to begin there
            transpose_semitones=5,  # up or down at most, drawn for each training window
        )
    )
    config.model = ml_collections.ConfigDict(
        dict(
            name="next_frame_lstm",
            units=(256, 256),
            dropout=0.2,
            head_units=256,
            head_dropout=0.2,
            key_chains=True,  # learning begins where each key goes on by itself
            loss="nats",
            alpha=0.7,  # of the focal loss: ones weigh as much, zeros the rest
            gamma=2.0,
            loss_steps="all",
            teacher_forcing=1.0,  # share of true frames fed, at first and at last
            teacher_forcing_end=1.0,
            teacher_forcing_steps=0,
            feedback_temperature=1.0,
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
            batch_size=32,
            eval_batch_size=32,
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
        config.representation.steps_per_quarter = 12
        config.data.update(
            min_steps=160, window_steps=160, window_stride=16, transpose_semitones=0
        )
        config.model.update(
            units=(512, 512),
            head_dropout=0.5,
            key_chains=False,
            loss="single",
            loss_steps="last",
        )
        config.optimizer.update(
            learning_rate=1e-4, schedule="constant", warmup_steps=0, clip_norm=0.0
        )
        config.train.update(
            batch_size=50, eval_batch_size=50, num_epochs=100, early_stopping_epochs=0
        )
    elif variant in ("binary", "focal"):
        config.model.loss = variant
    elif variant == "scheduled":
        config.model.update(teacher_forcing_end=0.5, teacher_forcing_steps=4000)
    elif variant == "smoke":
        config.data.update(window_steps=64, window_stride=64)
        config.model.update(units=(96,), head_units=96)
        config.optimizer.update(learning_rate=5e-3, warmup_steps=20)
        config.train.update(batch_size=16, num_epochs=2, steps_per_epoch=100)
    return config
