"""Biaxial LSTM: harmony, the same in every key; the best scores.

Every note hears its neighbours, and each chooses after those below.

Source: the TensorFlow port of D. Johnson's "Composing Music With Recurrent Neural
Networks" (2015) by a team of Columbia's Applied Data Science course, and Johnson's
"Generating Polyphonic Music Using Tied Parallel Networks" (EvoMUSART 2017). Sixteenth
steps, 78 notes; two recurrent layers along time shared by all notes, two along the
notes of each step; the probability of a frame is exact.

Departures of `reference` from its source, the first four defects there: notes at the
borders have silent neighbours rather than those of the other end; the beat in
generation is that of the step that is drawn, as it is in training; it counts from the
bar line in every metre; play and articulate are drawn by a number each. Articulation
is not learned where a note newly sounds, as it is certain there. Position is scaled to
-1..1; an input that is always 0 is left out. Windows start at the bar lines of every
metre, not at multiples of 16 steps alone, and the first step that is learned is the
measure's first. Pieces are split by content.

Departures of `johnson2017`: Adam with a falling rate and clipped gradients, where the
paper has RMSprop of 0.001 with Nesterov's momentum, which takes far more steps;
position is scaled. Pitch class is not among the paper's inputs. Its batches and windows
are not published: 8 of 32 steps. The loss is the sum over pitches, not the mean.

What was measured: docs/results/biaxial_lstm.md.
"""

from tfmusic.configs import common

DEFAULT = dict(
    name="biaxial_lstm",
    representation=dict(
        name="play_articulate",
        steps_per_quarter=4,
        qpm=120.0,
        velocity=80,
        lowest_pitch=21,
        highest_pitch=108,
        play_only=False,
    ),
    data=dict(min_steps=33, window_stride=64),
    model=dict(
        name="biaxial_lstm",
        time_units=(128, 128),
        note_units=(64,),
        dropout=0.3,
        position=True,
        pitch_class=True,
        beat="metre",
        key_loss_coefficient=88.0,  # the mean over pitches and channels
        compile_drawing=False,  # True: faster exports, which need XLA
    ),
    optimizer=dict(learning_rate=0.003),
    train=dict(batch_size=8, eval_batch_size=8, num_epochs=20, early_stopping_epochs=4),
)
JOHNSON = dict(
    representation=dict(steps_per_quarter=1, play_only=True),
    data=dict(min_steps=1, window_steps=32, window_stride=32),
    model=dict(
        time_units=(200, 200),
        note_units=(100, 100),
        dropout=0.5,
        pitch_class=False,
        beat="none",
    ),
    optimizer=dict(
        learning_rate=0.008,
        schedule="exponential",
        warmup_steps=20,
        decay_rate=0.5,
        decay_epochs=8,
    ),
    train=dict(
        eval_batch_size=16,
        num_epochs=60,
        min_steps_per_epoch=0,
        early_stopping_epochs=8,
    ),
)
VARIANTS = {
    "": (
        "Smaller layers that two cores can train, the whole piano, a metre that "
        "knows the length of the bar, a learning rate that falls, early stopping.",
        dict(),
    ),
    "reference": (
        "The port's published settings.",
        dict(
            representation=dict(lowest_pitch=24, highest_pitch=101),
            data=dict(min_steps=128, window_stride=16, draw_measures=True),
            model=dict(
                time_units=(300, 300),
                note_units=(100, 50),
                dropout=0.5,
                beat="binary",
                key_loss_coefficient=0.5,
            ),
            optimizer=dict(
                learning_rate=0.001,
                schedule="constant",
                warmup_steps=0,
                clip_norm=0.0,
                clip_value=1.0,
            ),
            train=dict(
                batch_size=5,
                num_epochs=100,
                steps_per_epoch=500,
                early_stopping_epochs=0,
            ),
        ),
    ),
    "johnson2017": (
        "The paper's BALSTM, for its table on the sets of Boulanger-Lewandowski: "
        "play alone, no beat; for JSB Chorales.",
        JOHNSON,
    ),
    "johnson2017_eighths": (
        "The same for the other three, with frames of an eighth.",
        common.merge(JOHNSON, dict(representation=dict(steps_per_quarter=2))),
    ),
    "smoke": (
        "A minute on two cores.",
        dict(
            data=dict(window_steps=32, window_stride=32),
            model=dict(time_units=(48,), note_units=(32,)),
            optimizer=dict(learning_rate=0.005, warmup_steps=20),
            train=dict(num_epochs=2, steps_per_epoch=60),
        ),
    ),
}


def get_config(variant: str = ""):
    """The experiment; `variant` is one of `VARIANTS`."""
    return common.experiment(DEFAULT, VARIANTS, variant)
