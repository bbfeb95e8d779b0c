"""Next-frame LSTM: texture on a grid, at small cost.

For every key, whether it starts, goes on or is silent next.

Source: experiment 2 of F. Carrascosa, O. Casanovas, A. Pintaudi and M. Pomes, "Music
generation" (AIDL, UPC Barcelona, 2019): a roll of starts and sustains, two LSTM layers
of 512, a ReLU layer of 256, learning the step after 160.

Departures of `reference` from its source, each a defect there: an empty frame is a
class of its own and not the lowest key; all instruments are read, not the first alone;
windows do not cross from one piece into the next; validation counts all of its split.
Its classes' logits serve as log odds against silence when it generates and is scored:
what is likelier than silence sounds, one key or several. The latest weights are
exported, as there.

What was measured: docs/results/next_frame_lstm.md.
"""

from tfmusic.configs import common

DEFAULT = dict(
    name="next_frame_lstm",
    representation=dict(
        name="start_sustain",
        steps_per_quarter=4,
        steps_per_second=0.0,
        qpm=100.0,
        velocity=80,
        first_instrument_only=False,
        metre=True,  # the network reads where in its bar each frame lies
    ),
    data=dict(min_steps=33, window_stride=64, transpose_semitones=5),
    model=dict(
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
        teacher_forcing=1.0,  # fraction of true frames fed, at first and at last
        teacher_forcing_end=1.0,
        teacher_forcing_steps=0,
        feedback_temperature=1.0,
    ),
    train=dict(num_epochs=40, early_stopping_epochs=4),
)
VARIANTS = {
    "": (
        "Smaller layers that two cores can train, sixteenth steps, the exact "
        "likelihood of each frame as loss, every step of a window learned, the metre "
        "read.",
        dict(),
    ),
    "reference": (
        "The published settings: twelve steps a quarter, windows of 160, one class "
        "for the whole frame, the last step alone learned.",
        dict(
            representation=dict(steps_per_quarter=12, metre=False),
            data=dict(
                min_steps=160, window_steps=160, window_stride=16, transpose_semitones=0
            ),
            model=dict(
                units=(512, 512),
                head_dropout=0.5,
                key_chains=False,
                loss="single",
                loss_steps="last",
            ),
            optimizer=dict(
                learning_rate=0.0001, schedule="constant", warmup_steps=0, clip_norm=0.0
            ),
            train=dict(
                batch_size=50,
                eval_batch_size=50,
                num_epochs=100,
                min_steps_per_epoch=0,
                early_stopping_epochs=0,
                export_checkpoint="latest",
            ),
        ),
    ),
    "binary": (
        "The default with the cross-entropy of each start and sustain.",
        dict(model=dict(loss="binary")),
    ),
    "focal": (
        "The default with the focal loss of experiment 4.",
        dict(model=dict(loss="focal")),
    ),
    "scheduled": (
        "The default with more and more of its own frames as inputs.",
        dict(model=dict(teacher_forcing_end=0.5, teacher_forcing_steps=4000)),
    ),
    "smoke": (
        "A minute on two cores.",
        dict(
            data=dict(window_steps=64),
            model=dict(units=(96,), head_units=96),
            optimizer=dict(learning_rate=0.005, warmup_steps=20),
            train=dict(batch_size=16, num_epochs=2, steps_per_epoch=100),
        ),
    ),
}


def get_config(variant: str = ""):
    """The experiment; `variant` is one of `VARIANTS`."""
    return common.experiment(DEFAULT, VARIANTS, variant)
