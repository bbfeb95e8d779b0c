"""Exports of small untrained models, one of each family."""

import functools

import pytest

from tests.latents import make_latent_wgan
from tests.models.conftest import CASES, make_case
from tests.models.test_infill import make_infill
from tests.models.test_set_autoencoder import make_autoencoder
from tfmusic.models import MODELS, MusicModel
from tfmusic.serving.model_card import describe_controls
from tfmusic.serving.saved_model import export_model

# Families that do not make music frame by frame have cases of their own.
OTHERS = {
    "infill": make_infill,
    "set_autoencoder": make_autoencoder,
    "latent_wgan": make_latent_wgan,
    "latent_wgan:recurrent": functools.partial(make_latent_wgan, generator="recurrent"),
}
# Families whose exports the fast tests look at; the others' are slow.
FAST = ("token_lstm",)


def families():
    """The name of a case for each family, as parameters of a test."""
    cases = {config["name"]: name for name, (_, config, _) in reversed(CASES.items())}
    cases |= {name: name for name in OTHERS}
    for family in MODELS:
        marks = [] if family in FAST else [pytest.mark.slow]
        yield pytest.param(cases.get(family, family), id=family, marks=marks)


def export_untrained(case_name, path) -> MusicModel:
    """Exports a case's model to a directory, and gives it back."""
    make_other = OTHERS.get(case_name)
    model = make_other() if make_other else make_case(case_name).model
    card = {
        "name": case_name,
        "checkpoint": "none",
        "representation": model.output_representation.to_config(),
        "controls": describe_controls(model.CONTROLS),
        "infill_controls": describe_controls(model.INFILL_CONTROLS),
    }
    export_model(model, card, str(path))
    return model
