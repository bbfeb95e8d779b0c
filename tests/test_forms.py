"""What holds for all classes of the packages that models are made of."""

import dataclasses
import importlib
import inspect
import pkgutil

import tfmusic.data
import tfmusic.generation
import tfmusic.models
import tfmusic.networks
import tfmusic.training

PACKAGES = (
    tfmusic.data,
    tfmusic.generation,
    tfmusic.models,
    tfmusic.networks,
    tfmusic.training,
)


def classes():
    for package in PACKAGES:
        for found in pkgutil.iter_modules(package.__path__):
            if found.name == "_lstm":  # a library of TensorFlow's operations
                continue
            module = importlib.import_module(f"{package.__name__}.{found.name}")
            for _, kind in inspect.getmembers(module, inspect.isclass):
                if kind.__module__ == module.__name__:
                    yield kind


def test_only_a_loss_is_of_training_unless_that_is_said():
    # Who calls a layer or a network to score or to play does not think of dropout.
    defaults = {
        (method.__qualname__, inspect.signature(method).parameters["training"].default)
        for kind in classes()
        for _, method in inspect.getmembers(kind, inspect.isfunction)
        if method.__module__.startswith("tfmusic.")
        and "training" in inspect.signature(method).parameters
    }
    assert len(defaults) > 20
    for name, default in defaults:
        if default is not inspect.Parameter.empty:
            assert (name, default) == (name, name.endswith(".compute_loss"))


def test_records_that_parts_share_are_not_changed_by_one_of_them():
    records = [kind for kind in classes() if dataclasses.is_dataclass(kind)]
    assert len(records) > 20
    changing = [k.__name__ for k in records if not k.__dataclass_params__.frozen]
    assert not changing
