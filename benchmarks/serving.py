"""The first request to an export against later ones, with and without its warm-up.

    python -m benchmarks.serving [--quick] [--family=NAME ...] [--model_dir=DIR ...]

Each case is a new process that loads an export as a model server does and calls
`pieces` for one piece (`serving_default` where it makes none). Cold, the first call is
what a client would wait for after a plain start; warm, the export's own warm-up
requests have been played before, as TensorFlow Serving plays them. The export is that
of a family in its default size with weights fresh from their initialisers (their values
do not change the time), or any other by --model_dir.
"""

import os
import subprocess
import sys
import tempfile

import numpy as np
from absl import app, flags

_QUICK = flags.DEFINE_bool("quick", False, "Fewer processes.")
_FAMILIES = flags.DEFINE_multi_string("family", ["chord_lstm"], "A file of configs/.")
_MODEL_DIRS = flags.DEFINE_multi_string(
    "model_dir", [], "An export, see tfmusic.export, instead of those."
)
_NUM_STEPS = flags.DEFINE_integer("num_steps", 64, "The length of the piece.")

NUM_LATER = 10
# Needs TensorFlow and the messages of TensorFlow Serving only.
CLIENT = """
import sys, time
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2
path, warmup, num_steps, num_later = sys.argv[1], *map(int, sys.argv[2:])
start = time.perf_counter()
model = tf.saved_model.load(path)
seconds = [time.perf_counter() - start]
start = time.perf_counter()
if warmup:
    records = tf.data.TFRecordDataset(path + "/assets.extra/tf_serving_warmup_requests")
    for record in records.as_numpy_iterator():
        log = prediction_log_pb2.PredictionLog.FromString(record)
        request = log.predict_log.request
        inputs = {k: tf.constant(tf.make_ndarray(v)) for k, v in request.inputs.items()}
        model.signatures[request.model_spec.signature_name](**inputs)
seconds.append(time.perf_counter() - start)
for i in range(1 + num_later):
    name = "pieces" if "pieces" in model.signatures else "serving_default"
    call = model.signatures[name]
    inputs = {"seed": tf.constant([i], tf.int64), "num_steps": tf.constant([num_steps])}
    for name, spec in call.structured_input_signature[1].items():
        # Music, where that is what it takes: one piece of as many silent steps.
        shape = [1, *(n or num_steps for n in spec.shape[1:])]
        inputs.setdefault(name, tf.zeros(shape, spec.dtype))
    inputs = {name: inputs[name] for name in call.structured_input_signature[1]}
    start = time.perf_counter()
    next(iter(call(**inputs).values())).numpy()
    seconds.append(time.perf_counter() - start)
print(*seconds)
"""


def export_untrained(family: str, export_dir: str) -> None:
    """Exports what a file in `configs/` describes, untrained."""
    import dataclasses

    from tfmusic.config import load_config
    from tfmusic.models import make_model
    from tfmusic.representations import make_representation
    from tfmusic.serving.saved_model import export_model

    config = load_config(f"configs/{family}.py")
    representation = make_representation(config.representation)
    if hasattr(representation, "fit_counts"):
        representation = representation.fit_counts({str(60 + i): 1 for i in range(24)})
    model = make_model(representation, config.model)
    model.build_model()
    card = {
        "name": config.name,
        "checkpoint": "none",
        "representation": representation.to_config(),
        "controls": {c.name: dataclasses.asdict(c) for c in model.CONTROLS},
    }
    export_model(model, card, os.path.join(export_dir, "1"))


def measure(path: str, warmup: bool, num_steps: int) -> list[float]:
    """Seconds of loading, of the warm-up, of the first call and of later ones."""
    arguments = [path, int(warmup), num_steps, NUM_LATER]
    done = subprocess.run(
        [sys.executable, "-c", CLIENT, *map(str, arguments)],
        check=True,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
        stdout=subprocess.PIPE,
        text=True,
    )
    return [float(seconds) for seconds in done.stdout.split()]


def measure_turns(name: str, path: str) -> dict[str, float]:
    """Prints the medians of an export; the first call's ratio to later ones."""
    # Cold and warm take turns, so that a busy machine is busy for both.
    times = {"cold": [], "warm": []}
    for _ in range(1 if _QUICK.value else 5):
        for way, values in times.items():
            values.append(measure(path, way == "warm", _NUM_STEPS.value))
    ratios = {}
    for way, values in times.items():
        load, warmup, first, *later = 1e3 * np.median(values, axis=0)
        ratios[way] = first / np.median(later)
        print(
            f"{name:18}{way:6}{load:10.0f}{warmup:10.0f}{first:10.1f}"
            f"{np.median(later):10.1f}{ratios[way]:8.1f}",
            flush=True,
        )
    return ratios


def main(argv: list[str]) -> None:
    """Measures and prints."""
    del argv
    from tfmusic.serving.player import newest_version

    print(f"pieces, one of {_NUM_STEPS.value} steps; milliseconds")
    print(f"{'':24}{'load':>10}{'warm-up':>10}{'first':>10}{'later':>10}{'ratio':>8}")
    measured = {}
    with tempfile.TemporaryDirectory() as folder:
        exports = {
            os.path.basename(path.rstrip("/")): path for path in _MODEL_DIRS.value
        }
        for family in () if exports else _FAMILIES.value:
            exports[family] = os.path.join(folder, family)
            export_untrained(family, exports[family])
        for name, path in exports.items():
            measured[name] = measure_turns(name, newest_version(path))
    for name, ratios in measured.items():
        for way, ratio in ratios.items():
            print(f"serving.{name}_{way}_first_to_later_ratio = {ratio:.1f}")


if __name__ == "__main__":
    app.run(main)
