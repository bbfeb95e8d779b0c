"""Sequence to sequence over a roll: a segment is encoded, the next one decoded.

Source: experiments 3 and 4 of F. Carrascosa, O. Casanovas, A. Pintaudi and M. Pomes,
"Music generation" (AIDL, UPC Barcelona, 2019): encoder and decoder of two LSTM layers
of 512, a roll of starts and sustains in sixteenths, a focal loss, and a decoder that
learns on more and more of its own frames.

Variants:
    (default)              Smaller layers that two cores can train, segments of four
                           bars of 4/4, the exact likelihood of each frame as loss, a
                           few drawn frames among the decoder's inputs.
    reference              Experiment 4 as published: segments of 128 steps, focal loss
                           (alpha 0.7, gamma 2), true frames with probability 0.5
                           falling to 0, own frames thresholded. Its text also names an
                           alpha of 0.5 (`--config.model.alpha=0.5`), of 0.75, and a
                           first learning rate above 1e-4.
    reference_experiment3  One class for the whole frame, true frames alone.
    binary                 The default with the cross-entropy of each start and
                           sustain.
    smoke                  A minute on two cores.

Departures of the reference variants from their source, each a defect there: the decoder
is given the frame just before the one it learns (experiment 4 gave the one before that,
experiment 3 the very frame); its first input is the last frame of the segment before;
in generation it is given what it has drawn; the class is one of the frame's cells, not
one of the time steps; all instruments are read, not the first alone; windows do not
cross from one piece into the next; validation counts all of its split. Of a window of
two segments the first is learned too, from a state of zeros, as music begins. The coin
that decides what is fed is tossed for each window, not for the whole batch. Rates are
those of sounding keys; theirs counted starts and sustains, so their density is half as
high. An epoch has as many steps as ten pieces of theirs gave.

    python -m pipelines.build_tfrecords --config=configs/frame_seq2seq.py
        --source=piano_midi_de:PATH --output_dir=data
    python -m tfmusic.train --config=configs/frame_seq2seq.py --data_dir=data
        --workdir=run

piano-midi.de (263 training pieces, November 2026): 1,800 steps of the default, 20
minutes of one core, give -5.06 nats a frame on the test split. `smoke` comes to -7.73
on validation, where F1 of sounding keys is 0.63.
"""

import ml_collections

VARIANTS = ("", "reference", "reference_experiment3", "binary", "smoke")


def get_config(variant: str = "") -> ml_collections.ConfigDict:
    """The experiment; `variant` is one of those listed above."""
    if variant not in VARIANTS:
        raise ValueError(
            f"frame_seq2seq has no variant {variant!r}; it has "
            f"{', '.join(VARIANTS[1:])}"
        )
    config = ml_collections.ConfigDict()
    config.name = "frame_seq2seq"
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
            min_steps=65,  # shorter pieces are dropped by the job
            window_steps=256,
            window_stride=128,
            window_align_steps=1,  # steps of a beat or bar, for windows to begin there
            transpose_semitones=5,  # up or down at most, drawn for each training window
        )
    )
    config.model = ml_collections.ConfigDict(
        dict(
            name="frame_seq2seq",
            units=(256, 256),
            dropout=0.2,
            segment_steps=64,
            head_units=256,
            head_dropout=0.2,
            key_chains=True,  # learning begins where each key goes on by itself
            loss="nats",
            alpha=0.7,  # of the focal loss: ones weigh as much, zeros the rest
            gamma=2.0,
            teacher_forcing=1.0,  # share of true frames fed, at first and at last
            teacher_forcing_end=0.9,
            teacher_forcing_steps=4000,
            feedback_temperature=1.0,  # 0: own frames are thresholded
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
            eval_batch_size=16,
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

    if variant.startswith("reference"):
        config.data.update(min_steps=129, window_stride=1, transpose_semitones=0)
        config.model.update(
            units=(512, 512),
            segment_steps=128,
            head_dropout=0.5,
            key_chains=False,
            loss="focal",
            teacher_forcing=0.5,
            teacher_forcing_end=0.0,
            teacher_forcing_steps=30000,  # the whole run
            feedback_temperature=0.0,
        )
        config.optimizer.update(
            learning_rate=1e-4, schedule="constant", warmup_steps=0, clip_norm=0.0
        )
        config.train.update(num_epochs=50, steps_per_epoch=600, early_stopping_epochs=0)
    if variant == "reference_experiment3":
        config.data.window_steps = 320
        config.model.update(
            segment_steps=160,
            loss="single",
            teacher_forcing=1.0,
            teacher_forcing_end=1.0,
            teacher_forcing_steps=0,
        )
    elif variant == "binary":
        config.model.loss = "binary"
    elif variant == "smoke":
        config.data.update(window_steps=128, window_stride=128)
        config.model.update(units=(96,), head_units=96, teacher_forcing_steps=200)
        config.optimizer.update(learning_rate=5e-3, warmup_steps=20)
        config.train.update(batch_size=8, num_epochs=2, steps_per_epoch=100)
    return config
