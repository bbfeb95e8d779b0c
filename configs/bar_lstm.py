"""Bar LSTM: any music, bar by bar.

Tunes, songs, piano and bands as one stream of bars, places in bars, and notes.

Source: the events are those of REMI (Huang and Yang, "Pop Music Transformer", 2020) on
a grid of twelve steps a quarter, each written only where it differs from that of the
note before; `tfmusic.representations.bar_events` has the details. The vocabulary is the
same for all music. The network is that of folk-rnn (Sturm et al., "Music Transcription
Modelling and Composition Using Deep Learning", 2016) with two layers for three and
fewer units: LSTM layers over an embedding, with dropout. Added is `PitchContext`: the
network says how likely each interval from the newest notes is, each degree of the key,
and that a passage goes on as it did before. With forty files, that is music instead of
noise. Added is `Lookback`, too: the network reads what stood 1, 2, 4 and 8 bars before
at the same place, and says how likely that comes again, so bars return.

What holds for a whole piece stands before it: a tag (a dance, a composer, a folder),
and how dense it is. Beside each token stand the key and how many bars are to come. In
training all of this is left open in part of the windows, so generation may ask for any
of it; keys and lengths that are not asked for are drawn as the training pieces have
them. Songs of three instruments are better at a temperature of 0.8; piano repeats
itself then. In `:folk`, `cadence=5` makes the tonic likelier at the end: 72 of 100 new
tunes end on it, with 0 only 42. Where several notes sound at once it piles up tonics.
"""

from tfmusic.configs import common

DEFAULT = dict(
    name="bar_lstm",
    representation=dict(
        name="bar_events",
        steps_per_quarter=12,
        note_steps=1,
        num_velocity_bins=32,
        tempos=True,
        programs=True,
        lowest_pitch=0,
        highest_pitch=127,
    ),
    data=dict(min_steps=32, window_steps=384, window_stride=384, transpose_semitones=5),
    model=dict(
        name="token_lstm",
        embedding_size=256,
        input_encoding="embedding",
        cell="lstm",
        units=(384, 384),
        dropout=0.3,
        recurrent_dropout=0.0,
        head="linear",
        tied_output=False,
        pitch_context=True,
        lookback=True,
        loss_steps="all",
        learn_end=True,
        temperature=1.0,
        min_p=0.02,
        cadence=0.0,
        guidance=1.0,  # above 1, a piece keeps nearer to its key and length
        carry_state=False,  # True: stateful training
    ),
    train=dict(
        batch_size=32, eval_batch_size=64, num_epochs=40, early_stopping_epochs=4
    ),
)
# Of music for one voice, without what it does not have.
FOLK = dict(
    representation=dict(
        num_velocity_bins=0,
        tempos=False,
        programs=False,
        lowest_pitch=36,
        highest_pitch=100,
    ),
    data=dict(window_steps=256, window_stride=256),
)
PIANO = dict(
    representation=dict(programs=False, lowest_pitch=21, highest_pitch=108),
    data=dict(window_steps=512, window_stride=512),
)
SMOKE = dict(
    representation=FOLK["representation"],
    data=dict(window_steps=96, window_stride=96),
)
VARIANTS = {
    "": (
        "Any folder of music with a beat: instruments, drums, dynamics, tempos.",
        dict(),
    ),
    "folk": (
        "Tunes of one voice, such as `--source=folk`: no dynamics, one tempo. The "
        "model `folk` that comes with tfmusic.",
        common.merge(
            FOLK,
            dict(
                model=dict(dropout=0.4, cadence=5.0, guidance=2.0),
                train=dict(batch_size=64, num_epochs=7),
            ),
        ),
    ),
    "piano": (
        "Piano with dynamics and tempos. The model `piano` of pretrained/.",
        common.merge(PIANO, dict(train=dict(num_epochs=9))),
    ),
    "smoke": (
        "A minute on two cores, on tunes.",
        common.merge(
            SMOKE,
            dict(
                model=dict(embedding_size=64, units=(128,), dropout=0.1),
                optimizer=dict(learning_rate=0.005, warmup_steps=20),
                train=dict(batch_size=32, num_epochs=2, steps_per_epoch=150),
            ),
        ),
    ),
}


def get_config(variant: str = ""):
    """The experiment; `variant` is one of `VARIANTS`."""
    return common.experiment(DEFAULT, VARIANTS, variant)
