"""All numbers that steer generation, declared once.

A control is a flag of `tfmusic generate`, an input of the export's endpoints and an
entry of the model's card. A model lists in `CONTROLS` those that it takes; to change a
default for one model, use `Control.with_default`.
"""

import dataclasses
from collections.abc import Sequence

import tensorflow as tf

from tfmusic.generation.repetition import HISTORY


@dataclasses.dataclass(frozen=True)
class Control:
    """A number that steers generation.

    Attributes:
        name: The endpoint input's name.
        default: The value that suits the model.
        minimum: The smallest value.
        maximum: The greatest value.
        doc: One line for users.
    """

    name: str
    default: float
    minimum: float
    maximum: float
    doc: str

    @property
    def spec(self) -> tf.TensorSpec:
        """The endpoint input: a float32 scalar."""
        return tf.TensorSpec([], tf.float32, self.name)

    def with_default(self, default: float) -> "Control":
        """The same control with another default."""
        return dataclasses.replace(self, default=default)

    def with_names(self, names: Sequence[str]) -> "Control":
        """The same control, which says what its numbers from 1 on mean."""
        meanings = "; ".join(f"{i} {name}" for i, name in enumerate(names, 1))
        doc = f"{self.doc.removesuffix('.')}; {meanings}."
        return dataclasses.replace(self, maximum=float(len(names)), doc=doc)


