"""The errors that a user can mend: bad input, a misspelt setting, a missing file.

Everything else that goes wrong is a fault of the program and keeps its traceback.
"""

import difflib
import re
from collections.abc import Iterable, Mapping

_OPERATION = re.compile(r"^\{\{function_node .*?\}\} ")


class UserError(ValueError):
    """A mistake that the user can mend; its text is one line that says how.

    Command lines print it without a traceback and exit with status 2.
    """


class WriteError(UserError):
    """Something cannot be written now; what was written before is good to resume."""


class DropError(UserError):
    """One piece cannot be used; jobs count these by `reason` and go on.

    Attributes:
        reason: A short stable slug such as `"too_many_notes"`, for counting.
        detail: What was expected, what was found and what to do, as one line.
        measured: What was found, where it is a number that is held against a limit.
    """

    def __init__(self, reason: str, detail: str, measured: float | None = None):
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.measured = measured

    def __reduce__(self):
        return type(self), (self.reason, self.detail, self.measured)


# What values are, for messages.
KINDS = {
    bool: "True or False",
    int: "a whole number",
    float: "a number",
    str: "text",
    tuple: "a list of numbers",
    Mapping: "named values",
}


def choose(what: str, name: str, choices: Iterable[str]) -> str:
    """Gives back `name` if it is one of the choices.

    Args:
        what: The setting or flag that was set, for the message.
        name: Its value.
        choices: The values that it may have.

    Raises:
        UserError: It is none; names the closest one and lists them all.
    """
    choices = sorted(choices)
    if name in choices:
        return name
    close = closest(name, choices)
    hint = f" (did you mean {close!r}?)" if close else ""
    raise UserError(
        f"{what}: unknown {name!r}{hint}; it can be {', '.join(choices) or 'nothing'}"
    )


def closest(name: str, choices: Iterable[str]) -> str | None:
    """The choice that a misspelt or shortened name most likely means, if any."""
    name, choices = str(name).lower(), sorted(choices)
    lowered = {choice.lower(): choice for choice in reversed(choices)}
    close = difflib.get_close_matches(name, lowered, n=1)
    if not close and len(name) > 2:
        close = [choice for choice in lowered if choice.startswith(name)][-1:]
    return lowered[close[0]] if close else None


def first_line(error: Exception) -> str:
    """What went wrong, without the stack that TensorFlow adds."""
    text = getattr(error, "message", None) or getattr(error, "strerror", None)
    # Which operation it was, in two hundred letters, comes first otherwise.
    text = _OPERATION.sub("", (text or str(error)).strip())
    return text.splitlines()[0][:200] if text else type(error).__name__
