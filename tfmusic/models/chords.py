"""A network over chords: one token a frame, and which of its keys are struck."""

from collections.abc import Callable

import keras
import tensorflow as tf

from tfmusic.errors import UserError
from tfmusic.generation import samplers, seeds
from tfmusic.generation.cadence import dominants, tonics
from tfmusic.generation.controls import (
    CADENCE,
    PARTICLES,
    STOLLEN,
    TEMPERATURE,
    VOICE_LEADING,
)
from tfmusic.generation.repetition import HISTORY
from tfmusic.generation.voice_leading import VoiceLeading
from tfmusic.models.base import Tensors
from tfmusic.models.chord_given import end_given, next_given, plan_given
from tfmusic.models.chord_state import ChordState, Past
from tfmusic.models.given import IS_GIVEN, Given
from tfmusic.models.key_head import Restrikes, Spelling, choice_nats, chord_nats
from tfmusic.models.stollen import first_time
from tfmusic.models.token_scores import as_scores, targets_of
from tfmusic.models.token_settings import ChordSettings
from tfmusic.models.tokens import TokenModel
from tfmusic.networks.losses import mean_loss, token_nats, token_nats_and_hits
from tfmusic.networks.metrics import WeightedMean
from tfmusic.representations import ChordFrames
from tfmusic.representations.chords import NUM_PITCHES
from tfmusic.representations.vocabulary import END, START

# How much the spelling of known chords counts in training.
_SPELLING_WEIGHT = 0.1


