"""Chord LSTM: chorales and other music of few voices.

Each frame's set of sounding keys is one token; which keys are struck again, and the
keys of chords that training hardly saw, are told beside it. The network reads the metre
and, where there are fermatas, how far the phrase's end is: new chorales get as many
phrases as `phrases` says, and a fraction `stollen` of them repeats the first two.

Source: chord-token LSTM (UW CSE 599G1, December 2022): two frames a second of the first
instrument, a tied embedding of 512, two LSTM layers of 512, Adam, softmax over the
chords that the data holds.

Departures of `reference` from its source, each a defect there: the split is by piece
and not by token; windows really have 100 tokens, do not cross from one piece into the
next and start anywhere; beams are ranked by their likelihood, not by the numbers of
their tokens, and nothing in the search is left to chance. The learning rate is constant
as there, where a schedule is computed and never applied. Besides, the weights' decay
does not pass through Adam's scaling here. It learns its music by heart, so the latest
weights are exported. 300 frames last 37.5 s: two a second are read and eight played.

What was measured: docs/results/chord_lstm.md.
"""

from tfmusic.configs import common

DEFAULT = dict(
    name="chord_lstm",
    representation=dict(
        name="chord_frames",
        steps_per_quarter=2,
        steps_per_second=0.0,
        decode_steps_per_second=0.0,  # above 0, as many frames a second are played
        qpm=100.0,
        metre=True,  # the network reads where in its bar each frame lies
        plan=True,  # and how far the next fermata is, where there are some
        keys=True,  # which keys are struck again; what unknown chords are made of
        min_count=2,  # rarer chords are spelled
        first_instrument_only=False,
        max_vocabulary=8192,  # likewise; 0: all
        fit_semitones=0,  # above 0, windows can be transposed so far
    ),
    data=dict(min_steps=16, window_steps=100, window_stride=50),
    model=dict(
        name="chord_lstm",
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
        temperature=0.9,  # defaults of generation, chosen by tfmusic evaluate --pieces
        min_p=0.03,
        hide_plan=0.5,  # the plan is unknown in so many windows
        carry_state=False,  # True: stateful training
    ),
    train=dict(
        batch_size=64, eval_batch_size=64, num_epochs=60, early_stopping_epochs=5
    ),
)
REFERENCE = dict(
    representation=dict(
        steps_per_quarter=0,
        steps_per_second=2.0,
        decode_steps_per_second=8.0,
        metre=False,
        plan=False,
        keys=False,
        min_count=1,
        first_instrument_only=True,
        max_vocabulary=0,
    ),
    data=dict(window_stride=100),
    model=dict(
        name="token_lstm",
        embedding_size=512,
        input_encoding="embedding",
        units=(512, 512),
        dropout=0.0,
        learn_end=False,
        min_p=0.0,
    ),
    optimizer=dict(
        learning_rate=0.002,
        schedule="constant",
        warmup_steps=0,
        clip_norm=0.0,
        weight_decay=0.0005,
    ),
    train=dict(
        batch_size=256,
        num_epochs=50,
        min_steps_per_epoch=0,
        early_stopping_epochs=0,
        export_checkpoint="latest",
    ),
)
CHORALES = dict(
    data=dict(key="C", window_steps=64, window_stride=32),
    model=dict(temperature=1.0, min_p=0.05, guidance=3.0),
    train=dict(batch_size=32, num_epochs=20, min_steps_per_epoch=0),
)
VARIANTS = {
    "": (
        "All instruments on the beat grid in eighth notes; dropout, early stopping, "
        "a learning rate that falls, pieces never cut at the seams.",
        dict(),
    ),
    "reference": (
        "The published settings.",
        REFERENCE,
    ),
    "reference_gru": (
        "The same with GRUs, which the source's text found worse.",
        common.merge(REFERENCE, dict(model=dict(cell="gru"))),
    ),
    "bach_chorales": (
        "The default for chorales in one key, in some minutes; `make demo` trains it "
        "for half as long.",
        CHORALES,
    ),
    "chorales": (
        "The same at eleven pitches, half an hour: the model `chorales` that "
        "comes with tfmusic.",
        common.merge(
            CHORALES,
            dict(
                representation=dict(fit_semitones=5),
                data=dict(transpose_semitones=5),
                model=dict(
                    units=(384, 256),
                    dropout=0.2,
                    temperature=1.1,
                    min_p=0.07,
                    guidance=2.5,
                ),
                train=dict(num_epochs=120, early_stopping_epochs=10),
            ),
        ),
    ),
    "frames": (
        "For the sets of Boulanger-Lewandowski et al., in eighths, without a metre; "
        "JSB Chorales take `--config.representation.steps_per_quarter=1`.",
        dict(
            representation=dict(metre=False, plan=False, fit_semitones=5),
            data=dict(
                min_steps=1, window_steps=256, window_stride=128, transpose_semitones=5
            ),
            model=dict(
                learn_end=False,
                lookback=True,  # frames come as they came the last time
                temperature=1.0,
                min_p=0.0,  # beside what may come again new chords are all unlikely
            ),
            train=dict(batch_size=16, num_epochs=20, min_steps_per_epoch=0),
        ),
    ),
    "stateful": (
        "The default, but each piece is read from its beginning, window after "
        "window, and the state of the network goes from one to the next: truncated "
        "back-propagation. One device; no transposition.",
        dict(
            data=dict(window_stride=100),
            model=dict(carry_state=True),
            train=dict(batch_size=16, distribute="none"),
        ),
    ),
    "smoke": (
        "A minute on two cores.",
        dict(
            representation=dict(max_vocabulary=1024),
            data=dict(window_steps=32, window_stride=32),
            model=dict(embedding_size=64, units=(64,)),
            train=dict(batch_size=32, num_epochs=2, steps_per_epoch=150),
        ),
    ),
}


def get_config(variant: str = ""):
    """The experiment; `variant` is one of `VARIANTS`."""
    return common.experiment(DEFAULT, VARIANTS, variant)
