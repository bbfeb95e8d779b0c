"""Exports of small untrained models, one of each family."""

import dataclasses

import pytest

from tests.models.conftest import CASES, make_case
from tfmusic.models import MODELS, AutoregressiveModel, MusicModel
from tfmusic.serving.saved_model import export_model

# Families whose exports the fast tests look at; the others' are slow.
FAST = ("token_lstm",)


def families():
    """The name of a case for each family that generates, as parameters of a test."""
    for family, kind in MODELS.items():
        if not issubclass(kind, AutoregressiveModel):
            continue
        case = next(
            n for n, (_, config, _) in CASES.items() if config["name"] == family
        )
        marks = [] if family in FAST else [pytest.mark.slow]
        yield pytest.param(case, id=family, marks=marks)


def export_untrained(case_name, path) -> MusicModel:
    """Exports a case's model to a directory, and gives it back."""
    model = make_case(case_name).model
    card = {
        "name": case_name,
        "checkpoint": "none",
        "representation": model.representation.to_config(),
        "controls": {
            control.name: dataclasses.asdict(control) for control in model.CONTROLS
        },
    }
    export_model(model, card, str(path))
    return model
