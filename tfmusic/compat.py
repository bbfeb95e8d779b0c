"""Where libraries differ, by version or by platform: each difference in one place."""

import importlib.abc
import importlib.metadata
import importlib.util
import os
import re
import sys
import tempfile
import warnings
from types import ModuleType


def import_parts_of(package: str) -> ModuleType:
    """Makes modules of a package importable without running its `__init__`.

    note-seq's takes seconds and imports plotting, audio and notebook libraries that its
    readers do not need. Whoever asks the package itself for a name that is no module of
    it still gets it: the package is then imported as a whole.

    Args:
        package: A top-level package that is installed.

    Returns:
        The package, empty so far.

    Raises:
        ModuleNotFoundError: It is not installed.
    """
    if package in sys.modules:
        return sys.modules[package]
    spec = importlib.util.find_spec(package)
    if spec is None:
        raise ModuleNotFoundError(f"No module named {package!r}", name=package)
    module = importlib.util.module_from_spec(spec)

    def get_missing(name: str):
        if name.startswith("__"):
            raise AttributeError(name)
        if importlib.util.find_spec(f"{package}.{name}"):
            return importlib.import_module(f"{package}.{name}")
        del module.__getattr__
        with warnings.catch_warnings():
            # Its audio library warns where ffmpeg is missing; no audio is read.
            warnings.simplefilter("ignore")
            spec.loader.exec_module(module)
        return getattr(module, name)

    module.__getattr__ = get_missing  # as PEP 562 has it
    sys.modules[package] = module
    return module


# One package under several names: for processors alone, for one kind of machine.
_DISTRIBUTIONS = {"tensorflow": ("tensorflow", "tensorflow-cpu", "tensorflow-intel")}


def installed_version(package: str) -> str | None:
    """The version of a package that is installed; None if it is not."""
    for name in _DISTRIBUTIONS.get(package, (package,)):
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")


# What TensorFlow prints as it starts, whatever its log level: a few lines on the
# processor and on oneDNN.
_START_UP = re.compile(
    rb"absl::InitializeLog|oneDNN custom|cpu_feature_guard|rebuild Te|cudart_stub"
)


class _Absent(importlib.abc.MetaPathFinder):
    """Lets the parts of a package be missing."""

    def __init__(self, package: str):
        self._prefix = f"{package}."

    def find_spec(self, name, path=None, target=None):
        del path, target
        if name.startswith(self._prefix):
            raise ModuleNotFoundError(f"left out: {name}", name=name)


def import_tensorflow() -> ModuleType:
    """Imports TensorFlow without the lines that it prints as it starts.

    Others that it prints come after the import. TensorFlow imports Keras if it is
    there, and that plotting and more: a third of the time, for what only training
    needs, which imports it itself.
    """
    if "tensorflow" in sys.modules:
        return sys.modules["tensorflow"]
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    keras = _Absent("keras")
    with tempfile.TemporaryFile() as file:
        stderr = os.dup(2)
        os.dup2(file.fileno(), 2)
        sys.meta_path.insert(0, keras)
        try:
            tensorflow = importlib.import_module("tensorflow")
        finally:
            sys.meta_path.remove(keras)
            sys.stderr.flush()
            os.dup2(stderr, 2)
            os.close(stderr)
            file.seek(0)
            lines = [line for line in file if not _START_UP.search(line)]
            sys.stderr.write(b"".join(lines).decode(errors="replace"))
    return tensorflow


def freeze(function):
    """A traced function without variables and captured tensors: they are constants.

    It takes its inputs in order and gives a list of its outputs. TensorFlow tells
    nobody but its own converters of what does this.
    """
    name = "tensorflow.python.framework.convert_to_constants"
    convert_to_constants = importlib.import_module(name)
    return convert_to_constants.convert_variables_to_constants_v2(function)


def tracing_for_export():
    """A context whose graphs are those that `tf.saved_model.save` writes.

    TensorFlow keeps graphs apart that are traced within and outside of saving, so it
    would trace all of them twice and write some of them twice.
    """
    save_context = importlib.import_module("tensorflow.python.saved_model.save_context")
    options = import_tensorflow().saved_model.SaveOptions()
    return save_context.save_context(options)
