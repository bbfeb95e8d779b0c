"""The errors that a user can mend: bad input, a misspelt setting, a missing file.

Everything else that goes wrong is a fault of the program and keeps its traceback.
"""


class UserError(ValueError):
    """A mistake that the user can mend; its text is one line that says how.

    Command lines print it without a traceback and exit with status 2.
    """


class DropError(UserError):
    """One piece cannot be used; jobs count these by `reason` and go on.

    Attributes:
        reason: A short stable slug such as `"too_many_notes"`, for counting.
        detail: What was expected, what was found and what to do, as one line.
    """

    def __init__(self, reason: str, detail: str):
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail

    def __reduce__(self):
        return type(self), (self.reason, self.detail)
