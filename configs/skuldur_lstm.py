"""Skuldur LSTM: tunes with chords, from a folder of files.

Music as one stream of note names, chords and durations.

Source: Classical-Piano-Composer (S. Skuldur, 2017), three LSTM layers of 512 over
windows of 100 tokens; experiment 1 of the AIDL UPC music generation project (2019)
uses the same network.

Departures of `reference` from its source, each a defect there: pieces are split into
training and validation, windows do not cross from one piece into the next, the
vocabulary travels with the weights. It learns its music by heart, so the latest weights
are exported; the source keeps those with the lowest loss of training.

What was measured: docs/results/skuldur_lstm.md.
"""

from tfmusic.configs import common

DEFAULT = dict(
    name="skuldur_lstm",
    representation=dict(
        name="note_chord_tokens",
        mode="notes",
        steps_per_quarter=4,
        steps_per_second=0.0,
        qpm=100.0,
        max_duration_steps=32,
        max_shift_steps=16,
        min_count=2,  # rarer chords are spelled by smaller ones
        max_vocabulary=2048,  # likewise; 0: all
        fit_semitones=0,  # with 5, most windows can be transposed so far
    ),
    data=dict(min_steps=16, window_steps=192, window_stride=96, transpose_semitones=5),
    model=dict(
        name="token_lstm",
        embedding_size=256,
        input_encoding="embedding",
        cell="lstm",
        units=(384, 384),
        dropout=0.3,
        recurrent_dropout=0.0,  # of the first two layers
        head="linear",
        tied_output=False,
        loss_steps="all",
        learn_end=True,
        carry_state=False,  # True: stateful training
    ),
    train=dict(
        batch_size=64, eval_batch_size=64, num_epochs=40, early_stopping_epochs=4
    ),
)
REFERENCE = dict(
    representation=dict(mode="reference", min_count=1, max_vocabulary=0),
    data=dict(window_steps=100, window_stride=1, transpose_semitones=0),
    model=dict(
        embedding_size=0,
        input_encoding="index",
        units=(512, 512, 512),
        dropout=0.0,
        recurrent_dropout=0.3,
        head="skuldur",
        loss_steps="last",
        learn_end=False,
    ),
    optimizer=dict(
        name="rmsprop",
        learning_rate=0.001,
        schedule="constant",
        warmup_steps=0,
        clip_norm=0.0,
    ),
    train=dict(
        batch_size=128,
        num_epochs=200,
        min_steps_per_epoch=0,
        early_stopping_epochs=0,
        export_checkpoint="latest",
    ),
)
VARIANTS = {
    "": (
        "Notes and chords with octaves, durations and rests, all instruments, an "
        "embedding, every step of a window learned, early stopping.",
        dict(),
    ),
    "reference": (
        "The published settings: the first instrument's note names and normal-order "
        "chords, no durations, the token's index as one number, recurrent dropout, "
        "only the last step of a window learned.",
        REFERENCE,
    ),
    "reference_text": (
        "The same with the network that the source's text prints, which is older than "
        "its code: dropout between the LSTM layers, then 256 linear units and dropout.",
        common.merge(
            REFERENCE,
            dict(model=dict(dropout=0.3, recurrent_dropout=0.0, head="dense")),
        ),
    ),
    "smoke": (
        "A minute on two cores.",
        dict(
            data=dict(window_steps=64, window_stride=64),
            model=dict(embedding_size=64, units=(96,)),
            train=dict(batch_size=32, num_epochs=2, steps_per_epoch=100),
        ),
    ),
}


def get_config(variant: str = ""):
    """The experiment; `variant` is one of `VARIANTS`."""
    return common.experiment(DEFAULT, VARIANTS, variant)
