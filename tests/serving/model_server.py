"""A model server for tests: TensorFlow Serving's two protocols over a SavedModel.

It follows the published behaviour of the real one: named inputs, rows (`instances`) and
columns (`inputs`), one unnamed output where there is only one, errors as JSON. Defaults
of a signature hold for gRPC; a REST request has to name every input.
"""

import concurrent.futures
import contextlib
import http.server
import json
import pathlib
import threading

import grpc
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc


class RequestError(Exception):
    """What a client did wrong."""


class ServedModel:
    """A SavedModel with a name."""

    def __init__(self, name, path):
        self.name = name
        self._model = tf.saved_model.load(str(path))
        data = (pathlib.Path(path) / "saved_model.pb").read_bytes()
        graph = saved_model_pb2.SavedModel.FromString(data).meta_graphs[0]
        self._defaults = {
            name: {k: tf.make_ndarray(v) for k, v in signature.defaults.items()}
            for name, signature in graph.signature_def.items()
        }

    def specs(self, signature_name):
        """The inputs of a signature."""
        if signature_name not in self._model.signatures:
            raise RequestError(f"Serving signature name: {signature_name!r} not found")
        return self._model.signatures[signature_name].structured_input_signature[1]

    def predict(self, signature_name, inputs):
        """Arrays in, arrays out, the names and types checked."""
        specs = self.specs(signature_name)
        inputs = {**self._defaults[signature_name], **inputs}
        if specs.keys() != inputs.keys():
            raise RequestError(f"expected inputs {sorted(specs)}, got {sorted(inputs)}")
        for name, array in inputs.items():
            if not specs[name].is_compatible_with(tf.constant(array)):
                raise RequestError(f"{name}: expected {specs[name]}")
        tensors = {name: tf.constant(array) for name, array in inputs.items()}
        outputs = self._model.signatures[signature_name](**tensors)
        return {name: tensor.numpy() for name, tensor in outputs.items()}

    def predict_json(self, body):
        """The REST call: JSON in, JSON out."""
        signature_name = body.get("signature_name", "serving_default")
        specs = self.specs(signature_name)
        rows = body.get("instances")
        if rows is not None:
            if any(row.keys() != specs.keys() for row in rows):
                raise RequestError(f"keys must be equal to: {','.join(specs)}")
            columns = {name: [row[name] for row in rows] for name in specs}
        else:
            columns = body["inputs"]
            if missing := specs.keys() - columns.keys():
                raise RequestError(f"Missing named input: {min(missing)}")
        inputs = {
            name: np.array(columns[name], spec.dtype.as_numpy_dtype)
            for name, spec in specs.items()
        }
        arrays = self.predict(signature_name, inputs)
        outputs = {name: array.tolist() for name, array in arrays.items()}
        is_single = len(outputs) == 1
        if rows is None:
            return {"outputs": next(iter(outputs.values())) if is_single else outputs}
        predictions = [
            dict(zip(outputs, row, strict=True))
            for row in zip(*outputs.values())  # noqa: B905
        ]
        if is_single:
            predictions = next(iter(outputs.values()))
        return {"predictions": predictions}


@contextlib.contextmanager
def serve_rest(model):
    """Serves `/v1/models/NAME:predict`; gives the address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):  # noqa: N802
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, answer = 200, None
            try:
                if self.path != f"/v1/models/{model.name}:predict":
                    status, answer = 404, {"error": f"no servable at {self.path}"}
                else:
                    answer = model.predict_json(json.loads(body))
            except RequestError as error:
                status, answer = 400, {"error": str(error)}
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def serve_grpc(model):
    """Serves `PredictionService`; gives the address."""

    class Service(prediction_service_pb2_grpc.PredictionServiceServicer):
        def Predict(self, request, context):  # noqa: N802
            if request.model_spec.name != model.name:
                context.abort(grpc.StatusCode.NOT_FOUND, "Servable not found")
            inputs = {k: tf.make_ndarray(v) for k, v in request.inputs.items()}
            try:
                outputs = model.predict(request.model_spec.signature_name, inputs)
            except RequestError as error:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
            response = predict_pb2.PredictResponse(model_spec=request.model_spec)
            for name, array in outputs.items():
                response.outputs[name].CopyFrom(tf.make_tensor_proto(array))
            return response

    server = grpc.server(concurrent.futures.ThreadPoolExecutor(2))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        Service(), server
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()
