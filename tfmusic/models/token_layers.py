"""Settings and state of models of tokens, and the layers around their networks."""

import dataclasses
from typing import Any, ClassVar, NamedTuple

import keras
import tensorflow as tf

from tfmusic.errors import UserError
from tfmusic.generation.token_rules import RulesState
from tfmusic.models.base import Tensors
from tfmusic.networks.layers import PitchEmbedding, TiedOutput, TokenEmbedding
from tfmusic.representations.tokens import TokenRepresentation
from tfmusic.settings import Settings, setting

_UNIT_NORMAL = keras.initializers.RandomNormal(stddev=1.0)


class TokenState(NamedTuple):
    """What the model knows before a token.

    Attributes:
        network: The network's.
        rules: What the rules know of the tokens so far.
        place: See `Places.before_piece`; empty without metre.
    """

    network: Any
    rules: RulesState
    place: Tensors


@dataclasses.dataclass(frozen=True, kw_only=True)
class TokenSettings(Settings):
    """What a token model adds to its network.

    Attributes:
        embedding_size: Numbers that stand for a token; without meaning for "index".
        input_encoding: "embedding": a learned vector for each token; "pitches": also
            one for each pitch that it sounds (see `PitchEmbedding`); "index": the
            token's id over the number of tokens, a single number, which the network
            reads in float32 under mixed precision too.
        keys_down: Whether the network also reads which keys are down after each token,
            for events that do not tell how long a note will last. Without it the
            network has to remember them, and forgets some.
        head: Layers before the logits: "linear": none; "skuldur": batch normalisation,
            dropout 0.3, 256 rectified units, batch normalisation, dropout 0.3.
        dropout: Fraction of the network's outputs dropped before a linear head.
        tied_output: Whether the embedding's vectors also give the logits; the network's
            output then has `embedding_size` numbers.
        loss_steps: "all", or "last": a window teaches its last token alone.
        learn_end: Whether the model learns where pieces end, and generation may end.
        temperature, min_p: Defaults of the controls of these names.
        hide_plan: Fraction of training windows in which the phrases that are planned
            are unknown, so that the same weights play with a plan and without. Counts
            with the representation's `plan`.
        carry_state: Whether training reads each piece from its beginning, window after
            window, and a window begins with the state that the one before left:
            truncated back-propagation. Needs a recurrent network, and windows that do
            not overlap and are not varied.
    """

    SECTION: ClassVar[str] = "model"

    embedding_size: int = setting(128, at_least=0)
    input_encoding: str = setting(
        "embedding", choices=("embedding", "pitches", "index")
    )
    keys_down: bool = False
    head: str = setting("linear", choices=("linear", "skuldur"))
    dropout: float = setting(0.3, at_least=0.0, at_most=0.99)
    tied_output: bool = False
    loss_steps: str = setting("all", choices=("all", "last"))
    learn_end: bool = True
    temperature: float = setting(1.0, at_least=0.0, at_most=10.0)
    min_p: float = setting(0.0, at_least=0.0, at_most=1.0)
    hide_plan: float = setting(0.5, at_least=0.0, at_most=1.0)
    carry_state: bool = False


def make_embedding(
    representation: TokenRepresentation, settings: TokenSettings
) -> TokenEmbedding | PitchEmbedding | None:
    """What turns tokens into vectors; None for "index"."""
    if settings.input_encoding == "index":
        return None
    if settings.input_encoding == "pitches":
        pitches = representation.token_pitches()
        return PitchEmbedding(pitches, settings.embedding_size)
    # An LSTM learns little until its inputs are about 1; logits that the same vectors
    # give have to begin near 0.
    return TokenEmbedding(
        len(representation.vocabulary),
        settings.embedding_size,
        embeddings_initializer="uniform" if settings.tied_output else _UNIT_NORMAL,
    )


def make_head(settings: TokenSettings) -> list[keras.layers.Layer]:
    """The layers between the network and the logits."""
    if settings.head == "linear":
        return [keras.layers.Dropout(settings.dropout)]
    return [
        keras.layers.BatchNormalization(),
        keras.layers.Dropout(0.3),
        keras.layers.Dense(256, activation="relu"),
        keras.layers.BatchNormalization(),
        keras.layers.Dropout(0.3),
    ]


def make_output(
    embedding: keras.layers.Layer | None, vocabulary_size: int, tied: bool
) -> keras.layers.Layer:
    """What gives the logits, in float32 under a mixed precision policy too."""
    if tied:
        return TiedOutput(embedding, dtype="float32")
    return keras.layers.Dense(vocabulary_size, dtype="float32")


def check_layers(
    network: keras.layers.Layer,
    representation: TokenRepresentation,
    settings: TokenSettings,
    tells_ends: bool,
) -> None:
    """Refuses settings that do not go together.

    Raises:
        UserError: There are some.
    """
    if settings.keys_down and not tells_ends:
        raise UserError(
            "model.keys_down: expected tokens that end what sounds, got "
            f"{representation.name}"
        )
    if settings.tied_output and (
        settings.input_encoding == "index"
        or network.output_size != settings.embedding_size
    ):
        raise UserError(
            "model.tied_output: expected another input_encoding than 'index' and "
            f"as many outputs of the network as embedding_size, "
            f"{settings.embedding_size}; got {settings.input_encoding!r} and "
            f"{network.output_size} outputs"
        )
    if settings.carry_state and not network.is_recurrent:
        raise UserError(
            "model.carry_state: expected a recurrent network, got "
            f"{type(network).__name__}; leave it out"
        )


def join(vectors: tf.Tensor, others: tf.Tensor | None) -> tf.Tensor:
    """Both as one vector, `[..., feature]`; None adds nothing."""
    if others is None:
        return vectors
    return tf.concat([vectors, tf.cast(others, vectors.dtype)], axis=-1)
