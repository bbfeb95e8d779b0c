"""Frame seq2seq: continues a beginning, four bars at a time.

A segment is encoded, the next one decoded.

Source: experiments 3 and 4 of F. Carrascosa, O. Casanovas, A. Pintaudi and M. Pomes,
"Music generation" (AIDL, UPC Barcelona, 2019): encoder and decoder of two LSTM layers
of 512, a roll of starts and sustains in sixteenths, a focal loss, and a decoder that
learns on more and more of its own frames.

Departures of the reference variants from their source, each a defect there: the decoder
is given the frame just before the one it learns (experiment 4 gave the one before that,
experiment 3 the very frame); its first input is the last frame of the segment before;
in generation it is given what it has drawn; the class is one of the frame's cells, not
one of the time steps; all instruments are read, not the first alone; windows do not
cross from one piece into the next; validation counts all of its split. Of a window of
two segments the first is learned too, from a state of zeros, as music begins. The coin
that decides what is fed is tossed for each window, not for the whole batch. Rates are
those of sounding keys; theirs counted starts and sustains, so their density is half as
high. An epoch has as many steps as ten pieces of theirs gave. The latest weights are
exported, as there.

What was measured: docs/results/frame_seq2seq.md.
"""

from tfmusic.configs import common

DEFAULT = dict(
    name="frame_seq2seq",
    representation=dict(
        name="start_sustain",
        steps_per_quarter=4,
        steps_per_second=0.0,
        qpm=100.0,
        velocity=80,
        first_instrument_only=False,
        metre=True,  # the network reads where in its bar each frame lies
    ),
    data=dict(min_steps=65, window_steps=256, window_stride=128, transpose_semitones=5),
    model=dict(
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
        teacher_forcing=1.0,  # fraction of true frames fed, at first and at last
        teacher_forcing_end=0.9,
        teacher_forcing_steps=4000,
        feedback_temperature=1.0,  # 0: own frames are thresholded
    ),
    train=dict(
        batch_size=16, eval_batch_size=16, num_epochs=40, early_stopping_epochs=4
    ),
)
REFERENCE = dict(
    representation=dict(metre=False),
    data=dict(min_steps=129, window_stride=1, transpose_semitones=0),
    model=dict(
        units=(512, 512),
        segment_steps=128,
        head_dropout=0.5,
        key_chains=False,
        loss="focal",
        teacher_forcing=0.5,
        teacher_forcing_end=0.0,
        teacher_forcing_steps=30000,
        feedback_temperature=0.0,
    ),
    optimizer=dict(
        learning_rate=0.0001, schedule="constant", warmup_steps=0, clip_norm=0.0
    ),
    train=dict(
        num_epochs=50,
        steps_per_epoch=600,
        early_stopping_epochs=0,
        export_checkpoint="latest",
    ),
)
VARIANTS = {
    "": (
        "Smaller layers that two cores can train, segments of four bars of 4/4, the "
        "exact likelihood of each frame as loss, a few sampled frames among the "
        "decoder's inputs, the metre read.",
        dict(),
    ),
    "reference": (
        "Experiment 4 as published: segments of 128 steps, focal loss (alpha 0.7, "
        "gamma 2), true frames with probability 0.5 falling to 0, own frames "
        "thresholded. Its text also names an alpha of 0.5 "
        "(`--config.model.alpha=0.5`), of 0.75, and a first learning rate above "
        "1e-4.",
        REFERENCE,
    ),
    "reference_experiment3": (
        "One class for the whole frame, true frames alone.",
        common.merge(
            REFERENCE,
            dict(
                data=dict(min_steps=161, window_steps=320),
                model=dict(
                    segment_steps=160,
                    loss="single",
                    teacher_forcing=1.0,
                    teacher_forcing_end=1.0,
                    teacher_forcing_steps=0,
                ),
                train=dict(
                    batch_size=50,
                    eval_batch_size=50,
                    num_epochs=100,
                    steps_per_epoch=192,  # as many windows
                ),
            ),
        ),
    ),
    "binary": (
        "The default with the cross-entropy of each start and sustain.",
        dict(model=dict(loss="binary")),
    ),
    "smoke": (
        "A minute on two cores.",
        dict(
            data=dict(window_steps=128),
            model=dict(units=(96,), head_units=96, teacher_forcing_steps=200),
            optimizer=dict(learning_rate=0.005, warmup_steps=20),
            train=dict(batch_size=8, num_epochs=2, steps_per_epoch=100),
        ),
    ),
}


def get_config(variant: str = ""):
    """The experiment; `variant` is one of `VARIANTS`."""
    return common.experiment(DEFAULT, VARIANTS, variant)
