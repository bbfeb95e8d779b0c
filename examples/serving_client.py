"""Asks a model server for music and writes it as MIDI.

    python -m examples.serving_client --model_dir=models/chorales --output_dir=music \
        --rest=localhost:8501 --num_outputs=4 --num_steps=200 --temperature=0.9 --seed=1
    python -m examples.serving_client --model_dir=models/chorales --output_dir=music \
        --grpc=localhost:8500 --primer=beginning.mid

Of the export itself only the card is read, `VERSION/assets.extra/tfmusic.json`. REST
takes nothing beyond tfmusic's notes and representations, gRPC tensorflow-serving-api.
"""

import json
import pathlib
import sys
import urllib.error
import urllib.request

import numpy as np
from absl import flags

from tfmusic import command_line
from tfmusic.errors import UserError
from tfmusic.notes.guarded import read_input
from tfmusic.notes.writing import write_midi
from tfmusic.representations import make_representation
from tfmusic.serving.requests import Request, read_music, request_music

_MODEL_DIR = flags.DEFINE_string(
    "model_dir", None, "The export, whose folder is named as the model.", required=True
)
_REST = flags.DEFINE_string("rest", None, "HOST:PORT of the server's REST API.")
_GRPC = flags.DEFINE_string("grpc", None, "HOST:PORT of the server's gRPC API.")
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", None, "Gets piece_1.mid and so on.", required=True
)
_NUM_OUTPUTS = flags.DEFINE_integer("num_outputs", 1, "How many pieces.")
_NUM_STEPS = flags.DEFINE_integer("num_steps", 256, "Their length at most.")
_SEED = flags.DEFINE_integer("seed", 0, "The same seed gives the same music.")
_PRIMER = flags.DEFINE_string("primer", None, "MIDI, MusicXML or ABC to go on from.")
_TIMEOUT = flags.DEFINE_float("timeout_seconds", 600, "How long to wait.")

Arrays = dict[str, np.ndarray]


def ask_rest(address: str, model: str, request: Request, timeout: float) -> Arrays:
    """Calls `POST /v1/models/MODEL:predict` with named columns."""
    body = {
        "signature_name": request.endpoint,
        "inputs": {name: array.tolist() for name, array in request.inputs.items()},
    }
    url = f"http://{address}/v1/models/{model}:predict"
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url, json.dumps(body).encode()), timeout=timeout
        ) as answer:
            outputs = json.load(answer)["outputs"]
    except urllib.error.HTTPError as error:
        text = error.read().decode(errors="replace")
        raise UserError(f"{url}: the server refused the request: {text}") from error
    except OSError as error:
        raise UserError(f"{url}: expected a model server, but {error}") from error
    return {name: np.array(values) for name, values in outputs.items()}


def ask_grpc(address: str, model: str, request: Request, timeout: float) -> Arrays:
    """Calls `PredictionService.Predict`."""
    try:
        import grpc
        import tensorflow as tf
        from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc
    except ImportError as error:
        raise UserError(
            f"--grpc needs tensorflow-serving-api ({error}); "
            'pip install ".[serving]", or use --rest'
        ) from error

    message = predict_pb2.PredictRequest()
    message.model_spec.name = model
    message.model_spec.signature_name = request.endpoint
    for name, array in request.inputs.items():
        message.inputs[name].CopyFrom(tf.make_tensor_proto(array))
    # Rolls are large: a thousand steps of sixteen pieces exceed the usual 4 MB.
    options = [("grpc.max_receive_message_length", -1)]
    with grpc.insecure_channel(address, options) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        try:
            answer = stub.Predict(message, timeout=timeout)
        except grpc.RpcError as error:
            raise UserError(
                f"{address}: the model server answered {error.code().name}: "
                f"{error.details()}"
            ) from error
    return {name: tf.make_ndarray(value) for name, value in answer.outputs.items()}


def read_card(model_dir: str) -> dict:
    """The card of the newest version, which is the one that a server serves."""
    cards = pathlib.Path(model_dir).glob("*/assets.extra/tfmusic.json")
    versions = {int(c.parts[-3]): c for c in cards if c.parts[-3].isdecimal()}
    newest = versions[max(versions)] if versions else None
    if newest is None:
        raise UserError(f"{model_dir}: expected an export, found no model card in it")
    return json.loads(newest.read_text(encoding="utf-8"))


def main() -> None:
    """Asks as the flags say."""
    if (_REST.value is None) == (_GRPC.value is None):
        raise UserError("expected one of --rest=HOST:PORT and --grpc=HOST:PORT")
    card = read_card(_MODEL_DIR.value)
    representation = make_representation(card["representation"])
    request = request_music(
        card,
        representation,
        num_outputs=_NUM_OUTPUTS.value,
        num_steps=_NUM_STEPS.value,
        seed=_SEED.value,
        primer=read_input(_PRIMER.value, "primer") if _PRIMER.value else None,
        controls=command_line.extra_flags(),
    )
    ask = ask_rest if _REST.value else ask_grpc
    outputs = ask(
        _REST.value or _GRPC.value,
        pathlib.Path(_MODEL_DIR.value).resolve().name,
        request,
        _TIMEOUT.value,
    )
    folder = pathlib.Path(_OUTPUT_DIR.value)
    folder.mkdir(parents=True, exist_ok=True)
    pieces = read_music(representation, request, outputs)
    for number, piece in enumerate(pieces, start=1):
        path = folder / f"piece_{number}.mid"
        write_midi(piece, path)
        sys.stdout.write(f"{path}: {len(piece.notes)} notes\n")


if __name__ == "__main__":
    command_line.run(main, takes_extra_flags=True)
