"""A network that reads along time for each note and writes along the notes."""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar

import keras
import tensorflow as tf

from tfmusic.generation.controls import (
    CONSERVATIVITY,
    DENSITY,
    METRE,
    PARTICLES,
    roll_controls,
)
from tfmusic.generation.seeds import split_seed
from tfmusic.models.autoregressive import AutoregressiveModel
from tfmusic.models.base import Tensors, step_is_target
from tfmusic.models.biaxial_features import BEATS, NoteFeatures
from tfmusic.models.biaxial_sampling import adapt_power, change_note, sample_frame
from tfmusic.models.given import IS_GIVEN, Given, weight_temperature
from tfmusic.models.metre import advance, before_piece
from tfmusic.models.roll_frames import compile_roll_model, force_onsets
from tfmusic.models.roll_sampling import (
    count_held,
    hold,
    release,
    repeat_bonus,
)
from tfmusic.networks.losses import RollLoss, key_nats
from tfmusic.networks.recurrent_stack import RecurrentSettings, RecurrentStack
from tfmusic.representations import Representation, metre
from tfmusic.representations.play_articulate import PlayArticulate
from tfmusic.settings import Settings, setting

Recurrent = tuple[tf.Tensor, ...]
State = tuple[Recurrent, tf.Tensor, tf.Tensor]
# Pieces are scored in parts: every note has a state of its own at every step.
_SCORED_STEPS = 64


@dataclasses.dataclass(frozen=True, kw_only=True)
class BiaxialSettings(Settings):
    """Two recurrent stacks, and what a note reads.

    Attributes:
        time_units: Sizes of the layers along time.
        note_units: Sizes of the layers along the notes.
        dropout: Fraction of every recurrent layer's outputs dropped, the same values at
            all steps of a sequence.
        position: Whether a note reads where in the range it lies.
        pitch_class: Whether it reads its pitch class.
        beat: What it reads of the place in the bar: "none", "binary" or "metre", see
            `NoteFeatures`.
        key_loss_coefficient: Weighs the mean over pitches of their nats; the number of
            pitches makes that the nats of the frame.
        compile_drawing: Whether XLA compiles the sampling of a frame, once for each
            number of pieces: faster for few of them. Not every program that serves
            exports can run that.
    """

    SECTION: ClassVar[str] = "model"

    time_units: tuple[int, ...] = setting(
        (128, 128), at_least=1, at_most=65_536, not_empty=True
    )
    note_units: tuple[int, ...] = setting(
        (64,), at_least=1, at_most=65_536, not_empty=True
    )
    dropout: float = setting(0.3, at_least=0.0, at_most=0.99)
    position: bool = True
    pitch_class: bool = True
    beat: str = setting("metre", choices=BEATS)
    key_loss_coefficient: float = setting(88.0, at_least=0.0)
    compile_drawing: bool = False


