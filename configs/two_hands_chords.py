"""Two-hands chords: each hand's chord as a token.

At each sixteenth the right hand says its chord, goes on or is silent, then the left
hand, which so knows what the right one plays. A chord is likely as a whole, and no key
of it is forgotten.

Source: the wish of the two-hands LSTM's author, Vidaich, for hands as encoded chords in
place of keys; the network is that of `chord_lstm`.

Chords that a hand plays less often than three times in training become the nearest
known one. Where bars begin is not known. Two tokens make a step.

What was measured: docs/results/two_hands_lstm.md.
"""

from tfmusic.configs import common

DEFAULT = dict(
    name="two_hands_chords",
    representation=dict(
        name="two_hands_chords",
        steps_per_quarter=4,
        steps_per_second=0.0,
        qpm=120.0,
        velocity=80,
        first_instrument_only=False,
        min_count=3,
        max_vocabulary=8192,
        fit_semitones=0,  # above 0, windows can be transposed so far
    ),
    data=dict(min_steps=32, window_steps=256, window_stride=128),
    model=dict(
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
        temperature=1.0,  # defaults of generation
        min_p=0.0,  # single chords are rare beside going on
        carry_state=False,  # True: stateful training
    ),
    train=dict(
        batch_size=16, eval_batch_size=16, num_epochs=40, early_stopping_epochs=4
    ),
)
VARIANTS = {
    "": (
        "All files in sixteenths, the hands told apart by tracks or by their notes; "
        "dropout, early stopping, a learning rate that falls.",
        dict(),
    ),
    "smoke": (
        "A minute on two cores.",
        dict(
            representation=dict(max_vocabulary=1024),
            data=dict(window_steps=64, window_stride=64),
            model=dict(embedding_size=64, units=(64,)),
            optimizer=dict(learning_rate=0.005, warmup_steps=20),
            train=dict(batch_size=32, num_epochs=2, steps_per_epoch=150),
        ),
    ),
}


def get_config(variant: str = ""):
    """The experiment; `variant` is one of `VARIANTS`."""
    return common.experiment(DEFAULT, VARIANTS, variant)
