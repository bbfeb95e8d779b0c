"""Runs graphs by TensorFlow's C library, without importing TensorFlow's Python code.

The library comes with every TensorFlow for Linux and macOS. It starts in 0.2 s; the
Python code, which playing an export needs no line of, takes ten times as long. Its
eager functions, the ones whose names begin with TFE, may change: `library` gives None
where they are not as they are used here.
"""

import ctypes
import functools
import importlib.util
import os
import sys
import weakref
from collections.abc import Iterable, Sequence

import numpy as np

# By TensorFlow's number for it, each type of numbers.
_TYPES = {
    1: np.dtype(np.float32),
    2: np.dtype(np.float64),
    3: np.dtype(np.int32),
    4: np.dtype(np.uint8),
    5: np.dtype(np.int16),
    6: np.dtype(np.int8),
    9: np.dtype(np.int64),
    10: np.dtype(np.bool_),
    19: np.dtype(np.float16),
}
_NUMBERS = {kind: number for number, kind in _TYPES.items()}
_STRING, _STRING_BYTES = 7, 24
_INVALID_ARGUMENT = 3
# A ConfigProto with allow_soft_placement, and of graph_options.rewrite_options with
# meta_optimizer_iterations ONE, memory_optimization NO_MEM_OPT, and layout_optimizer,
# scoped_allocator_optimization and use_plugin_optimizers OFF: what is left out takes a
# third of the time before the first call, and changes nothing on a processor. A
# function whose call names no ConfigProto is not optimized at all.
_CONFIG = bytes.fromhex("3801520d520b0802200160017802e00102")
_NUM_THREADS = 0x10  # of a ConfigProto: intra_op_parallelism_threads comes
# Without it the first context of a process decides how many threads all others have,
# those that train among them.
_OWN_THREADS = "TF_OVERRIDE_GLOBAL_THREADPOOL"
_POINTER = ctypes.c_void_p
_SIZE = ctypes.c_size_t

# What each function returns; a pointer that Python should take for a number would be
# cut in half.
_RETURNS = {
    "TF_NewStatus": _POINTER,
    "TF_GetCode": ctypes.c_int,
    "TF_Message": ctypes.c_char_p,
    "TF_DeleteStatus": None,
    "TF_NewBufferFromString": _POINTER,
    "TF_DeleteBuffer": None,
    "TF_NewGraph": _POINTER,
    "TF_DeleteGraph": None,
    "TF_NewImportGraphDefOptions": _POINTER,
    "TF_DeleteImportGraphDefOptions": None,
    "TF_GraphImportGraphDef": None,
    "TF_GraphOperationByName": _POINTER,
    "TF_GraphToFunction": _POINTER,
    "TF_DeleteFunction": None,
    "TF_AllocateTensor": _POINTER,
    "TF_TensorType": ctypes.c_int,
    "TF_NumDims": ctypes.c_int,
    "TF_Dim": ctypes.c_int64,
    "TF_TensorData": _POINTER,
    "TF_DeleteTensor": None,
    "TF_StringInit": None,
    "TF_StringCopy": None,
    "TFE_NewContextOptions": _POINTER,
    "TFE_ContextOptionsSetConfig": None,
    "TFE_DeleteContextOptions": None,
    "TFE_NewContext": _POINTER,
    "TFE_DeleteContext": None,
    "TFE_ContextAddFunction": None,
    "TFE_ContextAddFunctionDef": None,
    "TFE_NewOp": _POINTER,
    "TFE_OpSetAttrString": None,
    "TFE_OpAddInput": None,
    "TFE_OpAddInputList": None,
    "TFE_Execute": None,
    "TFE_DeleteOp": None,
    "TFE_NewTensorHandle": _POINTER,
    "TFE_TensorHandleResolve": _POINTER,
    "TFE_DeleteTensorHandle": None,
}


class GraphError(ValueError):
    """What TensorFlow says of a graph that it cannot load or run.

    Attributes:
        is_refusal: Whether the graph refuses its inputs.
    """

    def __init__(self, message: str, is_refusal: bool = False):
        super().__init__(message)
        self.is_refusal = is_refusal


