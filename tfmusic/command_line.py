"""How every command line starts, and how it ends when the user made a mistake."""

import sys
from collections.abc import Callable

from absl import app, flags

from tfmusic.errors import UserError


def run(main: Callable[[list[str]], None], extra: str = "") -> None:
    """Runs `main` with absl; exits 2 with one line on a user's mistake, 1 on a fault.

    Args:
        main: Gets the arguments that are no flags (and, with `extra`, the flags that
            are not absl's).
        extra: What flags unknown to absl mean to this command; empty where there are
            none and an unknown flag is a mistake.
    """

    def parse(argv: list[str]) -> list[str]:
        try:
            return flags.FLAGS(argv, known_only=bool(extra))
        except (flags.Error, UserError) as error:
            fail(error)
        # A config file reports a misspelt field in its own way.
        except (AttributeError, KeyError, TypeError, FileNotFoundError) as error:
            fail(error)

    def guarded(argv: list[str]) -> None:
        try:
            main(argv[1:])
        except UserError as error:
            fail(error)

    app.run(guarded, flags_parser=parse)


def fail(error: Exception) -> None:
    """Ends the program with status 2 and the error on one line of standard error."""
    line = " ".join(str(error).split())
    sys.stderr.write(f"error: {line}\n")
    sys.exit(2)
