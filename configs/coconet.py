"""Coconet: chorales whose bars or voices are written anew around what is kept.

An orderless model: any cells of the four voices, given the others.

Source: Huang et al., "Counterpoint by Convolution", ISMIR 2017: sixteenths of four
voices, a convolutional network of 64 layers of 128 filters, masks of a random size,
blocked Gibbs sampling.

Departures: a small network whose convolutions go over time alone, which learns more in
the same time on a processor; onsets are kept; the place in the bar and the
distance from both ends of the piece are known; masks hide blocks of up to two quarters,
and half of them lie within passages and voices; windows are transposed. `pitches` has
no onsets, as its source.

What was measured: docs/results/coconet.md.
"""

from tfmusic.configs import common

DEFAULT = dict(
    name="coconet",
    representation=dict(
        name="voice_frames",
        steps_per_quarter=4,
        qpm=80.0,
        lowest_pitch=36,
        highest_pitch=84,
        onsets=True,
    ),
    data=dict(min_steps=32, window_steps=128, window_stride=64, transpose_semitones=5),
    model=dict(
        name="infill",
        embedding_size=48,
        num_layers=6,
        hidden_size=192,
        dropout=0.2,
        temperature=0.6,  # defaults of generation, chosen by benchmarks.infilling
        gibbs_steps=128,
        avoid_parallels=20.0,
        cadence=8.0,
    ),
    train=dict(
        batch_size=16, eval_batch_size=32, num_epochs=80, sample_every_epochs=20
    ),
)
VARIANTS = {
    "": ("Four voices with onsets, in all keys.", dict()),
    "pitches": (
        "Without onsets, to compare with published likelihoods.",
        dict(representation=dict(highest_pitch=81, onsets=False)),
    ),
    "smoke": (
        "A minute on two cores.",
        dict(
            data=dict(window_steps=64, window_stride=64),
            model=dict(
                embedding_size=16,
                num_layers=2,
                hidden_size=48,
                gibbs_steps=16,
            ),
            train=dict(num_epochs=2, steps_per_epoch=100, sample_every_epochs=2),
        ),
    ),
}


def get_config(variant: str = ""):
    """The experiment; `variant` is one of `VARIANTS`."""
    return common.experiment(DEFAULT, VARIANTS, variant)
