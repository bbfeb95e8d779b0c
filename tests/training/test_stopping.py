import os
import signal
import subprocess
import sys

import pytest

from tfmusic.training.stopping import SIGNALS, Stopped, StopSignals

TWO_SIGNALS = """
import os, signal
from tfmusic.training.stopping import StopSignals
with StopSignals() as signals:
    signals.deferred = True
    os.kill(os.getpid(), signal.SIGTERM)
    print(signals.received, flush=True)
    os.kill(os.getpid(), signal.SIGTERM)
    print("still there", flush=True)
"""


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_what_has_nothing_to_save_at_once(number):
    with pytest.raises(Stopped) as stopped, StopSignals():
        os.kill(os.getpid(), number)
    assert stopped.value.code == 128 + number
    assert stopped.value.signal_name == signal.Signals(number).name


def test_a_run_that_can_save_is_told_and_goes_on():
    before = signal.getsignal(signal.SIGTERM)
    with StopSignals() as signals:
        signals.deferred = True
        assert not signals.received
        os.kill(os.getpid(), signal.SIGTERM)
        assert signals.received == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_second_signal_ends_a_run_that_is_still_saving():
    done = subprocess.run(
        [sys.executable, "-c", TWO_SIGNALS], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (-signal.SIGTERM, "15\n")
    assert not done.stderr
