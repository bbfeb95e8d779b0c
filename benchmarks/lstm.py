"""What training computes by compiled code, against TensorFlow's operations.

    python -m benchmarks.lstm [--quick] [--shape=NAME]

Forward and backward passes over the LSTM layers of the families, alone, with the time
loop that is compiled and with that of TensorFlow's operations: gradients of inputs and
weights in one graph. And the softmax of tokens: nats, hits and gradients. Both ways
take turns in one process: CPU milliseconds on one thread, which other programs change
little, then by the clock on all threads. The median of all turns.
"""

import argparse
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import time

import keras
import tensorflow as tf

from tfmusic.networks import fused
from tfmusic.networks.losses import Logits, token_nats_and_hits
from tfmusic.networks.recurrent_stack import RecurrentSettings, RecurrentStack


@dataclasses.dataclass(frozen=True)
class Shape:
    """Layers and what they read."""

    units: tuple[int, ...]
    batch: int
    time: int
    size: int
    recurrent_dropout: float = 0.0


@dataclasses.dataclass(frozen=True)
class Softmax:
    """Logits of tokens."""

    rows: int
    classes: int


SHAPES = {
    "roll": Shape((36,), 16, 160, 176),
    "two_hands": Shape((150, 150), 100, 32, 176),
    "demo": Shape((256, 256), 32, 64, 300),
    "performance": Shape((384, 384), 16, 128, 256),
    "next_frame": Shape((512, 512), 50, 40, 176),
    "skuldur": Shape((512, 512, 512), 64, 50, 200),
    "skuldur_dropout": Shape((512, 512, 512), 64, 50, 200, 0.3),
    "chord": Shape((512, 512), 256, 50, 512),
    "biaxial_notes": Shape((100, 50), 640, 88, 300),
    "performance_tokens": Softmax(16 * 128, 391),
    "demo_tokens": Softmax(32 * 64, 4391),
    "chord_tokens": Softmax(64 * 100, 8192),
}
# As of `fused`; empty: the processor's best.
LEVEL = os.environ.get(fused.VARIABLE, "")
PRECISIONS = {"float32": "float32", "bfloat16": "mixed_bfloat16"}


def make_step(shape: Shape | Softmax, precision: str, is_fused: bool):
    """A function of nothing that runs forward and backward."""
    os.environ[fused.VARIABLE] = LEVEL if is_fused else "0"
    make = make_softmax if isinstance(shape, Softmax) else make_layers
    step = make(shape, precision)
    step()  # is built now, by the code that is asked for now
    return step


def make_softmax(shape: Softmax, precision: str):
    """Nats and gradients of a softmax."""
    products = tf.cast(tf.random.normal([shape.rows, shape.classes]), precision)
    parts = [products, tf.random.normal([shape.classes])]
    labels = tf.random.uniform([shape.rows], 0, shape.classes, tf.int32)

    @tf.function(autograph=False)
    def step():
        with tf.GradientTape() as tape:
            tape.watch(parts)
            nats, hits = token_nats_and_hits(labels, Logits(*parts), training=True)
        return [nats, hits, *tape.gradient(nats, parts)]

    return step


def make_layers(shape: Shape, precision: str):
    """Outputs and gradients of LSTM layers."""
    keras.config.set_dtype_policy(PRECISIONS[precision])
    keras.utils.set_random_seed(0)
    settings = RecurrentSettings(
        units=shape.units, dropout=0.0, recurrent_dropout=shape.recurrent_dropout
    )
    stack = RecurrentStack(settings)
    inputs = tf.random.normal([shape.batch, shape.time, shape.size])
    inputs = tf.cast(inputs, precision)
    stack(inputs[:, :1])

    @tf.function(autograph=False)
    def step():
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = stack(inputs, training=True)
            loss = tf.reduce_sum(tf.cast(outputs, tf.float32) ** 2)
        weights = [weight.value for weight in stack.trainable_variables]
        return tape.gradient(loss, [inputs, *weights])

    return step


def measure(num_threads: int, names: list[str], num_turns: int) -> dict[str, list]:
    """Milliseconds of TensorFlow's operations and compiled, for each case."""
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.threading.set_intra_op_parallelism_threads(num_threads)
    clock = time.process_time if num_threads == 1 else time.perf_counter
    found = {}
    for name in names:
        for precision in PRECISIONS:
            steps = [make_step(SHAPES[name], precision, way) for way in (False, True)]
            times = [[], []]
            for turn in range(num_turns + 2):
                for step, own in zip(steps, times, strict=True):
                    begun = clock()
                    step()[0].numpy()
                    if turn > 1:
                        own.append(1000 * (clock() - begun))
            found[f"{name}_{precision}"] = [statistics.median(own) for own in times]
    return found


def main(argv: list[str]) -> None:
    """Measures, and prints the table and the claims."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="5 turns instead of 21")
    parser.add_argument("--shape", action="append", choices=SHAPES, help="this one")
    parser.add_argument("--threads", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if arguments.threads is not None:
        turns = 5 if arguments.quick else 21
        found = measure(arguments.threads, arguments.shape or list(SHAPES), turns)
        print(json.dumps(found))
        return
    # TensorFlow's number of threads is set once in a process.
    tables = []
    for num_threads in (1, len(os.sched_getaffinity(0))):
        command = [sys.executable, "-m", "benchmarks.lstm", *argv]
        command += [f"--threads={num_threads}"]
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
        tables.append(json.loads(output))
    print(
        "| | one thread, CPU ms | compiled | ratio | by the clock | compiled | ratio |"
    )
    print("|---|---|---|---|---|---|---|")
    for name in tables[0]:
        cells = [
            f"{a:.1f} | {b:.1f} | {a / b:.2f}" for a, b in (t[name] for t in tables)
        ]
        print(f"| {name} | " + " | ".join(cells) + " |")
    for table, claim in zip(tables, ("cpu_ratio", "ratio"), strict=True):
        for name, (loop, own) in table.items():
            print(f"lstm.{name}_{claim} = {loop / own:.2f}")


if __name__ == "__main__":
    main(sys.argv[1:])
