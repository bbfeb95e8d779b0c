"""A network over a sequence of tokens, one token a step."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import keras
import numpy as np
import tensorflow as tf

from tfmusic.errors import UserError
from tfmusic.generation import samplers
from tfmusic.generation.controls import (
    LENGTH_POWER,
    MAX_HELD,
    MAX_REPEATS,
    METRE,
    MIN_P,
    MIN_STEPS,
    NO_REPEAT_NGRAM,
    REPETITION_PENALTY,
    REPETITION_WINDOW,
    TEMPERATURE,
    TOP_K,
    TOP_P,
)
from tfmusic.generation.guards import draw_another
from tfmusic.generation.token_rules import RulesState, TokenRules
from tfmusic.models.autoregressive import AutoregressiveModel
from tfmusic.models.base import Endpoint, Tensors, step_is_target
from tfmusic.models.conditions import Conditions
from tfmusic.models.metre import (
    BarEmbedding,
    before_piece,
    next_place,
    places_after,
    places_with_end,
)
from tfmusic.models.token_search import search_endpoints
from tfmusic.networks.layers import (
    PitchEmbedding,
    TiedOutput,
    TokenEmbedding,
)
from tfmusic.networks.losses import mean_loss, token_nats
from tfmusic.networks.metrics import Perplexity, TokenAccuracy, WeightedMean
from tfmusic.networks.recurrent_stack import CarriedState
from tfmusic.representations import Representation, metre
from tfmusic.representations.tokens import TokenRepresentation
from tfmusic.representations.vocabulary import END, PAD, START
from tfmusic.settings import Settings, setting

# The network's, what the rules know of the tokens so far, and the place in the bar of
# the newest token (empty without metre).
State = tuple[Any, RulesState, Tensors]

SAMPLING = (TEMPERATURE, TOP_K, TOP_P, MIN_P)
# Tokens of time are short: a key may be held for many of their steps.
MAX_HELD_EVENTS = MAX_HELD.with_default(500.0)


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
    carry_state: bool = False


class TokenModel(AutoregressiveModel):
    """An embedding, a network, and a softmax over the next token.

    Two published systems are settings of it, with a recurrent network:

    - Skuldur's Classical-Piano-Composer, and after it the first experiment of the AIDL
      team at UPC: `input_encoding="index"`, `units=(512, 512, 512)`, `dropout=0.0`,
      `recurrent_dropout=0.3`, `head="skuldur"`, `loss_steps="last"`.
    - The chord-token network of sylvia-segfault/music-generation: `tied_output=True`,
      `embedding_size=512`, `units=(512, 512)`, `dropout=0.0`.

    Padding is never an output, nor is the start, nor the end unless it is learned:
    their probability is 0 in training, scoring and generation alike. What the grammar
    of the representation forbids is never generated; training and scoring, where it
    does not occur, leave it to the network.
    """

    TAKES = TokenRepresentation
    Settings = TokenSettings
    STEP = "token"

    def __init__(
        self,
        representation: Representation,
        settings: TokenSettings,
        make_network: Callable[..., keras.layers.Layer],
    ):
        """Makes the layers around a network.

        Args:
            representation: One whose feature is `tokens`, fitted.
            settings: See `TokenSettings`.
            make_network: Makes what reads the encoded tokens, see docs/architecture.md;
                its argument is `exact_inputs`.

        Raises:
            UserError: Settings that do not go together.
        """
        super().__init__(representation)
        self.settings = settings
        self.loss_steps = settings.loss_steps
        self.learn_end = settings.learn_end
        self.vocabulary_size = len(representation.vocabulary)
        self._silent = representation.silent_tokens()
        self._conditions = Conditions(representation)
        self._rules = TokenRules(representation.token_grammar())
        self.bars = None
        if "bar_position" in representation.feature_specs:
            self.bars = BarEmbedding(name="bars")
        common = (
            *(METRE if self.bars else ()),
            *self._conditions.controls,
            NO_REPEAT_NGRAM,
            MAX_REPEATS,
            *([self._conditions.max_silence] if self._silent.any() else []),
            *([MAX_HELD_EVENTS] if self._rules.tells_ends else []),
            *([MIN_STEPS] if self.learn_end else []),
        )
        sampling = (
            TEMPERATURE.with_default(settings.temperature),
            *SAMPLING[1:-1],
            MIN_P.with_default(settings.min_p),
        )
        self.CONTROLS = (*sampling, REPETITION_PENALTY, REPETITION_WINDOW, *common)
        self.SEARCH_CONTROLS = (LENGTH_POWER, *common)
        self.embedding = None
        if settings.input_encoding == "embedding":
            self.embedding = TokenEmbedding(
                self.vocabulary_size, settings.embedding_size, settings.tied_output
            )
        elif settings.input_encoding == "pitches":
            pitches = representation.token_pitches()
            self.embedding = PitchEmbedding(pitches, settings.embedding_size)
        # Numbers near each other, as ids over their count are, need all their bits.
        self.network = make_network(exact_inputs=settings.input_encoding == "index")
        self._check()
        self.head = [keras.layers.Dropout(settings.dropout)]
        if settings.head == "skuldur":
            self.head = [
                keras.layers.BatchNormalization(),
                keras.layers.Dropout(0.3),
                keras.layers.Dense(256, activation="relu"),
                keras.layers.BatchNormalization(),
                keras.layers.Dropout(0.3),
            ]
        # Logits are float32 under a mixed precision policy too.
        self.output_layer = (
            TiedOutput(self.embedding, dtype="float32")
            if settings.tied_output
            else keras.layers.Dense(self.vocabulary_size, dtype="float32")
        )
        self.carried = None
        self._nats = WeightedMean("nats_per_step")
        self._perplexity = Perplexity()
        self._accuracy = TokenAccuracy()
        self._banned = np.zeros(self.vocabulary_size, np.float32)
        self._banned[[PAD, START] if self.learn_end else [PAD, START, END]] = (
            samplers.IMPOSSIBLE
        )

    def _check(self) -> None:
        """Refuses settings that do not go together."""
        settings, network = self.settings, self.network
        if settings.keys_down and not self._rules.tells_ends:
            raise UserError(
                "model.keys_down: expected tokens that end what sounds, got "
                f"{self.representation.name}"
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

    @property
    def learns_end(self) -> bool:
        """Whether the end of a piece is a target."""
        return self.learn_end

    @property
    def carries_state(self) -> bool:
        """Whether windows begin with the state that those before them left."""
        return self.settings.carry_state

    def carry_state_of(self, batch_size: int) -> None:
        """Makes the state of so many rows, zeros."""
        self.carried = CarriedState(self.network, batch_size)

    @property
    def variables(self) -> list[keras.Variable]:
        """The weights, and in training the state that is carried."""
        return super().variables + (self.carried.variables if self.carried else [])

    def token_vectors(self) -> np.ndarray | None:
        """The embedding's."""
        if self.embedding is None:
            return None
        vectors = self.embedding(tf.range(self.vocabulary_size))
        return tf.cast(vectors, tf.float32).numpy()

    def build_model(self) -> None:
        """Makes all weights."""
        tokens = tf.zeros([1, 2], tf.int32)
        self(self._inputs(tokens, {"bar_position": tokens, "bar_length": tokens}))

    def compile_for_training(self, optimizer: keras.optimizers.Optimizer) -> None:
        """Compiles; `compute_loss` has the loss and the metrics."""
        # XLA has no kernel for recurrent layers.
        self.compile(optimizer=optimizer, jit_compile=False)

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        """The mean nats of the steps that count.

        They also go to the metrics: over a large vocabulary they take long to compute.
        """
        del x
        nats = token_nats(y, y_pred)
        self._nats.update_state(nats, sample_weight)
        self._perplexity.update_state(nats, sample_weight)
        self._accuracy.update_state(y, y_pred, sample_weight)
        return mean_loss(nats, self.loss_weights(sample_weight, training))

    def example_fn(self, features: Tensors, seed: tf.Tensor):
        """Tokens, the tokens after them, and which of these count."""
        del seed
        step, length = features["step"], features["num_steps"]
        tokens = tf.cast(features["tokens"], tf.int32)
        tokens = tf.where(step == -1, START, tokens)
        num_steps = length - step[0]  # of the window until the piece ends
        if self.learn_end:
            tokens = tf.where(step == length, END, tokens)
            length += 1
        inputs = self._inputs(
            tokens[:-1],
            features,
            lambda bar: {
                name: places[1:-1]
                for name, places in places_with_end(bar, num_steps).items()
            },
        )
        return inputs, tokens[1:], step_is_target(step[1:], length)

    def call(self, inputs: tf.Tensor | Tensors, training: bool = False) -> tf.Tensor:
        """Logits of the token after each.

        Args:
            inputs: int32 `[batch, time]`: tokens from a piece's start token on or from
                any place in it. Where the representation has the metre, a dict of
                these, `tokens`, and of the place of the token *after* each:
                `bar_position` and `bar_length`, int32 `[batch, time]`.
            training: Whether dropout is on.

        Returns:
            float32 `[batch, time, token]`.
        """
        tokens = inputs["tokens"] if self.bars else inputs
        inputs = self._encode_all(tokens, inputs)
        if training and self.carried:
            hidden = self.carried.run(inputs, begins=tf.equal(tokens[:, 0], START))
        else:
            hidden = self.network(inputs, training=training)
        return self._logits(hidden, training)

    def start_frame(self, batch_size: tf.Tensor) -> tf.Tensor:
        """The start token, int32 `[batch]`."""
        return tf.fill([batch_size], START)

    def initial_state(self, batch_size: tf.Tensor, max_steps: tf.Tensor) -> State:
        """The network's, and no tokens."""
        max_steps += len(self._conditions)
        network = self.network.initial_state(batch_size, max_steps)
        controls = {control.name: tf.constant(control.default) for control in METRE}
        bar = self._before(batch_size, controls)
        return network, self._rules.initial_state(batch_size), bar

    def begin(
        self, frame: tf.Tensor, state: State, controls: Tensors
    ) -> tuple[tf.Tensor, State]:
        """The start token before the piece in its metre, or the last condition."""
        network, rules, _ = state
        state = (network, rules, self._before(tf.shape(frame)[0], controls))
        for token in self._conditions.tokens(controls):
            _, state = self.next_logits(frame, state)
            frame = tf.fill(tf.shape(frame), token)
        network, rules, bar = state
        # What was not drawn does not count.
        return frame, (network, rules._replace(num_drawn=-tf.ones_like(frame)), bar)

    def _before(self, batch_size: tf.Tensor, controls: Tensors) -> Tensors:
        if not self.bars:
            return {}
        quarter = self.representation.steps_per_quarter
        return before_piece(batch_size, quarter, controls)

    def prime(self, prompt: Tensors, num_steps: tf.Tensor) -> tuple[tf.Tensor, State]:
        """Takes in the start token and all of the prompt but its last token."""
        tokens = self._from_start(self._conditions.leave_length_open(prompt["tokens"]))
        batch_size, length = tf.unstack(tf.shape(tokens))
        earlier = tokens[:, :-1]
        state = self.network.initial_state(batch_size, length + num_steps)
        _, state = self.network.run(self._encode_all(earlier, prompt), state)
        bar = {name: prompt[name][:, -1] for name in metre.SPECS} if self.bars else {}
        return tokens[:, -1], (state, self._rules.after_all(earlier), bar)

    def next_frame(
        self,
        frame: tf.Tensor,
        state: State,
        controls: Tensors,
        seed: tf.Tensor,
        must_change: tf.Tensor,
    ) -> tuple[tf.Tensor, State, tf.Tensor]:
        """Samples the next token; after an end comes padding."""
        logits, state = self.next_logits(frame, state)
        logits = self.steer(logits, state, controls)
        sampling = {control.name: controls[control.name] for control in SAMPLING}
        first = samplers.categorical(logits, seed, **sampling)
        is_stuck = tf.logical_and(must_change, tf.equal(first, frame))
        token = draw_another(first, logits, is_stuck, seed, **sampling)
        is_guarded = tf.not_equal(token, first)
        if self._rules.tells_ends:
            is_guarded |= self._rules.is_late(state[1], controls)
        if self.learn_end:
            token = tf.where(self.is_finished(frame), PAD, token)
        return token, state, is_guarded

    def next_logits(self, token: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
        """The network's logits of the token after one, and the state after that one."""
        network, rules, bar = state
        rules = self._rules.after(rules, token)
        inputs = self._encode(token)
        if self.bars:
            bar = next_place(bar)
            inputs = _join(inputs, self.bars(bar))
        if self.settings.keys_down:
            inputs = _join(inputs, self._rules.sounding(rules))
        hidden, network = self.network.step(inputs, network)
        logits = self._logits(hidden[:, tf.newaxis])[:, 0]
        return logits, (network, rules, bar)

    def steer(self, logits: tf.Tensor, state: State, controls: Tensors) -> tf.Tensor:
        """Logits under the rules and controls that do not depend on chance."""
        logits = self._rules.apply(logits, state[1], controls)
        logits = self._conditions.steer(
            logits, self._rules.is_begun(state[1]), controls
        )
        if not self.learn_end:
            return logits
        num_drawn = tf.cast(state[1].num_drawn, tf.float32)
        too_early = tf.where(
            num_drawn < controls[MIN_STEPS.name], samplers.IMPOSSIBLE, 0.0
        )
        end = tf.one_hot(END, self.vocabulary_size)
        return logits + too_early[:, tf.newaxis] * end

    def is_finished(self, frame: tf.Tensor) -> tf.Tensor | None:
        """Whether the token is an end or comes after it."""
        if not self.learn_end:
            return None
        return tf.logical_or(tf.equal(frame, END), tf.equal(frame, PAD))

    def is_silent(self, frame: tf.Tensor) -> tf.Tensor:
        """Whether the token is a rest."""
        return tf.gather(tf.constant(self._silent), frame)

    def frames_to_features(self, frames: tf.Tensor, state: State) -> Tensors:
        """The tokens without their end, how many there are, and their places."""
        tokens = tf.where(tf.equal(frames, END), PAD, frames)
        is_token = tf.cast(tf.not_equal(tokens, PAD), tf.int32)
        features = {"tokens": tokens, "num_steps": tf.reduce_sum(is_token, axis=1)}
        return {**features, **self.places(state, tf.shape(tokens)[1])}

    def places(self, state: State, num_steps: tf.Tensor) -> Tensors:
        """The places in their bars of the steps after a state; empty without metre."""
        return places_after(state[2], num_steps) if self.bars else {}

    def endpoints(self) -> Mapping[str, Endpoint]:
        """Besides those of all families, the beam searches."""
        return {**super().endpoints(), **search_endpoints(self)}

    def score(self, features: Tensors, num_steps: tf.Tensor) -> Tensors:
        """The log-likelihood of each token, and of the end if it is learned."""
        tokens = features["tokens"]
        time = tf.range(tf.shape(tokens)[1] + 1)
        targets = tf.pad(tokens, [[0, 0], [0, 1]])
        is_end = tf.equal(time, num_steps[:, tf.newaxis])  # [batch, time + 1]
        targets = tf.where(is_end, END, targets)
        inputs = self._inputs(
            self._from_start(tokens),
            features,
            lambda bar: places_with_end(bar, num_steps),
        )
        nats = token_nats(targets, self(inputs))
        is_token = time < num_steps[:, tf.newaxis]
        outputs = {"log_likelihood": tf.where(is_token, -nats, 0.0)[:, :-1]}
        if self.learn_end:
            end = tf.reduce_sum(tf.where(is_end, -nats, 0.0), axis=1)
            outputs["end_log_likelihood"] = end
        return outputs

    def _from_start(self, tokens: tf.Tensor) -> tf.Tensor:
        """The start token and then the tokens, `[batch, time + 1]`."""
        return tf.pad(tokens, [[0, 0], [1, 0]], constant_values=START)

    def _inputs(
        self,
        tokens: tf.Tensor,
        features: Tensors,
        places: Callable[[Tensors], Tensors] = lambda bar: bar,
    ) -> tf.Tensor | Tensors:
        """What `call` takes: the places are made of those in arrays of the piece."""
        if not self.bars:
            return tokens
        return {"tokens": tokens, **places({n: features[n] for n in metre.SPECS})}

    def _encode_all(self, tokens: tf.Tensor, places: Tensors) -> tf.Tensor:
        """Tokens `[batch, time]` of a sequence as what the network reads."""
        inputs = self._encode(tokens)
        if self.bars:
            inputs = _join(inputs, self.bars(places))
        if not self.settings.keys_down:
            return inputs
        return _join(inputs, self._rules.sounding_after_each(tokens))

    def _encode(self, tokens: tf.Tensor) -> tf.Tensor:
        """Tokens `[...]` by themselves, `[..., feature]`."""
        if self.embedding is None:
            index = tf.cast(tokens, tf.float32)
            return index[..., tf.newaxis] / self.vocabulary_size
        return self.embedding(tokens)

    def _logits(self, hidden: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Logits, float32 `[batch, time, token]`, of the network's outputs."""
        for layer in self.head:
            hidden = layer(hidden, training=training)
        # Within `call` Keras itself tells the output whether this is training.
        return self.output_layer(hidden) + self._banned


def _join(vectors: tf.Tensor, others: tf.Tensor) -> tf.Tensor:
    """Both as one vector, `[..., feature]`."""
    return tf.concat([vectors, tf.cast(others, vectors.dtype)], axis=-1)
