"""How every command line starts, and how it ends when the user made a mistake."""

import os
import signal
import sys
import traceback
from collections.abc import Callable

from absl import app, flags, logging

from tfmusic.config import check_fields
from tfmusic.errors import UserError


def run(main: Callable[[], None], takes_extra_flags: bool = False) -> None:
    """Parses the flags and runs `main`.

    The program ends with status 2 and one line on a user's mistake, and with status 1
    and a traceback on a fault.

    Args:
        main: The command.
        takes_extra_flags: Whether flags that are not defined are kept for
            `extra_flags` instead of refused.
    """

    def parse(argv: list[str]) -> list[str]:
        try:
            return flags.FLAGS(argv, known_only=takes_extra_flags)
        # Config files report a misspelt field or a missing file each in their own way.
        except (
            flags.Error,
            UserError,
            AttributeError,
            FileNotFoundError,
            KeyError,
            TypeError,
            ValueError,
        ) as error:
            fail(_clearer(error, argv))

    def guarded(argv: list[str]) -> None:
        _rest[:] = argv[1:]
        if _rest and not takes_extra_flags:
            fail(UserError(f"unexpected argument {_rest[0]!r}; flags are --NAME=VALUE"))
        try:
            main()
        except UserError as error:
            fail(error)
        except KeyboardInterrupt:
            sys.stderr.write("stopped by Ctrl-C\n")
            sys.exit(128 + signal.SIGINT)

    # TensorFlow's own start-up messages, a page of them, are no news to the user.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.set_verbosity(logging.INFO)
    logging.get_absl_handler().addFilter(lambda r: r.module not in _CHATTER)
    try:
        app.run(guarded, flags_parser=parse)
    except SystemExit as end:
        _leave(end.code)
        raise
    except BaseException:
        if _cannot_exit():
            traceback.print_exc()
            _leave(1)
        raise


# Modules of TensorFlow that report the details of each checkpoint, SavedModel and sum
# over devices, and one of matplotlib that tells of its cache.
_CHATTER = (
    "builder_impl",
    "collective_all_reduce_strategy",
    "cross_device_ops",
    "fingerprinting_utils",
    "font_manager",
    "functional_saver",
    "mirrored_strategy",
    "signature_serialization",
)
_rest: list[str] = []


def extra_flags() -> dict[str, str]:
    """The flags that are not defined, by name; all have the form `--NAME=VALUE`.

    Raises:
        UserError: An argument of another form.
    """
    found = {}
    for argument in _rest:
        name, equals, value = argument.partition("=")
        if not (name.startswith("--") and equals):
            raise UserError(f"unexpected argument {argument!r}; flags are --NAME=VALUE")
        found[name.removeprefix("--")] = value
    return found


def _clearer(error: Exception, argv: list[str]) -> Exception:
    """Where a field of a config is misspelt, an error that says which and where."""
    try:
        check_fields(argv)
    except (flags.Error, AttributeError, KeyError, TypeError, ValueError) as clearer:
        return clearer
    return error


def _cannot_exit() -> bool:
    """Whether the interpreter would abort: the S3 client of tensorflow-io does so."""
    return "tensorflow_io" in sys.modules


def _leave(status: int | str | None) -> None:
    """Ends the program here and now if it could not end otherwise."""
    if _cannot_exit():
        logging.flush()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status if isinstance(status, int) else int(status is not None))


def fail(error: Exception) -> None:
    """Ends the program with status 2 and the error on one line of standard error."""
    # A KeyError shows its text quoted; a config file that raises comes as a traceback
    # whose last line is the error.
    text = str(error.args[0]) if error.args else str(error)
    if "Traceback (most recent call last)" in text:
        text = text.strip().splitlines()[-1].partition(": ")[2]
    line = " ".join(text.split())
    sys.stderr.write(f"error: {line}\n")
    sys.exit(2)
