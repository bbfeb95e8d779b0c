"""SIGTERM and Ctrl-C: a run saves before it leaves."""

import os
import signal
import threading

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(SystemExit):
    """A run was told to stop and has saved; ends the program with 128 + the signal."""

    def __init__(self, number: int):
        super().__init__(128 + number)
        self.signal_name = signal.Signals(number).name


class StopSignals:
    """Context that keeps a signal until the run can save.

    Outside `deferred` there is nothing to save and the first signal ends the program at
    once; a second one does so anywhere.

    Attributes:
        received: The signal that came; 0 before that.
        deferred: Whether the run looks at `received` itself.
    """

    def __init__(self):
        self.received = 0
        self.deferred = False
        self._old = {}

    def __enter__(self) -> "StopSignals":
        if threading.current_thread() is threading.main_thread():
            self._old = {number: signal.getsignal(number) for number in SIGNALS}
            for number in SIGNALS:
                signal.signal(number, self._receive)
        return self

    def __exit__(self, *exception) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)

    def _receive(self, number, frame) -> None:
        del frame
        if self.received:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        self.received = number
        if not self.deferred:
            raise Stopped(number)
