"""Roll LSTM: a baseline to measure others by.

One recurrent layer over one roll, every key by itself.

Source: the LSTM rows beside which polyphonic models are published on the four sets of
Boulanger-Lewandowski et al. (2012): Chung et al. 2014, Bai et al. 2018, Pascanu et al.
2013. Given all frames before, the keys of a frame are independent of each other.

What was measured: docs/results/roll_lstm.md.
"""

from tfmusic.configs import common

DEFAULT = dict(
    name="roll_lstm",
    representation=dict(
        name="binary_roll",
        steps_per_quarter=1,
        steps_per_second=0.0,
        qpm=120.0,
        velocity=80,
        onsets=False,
        metre=False,  # the four sets do not tell it
    ),
    data=dict(window_steps=160),
    model=dict(
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
    ),
    optimizer=dict(learning_rate=0.003, warmup_steps=20),
    train=dict(
        batch_size=16,
        eval_batch_size=16,
        num_epochs=100,
        min_steps_per_epoch=0,  # results are compared by passes over the sets
        early_stopping_epochs=15,
    ),
)
VARIANTS = {
    "": (
        "For JSB Chorales, frames of a quarter note.",
        dict(),
    ),
    "eighths": (
        "For the other three sets: frames of an eighth, and at most as many steps of "
        "training for each, as they differ much in size.",
        dict(
            representation=dict(steps_per_quarter=2),
            train=dict(num_epochs=60, steps_per_epoch=100),
        ),
    ),
    "reference": (
        "The size of Chung et al.'s LSTM: 36 units, no layer before the logits, "
        "RMSprop; without their noise on the weights. Their batches are not "
        "published.",
        dict(
            model=dict(units=(36,), key_units=0),
            optimizer=dict(
                name="rmsprop", learning_rate=0.001, schedule="constant", warmup_steps=0
            ),
            train=dict(
                num_epochs=500, early_stopping_epochs=20, mixed_precision="none"
            ),
        ),
    ),
    "smoke": (
        "A minute on two cores.",
        dict(
            model=dict(units=(64,), key_units=64),
            optimizer=dict(learning_rate=0.01),
            train=dict(num_epochs=2, steps_per_epoch=60),
        ),
    ),
}


def get_config(variant: str = ""):
    """The experiment; `variant` is one of `VARIANTS`."""
    return common.experiment(DEFAULT, VARIANTS, variant)
