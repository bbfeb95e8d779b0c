import importlib
import inspect
import pkgutil

import tfmusic.models
import tfmusic.networks


def methods():
    for package in (tfmusic.models, tfmusic.networks):
        for found in pkgutil.iter_modules(package.__path__):
            module = importlib.import_module(f"{package.__name__}.{found.name}")
            for _, kind in inspect.getmembers(module, inspect.isclass):
                if kind.__module__ == module.__name__:
                    for _, method in inspect.getmembers(kind, inspect.isfunction):
                        yield method


def test_only_a_loss_is_of_training_unless_that_is_said():
    # Who calls a layer or a network to score or to play does not think of dropout.
    defaults = {
        (method.__qualname__, inspect.signature(method).parameters["training"].default)
        for method in methods()
        if method.__module__.startswith("tfmusic.")
        and "training" in inspect.signature(method).parameters
    }
    assert len(defaults) > 20
    for name, default in defaults:
        if default is not inspect.Parameter.empty:
            assert (name, default) == (name, name.endswith(".compute_loss"))
