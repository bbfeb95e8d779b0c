import pytest
import tensorflow as tf

from tests.experiments import tiny_config, write_tiny_data
from tfmusic.training.setup import train_and_evaluate

# Two devices to distribute over, before TensorFlow does anything; what says nothing of
# devices runs on the first.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration()] * 2,
)


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory):
    return write_tiny_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session")
def whole_run(tmp_path_factory, tiny_data):
    """The directory of `tiny_config`'s run, undisturbed."""
    workdir = str(tmp_path_factory.mktemp("run") / "whole")
    train_and_evaluate(tiny_config(), tiny_data, workdir)
    return workdir