class ChordModel(TokenModel):
    """A token model of chords whose keys may be struck again.

    A frame is a token, the keys that sound and those that are struck. The likelihood
    of a chord is that of its token, and that of its being spelled: any chord can be,
    and one outside the vocabulary has to be. With a lookback it may also come as it
    came the last time, see `Recall`. Then comes the likelihood of which keys are struck
    again among those that it shares with the frame before. Chords are never spelled in
    generation.
    """

    TAKES = ChordFrames
    Settings = ChordSettings
    STEP = "frame"
    LOSS_UNIT = "nats a frame"
    READS_KEYS = True
    INFILL_CONTROLS = (PARTICLES,)

    def __init__(
        self,
        representation: ChordFrames,
        settings: ChordSettings,
        make_network: Callable[..., keras.layers.Layer],
    ):
        """Makes the layers.

        Args:
            representation: With `keys`.
            settings: See `ChordSettings`.
            make_network: As for `TokenModel`.

        Raises:
            UserError: Settings that do not go together.
        """
        if not representation.keys:
            raise UserError(
                "representation.keys: expected True, got False; the model token_lstm "
                "takes chord frames without keys"
            )
        super().__init__(representation, settings, make_network)
        self.spelled_id = representation.spelled_id
        token_keys = representation.token_pitches()
        self._voice_leading = VoiceLeading(token_keys)
        self._most_keys = int(token_keys.sum(axis=1).max())
        with tf.init_scope():  # an export holds them once
            self.key_table = tf.constant(token_keys, tf.float32)
            self._dominants = tf.constant(dominants(token_keys))
            self._tonics = tf.constant(tonics(token_keys))
        self.restrikes = Restrikes(name="restrikes")
        self.spelling = Spelling(name="spelling")
        self.struck = keras.layers.Dense(settings.embedding_size, use_bias=False)
        more = (VOICE_LEADING,)
        if self.places.phrases:
            more += (CADENCE,)
        self.CONTROLS += (*more, *((STOLLEN,) if self.places.phrases else ()))
        self.SEARCH_CONTROLS += more
        self._restrike_nats = WeightedMean("restrike_nats")
        self._spelling_nats = WeightedMean("spelling_nats")

    def build_model(self) -> None:
        """Makes all weights."""
        tokens = tf.zeros([1, 2], tf.int32)
        places = dict.fromkeys(self.places.names, tokens)
        keys = tf.zeros([1, 2, NUM_PITCHES, 2], tf.bool)
        inputs = {"tokens": tokens, "next_tokens": tokens, **places}
        self({**inputs, "keys": keys, "next_keys": keys})

    # ---- Training and scoring.

    def example_fn(self, features: Tensors, seed: tf.Tensor):
        """Frames, the tokens after them, and which of these count."""
        inputs, targets, weights = super().example_fn(features, seed)
        keys = features["keys"]
        # Keys are zeros before the piece and after it, as they should be.
        keys = {"keys": keys[:-1], "next_keys": keys[1:]}
        return {**inputs, **keys, "next_tokens": targets}, targets, weights

    def _inputs(self, tokens: tf.Tensor, places: Tensors) -> Tensors:
        return {"tokens": tokens, **places}

    def call(self, inputs: Tensors, training: bool = False) -> Tensors:
        """Logits of the token after each, and nats of the keys of its frame.

        Args:
            inputs: As for `TokenModel.call`, and `keys`, those of the frames, and
                `next_keys`, those of the frames after them, bool
                `[batch, time, pitch, 2]`, whose tokens are `next_tokens`.
            training: Whether dropout is on.

        Returns:
            float32: `logits`, `[batch, time, token]` (in training see there), and
            `[batch, time]` each `restrikes` and, as if the chord were spelled,
            `spelling`; with a lookback also what `Recall.nats` gives.
        """
        joined = self._hidden(inputs, inputs, training)
        hidden = self.without_recall(joined)
        keys, struck = tf.unstack(inputs["next_keys"], axis=-1)
        shared = tf.logical_and(inputs["keys"][..., 0], keys)
        restruck = tf.logical_and(shared, struck)
        is_spelled = tf.equal(inputs["next_tokens"], self.spelled_id)
        restrikes = self.restrikes(hidden, inputs["keys"], keys)
        restrikes = self.restrikes.after(restrikes, restruck)
        spelling = self.spelling(hidden, inputs["keys"], keys, is_spelled)
        outputs = {
            "logits": self.own_logits(hidden, training),
            "restrikes": choice_nats(restruck, restrikes, shared),
            "spelling": choice_nats(keys, spelling),
        }
        if self.lookback:
            following = {"tokens": inputs["next_tokens"], "keys": inputs["next_keys"]}
            *_, odds = self.lookback.split(joined)
            found = self.lookback.all_found(inputs)
            outputs |= self.lookback.nats(found, odds, following)
        return outputs

    def without_recall(self, hidden: tf.Tensor) -> tf.Tensor:
        """What `advance` gives, without what `logits` alone looks at."""
        return self.lookback.split(hidden)[0] if self.lookback else hidden

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        """The mean nats of the frames that count; they also go to the metrics.

        In training known chords count as named alone: what spells them would soon be
        better at it, and the names would learn no more. Their spelling counts a little
        by itself: chords that have to be spelled are few, and like the others.
        """
        del x
        nats, hits = token_nats_and_hits(y, y_pred["logits"], training)
        spelling = self._nats_of_spelling(y, y_pred)
        if self.lookback:
            hits = self.lookback.hits(hits, y_pred)
        if not training:
            total = self._nats_of_chords(y, nats, y_pred)
        elif self.lookback:
            total = self.lookback.mix(nats + spelling, y_pred)
        else:
            total = nats + spelling
        total += y_pred["restrikes"]
        self._nats.update_state(total, sample_weight)
        self._restrike_nats.update_state(y_pred["restrikes"], sample_weight)
        self._spelling_nats.update_state(spelling, sample_weight)
        self._perplexity.update_state(total, sample_weight)
        self._accuracy.update_state(hits, sample_weight)
        if training:
            total += _SPELLING_WEIGHT * y_pred["spelling"]
        return mean_loss(total, self.loss_weights(sample_weight))

    def _nats_of_chords(self, tokens: tf.Tensor, nats: tf.Tensor, outputs: Tensors):
        """`-log p` of chords however they come to be, `[batch, time]`.

        Args:
            tokens: int32, likewise.
            nats: Of these tokens.
            outputs: What `call` gives without dropout.
        """
        open_nats = token_nats(
            tf.fill(tf.shape(tokens), self.spelled_id), outputs["logits"]
        )
        nats = chord_nats(tokens, nats, open_nats, outputs["spelling"], self.spelled_id)
        return self.lookback.mix(nats, outputs) if self.lookback else nats

    def _nats_of_spelling(self, tokens: tf.Tensor, outputs: Tensors) -> tf.Tensor:
        """Nats of the keys where the token leaves them open, `[batch, time]`."""
        return tf.where(tf.equal(tokens, self.spelled_id), outputs["spelling"], 0.0)

    def score(self, features: Tensors, num_steps: tf.Tensor) -> Tensors:
        """The log-likelihood of each frame, and of the end if it is learned.

        Besides `restrike_log_likelihood` and `spelling_log_likelihood`, which are parts
        of it, and where there is a plan `free_log_likelihood`, without it.
        """
        targets, is_step, is_end = targets_of(features, num_steps)
        frames = self._from_start(self._frames(features))
        next_keys = tf.pad(features["keys"], [[0, 0], [0, 1], [0, 0], [0, 0]])

        def nats_of(features: Tensors) -> tuple[tf.Tensor, Tensors]:
            places = self.places.with_end(features, num_steps)
            following = {"next_tokens": targets, "next_keys": next_keys}
            outputs = self({**frames, **following, **places})
            parts = {
                "restrike_log_likelihood": outputs["restrikes"],
                "spelling_log_likelihood": self._nats_of_spelling(targets, outputs),
            }
            nats = token_nats(targets, outputs["logits"])
            nats = self._nats_of_chords(targets, nats, outputs)
            return nats + outputs["restrikes"], parts

        total, parts = nats_of(features)
        nats = {"log_likelihood": total, **parts}
        if self.places.phrases:
            free = self.places.without_plan(features)
            nats["free_log_likelihood"], _ = nats_of(free)
        return as_scores(nats, is_step, is_end, self.learn_end)

    # ---- Frames.

    def token(self, frame: Tensors) -> tf.Tensor:
        """The token of a frame."""
        return frame["tokens"]

    def _frames(self, features: Tensors) -> Tensors:
        return {"tokens": features["tokens"], "keys": features["keys"]}

    def _from_start(self, frames: Tensors) -> Tensors:
        keys = tf.pad(frames["keys"], [[0, 0], [1, 0], [0, 0], [0, 0]])
        return {"tokens": super()._from_start(frames["tokens"]), "keys": keys}

    def _encode(self, frames: Tensors) -> tf.Tensor:
        keys, struck = tf.unstack(frames["keys"], axis=-1)
        vectors = self.embedding(frames["tokens"], keys)
        return vectors + self.struck(tf.cast(struck, vectors.dtype))

    def start_frame(self, batch_size: tf.Tensor) -> Tensors:
        """The start token, and no keys."""
        keys = tf.zeros([batch_size, NUM_PITCHES, 2], tf.bool)
        return {"tokens": tf.fill([batch_size], START), "keys": keys}

    def frames_to_features(self, frames: Tensors, state: ChordState) -> Tensors:
        """Tokens, keys, how many frames there are, and their places."""
        features = super().frames_to_features(frames, state)
        return {**features, "keys": frames["keys"]}

    def keys_of(self, token: tf.Tensor) -> tf.Tensor:
        """Which keys the vocabulary's chords have, bool `[batch, pitch]`."""
        return tf.gather(self.key_table, token) > 0.5

    def is_repeat(self, frame: Tensors, previous: Tensors) -> tf.Tensor:
        """Whether the chord is the one before it again, bool `[batch]`."""
        return tf.equal(frame["tokens"], previous["tokens"])

    # ---- Generation.

    def initial_state(self, batch_size: tf.Tensor, max_steps: tf.Tensor) -> ChordState:
        """That of the tokens, and no past."""
        struck = tf.zeros([batch_size, HISTORY, NUM_PITCHES], tf.bool)
        voices = self._voice_leading.initial_voices(batch_size)
        return ChordState(
            *super().initial_state(batch_size, max_steps), Past(struck, voices)
        )

    def prime(
        self, prompt: Tensors, num_steps: tf.Tensor
    ) -> tuple[Tensors, ChordState]:
        """Takes in the start token and all of the prompt but its last frame."""
        newest, state = super().prime(prompt, num_steps)
        frames = self._from_start(self._frames(prompt))
        tokens, struck = frames["tokens"][:, :-1], frames["keys"][:, :-1, :, 1]
        struck = tf.pad(struck, [[0, 0], [HISTORY, 0], [0, 0]])[:, -HISTORY:]
        # Chords whose keys are not known sound as silence here.
        _, voices = tf.while_loop(
            lambda time, _: time < tf.shape(tokens)[1],
            lambda time, v: (time + 1, self._voice_leading.after(v, tokens[:, time])),
            (0, self._voice_leading.initial_voices(tf.shape(tokens)[0])),
        )
        return newest, ChordState(*state, Past(struck, voices))

    def advance(
        self, frame: Tensors, state: ChordState, place: Tensors | None = None
    ) -> tuple[tf.Tensor, ChordState]:
        """As `TokenModel.advance`; the frame becomes part of the past."""
        hidden, state = super().advance(frame, state, place)
        struck = frame["keys"][:, tf.newaxis, :, 1]
        past = Past(
            tf.concat([state.past.struck[:, 1:], struck], axis=1),
            self._voice_leading.after(state.past.voices, frame["tokens"]),
        )
        return hidden, state._replace(past=past)

    def steer(
        self, logits: tf.Tensor, state: ChordState, controls: Tensors
    ) -> tf.Tensor:
        """As `TokenModel.steer`; parallels are made less likely.

        At the last fermata that was planned the tonic is made likelier, a quarter
        before it the dominant; and the last chord is held until the piece ends, which
        it does no earlier.
        """
        strength = controls[VOICE_LEADING.name]
        logits = tf.cond(
            strength > 0.0,
            lambda: (
                logits
                - strength * self._voice_leading.count_parallels(state.past.voices)
            ),
            lambda: logits,
        )
        if self.places.phrases and self.learn_end:
            place, newest = state.place, state.rules.history[:, -1]
            logits += controls[CADENCE.name] * self._leads_home(place)
            is_last = (place["phrase_left"] == 0) & (place["last_phrase"] == 1)
            is_last &= place["phrase_steps"] > 0
            has_more = (place["phrase_left"] > 0) & (place["phrase_steps"] > 0)
            tokens = tf.range(self.vocabulary_size)
            is_held = (tokens == END) | (tokens == newest[:, tf.newaxis])
            is_other = is_last[:, tf.newaxis] & ~is_held
            is_other |= has_more[:, tf.newaxis] & (tokens == END)
            logits += samplers.UNWANTED * tf.cast(is_other, tf.float32)
        return super().steer(logits, state, controls)

    def _leads_home(self, place: Tensors) -> tf.Tensor:
        """1 for chords of the cadence that the place asks for, `[batch, token]`."""
        left = tf.where(place["last_phrase"] == 1, place["phrase_left"], 0)
        quarter = self.representation.steps_per_quarter
        is_before = (left > 1) & (left <= 1 + quarter)
        dominant, tonic = (
            tf.gather(chords, place["plan_key"])
            for chords in (self._dominants, self._tonics)
        )
        leads = dominant & is_before[:, tf.newaxis] | tonic & (left == 1)[:, tf.newaxis]
        return tf.cast(leads, tf.float32)

    def next_frame(
        self,
        frame: Tensors,
        state: ChordState,
        controls: Tensors,
        seed: tf.Tensor,
        must_change: tf.Tensor,
    ) -> tuple[Tensors, ChordState, tf.Tensor]:
        """Samples the next frame, or repeats one; after an end comes padding."""
        token_seed, key_seed = seeds.split_seed(seed, 2)
        hidden, state = self.advance(frame, state)
        token, is_guarded = self.draw(
            self.step_logits(hidden), frame, state, controls, token_seed, must_change
        )
        noise = samplers.logistic(tf.shape(frame["keys"])[:2], key_seed)
        noise *= controls[TEMPERATURE.name]
        new, _ = self.strike(token, frame, hidden, noise)
        if not self.places.phrases:
            return new, state, is_guarded
        is_again, token, struck = first_time(state, controls, seed)
        keys = tf.stack([self.keys_of(token), struck], axis=-1)
        again = {"tokens": token, "keys": keys}
        if self.learn_end:
            is_again &= ~self.is_finished(frame)
        new = tf.nest.map_structure(
            lambda old, drawn: tf.where(_like(is_again, drawn), old, drawn), again, new
        )
        return new, state, is_guarded & ~is_again

    def strike(
        self,
        token: tf.Tensor,
        frame: Tensors,
        hidden: tf.Tensor,
        noise: tf.Tensor | float,
        keys: tf.Tensor | None = None,
        given: tuple[tf.Tensor, tf.Tensor] | None = None,
    ) -> tuple[Tensors, tf.Tensor]:
        """Says which keys of a new chord are struck.

        Args:
            token: The chord, int32 `[batch]`.
            frame: The frame before.
            hidden: What `advance` gave for that.
            noise: What log odds have to exceed, float32 `[batch, pitch]`; 0: keys do
                what is likelier.
            keys: Its keys, bool `[batch, pitch]`; None: those of the token.
            given: Which keys are struck, and of which that is known, likewise.

        Returns:
            The new frame, and the nats of its restrikes, those that are given if some
            are, float32 `[batch]`.
        """
        if keys is None:
            keys = self.keys_of(token)
        shared = open_keys = counted = tf.logical_and(keys, frame["keys"][..., 0])
        restruck = tf.zeros_like(keys)
        if given is not None:
            struck, is_given = given
            counted, open_keys = shared & is_given, shared & ~is_given
            restruck = counted & struck
        order = tf.math.top_k(
            tf.where(open_keys, tf.range(NUM_PITCHES), -1), self._most_keys
        ).values
        hidden = self.without_recall(hidden)
        # From the top, since each key depends on those above it.
        restrikes = self.restrikes(hidden, frame["keys"], keys)
        for pitch in tf.unstack(order, axis=1):
            log_odds = self.restrikes.after(restrikes, restruck)
            here = tf.one_hot(pitch, NUM_PITCHES, True, False, dtype=tf.bool)
            restruck |= here & (log_odds > noise)
        log_odds = self.restrikes.after(restrikes, restruck)
        new = tf.stack([keys, restruck | (keys & ~shared)], axis=-1)
        nats = choice_nats(restruck, log_odds, counted)
        return {"tokens": token, "keys": new}, nats

    # ---- Music of which keys are given.

    def given_specs(self) -> tuple[tf.TensorSpec, ...]:
        """Keys and places; what token a chord is follows from its keys."""
        is_given = tf.TensorSpec([None, None, NUM_PITCHES], tf.bool, IS_GIVEN)
        arrays = [spec for spec in self.array_specs() if spec.name != "tokens"]
        return (*arrays, is_given)

    def plan_given(self, given: Tensors, controls: Tensors) -> Tensors:
        """With phrases that are counted back from the last chord, if none are known."""
        return plan_given(self.places, given, controls)

    def next_given(
        self,
        frame: Tensors,
        state: ChordState,
        given: Tensors,
        controls: Tensors,
        seed: tf.Tensor,
        must_change: tf.Tensor,
    ) -> tuple[Tensors, ChordState, Given]:
        """Samples a chord that agrees with the given keys; see `chord_given`."""
        return next_given(self, frame, state, given, controls, seed, must_change)

    def end_given(
        self, frame: Tensors, state: ChordState, controls: Tensors
    ) -> tf.Tensor:
        """That of the end, where it is learned."""
        if not self.learn_end:
            return super().end_given(frame, state, controls)
        return end_given(self, frame, state, controls)

    def complete(
        self, token: tf.Tensor, frame: Tensors, hidden: tf.Tensor, state: ChordState
    ) -> tuple[Tensors, tf.Tensor]:
        """Strikes the keys that are likelier struck than not."""
        new, nats = self.strike(token, frame, hidden, 0.0)
        is_first = state.rules.num_drawn < 0  # nothing has been taken in yet
        new = tf.nest.map_structure(
            lambda old, made: tf.where(_like(is_first, made), old, made), frame, new
        )
        return new, tf.where(is_first, 0.0, nats)

    def complete_all(
        self, tokens: tf.Tensor, frame: Tensors, state: ChordState
    ) -> tuple[Tensors, tf.Tensor]:
        """Goes through the tokens once more, as the searches did."""
        num_steps = tf.shape(tokens)[1]
        keys = tf.TensorArray(tf.bool, num_steps, element_shape=frame["keys"].shape)

        def body(time, frame, state, keys, nats):
            hidden, state = self.advance(frame, state)
            frame, nats = self.strike(tokens[:, time], frame, hidden, 0.0)
            return time + 1, frame, state, keys.write(time, frame["keys"]), nats

        *_, keys, nats = tf.while_loop(
            lambda time, *_: time < num_steps,
            body,
            (0, frame, state, keys, tf.zeros(tf.shape(tokens)[:1])),
        )
        keys = tf.transpose(keys.stack(), [1, 0, 2, 3])
        return {"tokens": tokens, "keys": keys}, nats


def _like(rows: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
    """`[batch]` with as many axes as another tensor has."""
    return tf.reshape(rows, [-1, *[1] * (other.shape.rank - 1)])