class BiaxialLSTM(AutoregressiveModel):
    """One recurrent stack along time shared by all notes, one along the notes.

    The first stack reads, for each note by itself, that note's neighbourhood step by
    step. The second goes through the notes of a step from low to high; it hears what
    the first says of each and what was chosen for the note below, so the probability
    of a frame is exact: the product over its notes, each given all lower ones.

    Each note has two outputs: play, and articulate, which counts only where the note
    plays. A note that did not sound before can only start with an articulation, so
    that costs no likelihood and generation always sets it.

    Beat: a step is predicted from the frame before it and from the place in the bar of
    the step itself, in training, scoring and generation alike. (One published system
    gave the place one step late when it generated.) Generated bars count on from the
    prompt's last, or are 4/4 from the first step.

    Sources: D. Johnson, Composing Music With Recurrent Neural Networks, 2015, and
    Generating Polyphonic Music Using Tied Parallel Networks, 2017 (BALSTM, equation of
    the cost and sizes in section 4).

    Frames are `roll` bool `[batch, pitch, channel]`, `bar_position` and `bar_length`
    int32 `[batch]`. The state is the first stack's, `[batch, pitch, units]`, the power
    that keeps up the density, `[batch]`, and for how many steps each note has been
    held, `[batch, 1, pitch]`.
    """

    TAKES = PlayArticulate
    Settings = BiaxialSettings
    CONTROLS = (*roll_controls(1), CONSERVATIVITY, DENSITY, *METRE)
    INFILL_CONTROLS = (PARTICLES,)

    def __init__(self, representation: Representation, settings: BiaxialSettings):
        """Makes the layers."""
        super().__init__(representation)
        self.settings = settings
        _, self.num_pitches, self.num_channels = representation.feature_specs[
            "roll"
        ].shape
        self.note_features = NoteFeatures(
            representation.lowest_pitch,
            self.num_pitches,
            representation.steps_per_quarter,
            position=settings.position,
            pitch_class=settings.pitch_class,
            beat=settings.beat,
        )
        self.time_stack, self.note_stack = (
            RecurrentStack(
                RecurrentSettings(units=units, dropout=settings.dropout),
                same_dropout=True,
                name=name,
            )
            for units, name in (
                (settings.time_units, "time"),
                (settings.note_units, "notes"),
            )
        )
        self.time_dropout = keras.layers.Dropout(settings.dropout, (None, 1, None))
        self.note_dropout = keras.layers.Dropout(settings.dropout, (None, 1, None))
        # Logits stay in float32 under a mixed precision policy.
        self.output_layer = keras.layers.Dense(self.num_channels, dtype="float32")

    @property
    def rows_of_step(self) -> int:
        """Each note is read by itself."""
        return self.num_pitches

    def build_model(self) -> None:
        """Makes all weights."""
        frames = {name: part[:, None] for name, part in self.start_frame(1).items()}
        self({**frames, "next_roll": frames["roll"]})

    def compile_for_training(self, optimizer: keras.optimizers.Optimizer) -> None:
        """Compiles with the notes' loss, nats a step and rates of sounding notes."""
        loss = RollLoss(self.settings.key_loss_coefficient, 0.0)
        compile_roll_model(self, optimizer, loss)

    def example_fn(self, features: Tensors, seed: tf.Tensor):
        """Frames, and the frames after them with their place in the bar."""
        del seed
        roll = features["roll"]
        inputs = {
            "roll": roll[:-1],
            "bar_position": features["bar_position"][1:],
            "bar_length": features["bar_length"][1:],
            "next_roll": roll[1:],
        }
        weights = step_is_target(features["step"][1:], features["num_steps"])
        return inputs, roll[1:, tf.newaxis], weights  # [time, hand, pitch, channel]

    def call(self, inputs: Tensors, training: bool = False) -> tf.Tensor:
        """The log odds of frames that are known, each note's given the lower ones.

        Args:
            inputs: `roll`, bool `[batch, time, pitch, channel]`, the frame before each
                step; of the step itself `bar_position` and `bar_length`, int32
                `[batch, time]`, and `next_roll`, its frame.
            training: Whether dropout is on.

        Returns:
            float32 `[batch, time, 1, pitch * channel]`, as
            `tfmusic.networks.losses` takes it for one hand.
        """
        logits, _ = self._logits(inputs, training=training)
        size = self.num_pitches * self.num_channels
        shape = tf.concat([tf.shape(logits)[:2], [1, size]], axis=0)
        return tf.ensure_shape(tf.reshape(logits, shape), [None, None, 1, size])

    def start_frame(self, batch_size: tf.Tensor) -> Tensors:
        """Silence, one step before a bar of 4/4."""
        shape = [batch_size, self.num_pitches, self.num_channels]
        return {"roll": tf.zeros(shape, tf.bool), **self._before(batch_size)}

    def begin(
        self, frame: Tensors, state: State, controls: Tensors, seed: tf.Tensor | None
    ) -> tuple[Tensors, State]:
        """Silence one step before the piece, in its metre."""
        del seed
        return {**frame, **self._before(tf.shape(frame["roll"])[0], controls)}, state

    def _before(
        self, batch_size: tf.Tensor, controls: Tensors | None = None
    ) -> Tensors:
        quarter = self.representation.steps_per_quarter
        return before_piece(batch_size, quarter, controls)

    def initial_state(self, batch_size: tf.Tensor, max_steps: tf.Tensor) -> State:
        """Zeros for each note, and the power 1."""
        del max_steps
        flat = self.time_stack.initial_state(batch_size * self.num_pitches)
        held = tf.zeros([batch_size, 1, self.num_pitches])
        return self._unfold(flat), tf.ones([batch_size]), held

    def prime(self, prompt: Tensors, num_steps: tf.Tensor) -> tuple[Tensors, State]:
        """Takes in silence and all of the prompt but its last frame."""
        inputs = _inputs(prompt)
        batch_size = tf.shape(inputs["roll"])[0]
        del num_steps
        recurrent, power, _ = self.initial_state(batch_size, 0)
        _, recurrent = self._along_time(inputs, recurrent)
        held = count_held(inputs["roll"][:, :, tf.newaxis])
        frame = {
            "roll": inputs["next_roll"][:, -1],
            "bar_position": inputs["bar_position"][:, -1],
            "bar_length": inputs["bar_length"][:, -1],
        }
        return frame, (recurrent, power, held)

    def next_frame(
        self,
        frame: Tensors,
        state: State,
        controls: Tensors,
        seed: tf.Tensor,
        must_change: tf.Tensor,
    ) -> tuple[Tensors, State, tf.Tensor]:
        """Samples the next frame, note by note."""
        place = advance(frame, 1)
        hidden, state = self._hear(frame, place, state)
        frame, state, is_guarded, _ = self._sample(
            frame, place, hidden, state, controls, seed, must_change
        )
        return frame, state, is_guarded

    def _hear(
        self, frame: Tensors, place: Tensors, state: State
    ) -> tuple[tf.Tensor, State]:
        """What each note hears before a place, `[batch, pitch, unit]`; the state."""
        recurrent, power, held = state
        roll = frame["roll"]
        features = self.note_features(roll, place["bar_position"], place["bar_length"])
        hidden, recurrent = self.time_stack.step(
            _fold(features), tuple(_fold(part) for part in recurrent)
        )
        [hidden] = self._unfold([hidden])
        held = hold(held, roll[:, tf.newaxis])
        return hidden, (self._unfold(recurrent), power, held)

    def _sample(
        self,
        frame: Tensors,
        place: Tensors,
        hidden: tf.Tensor,
        state: State,
        controls: Tensors,
        seed: tf.Tensor,
        must_change: tf.Tensor,
        given: tuple[tf.Tensor, tf.Tensor] | None = None,
    ) -> tuple[Tensors, State, tf.Tensor, tf.Tensor]:
        """The frame at a place, the state, where guards changed it, and its log odds.

        Args:
            frame: The newest frame.
            place: That of the next one.
            hidden: What `_hear` gave.
            state: Likewise.
            controls: As for `next_frame`, like `seed` and `must_change`.
            seed: Decides what is sampled.
            must_change: Where the frame may not be the newest one again.
            given: What of it is given, as `sample_frame` takes it.
        """
        recurrent, power, held = state
        temperature = controls["temperature"]
        sample_seed, change_seed = split_seed(seed, 2)
        bonus = repeat_bonus(held, controls)[:, 0]
        roll = frame["roll"]
        sampled, odds = sample_frame(
            self.note_stack,
            self.output_layer,
            hidden,
            roll,
            controls["conservativity"] * power,
            bonus,
            temperature,
            sample_seed,
            self.settings.compile_drawing,
            given,
        )
        if given is not None:  # such keys may be held for as long as they are
            held = tf.where(given[1][:, tf.newaxis], 0.0, held)
        sampled, is_released = release(sampled[:, tf.newaxis], held, controls)
        sampled, is_stuck = change_note(
            sampled[:, 0], odds[..., 0], roll, must_change, change_seed, temperature
        )
        if given is not None:
            sampled = tf.where(given[1][..., tf.newaxis], given[0], sampled)
        power = adapt_power(power, sampled, controls["density"])
        is_guarded = tf.logical_or(is_released, is_stuck)
        odds += tf.pad(
            bonus[..., tf.newaxis], [[0, 0], [0, 0], [0, self.num_channels - 1]]
        )
        new = {"roll": sampled, **place}
        return new, (recurrent, power, state[2]), is_guarded, odds

    def given_specs(self) -> tuple[tf.TensorSpec, ...]:
        """Rolls and places."""
        shape = [None, None, self.num_pitches]
        return (*self.array_specs(), tf.TensorSpec(shape, tf.bool, IS_GIVEN))

    def next_given(
        self,
        frame: Tensors,
        state: State,
        given: Tensors,
        controls: Tensors,
        seed: tf.Tensor,
        must_change: tf.Tensor,
    ) -> tuple[Tensors, State, Given]:
        """Samples the keys that are not given; each hears of all that are below it."""
        place = {name: given[name] for name in metre.SPECS}
        hidden, state = self._hear(frame, place, state)
        wanted, is_given = given["roll"], given[IS_GIVEN]
        new, state, is_guarded, odds = self._sample(
            frame,
            place,
            hidden,
            state,
            controls,
            seed,
            must_change,
            (wanted, is_given),
        )
        odds = force_onsets(odds, frame["roll"][..., 0])
        nats = key_nats(wanted, odds / weight_temperature(controls))
        is_given = is_given[..., tf.newaxis]
        log_p = -tf.reduce_sum(tf.where(is_given, nats, 0.0), axis=[1, 2])
        return new, state, Given(log_p, is_guarded, tf.zeros_like(must_change))

    def is_repeat(self, frame: Tensors, previous: Tensors) -> tf.Tensor:
        """Whether the same notes play and articulate, wherever in the bar."""
        return super().is_repeat(frame["roll"], previous["roll"])

    def is_silent(self, frame: Tensors) -> tf.Tensor:
        """Whether no note plays."""
        return tf.logical_not(tf.reduce_any(frame["roll"][..., 0], axis=1))

    def frames_to_features(self, frames: Tensors, state: State) -> Tensors:
        """The frames as they are; all of them count."""
        del state
        batch_size, num_steps = tf.unstack(tf.shape(frames["bar_length"]))
        return {**frames, "num_steps": tf.fill([batch_size], num_steps)}

    def score(self, features: Tensors, num_steps: tf.Tensor) -> Tensors:
        """The log-likelihood of each frame, all notes and channels together."""
        length = tf.shape(features["roll"])[1]
        num_parts = -(-length // _SCORED_STEPS)
        rest = num_parts * _SCORED_STEPS - length
        inputs = {
            name: tf.pad(array, [[0, 0], [0, rest]] + [[0, 0]] * (array.shape.rank - 2))
            for name, array in _inputs(features).items()
        }
        recurrent, *_ = self.initial_state(tf.shape(features["roll"])[0], 0)
        nats = tf.TensorArray(tf.float32, num_parts, element_shape=[None, None])

        def body(number, recurrent, nats):
            first = number * _SCORED_STEPS
            part = {
                name: array[:, first : first + _SCORED_STEPS]
                for name, array in inputs.items()
            }
            logits, recurrent = self._logits(part, recurrent)
            costs = tf.reduce_sum(key_nats(part["next_roll"], logits), axis=[2, 3])
            return number + 1, recurrent, nats.write(number, tf.transpose(costs))

        *_, nats = tf.while_loop(
            lambda number, *_: number < num_parts, body, (0, recurrent, nats)
        )
        nats = tf.transpose(nats.concat())[:, :length]
        is_inside = tf.range(length) < num_steps[:, tf.newaxis]
        return {"log_likelihood": tf.where(is_inside, -nats, 0.0)}

    def _logits(
        self,
        inputs: Tensors,
        recurrent: Recurrent | None = None,
        training: bool = False,
    ) -> tuple[tf.Tensor, Recurrent | None]:
        """Log odds `[batch, time, pitch, channel]`, and the state if one was given."""
        hidden, recurrent = self._along_time(inputs, recurrent, training)
        shape = tf.shape(hidden)  # [batch, time, pitch, unit]
        chosen = tf.cast(inputs["next_roll"], hidden.dtype)
        below = tf.pad(chosen[:, :, :-1], [[0, 0], [0, 0], [1, 0], [0, 0]])
        notes = _fold(tf.concat([hidden, below], axis=-1))  # [batch * time, pitch, k]
        notes = self.note_stack(notes, training=training)
        logits = self.output_layer(self.note_dropout(notes, training=training))
        logits = tf.reshape(logits, [*tf.unstack(shape[:3]), self.num_channels])
        sounded = tf.cast(inputs["roll"][..., 0], tf.bool)
        return force_onsets(logits, sounded), recurrent

    def _along_time(
        self,
        inputs: Tensors,
        recurrent: Recurrent | None = None,
        training: bool = False,
    ) -> tuple[tf.Tensor, Recurrent | None]:
        """What notes have heard, `[batch, time, pitch, unit]`, and the new state."""
        features = self.note_features(
            inputs["roll"], inputs["bar_position"], inputs["bar_length"]
        )
        notes = _fold(tf.transpose(features, [0, 2, 1, 3]))  # [batch * pitch, time, k]
        if recurrent is None:
            hidden = self.time_stack(notes, training=training)
        else:
            recurrent = tuple(_fold(part) for part in recurrent)
            hidden, recurrent = self.time_stack.run(notes, recurrent, training)
            recurrent = self._unfold(recurrent)
        [hidden] = self._unfold([self.time_dropout(hidden, training=training)])
        return tf.transpose(hidden, [0, 2, 1, 3]), recurrent

    def _unfold(self, parts: Sequence[tf.Tensor]) -> Recurrent:
        """Tensors `[batch * pitch, ...]` as `[batch, pitch, ...]`."""
        return tuple(
            tf.ensure_shape(
                tf.reshape(
                    part,
                    tf.concat([[-1, self.num_pitches], tf.shape(part)[1:]], axis=0),
                ),
                [None, self.num_pitches, *part.shape[1:]],
            )
            for part in parts
        )


def _inputs(features: Tensors) -> Tensors:
    """Whole pieces as `BiaxialLSTM.call` takes them; silence stands before them."""
    roll = tf.cast(features["roll"], tf.bool)
    return {
        "roll": tf.pad(roll, [[0, 0], [1, 0], [0, 0], [0, 0]])[:, :-1],
        "bar_position": features["bar_position"],
        "bar_length": features["bar_length"],
        "next_roll": roll,
    }


def _fold(tensor: tf.Tensor) -> tf.Tensor:
    """The first two axes as one."""
    shape = tf.concat([[-1], tf.shape(tensor)[2:]], axis=0)
    return tf.ensure_shape(tf.reshape(tensor, shape), [None, *tensor.shape[2:]])
