"""Performance LSTM: piano as it is played.

Keys down, keys up, time and loudness as one stream of events.

Source: Performance RNN (Simon and Oore, Magenta, 2017; Oore et al., "This Time with
Feeling", 2018), in its configuration `performance_with_dynamics`: three LSTM layers of
512 over events of 10 ms, 32 bins of velocities, the sustain pedal applied. Made for
played performances with their dynamics, such as MAESTRO.

Departures of `reference` from its source: events are read through an embedding of 512,
wider than there are events, where the source has them one-hot; windows start anywhere
in a piece instead of every 30 seconds; it is they, not pieces, that are transposed by
up to three semitones and stretched by 2.5 or 5 %, unless they hold a rest of a second;
gradients are clipped at 3 by the norm of all together. How long to train is not
published: 20,000 steps is the example of its documentation.

What was measured: docs/results/performance_lstm.md.
"""

from tfmusic.configs import common

DEFAULT = dict(
    name="performance_lstm",
    representation=dict(
        name="performance_events",
        steps_per_quarter=0,
        steps_per_second=100.0,
        max_shift_steps=100,
        num_velocity_bins=32,
        apply_sustain=True,
        lowest_pitch=21,
        highest_pitch=108,
    ),
    data=dict(
        min_steps=32,
        window_steps=512,
        window_stride=512,
        transpose_semitones=3,
        stretch=0.05,
    ),
    model=dict(
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
        carry_state=False,  # True: stateful training
    ),
    train=dict(
        batch_size=16, eval_batch_size=64, num_epochs=40, early_stopping_epochs=4
    ),
)
STYLED = dict(representation=dict(name="styled_performance_events"))
VARIANTS = {
    "": (
        "Smaller layers and batches that two cores can train, the 88 keys of a "
        "piano, dropout, a learning rate that falls, the end of a piece learned, "
        "early stopping.",
        dict(),
    ),
    "reference": (
        "The published settings: all 128 pitches, no dropout, Adam at 0.001 "
        "throughout, batches of 64 sequences of up to 512 events.",
        dict(
            representation=dict(lowest_pitch=0, highest_pitch=127),
            model=dict(
                embedding_size=512,
                keys_down=False,
                units=(512, 512, 512),
                dropout=0.0,
                learn_end=False,
            ),
            optimizer=dict(
                learning_rate=0.001, schedule="constant", warmup_steps=0, clip_norm=3.0
            ),
            train=dict(batch_size=64, steps_per_epoch=500, early_stopping_epochs=0),
        ),
    ),
    "styled": (
        "The default, which also knows the composer and how many notes a second a "
        "piece has, each unknown in a part of the windows; --tag and "
        "--notes_per_second ask for them.",
        STYLED,
    ),
    "smoke": (
        "A minute on two cores.",
        dict(
            data=dict(window_steps=64, window_stride=64),
            model=dict(embedding_size=64, units=(96,)),
            optimizer=dict(learning_rate=0.005, warmup_steps=20),
            train=dict(batch_size=32, num_epochs=2, steps_per_epoch=100),
        ),
    ),
}


def get_config(variant: str = ""):
    """The experiment; `variant` is one of `VARIANTS`."""
    return common.experiment(DEFAULT, VARIANTS, variant)
