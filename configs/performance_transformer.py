"""Performance Transformer: the same, by attention.

Played music as one stream of events, by attention.

The events of `performance_lstm` (keys down, keys up, time and loudness), read by a
decoder-only Transformer with rotary positions: what was played comes back more easily
where the network can look at it than where it has to remember it.

Source: Huang et al., "Music Transformer", 2018, for the idea and the music; the network
is the one of `tfmusic.networks.attention`, pre-norm with rotary positions. A step looks
back `context_steps` events in training and in generation, so pieces can be longer than
windows.

What was measured: docs/results/performance_transformer.md.
"""

from tfmusic.configs import common, performance_lstm

DEFAULT = common.merge(
    {k: v for k, v in performance_lstm.DEFAULT.items() if k != "model"},
    dict(
        name="performance_transformer",
        model=dict(
            name="token_transformer",
            embedding_size=256,
            input_encoding="embedding",
            keys_down=True,
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
        ),
        optimizer=dict(learning_rate=5e-4, warmup_steps=200),
    ),
)
VARIANTS = {
    "": (
        "Four layers that two cores can train; the keys that are down are read too.",
        dict(),
    ),
    "styled": (
        "The default, which also knows the composer and how many notes a second a "
        "piece has; --tag and --notes_per_second ask for them.",
        performance_lstm.STYLED,
    ),
    "smoke": (
        "A minute on two cores.",
        dict(
            data=dict(window_steps=128, window_stride=128),
            model=dict(
                embedding_size=64,
                num_layers=2,
                num_heads=4,
                hidden_size=64,
                feed_forward_size=128,
                context_steps=128,
            ),
            optimizer=dict(learning_rate=3e-3, warmup_steps=20),
            train=dict(
                batch_size=16, eval_batch_size=16, num_epochs=2, steps_per_epoch=100
            ),
        ),
    ),
}


def get_config(variant: str = ""):
    """The experiment; `variant` is one of `VARIANTS`."""
    return common.experiment(DEFAULT, VARIANTS, variant)
