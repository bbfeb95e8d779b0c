"""A network over a sequence of tokens, one token a step."""

from collections.abc import Callable, Mapping
from typing import ClassVar

import keras
import numpy as np
import tensorflow as tf

from tfmusic.generation import samplers
from tfmusic.generation.controls import GUIDANCE, MIN_STEPS, PARTICLES, SAMPLING
from tfmusic.generation.guards import draw_another
from tfmusic.generation.loop import Nest
from tfmusic.generation.token_rules import TokenRules
from tfmusic.models.autoregressive import AutoregressiveModel
from tfmusic.models.bar_given import bar_infill, can_fill
from tfmusic.models.base import Endpoint, Tensors, step_is_target
from tfmusic.models.conditions import Conditions
from tfmusic.models.guidance import Guidance, advance
from tfmusic.models.pitch_context import PitchContext, single_pitches
from tfmusic.models.places import Places
from tfmusic.models.token_controls import controls_of
from tfmusic.models.token_layers import (
    TokenState,
    add_to_all,
    banned_tokens,
    check_keys,
    check_layers,
    join,
    make_embedding,
    make_head,
    make_lookback,
    make_output,
)
from tfmusic.models.token_scores import as_scores, readings_of, targets_of
from tfmusic.models.token_search import search_endpoints
from tfmusic.models.token_settings import TokenSettings
from tfmusic.models.token_steps import first_state, read_step
from tfmusic.networks.losses import Logits, mean_loss, token_nats, token_nats_and_hits
from tfmusic.networks.metrics import Perplexity, WeightedMean, nats_name
from tfmusic.networks.recurrent_stack import CarriedState
from tfmusic.representations import Representation, home_key
from tfmusic.representations.tokens import TokenRepresentation
from tfmusic.representations.vocabulary import END, PAD, START


