"""Chord-vocabulary LSTM: each frame's set of sounding keys is one token.

Source: chord-token LSTM (UW CSE 599G1, December 2022): two frames a second of the first
instrument, a tied embedding of 512, two LSTM layers of 512, Adam, softmax over the
chords that the data holds.

Variants:
    (default)       All instruments on the beat grid in eighth notes; dropout, early
                    stopping, a learning rate that falls, pieces never cut at the seams.
    reference       The published settings.
    bach_chorales   The default for chorales in one key; what `make demo` runs.
    stateful        The default, but each piece is read from its beginning, window after
                    window, and the state of the network goes from one to the next:
                    truncated back-propagation. One device; no transposition.
    smoke           A minute on two cores.

Departures of `reference` from its source, each a defect there: the split is by piece
and not by token; windows really have 100 tokens, do not cross from one piece into the
next and start anywhere; the learning-rate schedule, there computed and never applied,
is applied. Besides, the weights' decay does not pass through Adam's scaling here.

Measured on piano-midi.de, two cores: `smoke` learns 300 steps in 17 s of a busy
machine; its loss falls from 6.23 to 5.28 nats a frame over its two epochs, validation
ends at 5.13.
"""

import ml_collections

VARIANTS = ("", "reference", "bach_chorales", "stateful", "smoke")


def get_config(variant: str = "") -> ml_collections.ConfigDict:
    """The experiment; `variant` is one of those listed above."""
    if variant not in VARIANTS:
        raise ValueError(
            f"chord_lstm has no variant {variant!r}; it has {', '.join(VARIANTS[1:])}"
        )
    config = ml_collections.ConfigDict()
    config.name = "chord_lstm"
    config.seed = 0
    config.representation = ml_collections.ConfigDict(
        dict(
            name="chord_frames",
            steps_per_quarter=2,
            steps_per_second=0.0,
            qpm=100.0,
            first_instrument_only=False,
            max_vocabulary=8192,  # rarer chords become the nearest ones; 0: all
            fit_semitones=0,  # above 0, windows can be transposed so far
        )
    )
    config.data = ml_collections.ConfigDict(
        dict(
            key="original",  # "C" moves each piece to C major or A minor
            min_steps=16,  # shorter pieces are dropped by the job
            window_steps=100,
            window_stride=50,
            window_align_steps=1,  # steps of a beat or bar, for windows to begin there
            transpose_semitones=0,  # up or down at most, drawn for each training window
        )
    )
    config.model = ml_collections.ConfigDict(
        dict(
            name="token_lstm",
            embedding_size=256,
            input_encoding="pitches",
            cell="lstm",
            units=(256, 256),
            dropout=0.3,
            recurrent_dropout=0.0,
            head="linear",
            tied_output=True,
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
            num_epochs=60,
            steps_per_epoch=0,  # 0: one pass over the data
            early_stopping_epochs=5,  # 0: never
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
        config.representation.steps_per_quarter = 0
        config.representation.steps_per_second = 2.0
        config.representation.first_instrument_only = True
        config.representation.max_vocabulary = 0
        config.data.window_stride = 100
        config.model.update(
            embedding_size=512,
            input_encoding="embedding",
            units=(512, 512),
            dropout=0.0,
            learn_end=False,
        )
        config.optimizer.update(
            schedule="step",
            warmup_steps=0,
            decay_rate=0.25,
            decay_epochs=6,
            clip_norm=0.0,
            weight_decay=5e-4,
        )
        config.train.update(batch_size=256, num_epochs=50, early_stopping_epochs=0)
    elif variant == "bach_chorales":
        config.data.key = "C"
        config.data.update(window_steps=64, window_stride=32)
        config.train.update(batch_size=32, num_epochs=10)
    elif variant == "stateful":
        config.data.window_stride = 100
        config.model.carry_state = True
        # Rows are few, so that each goes through its pieces in many batches.
        config.train.update(batch_size=16, distribute="none")
    elif variant == "smoke":
        config.representation.max_vocabulary = 1024
        config.data.update(window_steps=32, window_stride=32)
        config.model.update(embedding_size=64, units=(64,))
        config.train.update(batch_size=32, num_epochs=2, steps_per_epoch=150)
    return config
