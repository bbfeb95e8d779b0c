"""What every family that makes music frame by frame from its own frames shares."""

import dataclasses
from collections.abc import Mapping
from typing import ClassVar

import tensorflow as tf

from tfmusic.generation import seeds
from tfmusic.generation.controls import MAX_REPEATS, MAX_SILENCE
from tfmusic.generation.guards import Watch, count_run, equal_frames
from tfmusic.generation.loop import Nest, generate_frames
from tfmusic.models.base import COPIES, Endpoint, Memory, MusicModel, Tensors, num_bytes
from tfmusic.models.given import Given, infill_endpoint
from tfmusic.models.steps import step_endpoint
from tfmusic.networks.losses import last_step_weights


class AutoregressiveModel(MusicModel):
    """A model that makes music frame by frame from its own frames.

    A frame is what one step adds: a token, a column of a roll, or a nest of tensors,
    `[batch, ...]`. A state is a nest of tensors `[batch, ...]` too: whatever the model
    remembers of the frames before.

    `CONTROLS` holds `MAX_REPEATS`, and `MAX_SILENCE` where frames can be silent.
    """

    # What a step is to the user, for the endpoints' documentation.
    STEP: ClassVar[str] = "step"
    # Whether `next_frame` takes a seed for each row, see `tfmusic.generation.seeds`.
    ROWS_TAKE_SEEDS: ClassVar[bool] = False
    # "all", or "last": a window teaches, and is validated on, its last step alone.
    loss_steps = "all"

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        """The loss, of the steps that count."""
        weights = self.loss_weights(sample_weight)
        return super().compute_loss(x, y, y_pred, weights, training)

    def loss_weights(self, weights: tf.Tensor) -> tf.Tensor:
        """How much each step counts in the loss, float32 `[batch, time]`.

        Validation counts the steps that training does, so that both losses are of the
        same thing; metrics count all steps.
        """
        if self.loss_steps == "last":
            return last_step_weights(weights)
        return weights

    def start_frame(self, batch_size: tf.Tensor) -> Nest:
        """The frame that stands before a piece's first one."""
        raise NotImplementedError

    def initial_state(self, batch_size: tf.Tensor, max_steps: tf.Tensor) -> Nest:
        """The state before the start frame, with room for so many steps."""
        raise NotImplementedError

    def begin(
        self, frame: Nest, state: Nest, controls: Tensors, seed: tf.Tensor | None
    ) -> tuple[Nest, Nest]:
        """What controls say of the beginning of a new piece.

        Args:
            frame: The start frame.
            state: The initial state.
            controls: A float32 scalar for every one of `CONTROLS`.
            seed: Of what they leave open, a scalar int64, with `ROWS_TAKE_SEEDS` also
                `[row, 2]`; None: the likeliest.

        Returns:
            Both, changed or not.
        """
        del controls, seed
        return frame, state

    def prime(self, prompt: Tensors, num_steps: tf.Tensor) -> tuple[Nest, Nest]:
        """Takes in a beginning.

        Args:
            prompt: The representation's arrays `[batch, time, ...]`, time at least 1.
            num_steps: How many steps will follow at most.

        Returns:
            The prompt's last frame and the state before it, for `next_frame`.
        """
        raise NotImplementedError

    def plan_rest(self, frame: Nest, state: Nest, controls: Tensors) -> Nest:
        """The state after `prime`, with what controls say of the music to come.

        Args:
            frame: The prompt's last frame.
            state: The state before it.
            controls: As for `begin`.
        """
        del frame, controls
        return state

    def next_frame(
        self,
        frame: Nest,
        state: Nest,
        controls: Tensors,
        seed: tf.Tensor,
        must_change: tf.Tensor,
    ) -> tuple[Nest, Nest, tf.Tensor]:
        """Takes in a frame and draws the next one.

        Args:
            frame: The newest frame.
            state: The state before it.
            controls: A float32 scalar for every one of `CONTROLS`.
            seed: int64 `[2]`; with `ROWS_TAKE_SEEDS` also `[row, 3]`.
            must_change: bool `[batch]`, where the next frame may not be the same again
                (see `tfmusic.generation.guards`).

        Returns:
            The next frame, the state before that, and bool `[batch]`: where another
            frame was drawn and `must_change` changed it.
        """
        raise NotImplementedError

    def given_specs(self) -> tuple[tf.TensorSpec, ...]:
        """What `infill` is given, `[batch, time, ...]`; empty where there is none.

        The arrays that say what keys do, where steps lie, and `is_given`, bool
        `[batch, time, (hand,) key]`: of which keys the arrays count.
        """
        return ()

    def plan_given(self, given: Tensors, controls: Tensors) -> Tensors:
        """What is given, with what controls say of the plan of whole pieces.

        Args:
            given: Those of `given_specs`, by name.
            controls: A float32 scalar for every one of `CONTROLS`.

        Returns:
            Arrays `[batch, time, ...]`.
        """
        del controls
        return given

    def next_given(
        self,
        frame: Nest,
        state: Nest,
        given: Tensors,
        controls: Tensors,
        seed: tf.Tensor,
        must_change: tf.Tensor,
    ) -> tuple[Nest, Nest, Given]:
        """As `next_frame`, of a frame of which keys are given.

        Args:
            frame: The newest frame.
            state: The state before it.
            given: What is given of the next one, as `plan_given` has it, `[row, ...]`.
            controls: As for `next_frame`.
            seed: int64 `[2]`.
            must_change: As for `next_frame`.

        Returns:
            The next frame, in which given keys do as they should, the state before
            that, and what became of what is given.
        """
        raise NotImplementedError

    def end_given(self, frame: Nest, state: Nest, controls: Tensors) -> tf.Tensor:
        """The log-probability that the piece ends after a frame, `[row]`."""
        del state, controls
        return tf.zeros(tf.shape(tf.nest.flatten(frame)[0])[:1])

    def is_finished(self, frame: Nest) -> tf.Tensor | None:
        """Whether a frame ends its piece, bool `[batch]`; None where none ever does."""
        del frame
        return None

    def is_repeat(self, frame: Nest, previous: Nest) -> tf.Tensor:
        """Whether a frame sounds as the one before it, bool `[batch]`."""
        return equal_frames(frame, previous)

    def is_silent(self, frame: Nest) -> tf.Tensor:
        """Whether nothing sounds in a frame, bool `[batch]`; with `MAX_SILENCE`."""
        raise NotImplementedError

    def frames_to_features(self, frames: Nest, state: Nest) -> Tensors:
        """Generated frames `[batch, time, ...]` as arrays and their `num_steps`.

        Args:
            frames: The frames.
            state: The state before them.

        Returns:
            The representation's arrays `[batch, time, ...]` and int32 `[batch]`, how
            many steps of each count.
        """
        raise NotImplementedError

    def score(self, features: Tensors, num_steps: tf.Tensor) -> Tensors:
        """The exact log-likelihood of whole pieces.

        Args:
            features: The representation's arrays `[batch, time, ...]`, padded.
            num_steps: int32 `[batch]`, how many steps of each count.

        Returns:
            `log_likelihood`, float32 `[batch, time]`, natural logarithm, 0 where
            padded; and where the model learns ends `end_log_likelihood`, `[batch]`.
        """
        raise NotImplementedError

    def frame_arrays(self, frame: Nest) -> Tensors:
        """The representation's arrays of one frame, `[batch, ...]`, for `step`."""
        if isinstance(frame, dict):
            return frame
        return {next(iter(self.representation.feature_specs)): frame}

    def step_state(self, batch_size: int) -> Tensors | None:
        """What `step` remembers, by name, before a piece; None: there is no `step`."""
        del batch_size
        return None

    def step(self, frame: Tensors, state: Tensors) -> tuple[Tensors, Tensors]:
        """Reads a frame, without rules, controls and chance.

        Args:
            frame: As `frame_arrays` gives it.
            state: As `step_state` or `step` gave it.

        Returns:
            What may follow, by name, and the new state.
        """
        raise NotImplementedError

    def array_specs(self) -> tuple[tf.TensorSpec, ...]:
        """The representation's arrays as inputs of endpoints, `[batch, time, ...]`."""
        return tuple(
            tf.TensorSpec([None, *spec.shape], _graph_dtype(spec.dtype), name)
            for name, spec in self.representation.feature_specs.items()
        )

    def endpoints(self) -> Mapping[str, Endpoint]:
        """`generate`, `continue` and `score`.

        See also `step`, `given_specs` and `ROWS_TAKE_SEEDS`.
        """
        number = tf.TensorSpec([], tf.int32, "num_outputs")
        num_steps = tf.TensorSpec([], tf.int32, "num_steps")
        seed = tf.TensorSpec([], tf.int64, "seed")
        controls = tuple(control.spec for control in self.CONTROLS)
        arrays = self.array_specs()
        names = [spec.name for spec in arrays]

        def generate(num_outputs, num_steps, seed, *values):
            frame, state = self.begin(
                self.start_frame(num_outputs),
                self.initial_state(num_outputs, num_steps),
                self._named(values),
                seed,
            )
            run = tf.zeros([num_outputs], tf.int32)
            return self._play(frame, state, run, num_steps, seed, values)

        def generate_rows(seed, place, num_steps, *values):
            seed = seeds.rows(seed, place)
            return generate(tf.shape(seed)[0], num_steps, seed, *values)

        def go_on(*inputs):
            prompt = dict(zip(names, inputs, strict=False))
            num_steps, seed, *values = inputs[len(names) :]
            run = count_run(prompt[names[0]])  # what is drawn comes first
            frame, state = self.prime(prompt, num_steps)
            state = self.plan_rest(frame, state, self._named(values))
            return self._play(frame, state, run, num_steps, seed, values)

        def score(*inputs):
            features = dict(zip(names, inputs, strict=False))
            return self.score(features, inputs[-1])

        lengths = tf.TensorSpec([None], tf.int32, "num_steps")
        endpoints = {
            "generate": Endpoint(
                generate,
                (number, num_steps, seed, *controls),
                "New pieces of at most num_steps steps each.",
            ),
            "continue": Endpoint(
                go_on,
                (*arrays, num_steps, seed, *controls),
                "What follows each prompt, without the prompt.",
            ),
            "score": Endpoint(
                score,
                (*arrays, lengths),
                f"The log-likelihood, in nats, of each {self.STEP} of whole pieces.",
            ),
            **step_endpoint(self),
            **infill_endpoint(self),
        }
        if self.ROWS_TAKE_SEEDS:
            rows = {
                "seed": tf.TensorSpec([None], tf.int64, "seed"),
                "place": tf.TensorSpec([None], tf.int32, "place"),
            }
            endpoints["generate_rows"] = Endpoint(
                generate_rows,
                (*rows.values(), num_steps, *controls),
                "New pieces, each of a seed of its own: the one at a place among those "
                "that generate makes of that seed.",
            )
        return endpoints

    def memory(self, num_steps: int) -> Memory:
        """Steps are made one by one: a piece takes its state, a step its frame."""
        state = 2 * num_bytes(self.initial_state(1, num_steps))  # before and after
        frame = COPIES * num_bytes(self.start_frame(1))
        return dataclasses.replace(super().memory(num_steps), piece=state, step=frame)

    def _play(self, frame, state, run, num_steps, seed, values) -> Tensors:
        """Generates from a frame and a state, with control values in their order."""
        controls = self._named(values)

        def next_frame(frame, carried, seed):
            state, watch = carried
            must_change = watch.exceeds(self.run_limit(frame, controls))
            new, state, is_guarded = self.next_frame(
                frame, state, controls, seed, must_change
            )
            watch = watch.after(self.is_repeat(new, frame), is_guarded)
            return new, (state, watch)

        has_end = self.is_finished(frame) is not None
        frames, (_, watch) = generate_frames(
            next_frame,
            frame,
            (state, Watch.begin(run)),
            num_steps,
            seed,
            self.is_finished if has_end else None,
        )
        features = self.frames_to_features(frames, state)
        return {**features, "guarded_steps": watch.guarded_steps}

    def _named(self, values) -> Tensors:
        names = [control.name for control in self.CONTROLS]
        return dict(zip(names, values, strict=True))

    def run_limit(self, frame: Nest, controls: Tensors) -> tf.Tensor:
        """How often a frame may come in a row, float32; 0: no limit."""
        if MAX_SILENCE.name not in controls:
            return controls[MAX_REPEATS.name]
        return tf.where(
            self.is_silent(frame),
            controls[MAX_SILENCE.name],
            controls[MAX_REPEATS.name],
        )


def _graph_dtype(name: str) -> tf.DType:
    """The type in graphs of a feature whose type on disk has this name."""
    dtype = tf.as_dtype(name)
    return tf.int32 if dtype.is_integer else dtype
