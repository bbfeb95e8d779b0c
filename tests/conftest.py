import pathlib
import signal

import keras
import pytest

import tfmusic.notes  # noqa: F401  Tests then import parts of note_seq without the rest.

# Shells start what is in the background with Ctrl-C ignored, which processes inherit;
# some tests send it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared_data() -> pathlib.Path:
    """Real music beside the checkout; not part of the package."""
    path = pathlib.Path(__file__).resolve().parents[2] / "shared" / "data"
    if not path.is_dir():
        pytest.skip(f"real music is not there: {path}")
    return path


@pytest.fixture
def mixed_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield
    keras.config.set_dtype_policy("float32")
