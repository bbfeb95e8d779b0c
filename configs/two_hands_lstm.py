"""Two-hands LSTM: piano for two hands.

Which keys each hand holds at the next step, and how many.

Source: F. Vidaich's two-hands piano-roll LSTM and its one-hand original (Neural
Networks and Deep Learning, Lab 4): sixteenth steps, windows of 32, a shared LSTM
stack, per hand a head for the 88 keys and one for the number of notes.

Departures of the reference variants from their source, each a defect there: the step
learned is the next one, not the one after; steps are sixteenths in every metre; notes
shorter than a step are kept; the weights of the keys are positive-class weights, finite
for keys that are never played (`--config.model.key_weights=both` gives the published
arithmetic); pieces are split into training and validation; a window is moved by -2 to 3
semitones as far as it stays on the keyboard, and one that cannot be moved is kept.
Besides, the weights' decay does not pass through Adam's scaling here. As there, the
latest weights are exported, and the correction that keeps held keys sounding is on: a
bonus of 1 that fades by 0.25 a step in the right hand, by 0.1 in the left.

What was measured: docs/results/two_hands_lstm.md.
"""

from tfmusic.configs import common

DEFAULT = dict(
    name="two_hands_lstm",
    representation=dict(
        name="two_hands_roll",
        steps_per_quarter=4,
        steps_per_second=0.0,
        qpm=95.0,
        velocity=100,
        onsets=True,
        metre=True,  # the network reads where in its bar each frame lies
    ),
    data=dict(min_steps=33, window_stride=64, transpose_semitones=5),
    model=dict(
        name="roll_lstm",
        units=(256, 256),
        dropout=0.3,
        branch_units=120,
        key_units=100,
        count_units=10,
        key_loss_coefficient=88.0,  # the mean over 88 keys in nats a hand
        count_loss_coefficient=0.5,
        key_weights="none",
        max_key_weight=100.0,
        key_chains=True,  # learning begins where each key goes on by itself
        loss_steps="all",
        repeat_bonus=0.0,  # default of generation
    ),
    optimizer=dict(weight_decay=1e-05),
    train=dict(
        batch_size=64, eval_batch_size=64, num_epochs=40, early_stopping_epochs=4
    ),
)
ONE_HAND = dict(
    representation=dict(name="binary_roll", qpm=100.0), model=dict(branch_units=0)
)
REFERENCE = dict(
    representation=dict(onsets=False, metre=False),
    data=dict(
        window_steps=32,
        window_stride=1,
        transpose_semitones=3,
        transpose_down_semitones=2,
    ),
    model=dict(
        units=(150, 150),
        dropout=0.5,
        key_loss_coefficient=1.2,
        count_loss_coefficient=1.0,
        key_weights="positive",
        max_key_weight=10000.0,
        key_chains=False,
        loss_steps="last",
        repeat_bonus=1.0,
    ),
    optimizer=dict(
        learning_rate=0.001, schedule="constant", warmup_steps=0, clip_norm=0.0
    ),
    train=dict(
        batch_size=100,
        num_epochs=4,
        min_steps_per_epoch=0,
        early_stopping_epochs=0,
        export_checkpoint="latest",
    ),
)
VARIANTS = {
    "": (
        "An onset channel so that repeated notes survive, every step of a window "
        "learned, calibrated probabilities, early stopping; learning begins from "
        "what each key does by itself; the metre is read.",
        dict(),
    ),
    "reference": (
        "The published two-hands settings.",
        REFERENCE,
    ),
    "one_hand": (
        "The original: both hands merged into one roll, mended as the default is.",
        ONE_HAND,
    ),
    "one_hand_reference": (
        "The original's published settings.",
        common.merge(
            REFERENCE,
            ONE_HAND,
            dict(
                data=dict(transpose_semitones=1, transpose_down_semitones=-1),
                model=dict(units=(128, 128), dropout=0.4),
                train=dict(num_epochs=5),
            ),
        ),
    ),
    "smoke": (
        "A minute on two cores.",
        dict(
            data=dict(window_steps=64),
            model=dict(units=(96,)),
            train=dict(batch_size=32, num_epochs=2, steps_per_epoch=100),
        ),
    ),
}


def get_config(variant: str = ""):
    """The experiment; `variant` is one of `VARIANTS`."""
    return common.experiment(DEFAULT, VARIANTS, variant)
