"""How every command line starts, and how it ends when the user made a mistake."""

import contextlib
import difflib
import logging as python_logging
import math
import os
import re
import signal
import sys
import textwrap
import traceback
from collections.abc import Callable, Iterator
from logging import LogRecord

from absl import app, flags, logging

from tfmusic.errors import UserError, closest
from tfmusic.files import disk_error, is_disk_trouble

HELP_FLAGS = ("--help", "-help", "-h", "--helpshort", "--helpfull", "help")


def run(
    main: Callable[[], None],
    takes_extra_flags: bool = False,
    takes_arguments: bool = False,
    only_prints: bool = False,
) -> None:
    """Parses the flags and runs `main`.

    The program ends with status 2 and one line on a user's mistake, and with status 1
    and a traceback on a fault.

    Args:
        main: The command.
        takes_extra_flags: Whether flags that are not defined are kept for
            `extra_flags` instead of refused.
        takes_arguments: Whether arguments that are no flags are kept for `arguments`.
        only_prints: Whether nothing is lost where `| head` reads a part of the output.
    """

    def parse(argv: list[str]) -> list[str]:
        try:
            rest = flags.FLAGS(argv, known_only=takes_extra_flags)
            _check_values()
            return rest
        except (flags.Error, UserError) as error:
            fail(_clearer(error, argv))

    def guarded(argv: list[str]) -> None:
        _rest[:] = argv[1:]
        if _rest and not (takes_extra_flags or takes_arguments):
            fail(UserError(f"unexpected argument {_rest[0]!r}; flags are --NAME=VALUE"))
        with ends_well(only_prints):
            main()

    if any(argument in HELP_FLAGS[:-1] for argument in sys.argv[1:]):
        with ends_well(only_prints=True):
            sys.stdout.write(usage())
        return
    logging.set_verbosity(logging.INFO)
    logging.get_absl_handler().addFilter(is_no_chatter)
    logging.get_absl_handler().setFormatter(_PlainFormatter("%(asctime)s", "%H:%M:%S"))
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


class Terminated(KeyboardInterrupt):
    """SIGTERM came; whoever minds Ctrl-C minds it too."""


def take_sigterm() -> None:
    """Lets SIGTERM end the command as Ctrl-C does: in one line, with no leftovers."""

    def stop(*_) -> None:
        raise Terminated

    signal.signal(signal.SIGTERM, stop)


@contextlib.contextmanager
def ends_well(only_prints: bool = False) -> Iterator[None]:
    """Ends the program in one line on a user's mistake and Ctrl-C.

    Args:
        only_prints: Whether all is well where `| head` reads a part of the output.
    """
    try:
        yield
        sys.stdout.flush()
    except UserError as error:
        fail(error)
    except Terminated:
        sys.stderr.write("stopped by SIGTERM\n")
        sys.exit(128 + signal.SIGTERM)
    except KeyboardInterrupt:
        sys.stderr.write("stopped by Ctrl-C\n")
        sys.exit(128 + signal.SIGINT)
    except BrokenPipeError:  # who reads has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not only_prints:
            sys.stderr.write(
                "error: stopped, for nothing reads the output any more; the same "
                "command resumes\n"
            )
        sys.exit(int(not only_prints))
    except Exception as error:
        if not is_disk_trouble(error):
            raise
        fail(disk_error(error))


def usage() -> str:
    """The help of the running command: what it does, and its flags."""
    module = sys.modules["__main__"]
    path = os.path.splitext(sys.argv[0])[0].removesuffix(os.sep + "__main__")
    name = os.path.basename(path)
    name = name.removeprefix("list_")  # `models` is also the name of a package
    defined = [flag for flag in _own_flags() if flag.name not in ("help", "helpfull")]
    needed = [flag for flag in defined if _is_required(flag)]
    lines = [f"usage: tfmusic {name} " + " ".join(f"--{f.name}=..." for f in needed)]
    lines += ["", (module.__doc__ or "").strip(), ""]
    for title, group in (
        ("required:", needed),
        ("optional:", [flag for flag in defined if flag not in needed]),
    ):
        if group:
            lines += [title, *map(_describe, group), ""]
    return "\n".join(lines)


def flag_names() -> list[str]:
    """The flags that the running command defines."""
    hidden = ("help", "helpfull", "helpshort", "helpxml")
    return sorted(flag.name for flag in _own_flags() if flag.name not in hidden)


def _own_flags() -> list[flags.Flag]:
    """The flags that the running command defines."""
    return flags.FLAGS.get_key_flags_for_module(sys.argv[0])


