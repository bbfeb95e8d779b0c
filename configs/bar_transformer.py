"""Bar Transformer: any music, bar by bar, by attention.

Tunes, songs, piano and bands as one stream of events, by attention.

The events of `bar_lstm`, read by a decoder-only Transformer with rotary positions:
bars that come back are easier to look at than to remember.

Source: Huang and Yang, "Pop Music Transformer", 2020, for the events and the idea; the
network is the one of `tfmusic.networks.attention`, pre-norm with rotary positions.
"""

from tfmusic.configs import bar_lstm, common

DEFAULT = common.merge(
    {k: v for k, v in bar_lstm.DEFAULT.items() if k != "model"},
    dict(
        name="bar_transformer",
        data=dict(window_steps=512, window_stride=512),
        model=dict(
            name="token_transformer",
            embedding_size=256,
            input_encoding="embedding",
            num_layers=4,
            num_heads=8,
            hidden_size=256,
            feed_forward_size=1024,
            context_steps=512,
            dropout=0.1,
            head="linear",
            tied_output=True,
            loss_steps="all",
            learn_end=True,
            temperature=1.0,
            min_p=0.02,
            cadence=0.0,
        ),
        optimizer=dict(learning_rate=5e-4, warmup_steps=200),
        train=dict(batch_size=16),
    ),
)
VARIANTS = {
    "": (
        "Any folder of music with a beat: instruments, drums, dynamics, tempos.",
        dict(),
    ),
    "folk": (
        "Tunes of one voice, such as `--source=folk`: no dynamics, one tempo. Small "
        "enough for an hour of two cores.",
        common.merge(
            bar_lstm.FOLK,
            dict(
                data=dict(window_steps=512, window_stride=512),
                model=dict(
                    embedding_size=192,
                    hidden_size=192,
                    num_heads=6,
                    feed_forward_size=768,
                    cadence=5.0,
                ),
                optimizer=dict(learning_rate=1.5e-3),
                train=dict(steps_per_epoch=250, num_epochs=4, eval_batch_size=16),
            ),
        ),
    ),
    "piano": ("Piano with dynamics and tempos.", bar_lstm.PIANO),
    "smoke": (
        "A minute on two cores, on tunes.",
        common.merge(
            bar_lstm.SMOKE,
            dict(
                model=dict(
                    embedding_size=64,
                    num_layers=2,
                    num_heads=4,
                    hidden_size=64,
                    feed_forward_size=128,
                    context_steps=96,
                ),
                optimizer=dict(learning_rate=3e-3, warmup_steps=20),
                train=dict(
                    batch_size=32, eval_batch_size=32, num_epochs=2, steps_per_epoch=150
                ),
            ),
        ),
    ),
}


def get_config(variant: str = ""):
    """The experiment; `variant` is one of `VARIANTS`."""
    return common.experiment(DEFAULT, VARIANTS, variant)
