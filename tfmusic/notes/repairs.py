"""What readers changed of a file, repaired or left out, counted by plain words.

A reader calls `count` where it does so; whoever wants to know reads within `counted`.
"""

import collections
import contextlib
import contextvars
from collections.abc import Iterator

_counter = contextvars.ContextVar("_counter", default=None)


@contextlib.contextmanager
def counted() -> Iterator[collections.Counter]:
    """Within this, repairs are counted; gives the counter.

    Example:
        with repairs.counted() as found:
            sequence = read_file("x.mid")
        print(found)  # Counter({"notes without an end": 2})
    """
    counter = collections.Counter()
    token = _counter.set(counter)
    try:
        yield counter
    finally:
        _counter.reset(token)


def count(what: str, number: int = 1) -> None:
    """Counts repairs of one kind, in plain words: "notes without an end"."""
    counter = _counter.get()
    if counter is not None and number:
        counter[what] += number
