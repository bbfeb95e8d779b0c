"""Generation inside the graph against the usual Python loop over `model.predict`.

    python -m benchmarks.generation [--quick]

Both make tokens with one and the same network: Classical-Piano-Composer's three LSTM
layers of 512 and its head, with a vocabulary of 350 and weights fresh from their
initialisers (their values do not change the time). The baseline is how that program
and its many relatives generate: for every token, `predict` over the last 100 tokens,
one piece at a time, which they cannot do for several pieces at once. It computes logits
for the last of the 100 tokens only, as theirs does. What it does in 100 steps of the
recurrent layers, the graph does in one, since it keeps their state.
"""

import itertools
import time
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags

from tfmusic.models import make_model
from tfmusic.models.token_lstm import TokenLSTM
from tfmusic.representations import make_representation

_QUICK = flags.DEFINE_bool("quick", False, "Fewer tokens and repetitions.")

VOCABULARY_SIZE = 350
WINDOW_TOKENS = 100
BATCH_SIZES = (1, 16, 64)


def make_network() -> TokenLSTM:
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


def make_baseline(model: TokenLSTM) -> Callable[[int], np.ndarray]:
    """`num_tokens -> tokens`, by the usual loop over the same layers."""
    inputs = keras.Input([WINDOW_TOKENS, 1])
    hidden = model.recurrent(inputs)[:, -1:]
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


def make_graph(model: TokenLSTM) -> Callable[[int, int], np.ndarray]:
    """`(batch_size, num_tokens) -> tokens`, by the endpoint that exports carry."""
    generate = model.endpoints()["generate"].function
    controls = [control.default for control in model.CONTROLS]
    return lambda batch, num_tokens: generate(batch, num_tokens, 0, *controls)[
        "tokens"
    ].numpy()


def seconds_per_token(
    calls: dict[str, Callable[[], np.ndarray]], repetitions: int
) -> dict[str, float]:
    """Medians; the calls take turns, so that a busy machine is busy for all of them."""
    times = {name: [] for name in calls}
    for repetition in range(repetitions + 1):
        for name, call in calls.items():
            start = time.perf_counter()
            tokens = call()
            seconds = (time.perf_counter() - start) / tokens.size
            if repetition > 0:  # the first call traces and allocates
                times[name].append(seconds)
    return {name: float(np.median(values)) for name, values in times.items()}


def main(argv: list[str]) -> None:
    """Measures and prints."""
    del argv
    quick = _QUICK.value
    num_tokens, num_baseline, repetitions = (200, 5, 3) if quick else (500, 20, 5)
    model = make_network()
    generate = make_graph(model)
    baseline = make_baseline(model)
    loop = f"predict over {WINDOW_TOKENS} tokens, batch 1"
    calls = {loop: lambda: baseline(num_baseline)}
    for batch in BATCH_SIZES:
        calls[f"in graph, batch {batch}"] = lambda n=batch: generate(n, num_tokens)
    seconds = seconds_per_token(calls, repetitions)
    ratios = {name: seconds[loop] / value for name, value in seconds.items()}
    print(
        f"3 x LSTM 512, {VOCABULARY_SIZE} tokens, {model.count_params():,} parameters"
    )
    print(f"{'':34}{'ms/token':>10}{'tokens/s':>11}{'ratio':>8}")
    for name, value in seconds.items():
        print(f"{name:34}{value * 1e3:10.3f}{1 / value:11,.1f}{ratios[name]:8,.0f}")
    print(
        f"\nTensorFlow {tf.__version__}, {tf.config.list_logical_devices()[-1].name}. "
        f"Medians of {repetitions} runs: {num_baseline} tokens by the loop, the cost "
        f"of calling predict included; {num_tokens} steps in graph."
    )
    for batch in (1, 64):
        ratio = ratios[f"in graph, batch {batch}"]
        print(f"generation.skuldur_batch{batch}_ratio = {ratio:.1f}")


if __name__ == "__main__":
    app.run(main)
