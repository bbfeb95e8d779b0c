import keras
import numpy as np
import pytest

from tfmusic.errors import UserError
from tfmusic.training.optimizers import Schedule, make_optimizer

SECTION = {
    "name": "adam",
    "learning_rate": 0.01,
    "schedule": "constant",
    "warmup_steps": 0,
    "decay_rate": 1.0,
    "decay_epochs": 0,
    "clip_norm": 0.0,
    "clip_value": 0.0,
    "weight_decay": 0.0,
    "options": {},
}


def rates(steps, **changes):
    optimizer = make_optimizer(SECTION | changes, steps_per_epoch=10, num_epochs=6)
    optimizer.build([keras.Variable(np.zeros(1, "float32"))])
    found = []
    for step in steps:
        optimizer.iterations.assign(step)
        found.append(float(optimizer.learning_rate))
    return found


def test_step_schedule_is_applied_at_each_boundary():
    found = rates([0, 29, 30, 59, 60], schedule="step", decay_rate=0.25, decay_epochs=3)
    np.testing.assert_allclose(found, [0.01, 0.01, 0.0025, 0.0025, 0.000625], rtol=1e-5)


def test_cosine_schedule_ends_at_zero_with_the_run():
    found = rates([0, 30, 60, 70], schedule="cosine")
    np.testing.assert_allclose(found, [0.01, 0.005, 0.0, 0.0], atol=1e-8)


def test_cosine_schedule_ends_with_the_run_after_a_warmup_too():
    found = rates([9, 10, 35, 60], schedule="cosine", warmup_steps=10)
    np.testing.assert_allclose(found, [0.01, 0.01, 0.005, 0.0], atol=1e-8)


def test_exponential_schedule_falls_smoothly():
    found = rates([0, 15, 30], schedule="exponential", decay_rate=0.25, decay_epochs=3)
    np.testing.assert_allclose(found, [0.01, 0.005, 0.0025], rtol=1e-5)


def test_warmup_rises_linearly_to_the_full_rate():
    found = rates([0, 4, 9, 10, 50], warmup_steps=10)
    np.testing.assert_allclose(found, [0.001, 0.005, 0.01, 0.01, 0.01], rtol=1e-5)


def test_schedule_survives_serialization():
    schedule = Schedule("cosine", 0.01, 5, 0.5, 100)
    copy = Schedule.from_config(schedule.get_config())
    assert float(copy(70)) == float(schedule(70))


def test_settings_reach_the_optimizer():
    optimizer = make_optimizer(
        SECTION | {"name": "rmsprop", "clip_norm": 2.0, "options": {"momentum": 0.9}},
        steps_per_epoch=1,
        num_epochs=1,
    )
    assert isinstance(optimizer, keras.optimizers.RMSprop)
    assert optimizer.global_clipnorm == 2.0
    assert optimizer.momentum == 0.9
    adamw = make_optimizer(SECTION | {"name": "adamw"}, steps_per_epoch=1, num_epochs=1)
    assert not adamw.weight_decay, "0: none, and not what Keras takes by itself"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "adma"}, "did you mean 'adam'"),
        ({"schedule": "cosin"}, "did you mean 'cosine'"),
        ({"options": {"momentun": 0.9}, "name": "sgd"}, "did you mean 'momentum'"),
        ({"options": {"learning_rate": 1.0}}, "unknown 'learning_rate'"),
        ({"clip_norm": 1.0, "clip_value": 1.0}, "[Oo]nly one of"),
    ],
)
def test_misspelt_setting_is_named_with_the_closest_match(changes, message):
    with pytest.raises(UserError, match=message):
        make_optimizer(SECTION | changes, steps_per_epoch=1, num_epochs=1)


def test_steps_are_as_large_as_the_schedule_says():
    # One published system computes a schedule and never applies it.
    section = SECTION | {"name": "sgd", "schedule": "step", "decay_rate": 0.25}
    optimizer = make_optimizer(section | {"decay_epochs": 1}, 2, 3)
    variable = keras.Variable(np.zeros(1, "float32"))
    places = [0.0]
    for _ in range(6):
        optimizer.apply([np.ones(1, "float32")], [variable])
        places.append(float(variable[0]))
    expected = [0.01, 0.01, 0.0025, 0.0025, 0.000625, 0.000625]
    np.testing.assert_allclose(-np.diff(places), expected, rtol=1e-4)
