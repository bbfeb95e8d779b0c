"""One step of an export as a file for phones and browsers: LiteRT or ONNX.

The loop around it, sampling and rules are the client's: whole pieces made inside the
graph cannot be converted.
"""

import importlib
import json
import os
from typing import Any

import tensorflow as tf
from absl import logging

from tfmusic.compat import freeze
from tfmusic.errors import UserError, first_line
from tfmusic.files import prepare_path, replacing, write_file
from tfmusic.serving.catalogue import CARD, find_model, read_card
from tfmusic.serving.packed import as_directory
from tfmusic.serving.player import newest_version

# By format, the ending of the file.
FORMATS = {"litert": ".tflite", "litert_int8": ".tflite", "onnx": ".onnx"}
_OPSET = 17
_STEP = "step"


def export_step(model: str, export_dir: str, kind: str) -> str:
    """Writes the endpoint `step` of an export for one row, and a card beside it.

    Args:
        model: The export: a directory, a file or a name.
        export_dir: Gets `NAME.tflite` or `NAME.onnx`, and `NAME.json`: the inputs with
            `shape`, `dtype` and `default`, their value before a piece; the outputs;
            `controls` and `representation` as in the export's card, and the tokens in
            the order of their numbers, where there are some.
        kind: One of `FORMATS`. "litert_int8" has weights of 8 bits.

    Returns:
        The path of the file.

    Raises:
        UserError: The model has no such step, a package is missing, or the file cannot
            be written.
    """
    prepare_path(export_dir)
    check_format(kind)
    with as_directory(find_model(model)) as folder:
        path = newest_version(folder)
        card = read_card(os.path.join(path, CARD))
        if _STEP not in card["endpoints"]:
            raise UserError(
                f"{model}: expected an export with the endpoint {_STEP}, which "
                "recurrent models of tokens or rolls have; make an old export anew"
            )
        loaded = tf.saved_model.load(path)
        tokens = os.path.join(path, "assets", "vocabulary.txt")
        if os.path.exists(tokens):
            with open(tokens, encoding="utf-8") as file:
                card["tokens"] = file.read().splitlines()
        convert = _to_onnx if kind == "onnx" else _to_litert
        data = convert(loaded, card["endpoints"][_STEP]["inputs"], kind)
    tf.io.gfile.makedirs(export_dir)
    stem = os.path.join(export_dir, card["name"].replace(":", "_"))
    with replacing(stem + FORMATS[kind]) as partial, open(partial, "wb") as file:
        file.write(data)
    write_file(f"{stem}.json", json.dumps(_describe(card), indent=1))
    logging.info("wrote one step of %s to %s", card["name"], stem + FORMATS[kind])
    return stem + FORMATS[kind]


def check_format(kind: str) -> None:
    """Refuses a format whose package is not there.

    Raises:
        UserError: It is not.
    """
    if kind == "onnx":
        _tf2onnx()


def _tf2onnx() -> Any:
    try:
        return importlib.import_module("tf2onnx")
    except ImportError as error:
        raise UserError(
            f"--format=onnx needs tf2onnx ({first_line(error)}); "
            'pip install "tfmusic[edge]"'
        ) from error


def _describe(card: dict[str, Any]) -> dict[str, Any]:
    """The card of one step."""
    step = card["endpoints"][_STEP]
    sides = {
        side: {
            name: {**spec, "shape": [size or 1 for size in spec["shape"]]}
            for name, spec in step[side].items()
        }
        for side in ("inputs", "outputs")
    }
    kept = ("name", "tfmusic", "weights", "representation", "controls", "tokens")
    return {**{k: card[k] for k in kept if k in card}, "doc": step["doc"], **sides}


def _one_row(
    loaded: Any, inputs: dict[str, Any]
) -> tf.types.experimental.PolymorphicFunction:
    """The step for one row, with inputs in the order of the card."""
    signature = loaded.signatures[_STEP]
    specs = [
        tf.TensorSpec([size or 1 for size in spec["shape"]], spec["dtype"], name)
        for name, spec in inputs.items()
    ]

    def step(*values):
        outputs = signature(**dict(zip(inputs, values, strict=True)))
        return {n: tf.ensure_shape(v, [1, *v.shape[1:]]) for n, v in outputs.items()}

    return tf.function(step, input_signature=specs, autograph=False)


def _to_litert(loaded: Any, inputs: dict[str, Any], kind: str) -> bytes:
    function = _one_row(loaded, inputs).get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], loaded)
    if kind == "litert_int8":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    return converter.convert()


def _to_onnx(loaded: Any, inputs: dict[str, Any], kind: str) -> bytes:
    del kind
    tf2onnx = _tf2onnx()
    function = _one_row(loaded, inputs)
    concrete = function.get_concrete_function()
    # tf2onnx takes constants from outside of a function for inputs of it.
    frozen, names = freeze(concrete), sorted(concrete.structured_outputs)
    function = tf.function(
        lambda *values: dict(zip(names, frozen(*values), strict=True)),
        input_signature=function.input_signature,
        autograph=False,
    )
    proto, _ = tf2onnx.convert.from_function(
        function, input_signature=function.input_signature, opset=_OPSET
    )
    return proto.SerializeToString()
