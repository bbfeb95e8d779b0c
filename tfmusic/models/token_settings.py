"""What config.model says of the models of tokens and of chords."""

import dataclasses
from typing import ClassVar

from tfmusic.settings import Settings, setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class TokenSettings(Settings):
    """What a token model adds to its network.

    Two published systems are these settings, with a recurrent network:

    - Skuldur's Classical-Piano-Composer, and after it the first experiment of the AIDL
      team at UPC: `input_encoding="index"`, `units=(512, 512, 512)`, `dropout=0.0`,
      `recurrent_dropout=0.3`, `head="skuldur"`, `loss_steps="last"`.
    - The chord-token network of sylvia-segfault/music-generation: `tied_output=True`,
      `embedding_size=512`, `units=(512, 512)`, `dropout=0.0`.

    Attributes:
        embedding_size: Numbers that stand for a token; without meaning for "index".
        input_encoding: "embedding": a learned vector for each token; "pitches": also
            one for each pitch that it sounds (see `PitchEmbedding`); "index": the
            token's id over the number of tokens, a single number, which the network
            reads in float32 under mixed precision too.
        keys_down: Whether the network also reads which keys are down after each token,
            for events that do not tell how long a note will last. Without it the
            network has to remember them, and forgets some.
        pitch_context: Whether the logits of notes also follow from the intervals to the
            notes before them, see `PitchContext`: for tokens of one pitch at most.
            Much is learned so from little music.
        lookback: Whether the network also reads what came before in such a place, and
            says how likely it comes again, so that music returns: of tokens with bars
            what stood 1, 2, 4 and 8 bars before, see `Lookback`; of chord frames with
            keys what came after the same frames, see `Recall`.
        head: Layers before the logits: "linear": none; "skuldur": batch normalisation,
            dropout 0.3, 256 rectified units, batch normalisation, dropout 0.3; "dense":
            256 units without activation, dropout 0.3, as Skuldur's text prints it.
        dropout: Fraction of the network's outputs dropped before a linear head.
        tied_output: Whether the embedding's vectors also give the logits; the network's
            output then has `embedding_size` numbers.
        loss_steps: "all", or "last": a window teaches its last token alone.
        learn_end: Whether the model learns where pieces end, and generation may end.
        temperature, min_p: Defaults of the controls of these names.
        cadence: Likewise, where a piece has a number of bars: for tunes of one voice.
        hide_plan: Fraction of training windows in which the plan, a piece's phrases or
            its length, is unknown, and in half of these the key too, so that the same
            weights play with a plan and without.
        guidance: Default of the control of this name, where there is a plan.
        carry_state: Whether training reads each piece from its beginning, window after
            window, and a window begins with the state that the one before left:
            truncated back-propagation. Needs a recurrent network, and windows that do
            not overlap and are not varied.
    """

    SECTION: ClassVar[str] = "model"

    embedding_size: int = setting(128, at_least=0, at_most=65_536)
    input_encoding: str = setting(
        "embedding", choices=("embedding", "pitches", "index")
    )
    keys_down: bool = False
    pitch_context: bool = False
    lookback: bool = False
    head: str = setting("linear", choices=("linear", "skuldur", "dense"))
    dropout: float = setting(0.3, at_least=0.0, at_most=0.99)
    tied_output: bool = False
    loss_steps: str = setting("all", choices=("all", "last"))
    learn_end: bool = True
    temperature: float = setting(1.0, at_least=0.0, at_most=10.0)
    min_p: float = setting(0.0, at_least=0.0, at_most=1.0)
    cadence: float = setting(0.0, at_least=0.0)
    hide_plan: float = setting(0.5, at_least=0.0, at_most=1.0)
    guidance: float = setting(1.0, at_least=0.0, at_most=10.0)
    carry_state: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChordSettings(TokenSettings):
    """What a chord model adds to its network: those of tokens."""

    input_encoding: str = setting("pitches", choices=("pitches",))