TEMPERATURE = Control(
    "temperature",
    *(1.0, 0.0, 10.0),
    "Above 1 the music is bolder, below 1 safer; 0 always takes the likeliest.",
)
TOP_K = Control(
    "top_k", *(0.0, 0.0, 1e6), "Choose among the k likeliest tokens; 0: among all."
)
TOP_P = Control(
    "top_p",
    *(1.0, 0.0, 1.0),
    "Nucleus sampling: choose among the likeliest tokens that together have this "
    "probability; 1: among all.",
)
MIN_P = Control(
    "min_p",
    *(0.0, 0.0, 1.0),
    "Leave out tokens less likely than this fraction of the likeliest one; 0: none.",
)
REPETITION_PENALTY = Control(
    "repetition_penalty",
    *(1.0, 1.0, 1e6),
    "Make recent tokens less likely: their odds are divided by this; 1: unchanged.",
)
REPETITION_WINDOW = Control(
    "repetition_window",
    *(64.0, 1.0, float(HISTORY)),
    "How many of the newest tokens --repetition_penalty looks at.",
)
NO_REPEAT_NGRAM = Control(
    "no_repeat_ngram",
    *(0.0, 0.0, float(HISTORY)),
    f"Never repeat a passage of this many tokens within {HISTORY}; 0: allowed.",
)
MIN_STEPS = Control(
    "min_steps", *(32.0, 0.0, 1e6), "No piece ends before this many tokens; 0: any."
)
LENGTH_POWER = Control(
    "length_power",
    *(0.0, 0.0, 2.0),
    "Rank beams by log-likelihood over length to this power; 0 prefers short pieces.",
)
BEAM_TEMPERATURE = dataclasses.replace(
    TEMPERATURE,
    default=0.0,
    doc="Above 0 each beam goes on with tokens that it draws at this temperature, as "
    "the seed says; 0: with the likeliest.",
)
# What is drawn of a softmax.
SAMPLING = (TEMPERATURE, TOP_K, TOP_P, MIN_P)
SEARCH = (LENGTH_POWER, BEAM_TEMPERATURE)
MAX_REPEATS = Control(
    "max_repeats",
    *(15.0, 0.0, 1e6),
    "How often the same step may follow itself; 0: no limit.",
)
MAX_SILENCE = Control(
    "max_silence", *(15.0, 0.0, 1e6), "Silent steps in a row at most; 0: no limit."
)
MAX_HELD = Control(
    "max_held", *(64.0, 0.0, 1e6), "Steps that a key is held at most; 0: no limit."
)
# Tokens of time are short: a key may be held for many of their steps.
MAX_HELD_EVENTS = MAX_HELD.with_default(500.0)
REPEAT_BONUS = Control(
    "repeat_bonus",
    *(0.0, 0.0, 100.0),
    "Make keys that are held likelier to stay: added to their odds; 0: unchanged.",
)
INITIAL_NOISE = Control(
    "initial_noise",
    *(0.0, 0.0, 10.0),
    "Start music without a primer from a random state of this standard deviation; 0: "
    "from zeros.",
)
CONSERVATIVITY = Control(
    "conservativity",
    *(1.0, 0.05, 20.0),
    "Notes play with their probability to this power: above 1 fewer, below 1 more.",
)
DENSITY = Control(
    "density",
    *(0.0, 0.0, 88.0),
    "Keep about this many notes sounding by adapting --conservativity; 0: do not.",
)
DRAW_COUNTS = Control(
    "draw_counts",
    *(0.0, 0.0, 1.0),
    "1: each hand plays as many keys as the network expects; 0: each key for itself.",
)
SPREAD = Control(
    "spread",
    *(1.0, 0.0, 10.0),
    "Scale of the noise: below 1 the music is closer to the average.",
)
GIBBS_STEPS = Control(
    "gibbs_steps",
    *(128.0, 1.0, 2000.0),
    "How often what is new is gone over: the more, the better its notes fit together.",
)
PARTICLES = Control(
    "particles",
    *(16.0, 1.0, 1024.0),
    "How many versions are written beside each other; those that fit badly with the "
    "given notes to come give way: the more, the better all fits together.",
)
AVOID_PARALLELS = Control(
    "avoid_parallels",
    *(0.0, 0.0, 100.0),
    "Make parallel fifths and octaves less likely: taken from their odds; 0: allowed.",
)
BAR_QUARTERS = Control(
    "bar_quarters",
    *(4.0, 0.25, 16.0),
    "Length of a bar in quarter notes: 4 for 4/4, 3 for 3/4 and 6/8.",
)
PICKUP_QUARTERS = Control(
    "pickup_quarters",
    *(0.0, 0.0, 16.0),
    "Length of the upbeat before the first bar, in quarter notes; 0: none.",
)
METRE = (BAR_QUARTERS, PICKUP_QUARTERS)
METRE_NUMBER = Control(
    "metre_number",
    *(0.0, 0.0, 99.0),
    "Metre of all bars; 0: any.",
)
# What holds for a whole piece and is said before it begins; 0 leaves it to the model.
TAG = Control("tag", *(0.0, 0.0, 32.0), "Kind of music; 0: any.")
KEY_NUMBER = Control(
    "key_number",
    *(0.0, 0.0, 24.0),
    "Key: 1 to 12 are C to B major, 13 to 24 C to B minor; 0: drawn for each piece.",
)
NOTES_PER_QUARTER = Control(
    "notes_per_quarter",
    *(0.0, 0.0, 100.0),
    "About how many notes begin in a quarter note; 0: any.",
)
NOTES_PER_SECOND = Control(
    "notes_per_second",
    *(0.0, 0.0, 100.0),
    "About how many notes begin in a second; 0: any.",
)
LENGTH_BARS = Control(
    "length_bars",
    *(0.0, 0.0, 10_000.0),
    "How many bars a new piece has; 0: drawn for each piece.",
)
CONDITIONS = {c.name: c for c in (TAG, NOTES_PER_QUARTER)}
PHRASES = Control(
    "phrases",
    *(8.0, 0.0, 1000.0),
    "How many phrases a new piece has; 0: as it comes.",
)
PHRASE_QUARTERS = Control(
    "phrase_quarters",
    *(8.0, 2.0, 64.0),
    "Length of a phrase in quarter notes; its last one bears the fermata.",
)
HOME_KEY = Control(
    "home_key",
    *(0.0, 0.0, 24.0),
    "Key that a new piece comes home to: 1 to 12 are C to B major, 13 to 24 C to B "
    "minor; one that the model has not learned becomes its commonest of that mode; 0: "
    "drawn anew for each piece.",
)
PLAN = (PHRASES, PHRASE_QUARTERS, HOME_KEY)
STOLLEN = Control(
    "stollen",
    *(0.6, 0.0, 1.0),
    "How many of the new pieces repeat their first two phrases, as bar form (A A B) "
    "wants, from 0: none, to 1: all. It takes --phrases of 4 or more.",
)
CADENCE = Control(
    "cadence",
    *(7.0, 0.0, 1e6),
    "Make a cadence likelier at the last fermata, the home key's tonic after its "
    "dominant: the odds of these chords are multiplied by e to this power; 0: "
    "unchanged. It takes --phrases of 1 or more.",
)
CADENCE_OF_BARS = dataclasses.replace(
    CADENCE,
    default=0.0,
    doc="Make an end on the tonic likelier: in the last bar the odds that the piece "
    "ends after the tonic are multiplied by e to this power, those after another note "
    "divided, and those of the tonic multiplied by the root of that; 0: unchanged.",
)
CADENCE_OF_VOICES = dataclasses.replace(
    CADENCE,
    default=0.0,
    maximum=100.0,
    doc="Make an end on the tonic likelier: the odds that the lowest voice has it at "
    "the last step are multiplied by e to this power; 0: unchanged.",
)
GUIDANCE = Control(
    "guidance",
    *(1.0, 0.0, 10.0),
    "How strongly the plan of a piece, its key, its phrases and its length, is heard: "
    "what it changes counts so often. 1: as it was learned; 0: not at all. Others take "
    "twice as long.",
)
VOICE_LEADING = Control(
    "voice_leading",
    *(2.0, 0.0, 1e6),
    "Make parallel fifths and octaves less likely: the odds of a chord that makes some "
    "are divided by e to this power for each; 0: unchanged.",
)

# How fast a held key's bonus fades, as published for each hand.
_RATES = {"right": 0.25, "left": 0.1}


def rate_names(num_hands: int) -> list[str]:
    """The names of the controls that say how fast `REPEAT_BONUS` fades, by hand."""
    if num_hands == 1:
        return ["repeat_rate"]
    return [f"repeat_rate_{hand}" for hand in list(_RATES)[:num_hands]]


def roll_controls(num_hands: int) -> tuple[Control, ...]:
    """The controls of every model of rolls."""
    doc = "How fast --repeat_bonus fades with each step that the key is held."
    rates = [
        Control(name, rate, 0.0, 100.0, doc)
        for name, rate in zip(rate_names(num_hands), _RATES.values(), strict=False)
    ]
    return (TEMPERATURE, REPEAT_BONUS, *rates, MAX_HELD, MAX_REPEATS, MAX_SILENCE)
