"""Epochs of steps on all devices, from wherever an earlier call left off.

Not `model.fit`: in Keras 3 it cannot train under a MultiWorkerMirroredStrategy (Keras'
issue 20585, open), and it cannot begin within an epoch. What runs in a step is the
model's own `train_step` and `test_step`, and callbacks are those of Keras.
"""

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from tfmusic.models import MusicModel
from tfmusic.training.checkpoints import Progress, optimizer_metrics
from tfmusic.training.distribution import Distribution
from tfmusic.training.live_line import shows_progress

# Seconds between two readings of the metrics for the line that moves.
_GLANCE_SECONDS = 0.5


class Fitting:
    """A compiled model and how its steps run."""

    def __init__(
        self,
        model: MusicModel,
        distribution: Distribution,
        spec: Any,
        batch_size: int,
    ):
        """Traces the steps: that of training makes the metrics' variables.

        Args:
            model: Built and compiled in the strategy's scope.
            distribution: Its devices.
            spec: What a batch looks like, the first axis of any length.
            batch_size: Rows of a training batch, of all workers.
        """
        self.model = model
        self._distribution = distribution
        self._train = self._over_replicas(model.train_step)
        test_step = model.test_step
        if distribution.num_replicas > 1:
            test_step = _if_any_rows(test_step)
        self._test = self._over_replicas(test_step)
        self._train.get_concrete_function(distribution.zeros(spec, batch_size))
        if distribution.num_replicas == 1:
            # For any number of rows; the last batch would else be traced once more.
            self._test.get_concrete_function(spec)

    def run(
        self,
        training: tf.data.Dataset,
        validation: tf.data.Dataset,
        num_validation_batches: int,
        progress: Progress,
        steps_per_epoch: int,
        num_epochs: int,
        callbacks: Sequence[keras.callbacks.Callback],
    ) -> None:
        """Trains to the last epoch, or until a callback stops the model.

        Logs of an epoch are those of `fit` (training and `val_` metrics), the norm of
        the gradients, and `steps_per_second` and `input_share`, the fraction of
        the time that went into waiting for data; both are of this call alone.

        Args:
            training: Endless batches from the step on at which `progress` is.
            validation: All of the validation split.
            num_validation_batches: Its batches, of all workers.
            progress: Where to begin; callbacks move it on.
            steps_per_epoch: Training steps of an epoch.
            num_epochs: Epochs of the whole run.
            callbacks: Keras' own or others; `on_test_begin` comes before the metrics
                are reset.
        """
        model = self.model
        is_seen = shows_progress() and self._distribution.num_workers == 1
        calls = keras.callbacks.CallbackList(
            list(callbacks),
            model=model,
            epochs=num_epochs,
            steps=steps_per_epoch,
        )
        model.stop_training = False
        calls.on_train_begin()
        batches = self._distribution.train_batches(training)
        done = int(progress.epoch)
        # Within an epoch that began with more steps an epoch, all may be done.
        first = min(int(progress.step - progress.epoch_begin), steps_per_epoch)
        for epoch in range(done, num_epochs):
            if not first:
                self._reset_metrics()
            calls.on_epoch_begin(epoch)
            logs, glance = {}, 0.0
            start, waited = time.monotonic(), 0.0
            for number in range(first, steps_per_epoch):
                calls.on_train_batch_begin(number)
                before = time.monotonic()
                batch = next(batches)
                waited += time.monotonic() - before
                self._train(batch)
                if is_seen and before - glance > _GLANCE_SECONDS:
                    logs, glance = self._results(), before
                calls.on_train_batch_end(number, logs)
            logs = self._results()
            seconds = time.monotonic() - start
            num_steps = steps_per_epoch - first
            logs["steps_per_second"] = num_steps / seconds if num_steps else math.nan
            logs["input_share"] = waited / seconds if num_steps else math.nan
            first = 0
            results = self._validate(validation, num_validation_batches, calls)
            logs |= {f"val_{name}": value for name, value in results.items()}
            calls.on_epoch_end(epoch, logs)
            if model.stop_training:
                break
        calls.on_train_end()

    def _validate(
        self,
        validation: tf.data.Dataset,
        num_batches: int,
        calls: keras.callbacks.CallbackList,
    ) -> dict[str, float]:
        calls.on_test_begin()
        self.model.reset_metrics()
        batches = self._distribution.eval_batches(validation, num_batches)
        for number, batch in enumerate(batches):
            self._test(batch)
            calls.on_test_batch_end(number)
        results = _floats(self.model.get_metrics_result())
        calls.on_test_end(results)
        return results

    def _results(self) -> dict[str, float]:
        norms = optimizer_metrics(self.model)
        return _floats(self.model.get_metrics_result()) | _floats(
            {name: metric.result() for name, metric in norms.items()}
        )

    def _reset_metrics(self) -> None:
        self.model.reset_metrics()
        for metric in optimizer_metrics(self.model).values():
            metric.reset_state()

    def _over_replicas(self, step: Callable) -> tf.types.experimental.GenericFunction:
        """A step of the model as a graph that all replicas run; it returns nothing."""

        def run(batch):
            def run_replica(data):
                step(data)

            self._distribution.strategy.run(run_replica, args=(batch,))

        return tf.function(
            run,
            autograph=False,
            reduce_retracing=True,
            jit_compile=self.model.jit_compile or None,
        )


def _if_any_rows(step: Callable) -> Callable:
    """A step that leaves out batches without rows, of which nothing is a mean.

    Replicas must not wait for one another within it.
    """

    def run(batch):
        def run_rows():
            step(batch)

        has_rows = tf.shape(tf.nest.flatten(batch)[0])[0] > 0
        tf.cond(has_rows, run_rows, lambda: None)

    return run


def _floats(results: dict[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in results.items()}
