import pytest

from tests.experiments import tiny_config, write_tiny_data
from tfmusic.serving.saved_model import export_run
from tfmusic.training.setup import train_and_evaluate


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory):
    """The directories of a dataset and of a run on it."""
    folder = tmp_path_factory.mktemp("serving")
    data_dir = write_tiny_data(folder / "data")
    workdir = str(folder / "run")
    train_and_evaluate(tiny_config(num_epochs=1), data_dir, workdir)
    return data_dir, workdir


@pytest.fixture(scope="session")
def tiny_export(tmp_path_factory, tiny_run):
    """The directory of an exported model."""
    path = str(tmp_path_factory.mktemp("export"))
    export_run(tiny_run[1], path)
    return path
