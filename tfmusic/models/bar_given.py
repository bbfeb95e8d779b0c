"""Music in bars of which some notes are given, as an endpoint of models of `BarEvents`.

What is given comes as tokens of its own: the bars of the piece with the given notes
alone. Tokens before the first open bar are read at once. From there on particles are
written beside each other, see `tfmusic.generation.waiting`, from notes and bars that
are given and others that the model writes between them. Two bars after the last open
one are weighed; the rest of the piece follows as it is given.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import tensorflow as tf

from tfmusic.generation import samplers, seeds
from tfmusic.generation.bar_given import FAR, GivenMusic
from tfmusic.generation.bar_masks import MOST_TOKENS, Agreement, Place, begin
from tfmusic.generation.controls import MIN_STEPS, PARTICLES, SAMPLING
from tfmusic.generation.waiting import sample_waiting
from tfmusic.models.base import Endpoint, Tensors
from tfmusic.models.given import weight_temperature
from tfmusic.representations import bars_left
from tfmusic.representations.bar_events import BarEvents
from tfmusic.representations.bar_tokens import NUM_VOICES
from tfmusic.representations.vocabulary import PAD

if TYPE_CHECKING:
    from tfmusic.models.token_layers import TokenState
    from tfmusic.models.tokens import TokenModel

LOWEST, HIGHEST, VOICES = "lowest_open", "highest_open", "open_voices"
_BARS_AFTER = 2
# Particles are compared wherever one more bar or note is that is given.
_STRIDE = 1
# So many particles at least go straight to the next given note, token by token. The
# model by itself would seldom do so, as any other note may come before.
_STRAIGHT = 0.5
# Tokens that may describe a note, with the place that it comes at.
_TOKENS_A_NOTE = 5
# So many tokens are written at most besides those that are given.
_MOST_WRITTEN = 65_536


def can_fill(model: "TokenModel") -> bool:
    """Whether a model writes notes between given ones."""
    is_bars = isinstance(model.representation, BarEvents)
    return is_bars and model.learn_end


def bar_infill(model: "TokenModel") -> Mapping[str, Endpoint]:
    """`infill`, or nothing where the model takes nothing as given."""
    if not can_fill(model):
        return {}
    arrays = model.array_specs()
    places = (
        tf.TensorSpec([None, None], tf.int32, LOWEST),
        tf.TensorSpec([None, None], tf.int32, HIGHEST),
        tf.TensorSpec([None, NUM_VOICES], tf.bool, VOICES),
    )
    seed = tf.TensorSpec([], tf.int64, "seed")
    controls = (*model.CONTROLS, *model.INFILL_CONTROLS)
    specs = (*arrays, *places, seed, *(control.spec for control in controls))

    def infill(*inputs):
        named = {s.name: v for s, v in zip(specs, inputs, strict=True)}
        return _infill(model, named)

    doc = "Whole pieces, of which the notes that are given stay as they are."
    return {"infill": Endpoint(infill, specs, doc)}


def _infill(model: "TokenModel", named: Tensors) -> Tensors:
    """Arrays of whole pieces, how long they are, and what is to be told of them."""
    given = {name: named[name] for name in model.representation.feature_specs}
    tokens = _with_conditions(model, given["tokens"], named)
    given |= model.places.of_given(given, None, named) | {"tokens": tokens}
    music = GivenMusic(
        tokens, named[LOWEST], named[HIGHEST], named[VOICES], _BARS_AFTER
    )
    index = tf.gather(music.bars.index, music.first_open, batch_dims=1)
    num_read = tf.maximum(tf.reduce_min(index), 1)
    limit = _most_steps(music, num_read)
    read = {name: array[:, :num_read] for name, array in given.items()}
    token, state = model.prime(read, limit)
    state = _with_length(state, given, num_read)
    if state.guidance:
        state = state._replace(guidance=state.guidance.weighed(named))
    num_particles = tf.cast(named[PARTICLES.name], tf.int32)
    agreement = Agreement(music, num_particles)

    def step(token, carried, seed):
        state, place = carried
        token, state, place, log_p = _next(
            model, agreement, token, state, place, named, seed
        )
        return token, (state, place), log_p

    def place_of(carried):
        _, place = carried
        return agreement.events(place), place.is_done

    written, lengths = sample_waiting(
        step,
        place_of,
        token,
        (state, begin(music, num_read)),
        num_particles,
        named["seed"],
        _STRIDE,
        limit,
    )
    tokens = _joined(music, num_read, written, lengths)
    features = model.frames_to_features(tokens, _before(model, state, given))
    none = tf.zeros_like(lengths)
    return {**features, "guarded_steps": none, "unmatched_steps": none}


def _with_conditions(
    model: "TokenModel", tokens: tf.Tensor, controls: Tensors
) -> tf.Tensor:
    """Given tokens, of which the first say what is asked for."""
    wanted = tf.stack(model.conditions.tokens(controls))
    number = len(model.conditions)
    first = tokens[:, :number]
    is_asked = wanted != model.conditions.open_tokens
    is_asked = is_asked[: tf.shape(first)[1]]
    first = tf.where(is_asked, wanted[: tf.shape(first)[1]], first)
    return tf.concat([first, tokens[:, number:]], axis=1)


def _most_steps(music: GivenMusic, num_read: tf.Tensor) -> tf.Tensor:
    """After how many steps writing ends in any case, int32 scalar."""
    num_bars = tf.reduce_max(music.last_open - music.first_open) + 1
    open_tokens = tf.minimum(num_bars, _MOST_WRITTEN // MOST_TOKENS) * MOST_TOKENS
    num_given = tf.shape(music.tokens)[1] - num_read
    return (num_given + 1) * _TOKENS_A_NOTE + open_tokens


def _with_length(
    state: "TokenState", given: Tensors, num_read: tf.Tensor
) -> "TokenState":
    """The state after what was read, of music whose bars are counted."""
    left = given[bars_left.NAME][:, num_read - 1]
    return state._replace(place={**state.place, bars_left.NAME: left})


def _before(model: "TokenModel", state: "TokenState", given: Tensors) -> "TokenState":
    """A state with the place before the piece."""
    place = {name: given[name][:, 0] for name in model.places.names}
    return state._replace(place=place)


def _next(
    model: "TokenModel",
    agreement: Agreement,
    token: tf.Tensor,
    state: "TokenState",
    place: Place,
    controls: Tensors,
    seed: tf.Tensor,
) -> tuple[tf.Tensor, "TokenState", Place, tf.Tensor]:
    """The next token, what is known after it, and the weight of what it may be."""
    hidden, state = model.advance(token, state)
    learned = model.step_logits(hidden)
    logits = model.steer(learned, state, {**controls, MIN_STEPS.name: 0.0})
    grammar = state.rules.grammar
    fits = agreement.allowed(place, grammar)
    way, has_way = agreement.way(place, grammar)
    token_seed, way_seed = seeds.split_seed(seed, 2)
    temperature = weight_temperature(controls)

    def mass(tokens: tf.Tensor) -> tf.Tensor:
        of_tokens = samplers.only(logits, tokens) / temperature
        return tf.reduce_logsumexp(of_tokens, axis=1)

    is_way = tf.range(model.vocabulary_size) == way[:, tf.newaxis]
    both, straight, other = mass(fits), mass(fits & is_way), mass(fits & ~is_way)
    odds = tf.exp(straight - both)
    odds = tf.where(has_way & _is_some(straight), tf.maximum(odds, _STRAIGHT), odds)
    odds = tf.where(_is_some(other), odds, 1.0)
    chance = tf.random.stateless_uniform(tf.shape(way), way_seed)
    goes_straight = chance < odds
    chosen = fits & (is_way == goes_straight[:, tf.newaxis])
    sampling = {control.name: controls[control.name] for control in SAMPLING}
    new = samplers.categorical(samplers.only(logits, chosen), token_seed, **sampling)
    place = agreement.after(place, grammar, new)
    log_p = tf.where(
        goes_straight, straight - tf.math.log(odds), other - tf.math.log1p(-odds)
    )
    log_p -= tf.reduce_logsumexp(learned / temperature, axis=1)
    return new, state, place, log_p


def _is_some(mass: tf.Tensor) -> tf.Tensor:
    """Whether the logarithm of a sum is that of something possible."""
    return mass > samplers.IMPOSSIBLE / 100.0


def _joined(
    music: GivenMusic, num_read: tf.Tensor, written: tf.Tensor, lengths: tf.Tensor
) -> tf.Tensor:
    """What was read, what was written, and what is given after that, as tokens."""
    tokens = music.tokens
    size = tf.shape(tokens)[1]
    stop = tf.minimum(music.stop, size - 1)
    last = tf.gather(music.bars.index, stop, batch_dims=1)
    last = tf.where(music.stop < FAR, last, size)  # of which the rest comes after
    num_given = tf.reduce_sum(tf.cast(tokens != PAD, tf.int32), axis=1)
    rest = tf.maximum(num_given - last - 1, 0)
    total = num_read + lengths + rest
    place = tf.range(tf.reduce_max(total))[tf.newaxis]
    later = place - (num_read + lengths - last - 1)[:, tf.newaxis]
    of_given = tf.where(place < num_read, place, later)
    after = tf.gather(tokens, tf.clip_by_value(of_given, 0, size - 1), batch_dims=1)
    width = tf.shape(written)[1]
    new = tf.gather(
        written,
        tf.broadcast_to(
            tf.clip_by_value(place - num_read, 0, width - 1), tf.shape(later)
        ),
        batch_dims=1,
    )
    is_new = (place >= num_read) & (place < (num_read + lengths)[:, tf.newaxis])
    joined = tf.where(is_new, new, after)
    return tf.where(place < total[:, tf.newaxis], joined, PAD)