class TokenModel(AutoregressiveModel):
    """An embedding, a network, and a softmax over the next token.

    Padding is never an output, nor is the start, nor the end unless it is learned:
    their probability is 0 in training, scoring and generation alike. What the grammar
    of the representation forbids is never generated; training and scoring, where it
    does not occur, leave it to the network.
    """

    TAKES = TokenRepresentation
    LOSS_UNIT = "nats a token"
    Settings = TokenSettings
    STEP = "token"
    ROWS_TAKE_SEEDS: ClassVar[bool] = True
    READS_KEYS: ClassVar[bool] = False  # see `ChordModel`

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
        check_keys(representation, self.READS_KEYS)
        self.settings = settings
        self.loss_steps = settings.loss_steps
        self.learn_end = settings.learn_end
        self.vocabulary_size = len(representation.vocabulary)
        self._silent = representation.silent_tokens()
        self.conditions = Conditions(representation)
        self._rules = TokenRules(representation.token_grammar())
        self.places = Places(representation, settings.cadence, name="places")
        self.embedding = make_embedding(representation, settings)
        # Numbers near each other, as ids over their count are, need all their bits.
        self.network = make_network(exact_inputs=settings.input_encoding == "index")
        check_layers(self.network, representation, settings, self._rules.tells_ends)
        self.head = make_head(settings)
        self.output_layer = make_output(
            self.embedding, self.vocabulary_size, settings.tied_output
        )
        self.pitch_context = self.carried = None
        if settings.pitch_context:
            pitches = single_pitches(representation)
            self.pitch_context = PitchContext(
                pitches, has_key=self.places.key is not None, name="pitch_context"
            )
        self.lookback = make_lookback(representation, settings)
        # A Transformer's memory of all steps would have to be kept twice.
        is_small = self.network.is_recurrent or self.places.phrases is not None
        self.hears_plan = self.places.has_plan and is_small
        self.CONTROLS, self.SEARCH_CONTROLS = controls_of(
            self, self._silent.any(), self._rules.tells_ends
        )
        self.INFILL_CONTROLS = (PARTICLES,) if can_fill(self) else self.INFILL_CONTROLS
        self._nats = WeightedMean(nats_name(self.loss_steps == "all"))
        self._perplexity = Perplexity()
        self._accuracy = WeightedMean("accuracy")
        self._banned = banned_tokens(self.vocabulary_size, self.learn_end)

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
        self(self._inputs(tokens, dict.fromkeys(self.places.names, tokens)))

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
        nats, hits = token_nats_and_hits(y, y_pred, training)
        self._nats.update_state(nats, sample_weight)
        self._perplexity.update_state(nats, sample_weight)
        self._accuracy.update_state(hits, sample_weight)
        return mean_loss(nats, self.loss_weights(sample_weight))

    def example_fn(self, features: Tensors, seed: tf.Tensor):
        """Tokens, the tokens after them, and which of these count."""
        features = self.places.hide_plan(features, self.settings.hide_plan, seed)
        step, length = features["step"], features["num_steps"]
        tokens = tf.cast(features["tokens"], tf.int32)
        tokens = tf.where(step == -1, START, tokens)
        num_steps = length - step[0]  # of the window until the piece ends
        if self.learn_end:
            tokens = tf.where(step == length, END, tokens)
            length += 1
        places = self.places.with_end(features, num_steps)
        places = {name: array[1:-1] for name, array in places.items()}
        inputs = self._inputs(tokens[:-1], places)
        return inputs, tokens[1:], step_is_target(step[1:], length)

    def call(self, inputs: Nest, training: bool = False) -> tf.Tensor | Logits:
        """Logits of the token after each.

        Args:
            inputs: int32 `[batch, time]`: tokens from a piece's start token on or from
                any place in it. Where the representation has the metre, a dict of
                these, `tokens`, and of the place of the token *after* each: the
                arrays of `Places`, int32 `[batch, time]`.
            training: Whether dropout is on.

        Returns:
            float32 `[batch, time, token]`; in training `Logits`, unless odds are added.
        """
        has_places = bool(self.places.names)
        tokens, places = (inputs["tokens"], inputs) if has_places else (inputs, {})
        return self.logits(self._hidden(tokens, places, training), training)

    def _hidden(
        self, frames: Nest, places: Tensors, training: bool = False
    ) -> tf.Tensor:
        """What the logits are made of, `[batch, time, feature]`."""
        inputs = self._encode_all(frames, places)
        if training and self.carried:
            begins = tf.equal(self.token(frames)[:, 0], START)
            hidden = self.carried.run(inputs, begins=begins)
        else:
            hidden = self.network(inputs, training=training)
        hidden = found = self._top(hidden, training)
        if self.pitch_context:
            contexts = self.pitch_context.contexts(self.token(frames))
            found = self.pitch_context(hidden, contexts, places.get(home_key.NAME))
        if self.lookback:
            found = self.lookback(hidden, found, self.lookback.all_found(frames))
        return found

    def token(self, frame: Nest) -> tf.Tensor:
        """The token of a frame; here it is nothing else."""
        return frame

    def start_frame(self, batch_size: tf.Tensor) -> Nest:
        """The start token, int32 `[batch]`."""
        return tf.fill([batch_size], START)

    def initial_state(self, batch_size: tf.Tensor, max_steps: tf.Tensor) -> TokenState:
        """The network's, and no tokens."""
        max_steps += len(self.conditions)
        network = self.network.initial_state(batch_size, max_steps)
        place = self.places.before_piece(batch_size)
        rules = self._rules.initial_state(batch_size)
        memories = [
            memory.initial_state(batch_size) if memory else ()
            for memory in (self.pitch_context, self.lookback)
        ]
        return TokenState(network, rules, place, *memories)

    def begin(
        self,
        frame: Nest,
        state: TokenState,
        controls: Tensors,
        seed: tf.Tensor | None,
    ) -> tuple[Nest, TokenState]:
        """The start token one step before the piece, in its metre and plan.

        Where the representation has conditions, the last of these and the state before.
        """
        batch_size = tf.shape(self.token(frame))[0]
        place = self.places.before_piece(batch_size, controls, seed)
        state = state._replace(place=place)
        if self.hears_plan:
            weight = controls[GUIDANCE.name]
            guidance = Guidance.of(weight, batch_size, state.network)
            state = state._replace(guidance=guidance)
        for token in self.conditions.tokens(controls):
            _, state = self.advance(frame, state)
            frame = tf.fill([batch_size], token)
        # What was not drawn does not count.
        rules = state.rules._replace(num_drawn=tf.fill([batch_size], -1))
        return frame, state._replace(rules=rules)

    def prime(self, prompt: Tensors, num_steps: tf.Tensor) -> tuple[Nest, TokenState]:
        """Takes in the start token and all of the prompt but its last token."""
        frames = self._from_start(self._frames(prompt))
        batch_size, length = tf.unstack(tf.shape(self.token(frames)))
        earlier = tf.nest.map_structure(lambda part: part[:, :-1], frames)
        zeros = self.network.initial_state(batch_size, length + num_steps)

        def network_after(places):
            return self.network.run(self._encode_all(earlier, places), zeros)[1]

        rules = self._rules.after_all(self.token(earlier))
        newest = tf.nest.map_structure(lambda part: part[:, -1], frames)
        context = self.pitch_context
        heard = context.after_all(self.token(earlier)) if context else ()
        bars = self.lookback.after_all(earlier) if self.lookback else ()
        place = self.places.after_prompt(prompt)
        state = TokenState(network_after(prompt), rules, place, heard, bars)
        if self.hears_plan:
            free = network_after(self.places.without_plan(prompt))
            state = state._replace(guidance=Guidance.of(1.0, batch_size, free))
        return newest, state

    def plan_rest(
        self, frame: Nest, state: TokenState, controls: Tensors
    ) -> TokenState:
        """With as many bars to come, and a plan as strong, as were asked for."""
        place = self.places.after_control(state.place, self.token(frame), controls)
        if state.guidance:
            state = state._replace(guidance=state.guidance.weighed(controls))
        return state._replace(place=place)

    def next_frame(
        self,
        frame: Nest,
        state: TokenState,
        controls: Tensors,
        seed: tf.Tensor,
        must_change: tf.Tensor,
    ) -> tuple[Nest, TokenState, tf.Tensor]:
        """Samples the next token; after an end comes padding."""
        hidden, state = self.advance(frame, state)
        token, is_guarded = self.draw(
            self.step_logits(hidden), frame, state, controls, seed, must_change
        )
        return token, state, is_guarded

    def draw(
        self,
        logits: tf.Tensor,
        frame: Nest,
        state: TokenState,
        controls: Tensors,
        seed: tf.Tensor,
        must_change: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Samples the token after a frame, the state after that being known.

        Returns:
            int32 `[batch]`, and where guards changed it.
        """
        logits = self.steer(logits, state, controls)
        sampling = {control.name: controls[control.name] for control in SAMPLING}
        first = samplers.categorical(logits, seed, **sampling)
        is_stuck = must_change & tf.equal(first, self.token(frame))
        token = draw_another(first, logits, is_stuck, seed, **sampling)
        is_guarded = tf.not_equal(token, first)
        if self._rules.tells_ends:
            is_guarded |= self._rules.is_late(state.rules, controls)
        if self.learn_end:
            token = tf.where(self.is_finished(frame), PAD, token)
        return token, is_guarded

    def advance(
        self, frame: Nest, state: TokenState, place: Tensors | None = None
    ) -> tuple[tf.Tensor, TokenState]:
        """What the logits at the next place, or a given one, follow from; the state."""
        return advance(self, frame, state, place)

    def read(
        self, frame: Nest, state: TokenState, place: Tensors | None
    ) -> tuple[tf.Tensor, TokenState]:
        """As `advance`, with the plan as it was learned."""
        token = self.token(frame)
        rules = self._rules.after(state.rules, token)
        place = place or self.places.advance(state.place, 1, token)
        inputs = join(self._encode(frame), self.places(place))
        if self.settings.keys_down:
            inputs = join(inputs, self._rules.sounding(rules))
        if self.lookback:
            bars = self.lookback.after(state.bars, frame)
            earlier = self.lookback.found(bars)
            inputs = join(inputs, self.lookback.read(earlier))
            state = state._replace(bars=bars)
        hidden, network = self.network.step(inputs, state.network)
        hidden = found = self._top(hidden[:, tf.newaxis])[:, 0]
        state = state._replace(network=network, rules=rules, place=place)
        if self.pitch_context:
            heard = self.pitch_context.after(state.heard, token)
            context = self.pitch_context.context(heard)
            found = self.pitch_context(hidden, context, place.get(home_key.NAME))
            state = state._replace(heard=heard)
        if self.lookback:
            found = self.lookback(hidden, found, earlier)
        return found, state

    def step_state(self, batch_size: int) -> Tensors | None:
        """See `token_steps`."""
        return first_state(self, batch_size)

    def step(self, frame: Tensors, state: Tensors) -> tuple[Tensors, Tensors]:
        """The logits of the token after a frame, and the new state."""
        return read_step(self, frame, state)

    def complete(
        self, token: tf.Tensor, frame: Nest, hidden: tf.Tensor, state: TokenState
    ) -> tuple[Nest, tf.Tensor]:
        """Makes a frame of a token that a search has chosen, int32 `[batch]`.

        `hidden` and `state` are what `advance` gave for the frame before, `frame`; that
        itself is made where the search begins. Gives also what is left of the frame's
        nats besides the token's, `[batch]`.
        """
        del frame, hidden, state
        return token, tf.zeros(tf.shape(token))

    def complete_all(
        self, tokens: tf.Tensor, frame: Nest, state: TokenState
    ) -> tuple[Nest, tf.Tensor]:
        """Makes frames of tokens `[batch, time]` after `frame`, `state` before that.

        Gives also the nats that `complete` gives for the last one, `[batch]`.
        """
        del frame, state
        return tokens, tf.zeros(tf.shape(tokens)[:1])

    def steer(
        self, logits: tf.Tensor, state: TokenState, controls: Tensors
    ) -> tf.Tensor:
        """Logits under the rules and controls that do not depend on chance."""
        logits = self._rules.apply(logits, state.rules, controls)
        logits = self.conditions.steer(logits, controls)
        if not self.learn_end:
            return logits
        num_drawn = tf.cast(state.rules.num_drawn, tf.float32)
        is_early = num_drawn < controls[MIN_STEPS.name]
        is_early &= ~self.places.is_length_known(state.place)
        too_early = tf.where(is_early, samplers.IMPOSSIBLE, 0.0)
        logits += too_early[:, tf.newaxis] * tf.one_hot(END, self.vocabulary_size)
        newest = state.rules.history[:, -1]
        return self.places.steer(logits, state.place, newest, controls)

    def is_finished(self, frame: Nest) -> tf.Tensor | None:
        """Whether the token is an end or comes after it."""
        if not self.learn_end:
            return None
        token = self.token(frame)
        return tf.logical_or(tf.equal(token, END), tf.equal(token, PAD))

    def is_silent(self, frame: Nest) -> tf.Tensor:
        """Whether the token is a rest."""
        return tf.gather(tf.constant(self._silent), self.token(frame))

    def frames_to_features(self, frames: Nest, state: TokenState) -> Tensors:
        """The tokens without their end, how many there are, and their places."""
        tokens = self.token(frames)
        tokens = tf.where(tf.equal(tokens, END), PAD, tokens)
        is_token = tf.cast(tf.not_equal(tokens, PAD), tf.int32)
        features = {"tokens": tokens, "num_steps": tf.reduce_sum(is_token, axis=1)}
        return {**features, **self.places.after(state.place, tokens)}

    def endpoints(self) -> Mapping[str, Endpoint]:
        """Besides those of all families, the beam searches, and gaps in bars."""
        return {**super().endpoints(), **search_endpoints(self), **bar_infill(self)}

    def score(self, features: Tensors, num_steps: tf.Tensor) -> Tensors:
        """The log-likelihood of each token, and of the end if it is learned."""
        targets, is_step, is_end = targets_of(features, num_steps)
        tokens = self._from_start(self._frames(features))
        nats = {
            name: token_nats(targets, self(self._inputs(tokens, places)))
            for name, places in readings_of(self.places, features, num_steps).items()
        }
        return as_scores(nats, is_step, is_end, self.learn_end)

    def _frames(self, features: Tensors) -> Nest:
        """The frames in arrays of the representation."""
        return features["tokens"]

    def _from_start(self, frames: Nest) -> Nest:
        """The start token and then the frames, `[batch, time + 1]`."""
        return tf.pad(frames, [[0, 0], [1, 0]], constant_values=START)

    def _inputs(self, tokens: tf.Tensor, places: Tensors) -> tf.Tensor | Tensors:
        """What `call` takes."""
        return {"tokens": tokens, **places} if self.places.names else tokens

    def _encode_all(self, frames: Nest, places: Tensors) -> tf.Tensor:
        """Frames `[batch, time]` of a sequence as what the network reads."""
        inputs = join(self._encode(frames), self.places(places))
        if self.settings.keys_down:
            tokens = self.token(frames)
            inputs = join(inputs, self._rules.sounding_after_each(tokens))
        if self.lookback:
            earlier = self.lookback.all_found(frames)
            inputs = join(inputs, self.lookback.read(earlier))
        return inputs

    def _encode(self, frames: Nest) -> tf.Tensor:
        """Frames `[...]` by themselves, `[..., feature]`."""
        tokens = self.token(frames)
        if self.embedding is None:
            index = tf.cast(tokens, tf.float32)
            return index[..., tf.newaxis] / self.vocabulary_size
        return self.embedding(tokens)

    def _top(self, hidden: tf.Tensor, training: bool = False) -> tf.Tensor:
        """The network's outputs through the head's layers, `[batch, time, feature]`."""
        for layer in self.head:
            hidden = layer(hidden, training=training)
        return hidden

    def logits(self, hidden: tf.Tensor, training: bool = False) -> tf.Tensor | Logits:
        """Logits, float32 `[batch, time, token]`, of what `_top` gives; see `call`."""
        if not self.lookback:
            return self.own_logits(hidden, training)
        hidden, *earlier = self.lookback.split(hidden)
        return self.lookback.add(self.own_logits(hidden), *earlier)

    def own_logits(self, hidden: tf.Tensor, training: bool = False):
        """As `logits`, of what is there without a lookback."""
        context = self.pitch_context
        hidden, odds = context.split(hidden) if context else (hidden, 0.0)
        output = self.output_layer(hidden, training=training)
        logits = add_to_all(output, self._banned)
        return logits if training and not context else logits.whole() + odds

    def step_logits(self, hidden: tf.Tensor) -> tf.Tensor:
        """Logits, float32 `[batch, token]`, of what `advance` gives."""
        return self.logits(hidden[:, tf.newaxis])[:, 0]
