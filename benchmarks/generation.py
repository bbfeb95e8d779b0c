"""Generation inside the graph against a straightforward Python loop.

    python -m benchmarks.generation [--quick] [--family=NAME]

Note names: both make them with one and the same network, Classical-Piano-Composer's
three LSTM layers of 512 and its head, with a vocabulary of 350 and weights fresh from
their initialisers (their values do not change the time). The baseline is how that
program and its many relatives generate: for every token, `predict` over the last 100
tokens, one piece at a time, which they cannot do for several pieces at once. It
computes logits for the last of the 100 tokens only, as theirs does. What it does in 100
steps of the recurrent layers, the graph does in one, since it keeps their state.

The others: each family's default network, and three at their sources' settings,
untrained, chords with a vocabulary of 2,028 and performances of 312. The baseline keeps
the state as well and calls the same code step by step from Python, eagerly, as the
published systems of these families do; for the biaxial network that is a loop over
notes within each step.

Each is exported first, and the graph is called as `tfmusic generate` does, by
TensorFlow's C library on one thread; --threads=N gives it N. Baselines have all.

A step of the biaxial network multiplies every weight by a row for each pitch, so one
piece alone keeps a processor busy, and there is less to gain from several at once. What
there is to gain its last rows tell: the same matrix products and nothing else, those of
all notes at once.
"""

import itertools
import tempfile
import time
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags

from benchmarks.registry import STEP_BY_STEP, config_path
from tfmusic.config import load_config
from tfmusic.models import AutoregressiveModel, make_model
from tfmusic.models.tokens import TokenModel
from tfmusic.representations import make_representation
from tfmusic.serving.c_runtime import library
from tfmusic.serving.endpoints import CEndpoints
from tfmusic.serving.model_card import describe_controls
from tfmusic.serving.saved_model import export_model

_QUICK = flags.DEFINE_bool("quick", False, "Fewer steps and repetitions.")

VOCABULARY_SIZE = 350
WINDOW_TOKENS = 100
BATCH_SIZES = (1, 16, 64)
# Those whose baseline is a loop over their own steps: the experiment of each claim.
NETWORKS = {name: name for name in STEP_BY_STEP if name != "skuldur_lstm"} | {
    "chord_reference": "chord_lstm:reference",
    "seq2seq_reference": "frame_seq2seq:reference",
    "biaxial_reference": "biaxial_lstm:reference",
}
_FAMILY = flags.DEFINE_enum(
    "family", None, ["skuldur", *NETWORKS], "Measure this one alone."
)
_THREADS = flags.DEFINE_integer(
    "threads", 1, "Threads that share an operation of the graph; 0: all.", 0
)


def make_network() -> TokenModel:
    """The published network, untrained."""
    chords = [
        ".".join(map(str, classes))
        for size in (2, 3, 4)
        for classes in itertools.combinations(range(12), size)
    ]
    representation = make_representation(
        dict(
            name="note_chord_tokens",
            mode="reference",
            max_vocabulary=VOCABULARY_SIZE,
        )
    ).fit_counts(dict.fromkeys(chords, 1))
    keras.utils.set_random_seed(0)
    model = make_model(
        representation,
        dict(
            name="token_lstm",
            input_encoding="index",
            units=(512, 512, 512),
            dropout=0.0,
            recurrent_dropout=0.3,
            head="skuldur",
            learn_end=False,
        ),
    )
    model.build_model()
    return model


def make_baseline(model: TokenModel) -> Callable[[int], np.ndarray]:
    """`num_tokens -> tokens`, by the usual loop over the same layers."""
    inputs = keras.Input([WINDOW_TOKENS, 1])
    hidden = model.network(inputs)[:, -1:]
    for layer in model.head:
        hidden = layer(hidden)
    network = keras.Model(inputs, keras.layers.Softmax()(model.output_layer(hidden)))
    window = np.random.default_rng(0).integers(3, VOCABULARY_SIZE, WINDOW_TOKENS)

    def generate(num_tokens: int) -> np.ndarray:
        tokens = list(window)
        for _ in range(num_tokens):
            x = np.reshape(tokens[-WINDOW_TOKENS:], [1, WINDOW_TOKENS, 1])
            x = x.astype(np.float32) / VOCABULARY_SIZE
            tokens.append(int(np.argmax(network.predict(x, verbose=0)[0, -1])))
        return np.array(tokens[WINDOW_TOKENS:])

    return generate


def make_family_network(family: str) -> AutoregressiveModel:
    """The network of an experiment, untrained."""
    config = load_config(config_path(family))
    representation = make_representation(config.representation)
    if family.startswith("chord_lstm"):
        triads = itertools.combinations(range(48, 72), 3)
        counts = {".".join(map(str, pitches)): 1 for pitches in triads}
        representation = representation.fit_counts(counts)
    keras.utils.set_random_seed(0)
    model = make_model(representation, config.model)
    model.build_model()
    return model


def control_values(model: AutoregressiveModel) -> dict[str, float]:
    """The defaults, but pieces do not end early."""
    values = {control.name: control.default for control in model.CONTROLS}
    return values | dict.fromkeys(values.keys() & {"min_steps"}, 1e6)


def make_step_baseline(model: AutoregressiveModel) -> Callable[[int], np.ndarray]:
    """`num_steps -> frames` of one piece, a Python loop over the same code."""
    values = control_values(model).items()
    controls = {name: tf.constant(value) for name, value in values}
    feature, *_ = model.representation.feature_specs

    def generate(num_steps: int) -> np.ndarray:
        frame, state = model.start_frame(1), model.initial_state(1, num_steps)
        first, frames = state, []
        for step in range(num_steps):
            seed = tf.constant([0, step], tf.int64)
            free = tf.constant([False])
            frame, state, _ = model.next_frame(frame, state, controls, seed, free)
            frames.append(frame)
        frames = tf.nest.map_structure(lambda *parts: tf.stack(parts, 1), *frames)
        return model.frames_to_features(frames, first)[feature].numpy()

    return generate