@functools.cache
def library() -> ctypes.CDLL | None:
    """TensorFlow's C library; None where there is none that this module can use."""
    spec = importlib.util.find_spec("tensorflow")
    if spec is None or not spec.submodule_search_locations:
        return None
    is_mac = sys.platform == "darwin"
    name = "libtensorflow_cc.2.dylib" if is_mac else "libtensorflow_cc.so.2"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault(_OWN_THREADS, "1")
    try:
        found = ctypes.CDLL(os.path.join(spec.submodule_search_locations[0], name))
        for function, kind in _RETURNS.items():
            getattr(found, function).restype = kind
    except (OSError, AttributeError):
        return None
    return found


class Runtime:
    """Functions that share their variables."""

    def __init__(self, num_threads: int = 0):
        """Has no functions yet.

        Args:
            num_threads: How many share an operation, at most 127; 0: one a core.
        """
        self._tf = tf = library()
        options = _POINTER(tf.TFE_NewContextOptions())
        config = bytes([_NUM_THREADS, num_threads])
        with _Status(tf) as status:
            tf.TFE_ContextOptionsSetConfig(options, config, _SIZE(len(config)), status)
        with _Status(tf) as status:
            self._context = _POINTER(tf.TFE_NewContext(options, status))
        tf.TFE_DeleteContextOptions(options)
        self._functions: set[str] = set()
        free = weakref.finalize(self, tf.TFE_DeleteContext, self._context)
        free.atexit = False  # the program's end is quicker

    def define(
        self,
        name: str,
        graph: bytes,
        functions: Iterable[bytes],
        inputs: Sequence[str],
        outputs: Sequence[str],
    ) -> None:
        """Makes a function of a graph.

        Args:
            name: Of the function.
            graph: A GraphDef with all functions that it calls.
            functions: Those functions, each a FunctionDef.
            inputs: Names of the tensors that are its inputs.
            outputs: Names of the tensors that are its outputs.

        Raises:
            GraphError: It is no such graph.
        """
        tf = self._tf
        for content in functions:
            with _Status(tf) as status:
                size = _SIZE(len(content))
                tf.TFE_ContextAddFunctionDef(self._context, content, size, status)
        buffer = _POINTER(tf.TF_NewBufferFromString(graph, _SIZE(len(graph))))
        options = _POINTER(tf.TF_NewImportGraphDefOptions())
        body = _POINTER(tf.TF_NewGraph())
        try:
            with _Status(tf) as status:
                tf.TF_GraphImportGraphDef(body, buffer, options, status)
            first, last = self._ends(body, inputs), self._ends(body, outputs)
            ends = (len(first), first, len(last), last)
            with _Status(tf) as status:
                function = _POINTER(
                    tf.TF_GraphToFunction(
                        *(body, name.encode(), 0, -1, None, *ends),
                        *(None, None, None, status),
                    )
                )
            with _Status(tf) as status:
                tf.TFE_ContextAddFunction(self._context, function, status)
            tf.TF_DeleteFunction(function)
            self._functions.add(name)
        finally:
            tf.TF_DeleteGraph(body)
            tf.TF_DeleteImportGraphDefOptions(options)
            tf.TF_DeleteBuffer(buffer)

    def call(
        self,
        name: str,
        inputs: Iterable[np.ndarray | bytes | list],
        num_outputs: int,
    ) -> list[np.ndarray | None]:
        """Calls a function, or one of TensorFlow's operations.

        Args:
            name: Its name.
            inputs: For each of its inputs an array of numbers, a text, a list of texts,
                or, where it takes a list of tensors, a list with an array among them.
            num_outputs: How many outputs it has.

        Returns:
            The outputs; None in place of texts.

        Raises:
            GraphError: It refuses the inputs, or cannot be run.
        """
        tf = self._tf
        number = ctypes.c_int(num_outputs)
        found = (_POINTER * num_outputs)()
        with _Status(tf) as status:
            operation = _POINTER(tf.TFE_NewOp(self._context, name.encode(), status))
        try:
            if name in self._functions:
                size = _SIZE(len(_CONFIG))
                tf.TFE_OpSetAttrString(operation, b"config_proto", _CONFIG, size)
            for value in inputs:
                self._add_input(operation, value)
            with _Status(tf) as status:
                tf.TFE_Execute(operation, found, ctypes.byref(number), status)
            return [self._as_array(_POINTER(handle)) for handle in found]
        finally:
            tf.TFE_DeleteOp(operation)
            for handle in filter(None, found):
                tf.TFE_DeleteTensorHandle(_POINTER(handle))

    def _ends(self, graph: ctypes.c_void_p, tensors: Sequence[str]) -> ctypes.Array:
        """Tensors of a graph, as the C library names them."""
        found = (_Output * len(tensors))()
        for end, tensor in zip(found, tensors, strict=True):
            name, _, index = tensor.partition(":")
            end.operation = self._tf.TF_GraphOperationByName(graph, name.encode())
            end.index = int(index or 0)
            if not end.operation:
                raise GraphError(f"no {name} in the graph")
        return found

    def _add_input(self, operation: ctypes.c_void_p, value) -> None:
        tf = self._tf
        is_list = isinstance(value, list) and not all(
            isinstance(item, bytes) for item in value
        )
        values = value if is_list else [value]
        handles = (_POINTER * len(values))(*map(self._as_handle, values))
        try:
            with _Status(tf) as status:
                if is_list:
                    tf.TFE_OpAddInputList(operation, handles, len(handles), status)
                else:
                    tf.TFE_OpAddInput(operation, _POINTER(handles[0]), status)
        finally:
            for handle in handles:
                tf.TFE_DeleteTensorHandle(_POINTER(handle))

    def _as_handle(self, value: np.ndarray | bytes | list[bytes]) -> int:
        is_text = not isinstance(value, np.ndarray)
        make = self._text_tensor if is_text else self._number_tensor
        tensor = _POINTER(make(value))
        try:
            with _Status(self._tf) as status:
                return self._tf.TFE_NewTensorHandle(tensor, status)
        finally:
            self._tf.TF_DeleteTensor(tensor)

    def _number_tensor(self, array: np.ndarray) -> int:
        array = np.asarray(array, order="C")
        dims = (ctypes.c_int64 * array.ndim)(*array.shape)
        number, size = _NUMBERS[array.dtype], _SIZE(array.nbytes)
        tensor = self._tf.TF_AllocateTensor(number, dims, array.ndim, size)
        if array.nbytes:
            data = self._tf.TF_TensorData(_POINTER(tensor))
            ctypes.memmove(data, array.ctypes.data, array.nbytes)
        return tensor

    def _text_tensor(self, text: bytes | list[bytes]) -> int:
        texts = text if isinstance(text, list) else [text]
        dims = (ctypes.c_int64 * 1)(len(texts))
        rank, size = int(isinstance(text, list)), _SIZE(_STRING_BYTES * len(texts))
        tensor = self._tf.TF_AllocateTensor(_STRING, dims, rank, size)
        data = self._tf.TF_TensorData(_POINTER(tensor))
        for i, content in enumerate(texts):
            place = _POINTER(data + _STRING_BYTES * i)
            self._tf.TF_StringInit(place)
            self._tf.TF_StringCopy(place, content, _SIZE(len(content)))
        return tensor

    def _as_array(self, handle: ctypes.c_void_p) -> np.ndarray | None:
        tf = self._tf
        with _Status(tf) as status:
            tensor = _POINTER(tf.TFE_TensorHandleResolve(handle, status))
        try:
            kind = _TYPES.get(tf.TF_TensorType(tensor))
            if kind is None:
                return None
            shape = [tf.TF_Dim(tensor, axis) for axis in range(tf.TF_NumDims(tensor))]
            array = np.empty(shape, kind)
            if array.nbytes:
                data = tf.TF_TensorData(tensor)
                ctypes.memmove(array.ctypes.data, data, array.nbytes)
            return array
        finally:
            tf.TF_DeleteTensor(tensor)


def type_name(number: int) -> str:
    """The name of a type of numbers that TensorFlow has a number for."""
    return _TYPES[number].name if number in _TYPES else f"type {number}"


class _Output(ctypes.Structure):
    _fields_ = [("operation", _POINTER), ("index", ctypes.c_int)]


class _Status:
    """Where a function tells what went wrong; raised at the end of the block."""

    def __init__(self, tf: ctypes.CDLL):
        self._tf = tf
        self._status = _POINTER(tf.TF_NewStatus())

    def __enter__(self) -> ctypes.c_void_p:
        return self._status

    def __exit__(self, *_) -> None:
        code = self._tf.TF_GetCode(self._status)
        message = self._tf.TF_Message(self._status).decode(errors="replace")
        self._tf.TF_DeleteStatus(self._status)
        if code:
            raise GraphError(message, is_refusal=code == _INVALID_ARGUMENT)
