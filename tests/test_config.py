import pytest
from ml_collections import ConfigDict

from tfmusic.config import change_fields, check_field, load_config, nearest_variant
from tfmusic.errors import UserError
from tfmusic.training.experiment import check_config

TEXT = """
import ml_collections

def get_config(variant=""):
    if variant not in ("", "small"):
        raise ValueError(f"no variant {variant!r}; it has small")
    return ml_collections.ConfigDict({"name": "x", "size": 1 if variant else 2})
"""


def write(folder, text):
    path = folder / "experiment.py"
    path.write_text(text)
    return str(path)


def test_file_and_variant(tmp_path):
    path = write(tmp_path, TEXT)
    assert load_config(path).size == 2
    assert load_config(path + ":small").size == 1


def test_unknown_fields_are_errors(tmp_path):
    config = load_config(write(tmp_path, TEXT))
    with pytest.raises(AttributeError, match="size"):
        config.sizes = 3


@pytest.mark.parametrize(
    ("text", "variant", "message"),
    [
        (TEXT, ":tiny", "no variant 'tiny'; it has small"),
        ("x = 1", "", "expected a function get_config"),
        ("def get_config(): pass", ":small", "no variants, such as 'small'"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, text, variant, message):
    path = write(tmp_path, text)
    with pytest.raises(UserError, match=message) as caught:
        load_config(path + variant)
    assert path in str(caught.value)


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("config.train.num_epoch", "config.train: unknown 'num_epoch' .*'num_ep"),
        ("config.train.fast", "config.train: unknown 'fast'; it can be num_epochs"),
        ("config.trian.num_epochs", "config: unknown 'trian' .did you mean 'trai"),
        ("config.train.num_epochs.x", "num_epochs: unknown 'x'; it can be nothing"),
    ],
)
def test_unknown_field_is_named(field, message, tmp_path):
    text = TEXT.replace('"name": "x"', '"train": {"num_epochs": 2}')
    config = load_config(write(tmp_path, text) + ":small")
    check_field(config, "config.train.num_epochs")
    with pytest.raises(UserError, match=message):
        check_field(config, field)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import nothing_of_the_kind\n", "line 1: ModuleNotFoundError: No module"),
        ("\ndef get_config(:\n", "line 2: SyntaxError"),
        ("def get_config():\n    return {'name': 3}\n", "ConfigDict, got dict"),
        ("def get_config():\n    return [][1]\n", "line 2: IndexError: list index"),
        ("def get_config():\n    raise SystemExit(1)\n", "line 2: SystemExit: 1"),
    ],
)
def test_faults_of_a_users_file_are_told_with_their_line(text, message, tmp_path):
    path = write(tmp_path, text)
    with pytest.raises(UserError, match=message) as caught:
        load_config(path)
    assert str(caught.value).count(path) == 1


def test_fields_are_changed_in_their_own_types(tmp_path):
    text = TEXT.replace('"name": "x"', '"name": "x", "model": {"size": 2, "on": True}')
    config = load_config(write(tmp_path, text) + ":small")
    changes = {"config.model.size": "3", "config.model.on": "False", "config.name": "4"}
    change_fields(config, changes)
    assert (config.model.size, config.model.on, config.name) == (3, False, "4")
    for name, value, message in [
        (
            "config.model.size",
            "many",
            "--config.model.size=many: expected a whole number",
        ),
        ("config.model.size", "(3,)", "expected a whole number"),
        ("config.model.on", "3", "--config.model.on=3: expected True or False"),
        ("config.model", "3", "--config.model=3: expected one of its fields"),
        ("config.model.sise", "3", "unknown 'sise' .did you mean 'size'"),
    ]:
        with pytest.raises(UserError, match=message):
            change_fields(config, {name: value})
    assert config.model.size == 3


def test_names_of_fields_may_be_those_of_methods(tmp_path):
    config = load_config("chord_lstm")
    changes = {"config.representation.keys": "false", "config.model.units": "64"}
    change_fields(config, changes | {"config.optimizer.learning_rate": "1"})
    assert config.representation["keys"] is False
    assert config.model.units == (64,)
    assert config.optimizer.learning_rate == 1.0


@pytest.mark.parametrize("name", ["bar_lstm:piano", "bar_lstm:folk", "chord_lstm"])
def test_a_models_experiment_is_found_again(name):
    config = ConfigDict(load_config(name).to_dict())
    config.train.batch_size = 3  # how it was trained does not count
    config.representation.tags = ("reel",)  # nor what was fitted
    del config.model.dropout  # nor what an older version did not know
    assert nearest_variant(config) == name
    config.name = "mine"
    assert nearest_variant(config) == "mine"


def test_seed_is_0_where_nothing_is_said():
    assert check_config({}, needed=()) == {"seed": 0}
    assert check_config({"seed": 3}, needed=()) == {"seed": 3}
    assert check_config({"seed": 2**31 - 1}, needed=()) == {"seed": 2**31 - 1}
    with pytest.raises(UserError, match="config.seed: expected"):
        check_config({"seed": 2**31}, needed=())


def test_names_of_experiments_are_texts():
    assert check_config({"name": "mine"}, needed=()) == {"seed": 0}
    with pytest.raises(UserError, match="config.name: expected"):
        check_config({"name": 3}, needed=())


def test_missing_file(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        load_config(str(tmp_path / "none.py"))
    (tmp_path / "experiment.txt").write_text("x")
    with pytest.raises(UserError, match="expected a Python file"):
        load_config(str(tmp_path / "experiment.txt"))
