import dataclasses
from typing import ClassVar

import pytest

from tfmusic.errors import UserError
from tfmusic.settings import Settings, setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class Network(Settings):
    SECTION: ClassVar[str] = "model"

    units: tuple[int, ...] = setting((256,), at_least=1)
    dropout: float = setting(0.0, at_least=0.0, at_most=0.9)
    rate: float = setting(1.0, above=0.0)
    cell: str = setting("lstm", choices=("lstm", "gru"))
    tied: bool = False
    num_layers: int = setting(at_least=1)


def test_what_a_section_lacks_has_its_default():
    settings = Network.from_config({"num_layers": 2, "units": [8, 4], "dropout": 0})
    assert settings == Network(num_layers=2, units=(8, 4))
    assert settings.dropout == 0.0
    assert isinstance(settings.dropout, float)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "config.model.num_layers: it is missing, and it has no default"),
        ({"droput": 0.1}, "config.model: unknown 'droput' .did you mean 'dropout'"),
        ({"num_layers": 0}, "config.model.num_layers: expected at least 1, got 0"),
        ({"num_layers": 1.5}, "num_layers: expected a whole number, got 1.5"),
        ({"num_layers": True}, "num_layers: expected a whole number, got True"),
        ({"num_layers": 1, "dropout": 0.95}, "dropout: expected at most 0.9, got 0.95"),
        ({"num_layers": 1, "dropout": "a"}, "dropout: expected a number, got 'a'"),
        ({"num_layers": 1, "dropout": float("nan")}, "expected a finite number, got"),
        ({"num_layers": 1, "rate": 0.0}, "rate: expected more than 0.0, got 0.0"),
        ({"num_layers": 1, "cell": "gruu"}, "cell: unknown 'gruu' .did you mean 'gru'"),
        ({"num_layers": 1, "tied": 1}, "tied: expected True or False, got 1"),
        ({"num_layers": 1, "units": (4, 0)}, "units: expected at least 1, got 0"),
        ({"num_layers": 1, "units": 4}, "units: expected a list of numbers, got 4"),
    ],
)
def test_what_is_wrong_with_a_field_is_said_in_one_line(fields, message):
    with pytest.raises(UserError, match=message) as caught:
        Network.from_config(fields)
    assert "\n" not in str(caught.value)


def every(kind=Settings):
    # Their classes are known once these are imported.
    import tfmusic.models
    import tfmusic.training.settings  # noqa: F401

    for settings in kind.__subclasses__():
        if settings.__module__.startswith("tfmusic."):
            yield settings
            yield from every(settings)


def test_a_run_that_was_saved_without_an_option_goes_on_without_it():
    switches = {
        field.name: field.default
        for settings in every()
        for field in dataclasses.fields(settings)
        if isinstance(field.default, bool)
    }
    # What the first version of a family had, and later ones can be without.
    always_there = """
        position pitch_class residual keys_by_size normalize_keys learn_order
        local_noise pool_all unit_chunks learn_end"""
    assert {name for name, value in switches.items() if value} == {
        *always_there.split()
    }
    later = """
        recurrent_dropout repeat_bonus cadence min_p avoid_parallels latent_noise bound
        clip_value weight_decay stretch velocity_shift transpose_semitones
        teacher_forcing_steps eval_steps profile_steps num_cpu_devices"""
    for settings in every():
        for field in dataclasses.fields(settings):
            if field.name in later.split():
                assert (field.name, field.default) == (field.name, 0)
            if field.name in ("temperature", "guidance", "teacher_forcing"):
                assert (field.name, field.default) == (field.name, 1.0)


def test_sections_of_configs_are_given_by_name_alone_and_stay_as_they_are():
    found = list(every())
    assert len(found) > 10
    for settings in found:
        with pytest.raises(TypeError, match="positional"):
            settings(0)
        assert settings.__dataclass_params__.frozen
