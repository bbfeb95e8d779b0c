r"""Biaxial LSTM: every note hears its neighbours, and each chooses after those below.

Source: the TensorFlow port of D. Johnson's "Composing Music With Recurrent Neural
Networks" (2015) by a team of Columbia's Applied Data Science course, and Johnson's
"Generating Polyphonic Music Using Tied Parallel Networks" (EvoMUSART 2017). Sixteenth
steps, 78 notes; two recurrent layers along time shared by all notes, two along the
notes of each step; the probability of a frame is exact.

Variants:
    (default)    Smaller layers that two cores can train, the whole piano, a metre that
                 knows the length of the bar, a learning rate that falls, early
                 stopping.
    reference    The port's published settings.
    johnson2017  The paper's BALSTM, for its table on the sets of Boulanger-Lewandowski:
                 play alone, no beat; for JSB Chorales.
    johnson2017_eighths    The same for the other three, with frames of an eighth.
    smoke        A minute on two cores.

Departures of `reference` from its source, the first four defects there: notes at the
borders have silent neighbours rather than those of the other end; the beat in
generation is that of the step that is drawn, as it is in training; it counts from the
bar line in every metre; play and articulate are drawn by a number each. Articulation
is not learned where a note newly sounds, as it is certain there. Position is scaled to
-1..1. Windows start at any multiple of 16 steps from a phase that changes with each
pass, and pieces are split by content.

In place of Johnson's `gen_adaptive`, which keeps generated music from dying out, stands
the control `density` (`tfmusic.models.biaxial_sampling.adapt_power` tells why).

Departures of `johnson2017`: Adam with a falling rate and clipped gradients, where the
paper has RMSprop of 0.001 with Nesterov's momentum, which takes far more steps;
position is scaled. Pitch class is not among the paper's inputs. Its batches and windows
are not published: 8 of 32 steps. The loss is the sum over pitches, not the mean.

Measured: `johnson2017` on JSB Chorales with the published split (the paper: median
-5.86, best -5.05 nats a step), on two cores that other jobs kept busy (AVX-512 with
bfloat16):

    python -m pipelines.build_tfrecords --config=configs/biaxial_lstm.py:johnson2017 \
        --source=boulanger_lewandowski:JSB_Chorales.mat --output_dir=DATA
    python -m tfmusic.train --config=configs/biaxial_lstm.py:johnson2017 \
        --data_dir=DATA --workdir=RUN
    python -m tfmusic.evaluate --workdir=RUN --data_dir=DATA --split=test

Validation, nats a step, after epochs 1 to 20 of 93 steps: 14.31 12.18 10.33 8.14 6.93
6.62 6.48 5.83 5.64 5.55 5.41 5.82 5.41 5.35 5.31 5.28 5.21 5.22 5.16 5.24; about 95 s
an epoch, an hour in all. Test with the weights of epoch 19: -5.16 (standard error over
pieces 0.10); with those of epoch 14: -5.37. The config's 60 epochs were not awaited.

`density`, of a smaller one (`time_units` 64, `note_units` 32, no dropout) after 300
steps: 64 pieces have 3.28 notes a step without it, and with 1, 2, 3, 4, 6, 8 and 12:
0.98, 2.04, 3.02, 3.98, 5.96, 7.98 and 12.00.
"""

import ml_collections

VARIANTS = ("", "reference", "johnson2017", "johnson2017_eighths", "smoke")


def get_config(variant: str = "") -> ml_collections.ConfigDict:
    """The experiment; `variant` is one of those listed above."""
    if variant not in VARIANTS:
        raise ValueError(
            f"biaxial_lstm has no variant {variant!r}; it has {', '.join(VARIANTS[1:])}"
        )
    config = ml_collections.ConfigDict()
    config.name = "biaxial_lstm"
    config.seed = 0
    config.representation = ml_collections.ConfigDict(
        dict(
            name="play_articulate",
            steps_per_quarter=4,
            qpm=120.0,
            velocity=80,
            lowest_pitch=21,
            highest_pitch=108,
            play_only=False,
        )
    )
    config.data = ml_collections.ConfigDict(
        dict(
            key="original",  # "C" moves each piece to C major or A minor
            min_steps=33,  # shorter pieces are dropped by the job
            window_steps=128,
            window_stride=64,
            window_align_steps=1,  # steps of a beat or bar, for windows to begin there
            transpose_semitones=0,  # up or down at most, drawn for each training window
        )
    )
    config.model = ml_collections.ConfigDict(
        dict(
            name="biaxial_lstm",
            time_units=(128, 128),
            note_units=(64,),
            dropout=0.3,
            position=True,
            pitch_class=True,
            beat="metre",
            key_loss_coefficient=88.0,  # the mean over 88 pitches in nats a frame
            compile_drawing=False,  # True: faster exports, which need XLA
        )
    )
    config.optimizer = ml_collections.ConfigDict(
        dict(
            name="adam",
            learning_rate=3e-3,
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
            batch_size=8,
            eval_batch_size=8,
            num_epochs=20,
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
        config.representation.update(lowest_pitch=24, highest_pitch=101)
        config.data.update(min_steps=128, window_stride=16, window_align_steps=16)
        config.model.update(
            time_units=(300, 300),
            note_units=(100, 50),
            dropout=0.5,
            beat="binary",
            key_loss_coefficient=0.5,  # the mean over pitches and channels
        )
        config.optimizer.update(
            learning_rate=1e-3,
            schedule="constant",
            warmup_steps=0,
            clip_norm=0.0,
            clip_value=1.0,
        )
        config.train.update(
            batch_size=5, num_epochs=100, steps_per_epoch=500, early_stopping_epochs=0
        )
    elif variant in ("johnson2017", "johnson2017_eighths"):
        config.representation.update(
            steps_per_quarter=2 if variant.endswith("eighths") else 1, play_only=True
        )
        config.data.update(min_steps=1, window_steps=32, window_stride=32)
        config.model.update(
            time_units=(200, 200),
            note_units=(100, 100),
            dropout=0.5,
            pitch_class=False,
            beat="none",
        )
        config.optimizer.update(
            learning_rate=8e-3,
            schedule="exponential",
            warmup_steps=20,
            decay_rate=0.5,
            decay_epochs=8,
        )
        config.train.update(
            batch_size=8, eval_batch_size=16, num_epochs=60, early_stopping_epochs=8
        )
    elif variant == "smoke":
        config.data.update(window_steps=32, window_stride=32)
        config.model.update(time_units=(48,), note_units=(32,))
        config.optimizer.update(learning_rate=5e-3, warmup_steps=20)
        config.train.update(batch_size=8, num_epochs=2, steps_per_epoch=60)
    return config
