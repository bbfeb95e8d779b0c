"""The state of models of tokens, and the layers around their networks."""

from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tfmusic.errors import UserError
from tfmusic.generation import samplers
from tfmusic.generation.token_rules import RulesState
from tfmusic.models.base import Tensors
from tfmusic.models.guidance import Guidance
from tfmusic.models.lookback import Bars, Lookback, bar_places
from tfmusic.models.pitch_context import Heard
from tfmusic.models.recall import Frames, Recall
from tfmusic.models.token_settings import TokenSettings
from tfmusic.networks.layers import PitchEmbedding, TiedOutput, TokenEmbedding
from tfmusic.networks.losses import Logits
from tfmusic.representations.tokens import TokenRepresentation
from tfmusic.representations.vocabulary import END, PAD, START


class TokenState(NamedTuple):
    """What the model knows before a token.

    Attributes:
        network: The network's.
        rules: What the rules know of the tokens so far.
        place: See `Places.before_piece`; empty without metre.
        heard: See `PitchContext`; empty without one.
        bars: See `Lookback` and `Recall`; empty without one.
        guidance: Empty where no plan is heard.
    """

    network: Any
    rules: RulesState
    place: Tensors
    heard: Heard | tuple[()] = ()
    bars: Bars | Frames | tuple[()] = ()
    guidance: Guidance | tuple[()] = ()


def make_embedding(
    representation: TokenRepresentation, settings: TokenSettings
) -> TokenEmbedding | PitchEmbedding | None:
    """What turns tokens into vectors; None for "index"."""
    if settings.input_encoding == "index":
        return None
    if settings.input_encoding == "pitches":
        pitches = representation.token_pitches()
        kinds = representation.token_kinds()
        return PitchEmbedding(pitches, settings.embedding_size, kinds)
    size = len(representation.vocabulary)
    return TokenEmbedding(size, settings.embedding_size, settings.tied_output)


def make_head(settings: TokenSettings) -> list[keras.layers.Layer]:
    """The layers between the network and the logits."""
    if settings.head == "linear":
        return [keras.layers.Dropout(settings.dropout)]
    if settings.head == "dense":
        return [keras.layers.Dense(256), keras.layers.Dropout(0.3)]
    return [
        keras.layers.BatchNormalization(),
        keras.layers.Dropout(0.3),
        keras.layers.Dense(256, activation="relu"),
        keras.layers.BatchNormalization(),
        keras.layers.Dropout(0.3),
    ]


def make_lookback(
    representation: TokenRepresentation, settings: TokenSettings
) -> Lookback | Recall | None:
    """What looks for earlier music that may come again; None: nothing does."""
    if not settings.lookback:
        return None
    if "keys" in representation.feature_specs:
        return Recall(name="recall")
    return Lookback(bar_places(representation), name="lookback")


def make_output(
    embedding: keras.layers.Layer | None, vocabulary_size: int, tied: bool
) -> keras.layers.Layer:
    """What gives the logits, in float32 under a mixed precision policy too."""
    if tied:
        return TiedOutput(embedding, dtype="float32")
    return keras.layers.Dense(vocabulary_size, dtype="float32")


def banned_tokens(vocabulary_size: int, learn_end: bool) -> np.ndarray:
    """What is added to logits so that some are never drawn, float32 `[token]`."""
    banned = np.zeros(vocabulary_size, np.float32)
    banned[[PAD, START] if learn_end else [PAD, START, END]] = samplers.IMPOSSIBLE
    return banned


def add_to_all(logits: tf.Tensor | Logits, values: np.ndarray) -> Logits:
    """Adds values `[token]` to every row of what `make_output` makes gives."""
    if isinstance(logits, Logits):
        return logits._replace(shared=logits.shared + values)
    return Logits(logits, tf.convert_to_tensor(values))


def check_keys(representation: TokenRepresentation, reads_keys: bool) -> None:
    """Refuses chords with keys that are struck again where these are not read.

    Raises:
        UserError: There are such keys.
    """
    if "keys" in representation.feature_specs and not reads_keys:
        raise UserError(
            "representation.keys: expected False, got True; the models chord_lstm "
            "and chord_transformer take chord frames with keys"
        )


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
    if settings.carry_state and (settings.pitch_context or settings.lookback):
        raise UserError(
            "model.carry_state: expected False with pitch_context and lookback, whose "
            "memory windows do not hand on; leave one of them out"
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
