"""A network that writes any cells of music in voices, given the others (Coconet)."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import keras
import tensorflow as tf

from tfmusic.generation.controls import (
    AVOID_PARALLELS,
    CADENCE,
    CADENCE_OF_VOICES,
    GIBBS_STEPS,
    METRE,
    TEMPERATURE,
)
from tfmusic.generation.samplers import categorical
from tfmusic.generation.seeds import split_seed
from tfmusic.models.base import Endpoint, MusicModel, Tensors
from tfmusic.models.infill_cells import Cells
from tfmusic.models.infill_masks import (
    block_noise,
    hidden_part,
    training_mask,
    writing_order,
)
from tfmusic.models.infill_notes import (
    Notes,
    draw_cells,
    draw_notes,
    find_notes,
    notes_to_draw,
)
from tfmusic.models.infill_rules import leads_home, wrong_pitches
from tfmusic.models.metre import BarEmbedding, before_piece, places_after
from tfmusic.networks.losses import mean_loss, token_nats
from tfmusic.networks.metrics import TokenAccuracy, WeightedMean
from tfmusic.representations import metre
from tfmusic.representations.voice_frames import REST, VoiceFrames
from tfmusic.settings import Settings, setting

# How far from its ends a step of a piece knows them, in steps.
_EDGE = 64
_EDGE_SIZE = 16
# Then notes are drawn as wholes, in so many times fewer steps.
_NOTE_ROUNDS = 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class InfillSettings(Settings):
    """What the model adds to its network.

    Attributes:
        embedding_size: Numbers that stand for the cell of a voice.
        temperature: The control's default.
        gibbs_steps: The control's default.
        avoid_parallels: The control's default.
        cadence: The control's default.
    """

    SECTION: ClassVar[str] = "model"

    embedding_size: int = setting(48, at_least=1, at_most=65_536)
    temperature: float = setting(1.0, at_least=0.0, at_most=10.0)
    gibbs_steps: int = setting(128, at_least=1, at_most=2000)
    avoid_parallels: float = setting(0.0, at_least=0.0, at_most=100.0)
    cadence: float = setting(0.0, at_least=0.0, at_most=100.0)


class InfillModel(MusicModel):
    """The probability of each cell `[time, voice]`, given all that are not hidden.

    A cell is one class: a rest, or a pitch that is struck or held. The model learns on
    random masks: the cross-entropy of the hidden cells, each piece's divided by their
    number, as an orderless model learns all orders of writing at once. Any cells can
    then be written: new pieces, the continuation of one, or gaps.

    Gaps are written by blocked Gibbs sampling: part of the gap, less and less of it, is
    hidden and drawn anew, each cell by itself given what is not hidden; the many steps
    make the cells agree. (Yao et al., "On the equivalence between deep NADE and
    generative stochastic networks", 2014, with its annealed schedule.)

    Besides, the odds of pitches that would make parallel fifths or octaves with what
    the other voices have can be lowered, and those of an end on the tonic raised.

    Source: Huang et al., "Counterpoint by Convolution", ISMIR 2017. Departures: the
    network is not theirs; onsets, the place in the bar and the distance from both ends
    of the piece are known; cells are hidden in blocks of up to two quarters, half of
    the masks within passages and voices.
    """

    TAKES: ClassVar = VoiceFrames
    LOSS_MEANING = "how badly the model guesses what is left out"
    Settings = InfillSettings
    rows_of_step = 3  # parallels are looked for, before and after

    def __init__(
        self,
        representation: VoiceFrames,
        settings: InfillSettings,
        make_network: Callable[[], Any],
    ):
        """Makes the layers.

        Args:
            representation: Says how many voices and pitches there are.
            settings: Sizes.
            make_network: Makes a network that reads both ways: `networks.convolution`.
        """
        super().__init__(representation)
        self._cells = Cells(representation)
        self.num_voices = representation.num_voices
        self.num_classes = 1 + representation.num_keys * (1 + representation.onsets)
        self.CONTROLS = (
            TEMPERATURE.with_default(settings.temperature),
            GIBBS_STEPS.with_default(float(settings.gibbs_steps)),
            AVOID_PARALLELS.with_default(settings.avoid_parallels),
            CADENCE_OF_VOICES.with_default(settings.cadence),
            *METRE,
        )
        self.network = make_network()
        # Of each voice: rest, pitches, hidden; and for each of these held and struck.
        self.pitch_embedding = keras.layers.Embedding(
            self.num_voices * (representation.num_keys + 2),
            settings.embedding_size,
            name="pitches",
        )
        self.onset_embedding = keras.layers.Embedding(
            self.num_voices * 2, settings.embedding_size, name="onsets"
        )
        self.bar_embedding = BarEmbedding(name="bars")
        self.begin_embedding = keras.layers.Embedding(_EDGE, _EDGE_SIZE, name="begin")
        self.end_embedding = keras.layers.Embedding(_EDGE, _EDGE_SIZE, name="end")
        # Logits stay in float32 under a mixed precision policy.
        self.output_layer = keras.layers.Dense(
            self.num_voices * self.num_classes, dtype="float32", name="output"
        )
        self._nats = WeightedMean("nats_per_cell")
        self._accuracy = TokenAccuracy()

    # ---- Learning.

    def build_model(self) -> None:
        """Makes all weights."""
        cells = tf.zeros([1, 2, self.num_voices], tf.int32)
        places = {name: tf.ones([1, 2], tf.int32) for name in metre.SPECS}
        hidden = tf.ones_like(cells, tf.bool)
        self({"cells": cells, "hidden": hidden, **_context(places, tf.constant([2]))})

    def compile_for_training(self, optimizer: keras.optimizers.Optimizer) -> None:
        """Compiles; `compute_loss` has the loss and the metrics."""
        self.compile(optimizer=optimizer)

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        """The mean over pieces of the mean nats of their hidden cells."""
        del x, training
        nats = token_nats(y, y_pred)
        self._nats.update_state(nats, sample_weight)
        self._accuracy.update_state(y, y_pred, sample_weight)
        return mean_loss(nats, sample_weight)

    def example_fn(self, features: Tensors, seed: tf.Tensor):
        """A window without its first step, which other models start from.

        Returns:
            Inputs as `call` takes them, cells, and weights `[time, voice]`: above 0
            where they are hidden, 1 on average.
        """
        cells = self._cells.of(features)[1:]  # the first step tells what is held there
        step, num_steps = features["step"][1:], features["num_steps"]
        inside = (step >= 0) & (step < num_steps)
        hidden = training_mask(inside, self.num_voices, seed)
        inputs = {
            "cells": cells,
            "hidden": hidden,
            "inside": inside,
            "from_begin": step,
            "to_end": num_steps - 1 - step,
            **{name: tf.cast(features[name][1:], tf.int32) for name in metre.SPECS},
        }
        weights = tf.cast(hidden, tf.float32)
        return inputs, cells, weights / tf.reduce_mean(weights)

    def call(self, inputs: Tensors, training: bool = False) -> tf.Tensor:
        """Logits of all cells, of which those of the hidden ones are of use.

        Args:
            inputs: `cells`, int32 `[batch, time, voice]`, the classes; `hidden`, bool
                of that shape, those that are not read; of each step, `[batch, time]`:
                `inside`, bool, whether it is one of the piece; int32 `bar_position`,
                `bar_length`, and `from_begin` and `to_end`, the steps before it and
                after it.
            training: Whether dropout is on.

        Returns:
            float32 `[batch, time, voice, class]`.
        """
        num_keys = self.representation.num_keys
        cells, hidden = inputs["cells"], inputs["hidden"]
        voices = tf.range(self.num_voices)
        struck = tf.cast((cells > num_keys) & ~hidden, tf.int32)
        pitch = tf.where(hidden, num_keys + 1, cells - num_keys * struck)
        voice_vectors = self.pitch_embedding(pitch + voices * (num_keys + 2))
        voice_vectors += self.onset_embedding(struck + voices * 2)
        size = voice_vectors.shape[-1] * self.num_voices
        vectors = tf.reshape(voice_vectors, [*tf.unstack(tf.shape(cells)[:2]), size])
        bar = {name: inputs[name] for name in metre.SPECS}
        parts = [
            vectors,
            self.bar_embedding(bar),
            self.begin_embedding(tf.clip_by_value(inputs["from_begin"], 0, _EDGE - 1)),
            self.end_embedding(tf.clip_by_value(inputs["to_end"], 0, _EDGE - 1)),
        ]
        vectors = tf.concat(parts, axis=-1)
        outputs = self.network(vectors, inputs["inside"], training=training)
        logits = self.output_layer(outputs)
        shape = [*tf.unstack(tf.shape(cells)), self.num_classes]
        logits = tf.reshape(logits, shape)
        return tf.ensure_shape(logits, [None, None, self.num_voices, self.num_classes])

    # ---- Writing and scoring.

    def _rules(
        self, cells: tf.Tensor, controls: Tensors, notes: Notes | None = None
    ) -> tf.Tensor:
        """What is added to the logits of pitches, `[batch, time, voice, key]`."""
        pitch = self._cells.features(cells)["pitch"]
        wrong = wrong_pitches(pitch, self.representation, notes)
        home = controls[CADENCE.name] * leads_home(pitch, self.representation)
        return home - controls[AVOID_PARALLELS.name] * tf.cast(wrong, tf.float32)

    def write(
        self,
        features: Tensors,
        mask: tf.Tensor,
        seed: tf.Tensor,
        controls: Tensors,
    ) -> Tensors:
        """Writes the cells of a mask anew; all others stay.

        First cells are drawn, many at once and then fewer (blocked Gibbs sampling).
        What they make together is left to chance, parallels too; so then notes are
        drawn as wholes, those of one voice at a time, with all around them as it is.

        Args:
            features: The representation's arrays of whole pieces, `[batch, time, ...]`.
            mask: bool `[batch, time, voice]`.
            seed: int64 scalar.
            controls: A float32 scalar for every one of `CONTROLS`.

        Returns:
            The arrays.
        """
        # What stood in the gap is not to be known.
        cells = tf.where(mask, REST, self._cells.of(features))
        batch_size, length, _ = tf.unstack(tf.shape(cells))
        context = _context(features, tf.fill([batch_size], length))
        num_rounds = tf.cast(controls[GIBBS_STEPS.name], tf.int32)
        temperature = controls[TEMPERATURE.name]

        def body(number, cells):
            seeds = split_seed(tf.stack([seed, tf.cast(number, tf.int64)]), 2)
            noise = block_noise(batch_size, length, self.num_voices, seeds[0])
            hidden = mask & ((noise < hidden_part(number, num_rounds)) | (number == 0))
            logits = self({"cells": cells, "hidden": hidden, **context})
            rules = self._rules(cells, controls)
            if self.representation.onsets:
                drawn = draw_cells(logits, rules, cells, hidden, seeds[1], temperature)
            else:
                rows = tf.reshape(logits + _with_rest(rules), [-1, self.num_classes])
                drawn = categorical(rows, seeds[1], temperature)
                drawn = tf.where(hidden, tf.reshape(drawn, tf.shape(cells)), cells)
            drawn = self._cells.mended(drawn)
            return number + 1, tf.where(mask, drawn, cells)

        _, cells = tf.while_loop(
            lambda number, _: number < num_rounds, body, (0, cells)
        )
        num_notes = tf.maximum(num_rounds // _NOTE_ROUNDS, 2 * self.num_voices)

        def draw_another(number, cells):
            part = tf.stack([seed, tf.cast(number + num_rounds, tf.int64)])
            return number + 1, self._other_notes(
                cells, mask, number, context, part, controls
            )

        _, cells = tf.while_loop(
            lambda number, _: number < num_notes, draw_another, (0, cells)
        )
        new = self._cells.features(cells)
        written = {
            n: tf.where(mask, a, tf.cast(features[n], a.dtype)) for n, a in new.items()
        }
        return {**written, **{name: features[name] for name in metre.SPECS}}

    def _other_notes(
        self,
        cells: tf.Tensor,
        mask: tf.Tensor,
        number: tf.Tensor,
        context: Tensors,
        seed: tf.Tensor,
        controls: Tensors,
    ) -> tf.Tensor:
        """Cells after one round of drawing whole notes."""
        kind, held = self.representation, self._cells.held(cells)
        notes = find_notes(held, cells > kind.num_keys if kind.onsets else None)
        hidden = notes_to_draw(notes, mask, number)
        logits = self({"cells": cells, "hidden": hidden, **context})
        rest, keys = logits[..., :1], logits[..., 1:]
        begins = notes.begins[..., tf.newaxis]
        if kind.onsets:
            as_held, as_struck = tf.split(keys, 2, axis=-1)
            keys = tf.where(begins, as_struck, as_held)
        logits = tf.concat([rest, keys], axis=-1)
        rules = _with_rest(self._rules(cells, controls, notes))
        drawn = draw_notes(logits, rules, notes, seed, controls[TEMPERATURE.name])
        if kind.onsets:
            is_struck = notes.begins & (drawn > 0)
            drawn += kind.num_keys * tf.cast(is_struck, tf.int32)
        return self._cells.mended(tf.where(hidden, drawn, cells))

    def score(self, features: Tensors, num_steps: tf.Tensor) -> Tensors:
        """The exact log-likelihood of whole pieces, written frame by frame at random.

        The frames come in a random order, and the voices of each frame too; a cell is
        scored given all cells before it in that order. The order is always the same.

        Args:
            features: The representation's arrays `[batch, time, ...]`, padded.
            num_steps: int32 `[batch]`, how many steps of each count.

        Returns:
            `log_likelihood`, float32 `[batch, time]`, the voices' of each frame
            together, 0 where padded.
        """
        cells = self._cells.of(features)
        batch_size, length, num_voices = (
            *tf.unstack(tf.shape(cells)[:2]),
            cells.shape[2],
        )
        context = _context(features, num_steps)
        # An output depends on the steps within reach alone.
        reach = self.network.reach
        size = 2 * reach + 1
        sides = [[0, 0], [reach, reach]]
        padded = {name: tf.pad(array, sides) for name, array in context.items()}
        padded["cells"] = tf.pad(cells, [*sides, [0, 0]])
        when = writing_order(length, num_voices)
        padded_when = tf.pad(when, [[reach, reach], [0, 0]])

        def body(step, nats):
            # Every voice of the step is scored by itself: [batch * scored voice, ...].
            inputs = {
                name: tf.repeat(array[:, step : step + size], num_voices, axis=0)
                for name, array in padded.items()
            }
            window = padded_when[step : step + size]
            hidden = window >= when[step][:, tf.newaxis, tf.newaxis]
            inputs["hidden"] = tf.tile(hidden, [batch_size, 1, 1])
            logits = self(inputs)[:, reach]
            voices = tf.tile(tf.range(num_voices), [batch_size])
            logits = tf.gather(logits, voices, batch_dims=1)
            costs = token_nats(tf.reshape(cells[:, step], [-1]), logits)
            costs = tf.reduce_sum(tf.reshape(costs, [batch_size, num_voices]), axis=1)
            return step + 1, nats.write(step, costs)

        nats = tf.TensorArray(tf.float32, length, element_shape=[None])
        _, nats = tf.while_loop(lambda step, _: step < length, body, (0, nats))
        nats = tf.transpose(nats.stack())
        return {"log_likelihood": tf.where(context["inside"], -nats, 0.0)}

    def endpoints(self) -> Mapping[str, Endpoint]:
        """`generate`, `continue`, `infill` and `score`."""
        number = tf.TensorSpec([], tf.int32, "num_outputs")
        num_steps = tf.TensorSpec([], tf.int32, "num_steps")
        lengths = tf.TensorSpec([None], tf.int32, "num_steps")
        seed = tf.TensorSpec([], tf.int64, "seed")
        mask = tf.TensorSpec([None, None, self.num_voices], tf.bool, "mask")
        controls = tuple(control.spec for control in self.CONTROLS)
        arrays = tuple(
            tf.TensorSpec(
                [None, *spec.shape], tf.bool if spec.dtype == "bool" else tf.int32, name
            )
            for name, spec in self.representation.feature_specs.items()
        )
        names = [spec.name for spec in arrays]

        def generate(number, num_steps, seed, *values):
            named, quarter = self._named(values), self.representation.steps_per_quarter
            before = before_piece(number, quarter, named)
            return self._add(self._silence(number, 0), before, num_steps, seed, named)

        def go_on(*inputs):
            features = dict(zip(names, inputs, strict=False))
            num_steps, seed, *values = inputs[len(names) :]
            last = {name: features[name][:, -1] for name in metre.SPECS}
            return self._add(features, last, num_steps, seed, self._named(values))

        def infill(*inputs):
            features = dict(zip(names, inputs, strict=False))
            mask, seed, *values = inputs[len(names) :]
            written = self.write(features, mask, seed, self._named(values))
            return _counted(written)

        def score(*inputs):
            features = dict(zip(names, inputs, strict=False))
            return self.score(features, inputs[-1])

        return {
            "generate": Endpoint(
                generate,
                (number, num_steps, seed, *controls),
                "New pieces of num_steps steps each.",
            ),
            "continue": Endpoint(
                go_on,
                (*arrays, num_steps, seed, *controls),
                "What follows each prompt to the end of the piece, without the prompt.",
            ),
            "infill": Endpoint(
                infill,
                (*arrays, mask, seed, *controls),
                "Whole pieces, of which the cells of the mask are written anew.",
            ),
            "score": Endpoint(
                score,
                (*arrays, lengths),
                "The log-likelihood, in nats, of each step of whole pieces, the steps "
                "written in a random order.",
            ),
        }

    def _add(
        self,
        features: Tensors,
        last: Tensors,
        num_steps: tf.Tensor,
        seed: tf.Tensor,
        controls: Tensors,
    ) -> Tensors:
        """Writes steps after those of a piece, to its end; gives the new ones.

        `last` says where in its bar the step before the new ones is.
        """
        with tf.control_dependencies(
            [tf.debugging.assert_positive(num_steps, "num_steps: expected at least 1")]
        ):
            num_steps = tf.identity(num_steps)
        batch_size, length, _ = tf.unstack(tf.shape(features["pitch"]))
        new = {**self._silence(batch_size, num_steps), **places_after(last, num_steps)}
        whole = {n: tf.concat([a, new[n]], axis=1) for n, a in features.items()}
        mask = tf.range(length + num_steps) >= length
        mask = tf.broadcast_to(mask[:, tf.newaxis], tf.shape(whole["pitch"]))
        written = self.write(whole, mask, seed, controls)
        return _counted({name: array[:, length:] for name, array in written.items()})

    def _silence(self, batch_size: tf.Tensor, num_steps: tf.Tensor) -> Tensors:
        cells = tf.zeros([batch_size, num_steps, self.num_voices], tf.int32)
        places = tf.zeros([batch_size, num_steps], tf.int32)
        return {**self._cells.features(cells), **dict.fromkeys(metre.SPECS, places)}

    def _named(self, values) -> Tensors:
        names = [control.name for control in self.CONTROLS]
        return dict(zip(names, values, strict=True))


def _context(features: Tensors, num_steps: tf.Tensor) -> Tensors:
    """What is known of the steps of whole pieces, as `InfillModel.call` takes it."""
    step = tf.range(tf.shape(features["bar_length"])[1])[tf.newaxis]
    to_end = num_steps[:, tf.newaxis] - 1 - step
    return {
        "inside": to_end >= 0,
        "from_begin": tf.broadcast_to(step, tf.shape(to_end)),
        "to_end": to_end,
        **{name: tf.cast(features[name], tf.int32) for name in metre.SPECS},
    }


def _with_rest(rules: tf.Tensor) -> tf.Tensor:
    """Rules for keys as rules for a rest and keys: there are none for rests."""
    return tf.pad(rules, [[0, 0], [0, 0], [0, 0], [1, 0]])


def _counted(features: Tensors) -> Tensors:
    batch_size, length = tf.unstack(tf.shape(features["bar_length"]))
    return {**features, "num_steps": tf.fill([batch_size], length)}
