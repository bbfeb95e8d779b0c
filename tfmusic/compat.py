"""Where libraries differ, by version or by platform: each difference in one place."""

import importlib.metadata
import importlib.util
import sys
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
