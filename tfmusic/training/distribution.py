"""Which devices train, and how a batch is divided among them.

Every device has a copy of the model (a replica) and takes equally many of the rows of
each batch; gradients are summed over all. So the number of devices changes speed, not
results, but for what each replica does by itself: dropout, whose masks then repeat from
replica to replica, the coins and draws of scheduled sampling, and statistics of a batch
normalisation.
"""

import dataclasses
import json
import os
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from tfmusic.errors import UserError, choose
from tfmusic.networks.recurrence import recurrent_layers

KINDS = ("auto", "mirrored", "multi_worker", "none")


@dataclasses.dataclass(frozen=True)
class Distribution:
    """The replicas of a run.

    Attributes:
        strategy: TensorFlow's; models are made in its scope.
        worker: Which process of a cluster this is, from 0.
        num_workers: How many there are.
    """

    strategy: tf.distribute.Strategy
    worker: int = 0
    num_workers: int = 1

    @property
    def num_replicas(self) -> int:
        """Over all workers."""
        return self.strategy.num_replicas_in_sync

    @property
    def num_local_replicas(self) -> int:
        """On this machine; every worker has the same number."""
        return self.num_replicas // self.num_workers

    @property
    def is_chief(self) -> bool:
        """Whether this process writes checkpoints and logs."""
        return self.worker == 0

    def train_batches(self, dataset: tf.data.Dataset) -> Iterator[Any]:
        """Batches divided among this machine's replicas.

        Args:
            dataset: Batches of this worker's rows, a multiple of its replicas.
        """
        if self.num_replicas == 1:
            return iter(dataset)
        return (self._split(batch) for batch in dataset)

    def eval_batches(self, dataset: tf.data.Dataset, num_batches: int) -> Iterator[Any]:
        """Whole batches dealt out to this machine's replicas, one each.

        Workers take equally many steps, since they wait for one another in each: where
        the batches run out, replicas get one without rows.

        Args:
            dataset: This worker's batches.
            num_batches: Those of all workers.
        """
        if self.num_replicas == 1:
            yield from dataset
            return
        batches = iter(dataset)
        empty = _zeros(dataset.element_spec, 0)
        for _ in range(-(-num_batches // self.num_replicas)):
            hand = [next(batches, empty) for _ in range(self.num_local_replicas)]
            yield self._per_replica(hand)

    def zeros(self, spec: Any, num_rows: int) -> Any:
        """A training batch of nothing, to trace with.

        Args:
            spec: Of a batch, its first axis of any length.
            num_rows: Of all workers.
        """
        batch = _zeros(spec, num_rows // self.num_workers)
        return batch if self.num_replicas == 1 else self._split(batch)

    def largest(self, number: int) -> int:
        """The largest of all workers' numbers; all have to ask at the same time.

        Args:
            number: This worker's, 0..127.
        """
        if self.num_workers == 1:
            return number
        votes = self._per_replica([tf.one_hot(number, 128)] * self.num_local_replicas)
        return int(tf.where(self.strategy.reduce("SUM", votes, axis=None))[-1, 0])

    def describe(self) -> str:
        """One line: what runs where."""
        gpus = tf.config.list_logical_devices("GPU")
        what = "GPU" if gpus else "CPU"
        if self.num_replicas == 1:
            where = gpus[0].name if gpus else f"the CPU ({os.cpu_count()} cores)"
            return f"training on {where}" + ("" if gpus else "; no GPU was found")
        text = f"training on {self.num_replicas} devices at once, "
        if self.num_workers == 1:
            return f"{text}each a {what} of this machine"
        return (
            f"{text}{self.num_local_replicas} {what} on each of {self.num_workers} "
            f"workers; this is worker {self.worker}"
            + (", which writes the checkpoints" if self.is_chief else "")
        )

    def _split(self, batch: Any) -> Any:
        rows = tf.nest.flatten(batch)[0].shape[0] // self.num_local_replicas
        return self._per_replica(
            [
                tf.nest.map_structure(
                    lambda t, i=i: t[i * rows : (i + 1) * rows], batch
                )
                for i in range(self.num_local_replicas)
            ]
        )

    def _per_replica(self, values: list[Any]) -> Any:
        return self.strategy.experimental_distribute_values_from_function(
            lambda context: values[context.replica_id_in_sync_group % len(values)]
        )


def make_distribution(kind: str, num_cpu_devices: int = 0) -> Distribution:
    """Finds the devices; to be called before TensorFlow does anything else.

    Args:
        kind: "auto": all GPUs of this machine, or its processor where it has none;
            "mirrored": all GPUs, or all parts of the processor;
            "multi_worker": all devices of all workers that TF_CONFIG lists, with one
            workdir and one dataset that all of them reach;
            "none": one device.
        num_cpu_devices: Into how many devices the processor is split; 0: one.

    Raises:
        UserError: An unknown kind, or no TF_CONFIG where it is needed.
    """
    choose("config.train.distribute", kind, KINDS)
    if num_cpu_devices > 1:
        tf.config.set_logical_device_configuration(
            tf.config.list_physical_devices("CPU")[0],
            [tf.config.LogicalDeviceConfiguration()] * num_cpu_devices,
        )
    if kind == "multi_worker":
        worker, num_workers = _task()
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
        return Distribution(strategy, worker, num_workers)
    num_gpus = len(tf.config.list_physical_devices("GPU"))
    if kind == "none" or (kind == "auto" and num_gpus < 2):
        return Distribution(tf.distribute.get_strategy())
    if num_gpus:
        return Distribution(tf.distribute.MirroredStrategy())
    devices = [device.name for device in tf.config.list_logical_devices("CPU")]
    strategy = tf.distribute.MirroredStrategy(
        devices, cross_device_ops=tf.distribute.ReductionToOneDevice()
    )
    return Distribution(strategy)


def _task() -> tuple[int, int]:
    """This worker's number and how many there are, by TF_CONFIG.

    A task that is called chief is a worker too, and the first, as TensorFlow has it.
    """
    try:
        config = json.loads(os.environ["TF_CONFIG"])
        cluster, task = config["cluster"], config["task"]
        tasks = [
            (kind, index)
            for kind in ("chief", "worker")
            for index in range(len(cluster.get(kind, [])))
        ]
        return tasks.index((task["type"], task["index"])), len(tasks)
    except (AttributeError, KeyError, TypeError, ValueError):
        pass
    raise UserError(
        "config.train.distribute is multi_worker: expected the environment variable "
        'TF_CONFIG={"cluster": {"worker": ["HOST:PORT", ...]}, "task": {"type": '
        f'"worker", "index": 0}}}}, got {os.environ.get("TF_CONFIG")!r}'
    )


def _zeros(spec: Any, num_rows: int) -> Any:
    return tf.nest.map_structure(
        lambda s: tf.zeros([num_rows, *(n or 1 for n in s.shape[1:])], s.dtype), spec
    )


def describe_recurrent_layers(model: keras.Model) -> list[str]:
    """For each recurrent layer, whether a GPU runs it in cuDNN, and why not if not."""
    lines = []
    for layer in recurrent_layers(model):
        obstacles = _cudnn_obstacles(layer)
        verdict = f"no cuDNN ({', '.join(obstacles)})" if obstacles else "cuDNN"
        lines.append(f"{layer.path}: {verdict}")
    return lines


def _cudnn_obstacles(layer: keras.layers.Layer) -> list[str]:
    conditions = {
        "its activation is not tanh": layer.activation is keras.activations.tanh,
        "its recurrent activation is not the sigmoid": (
            layer.recurrent_activation is keras.activations.sigmoid
        ),
        "it has recurrent dropout": not layer.recurrent_dropout,
        "it is unrolled": not layer.unroll,
        "it has no bias": layer.use_bias,
        "it resets before the product": getattr(layer, "reset_after", True),
        "its use_cudnn is off": bool(layer.use_cudnn),
    }
    return [obstacle for obstacle, is_met in conditions.items() if not is_met]