def _check_values() -> None:
    """Refuses flags without a value, as an unset variable of a shell leaves them.

    And numbers that are none, or more than any program can hold.

    Raises:
        UserError: There is one.
    """
    for flag in _own_flags():
        if isinstance(flag.value, float) and not math.isfinite(flag.value):
            raise UserError(
                f"--{flag.name}: expected a finite number, got {flag.value}"
            )
        if isinstance(flag.value, int) and not -(2**63) <= flag.value < 2**63:
            raise UserError(
                f"--{flag.name}: expected a whole number of at most {2**63 - 1:,}, got "
                f"{flag.value}"
            )
        if flag.present and flag.value == "":
            raise UserError(
                f"--{flag.name}=: expected a value, got none; leave the flag out"
            )


def check_ending(flag: flags.FlagHolder, *endings: str) -> None:
    """Refuses a file to write whose name says that it is something else.

    Raises:
        UserError: It ends in none of the endings.
    """
    if flag.value and not flag.value.lower().endswith(endings):
        raise UserError(
            f"--{flag.name}={flag.value}: expected a name that ends in "
            f"{' or '.join(endings)}"
        )


def _describe(flag: flags.Flag) -> str:
    """A flag and its help, in lines of at most 79 characters."""
    label = f"--[no]{flag.name}" if flag.boolean else f"--{flag.name}=..."
    text = " ".join(flag.help.split())
    # What absl adds: of a list of choices, and of flags that can be repeated.
    text = re.sub(r"^<[^>]*>: |;?\s*repeat this option .*$", "", text)
    choices = getattr(flag.parser, "enum_values", None)
    if choices:
        text = f"{text} One of {', '.join(choices)}."
    if flag.default not in (None, "", [], False) and not flag.boolean:
        text = f"{text} [{flag.default_as_str.strip(chr(39))}]"
    if flag.boolean and flag.default:
        text = f"{text} [on]"
    indent = " " * 26
    filled = textwrap.fill(text, 79, initial_indent=indent, subsequent_indent=indent)
    label = f"  {label}"
    if len(label) < 25:
        return label.ljust(26) + filled.lstrip()
    return f"{label}\n{filled}"


def _is_required(flag: flags.Flag) -> bool:
    """Whether the command refuses to run without the flag."""
    words = "must have a value other than None"
    return any(words in validator.message for validator in flag.validators)


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


def is_no_chatter(record: LogRecord) -> bool:
    """Whether a line of the log is for a user to read."""
    return record.module not in _CHATTER


_rest: list[str] = []


class _PlainFormatter(python_logging.Formatter):
    """The time and the message; the level where something is wrong."""

    def format(self, record: python_logging.LogRecord) -> str:
        is_wrong = record.levelno >= python_logging.WARNING
        level = f"{record.levelname.lower()}: " if is_wrong else ""
        return f"{super().format(record)} {level}{record.getMessage()}"


def arguments() -> list[str]:
    """The arguments of the command line that are no flags."""
    return list(_rest)


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


def config_changes() -> dict[str, str]:
    """Those of `extra_flags` that change an experiment's fields, by `config.FIELD`.

    Raises:
        UserError: There are others.
    """
    found = extra_flags()
    for name in found:
        if not name.startswith("config."):
            close = closest(name, flag_names())
            hint = f"; did you mean --{close}?" if close else ""
            raise UserError(f"unknown flag --{name}{hint}")
    return found


def _clearer(error: Exception, argv: list[str]) -> Exception:
    """Where a name is misspelt or missing, an error that says which and where."""
    given = [a.partition("=")[0].lstrip("-") for a in argv[1:] if a.startswith("-")]
    needed = [flag.name for flag in _own_flags() if _is_required(flag)]
    if missing := [name for name in needed if name not in given]:
        unknown = [name for name in given if name not in flags.FLAGS]
        close = difflib.get_close_matches(missing[0], unknown, n=1)
        hint = f"; is --{close[0]} meant to be it?" if close else ""
        names = " and ".join(f"--{name}=..." for name in missing)
        return UserError(f"expected {names}{hint}")
    return _in_words(error)


def _in_words(error: Exception) -> Exception:
    """An error of a flag's value without Python's own words for it."""
    if not isinstance(error, flags.IllegalFlagValueError):
        return error
    text = str(error)
    for pattern, words in _PYTHONS_WORDS.items():
        text = re.sub(pattern, words, text)
    return UserError(text)


# Of numbers that cannot be read, and what to say instead.
_PYTHONS_WORDS = {
    r"invalid literal for int\(\) with base 10: ": "expected a whole number, got ",
    "could not convert string to float: ": "expected a number, got ",
}


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


def say_meanwhile(text: str) -> None:
    """Writes a line for who waits; it is no part of what the command gives out."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def fail(error: Exception) -> None:
    """Ends the program with status 2 and the error on one line of standard error."""
    line = " ".join(str(error).split())
    sys.stderr.write(f"error: {line}\n")
    sys.exit(2)
