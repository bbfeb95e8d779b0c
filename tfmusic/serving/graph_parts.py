"""The parts of a SavedModel's graph that one endpoint needs, found without TensorFlow.

An export has ten endpoints in one graph; a command calls one of them. Protobuf keeps
the fields that are not named here as they are.
"""

import functools
from collections.abc import Iterable, Iterator
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

# By message of TensorFlow's: the number and kind of each field that is read. A kind in
# brackets is repeated. A map is repeated pairs of key and value.
_FIELDS = {
    "SavedModel": {"meta_graphs": (2, ["MetaGraph"])},
    "MetaGraph": {
        "graph": (2, "Graph"),
        "saver": (3, "Saver"),
        "signatures": (5, ["NamedSignature"]),
    },
    "Saver": {"filename_tensor": (1, "string"), "restore_op": (3, "string")},
    "NamedSignature": {"key": (1, "string"), "value": (2, "Signature")},
    "Signature": {"inputs": (1, ["NamedTensor"]), "outputs": (2, ["NamedTensor"])},
    "NamedTensor": {"key": (1, "string"), "value": (2, "TensorInfo")},
    "TensorInfo": {
        "name": (1, "string"),
        "dtype": (2, "int32"),
        "shape": (3, "Shape"),
    },
    "Shape": {"dim": (2, ["Dim"])},
    "Dim": {"size": (1, "int64")},
    "Graph": {"node": (1, ["Node"]), "library": (2, "Library")},
    "Library": {"function": (1, ["Function"])},
    "Function": {"signature": (1, "Name"), "node": (3, ["Node"])},
    "Name": {"name": (1, "string")},
    "Node": {
        "name": (1, "string"),
        "op": (2, "string"),
        "input": (3, ["string"]),
        "attr": (5, ["NamedValue"]),
    },
    "NamedValue": {"key": (1, "string"), "value": (2, "Value")},
    "Value": {"list": (1, "Values"), "func": (10, "Call")},
    "Values": {"func": (9, ["Call"])},
    "Call": {"name": (1, "string"), "attr": (2, ["NamedValue"])},
}
_PACKAGE = "tfmusic.graph_parts"


@functools.cache
def _messages() -> dict[str, type]:
    """Message classes with the fields above, in a pool of their own."""
    file = descriptor_pb2.FileDescriptorProto(
        name="graph_parts.proto", package=_PACKAGE, syntax="proto2"
    )
    kinds = descriptor_pb2.FieldDescriptorProto
    for name, fields in _FIELDS.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            is_list = isinstance(kind, list)
            kind = kind[0] if is_list else kind
            added = message.field.add(name=field, number=number)
            added.label = kinds.LABEL_REPEATED if is_list else kinds.LABEL_OPTIONAL
            if kind in _FIELDS:
                added.type, added.type_name = kinds.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
            else:
                added.type = getattr(kinds, f"TYPE_{kind.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(
            pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")
        )
        for name in _FIELDS
    }


class GraphParts:
    """A SavedModel's graph, to take parts of.

    Attributes:
        signatures: By name, the endpoints' inputs and outputs.
        saver: Which operation restores the variables from which file.
    """

    def __init__(self, saved_model: bytes):
        """Parses the content of `saved_model.pb`.

        Raises:
            google.protobuf.message.DecodeError: It is damaged.
            IndexError: It holds no graph.
        """
        meta = _messages()["SavedModel"]()
        meta.ParseFromString(saved_model)
        self._graph = meta.meta_graphs[0].graph
        self.saver = meta.meta_graphs[0].saver
        self.signatures = {
            entry.key: entry.value for entry in meta.meta_graphs[0].signatures
        }
        self._nodes = {node.name: node for node in self._graph.node}
        functions = self._graph.library.function
        self._functions = {function.signature.name: function for function in functions}

    def part(self, tensors: Iterable[str]):
        """The graph that computes some tensors, or runs some operations.

        Args:
            tensors: Their names.

        Returns:
            A GraphDef of the nodes and functions that they depend on.
        """
        nodes = self._reach(map(node_of, tensors), self._nodes, _inputs)
        functions = self._reach(
            (name for node in nodes for name in _calls([node])),
            self._functions,
            lambda function: _calls(function.node),
        )
        part = _messages()["Graph"]()
        # What else the graph says, such as the versions of the operations.
        part.MergeFrom(self._bare_graph)
        part.node.extend(nodes)
        part.library.function.extend(functions)
        return part

    @functools.cached_property
    def _bare_graph(self):
        bare = _messages()["Graph"]()
        bare.CopyFrom(self._graph)
        bare.ClearField("node")
        bare.ClearField("library")
        return bare

    @staticmethod
    def _reach(names: Iterable[str], known: dict[str, Any], next_names) -> list[Any]:
        """What is known by some names and by the names that it leads to."""
        found: dict[str, Any] = {}
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            if name in known and name not in found:
                found[name] = known[name]
                waiting.extend(next_names(known[name]))
        return list(found.values())


def node_of(tensor: str) -> str:
    """The name of the operation that a tensor comes from."""
    return tensor.removeprefix("^").partition(":")[0]


def _inputs(node) -> Iterator[str]:
    return map(node_of, node.input)


def _calls(nodes: Iterable[Any]) -> Iterator[str]:
    """The functions that nodes call; names of other operations are among them."""
    for node in nodes:
        yield node.op
        yield from _called(node.attr)


def _called(attributes: Iterable[Any]) -> Iterator[str]:
    for attribute in attributes:
        value = attribute.value
        for call in (value.func, *value.list.func):
            if call.name:
                yield call.name
                yield from _called(call.attr)
