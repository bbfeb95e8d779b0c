"""The endpoints of an export, to call with arrays: loaded quickly, one at a time.

A process that uses TensorFlow calls them through it, with the devices and threads that
were chosen there; so does one on a machine with a graphics card. Another process needs
no more of it than its C library, and the graph of one endpoint in place of all ten: the
same music, to the last bit, after a third of the time.
"""

import os
import re
import sys
import threading
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from tfmusic.compat import import_tensorflow
from tfmusic.errors import UserError, first_line
from tfmusic.files import is_remote
from tfmusic.serving.c_runtime import GraphError, Runtime, library, type_name
from tfmusic.serving.graph_parts import GraphParts

# An input or output of an endpoint: its type and its shape, None where it may vary.
Spec = tuple[str, list[int | None]]
_PREFIX = "endpoint_"  # of their functions' names
# Where the drivers of graphics cards are: what those compute, Python code arranges.
_CARDS = ("/dev/nvidiactl", "/dev/kfd")


class Endpoints(Protocol):
    """What an export can do."""

    def inputs(self, endpoint: str) -> dict[str, Spec]:
        """The inputs of an endpoint.

        Raises:
            KeyError: There is no such endpoint.
        """

    def load(self, endpoint: str) -> None:
        """Makes an endpoint ready to be called; again, it does nothing.

        Raises:
            Exception: It is damaged; see `tfmusic.stored.reading`.
        """

    def call(
        self, endpoint: str, inputs: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """Calls an endpoint with all its inputs; gives its outputs by name.

        Raises:
            UserError: It refuses them.
        """


def load_endpoints(path: str, num_threads: int = 0) -> Endpoints:
    """Loads the SavedModel in a directory, which is not needed afterwards.

    Args:
        path: The directory.
        num_threads: See `Player`.

    Raises:
        Exception: It is damaged; see `tfmusic.stored.reading`.
    """
    if _needs_python(path):
        return PythonEndpoints(path)
    return CEndpoints(path, num_threads)


def save_tensors(prefix: str, values: Mapping[str, np.ndarray | bytes]) -> None:
    """Writes a checkpoint of TensorFlow's.

    Args:
        prefix: What the names of its files begin with.
        values: Arrays and texts by name.

    Raises:
        OSError: It cannot be written; TensorFlow's own error, if it is in use.
    """
    if _needs_python(prefix):
        tf = import_tensorflow()
        no_slices, tensors = [""] * len(values), list(map(tf.constant, values.values()))
        tf.raw_ops.SaveV2(
            prefix=prefix,
            tensor_names=list(values),
            shape_and_slices=no_slices,
            tensors=tensors,
        )
        return
    names = [name.encode() for name in values]
    inputs = [os.fsencode(prefix), names, [b""] * len(names), list(values.values())]
    try:
        Runtime().call("SaveV2", inputs, 0)
    except GraphError as error:
        raise OSError(str(error)) from error


def _needs_python(path: str) -> bool:
    """Whether TensorFlow's C library alone is not what to use."""
    has_card = any(map(os.path.exists, _CARDS))
    is_in_use = "tensorflow" in sys.modules
    return is_in_use or has_card or is_remote(path) or library() is None


class CEndpoints:
    """Endpoints that are loaded, by TensorFlow's C library, when they are called."""

    def __init__(self, path: str, num_threads: int = 0):
        with open(os.path.join(path, "saved_model.pb"), "rb") as file:
            self._parts = GraphParts(file.read())
        self._runtime = Runtime(num_threads)
        self._loaded: set[str] = set()
        self._lock = threading.Lock()
        saver = self._parts.saver
        restored = f"{saver.restore_op}:0"
        self._define("restore", [saver.filename_tensor], [restored])
        prefix = os.path.join(path, "variables", "variables")
        self._runtime.call("restore", [os.fsencode(prefix)], 1)

    def inputs(self, endpoint: str) -> dict[str, Spec]:
        """See `Endpoints`."""
        tensors = self._parts.signatures[endpoint].inputs
        return {tensor.key: _spec(tensor.value) for tensor in tensors}

    def call(
        self, endpoint: str, inputs: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """See `Endpoints`."""
        signature = self._parts.signatures[endpoint]
        arrays = [inputs[tensor.key] for tensor in signature.inputs]
        try:
            outputs = self._runtime.call(
                _PREFIX + endpoint, arrays, len(signature.outputs)
            )
        except GraphError as error:
            if not error.is_refusal:
                raise
            raise UserError(f"{endpoint}: {reason(error)}") from error
        names = [tensor.key for tensor in signature.outputs]
        return dict(zip(names, outputs, strict=True))

    def load(self, endpoint: str) -> None:
        """See `Endpoints`."""
        signature = self._parts.signatures[endpoint]
        ends = signature.inputs, signature.outputs
        names = [[tensor.value.name for tensor in end] for end in ends]
        with self._lock:  # a page has several clients
            if endpoint not in self._loaded:
                self._define(_PREFIX + endpoint, *names)
                self._loaded.add(endpoint)

    def _define(self, name: str, inputs: list[str], outputs: list[str]) -> None:
        graph = self._parts.part(outputs)
        functions = [f.SerializeToString() for f in graph.library.function]
        content = graph.SerializeToString()
        self._runtime.define(name, content, functions, inputs, outputs)


class PythonEndpoints:
    """Endpoints that TensorFlow's Python code has loaded, all at once."""

    def __init__(self, path: str):
        self._tf = import_tensorflow()
        # The loaded object owns the variables that its signatures use.
        self._model: Any = self._tf.saved_model.load(path)

    def inputs(self, endpoint: str) -> dict[str, Spec]:
        """See `Endpoints`."""
        _, specs = self._model.signatures[endpoint].structured_input_signature
        return {
            name: (spec.dtype.name, spec.shape.as_list())
            for name, spec in specs.items()
        }

    def load(self, endpoint: str) -> None:
        """See `Endpoints`."""

    def call(
        self, endpoint: str, inputs: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """See `Endpoints`."""
        tf = self._tf
        tensors = {name: tf.constant(array) for name, array in inputs.items()}
        try:
            outputs = self._model.signatures[endpoint](**tensors)
        except tf.errors.InvalidArgumentError as error:
            raise UserError(f"{endpoint}: {reason(error)}") from error
        return {name: tensor.numpy() for name, tensor in outputs.items()}


def reason(error: Exception) -> str:
    """The line of a graph's error that says what is wrong, not where."""
    message = getattr(error, "message", None) or str(error)
    # Of an assertion: [what was expected] [what came].
    found = re.search(r"assertion failed: \[(.*?), got\] \[(.*?)\]", message)
    if found:
        return f"{found[1]}, got {found[2]}"
    lines = [line.strip() for line in message.splitlines()]
    where = ("Graph execution error", "Detected at", "<stack traces", "[[")
    told = [line for line in lines if line and not line.startswith(where)]
    return told[0][:200] if told else first_line(error)


def _spec(tensor) -> Spec:
    shape = [None if dim.size < 0 else dim.size for dim in tensor.shape.dim]
    return type_name(tensor.dtype), shape