def make_graph(model: AutoregressiveModel) -> Callable[[int, int], np.ndarray]:
    """`(batch_size, num_steps) -> array`, by the endpoint that exports carry."""
    card = {
        "name": "benchmark",
        "checkpoint": "none",
        "representation": model.output_representation.to_config(),
        "controls": describe_controls(model.CONTROLS),
        "infill_controls": describe_controls(model.INFILL_CONTROLS),
    }
    with tempfile.TemporaryDirectory() as folder:
        export_model(model, card, f"{folder}/1")
        endpoints = CEndpoints(f"{folder}/1", _THREADS.value)
    endpoints.load("generate")
    specs = endpoints.inputs("generate")
    name, *_ = model.representation.feature_specs

    def generate(batch: int, num_steps: int) -> np.ndarray:
        values = {"num_outputs": batch, "num_steps": num_steps, "seed": 0}
        values |= control_values(model)
        inputs = {name: np.array(values[name], specs[name][0]) for name in specs}
        return endpoints.call("generate", inputs)[name]

    return generate


def make_products(model: AutoregressiveModel) -> Callable[[int, int], np.ndarray]:
    """`(batch_size, num_steps) -> array`: the products of a step of all pitches."""
    kernels = [weight for weight in model.trainable_weights if len(weight.shape) == 2]

    @tf.function(autograph=False)
    def multiply(num_rows):
        products = [
            tf.matmul(tf.ones([num_rows, kernel.shape[0]]), kernel)
            for kernel in kernels
        ]
        return [product[-1, -1] for product in products]

    def run(batch_size: int, num_steps: int) -> np.ndarray:
        num_rows = tf.constant(batch_size * model.num_pitches)
        values = [multiply(num_rows)[-1].numpy() for _ in range(num_steps)]
        return np.tile(values, [batch_size, 1])

    return run


def seconds_per_step(
    calls: dict[str, Callable[[], np.ndarray]], repetitions: int
) -> dict[str, float]:
    """Medians; the calls take turns, so that a busy machine is busy for all of them.

    Steps of all pieces of a batch count.
    """
    times = {name: [] for name in calls}
    for repetition in range(repetitions + 1):
        for name, call in calls.items():
            start = time.perf_counter()
            made = call()
            seconds = (time.perf_counter() - start) / np.prod(made.shape[:2])
            if repetition > 0:  # the first call traces and allocates
                times[name].append(seconds)
    return {name: float(np.median(values)) for name, values in times.items()}


def measure(
    title: str,
    claim: str,
    loop: str,
    baseline: Callable[[], np.ndarray],
    model: AutoregressiveModel,
    num_steps: int,
    repetitions: int,
    bound: Callable[[int, int], np.ndarray] | None = None,
) -> list[str]:
    """Measures and prints one network; returns its claims: steps a second, ratios."""
    generate = make_graph(model)
    calls = {loop: baseline}
    for batch in BATCH_SIZES:
        calls[f"in graph, batch {batch}"] = lambda n=batch: generate(n, num_steps)
    for batch in BATCH_SIZES if bound else ():
        calls[f"products alone, batch {batch}"] = lambda n=batch: bound(n, num_steps)
    seconds = seconds_per_step(calls, repetitions)
    ratios = {name: seconds[loop] / value for name, value in seconds.items()}
    print(f"{title}, {model.count_params():,} parameters")
    print(f"{'':38}{'ms/step':>10}{'steps/s':>11}{'ratio':>8}")
    for name, value in seconds.items():
        print(f"{name:38}{value * 1e3:10.3f}{1 / value:11,.1f}{ratios[name]:8,.1f}")
    print(flush=True)
    claims = []
    for batch in BATCH_SIZES:
        way = f"in graph, batch {batch}"
        claims += [
            f"generation.{claim}_batch{batch} = {1 / seconds[way]:.0f}",
            f"generation.{claim}_batch{batch}_ratio = {ratios[way]:.1f}",
        ]
    return claims


def main(argv: list[str]) -> None:
    """Measures and prints."""
    del argv
    library()  # before TensorFlow makes threads, so that graphs have their own
    quick = _QUICK.value
    num_steps, num_looped, repetitions = (200, 5, 3) if quick else (500, 20, 5)
    claims = []
    if _FAMILY.value in (None, "skuldur"):
        model = make_network()
        baseline = make_baseline(model)
        claims += measure(
            f"skuldur: 3 x LSTM 512, {VOCABULARY_SIZE} tokens",
            "skuldur",
            f"predict over {WINDOW_TOKENS} tokens, batch 1",
            lambda: baseline(num_looped)[np.newaxis],
            model,
            num_steps,
            repetitions,
        )
    for claim, family in NETWORKS.items():
        if _FAMILY.value not in (None, claim):
            continue
        model = make_family_network(family)
        baseline = make_step_baseline(model)
        is_biaxial = family.startswith("biaxial_lstm")
        claims += measure(
            family,
            claim,
            "Python loop over steps, batch 1",
            lambda run=baseline: run(num_looped),
            model,
            num_steps // (4 if is_biaxial else 1),
            repetitions,
            make_products(model) if is_biaxial else None,
        )
    print(
        f"TensorFlow {tf.__version__}, {tf.config.list_logical_devices()[-1].name}. "
        f"Medians of {repetitions} runs: {num_looped} steps by the loop, {num_steps} "
        "in graph (biaxial_lstm: a quarter); steps of all pieces of a batch count."
    )
    print("\n".join(claims))


if __name__ == "__main__":
    app.run(main)
