"""Runs the attack and prints its table; ends with status 1 if anything failed."""

import argparse
import importlib
import math
import os
import sys
import time

KINDS = (
    "files",
    "archives",
    "command_lines",
    "api_calls",
    "artefacts",
    "export_requests",
    "server_requests",
    "kills",
)


def parse(argv: list[str]) -> argparse.Namespace:
    """What a command line asks for; no kinds mean all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", choices=[*KINDS, []], default=[])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="a part of the names of cases")
    parser.add_argument("--every", type=int, default=1, help="one case of so many")
    parser.add_argument(
        "--minutes",
        type=float,
        default=math.inf,
        help="how long it may take; each kind gets a part, and tries some of its cases",
    )
    parser.add_argument("--all", action="store_true", help="show every case")
    arguments = parser.parse_args(argv)
    arguments.kinds = arguments.kinds or KINDS
    return arguments


def main() -> None:
    """As the module says."""
    arguments = parse(sys.argv[1:])
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

    from tests.attack import runner

    def report(outcome: runner.Outcome) -> None:
        if runner.failed(outcome) or arguments.all:
            sys.stdout.write(
                f"{outcome.ending}: {outcome.case} ({outcome.seconds} s): "
                f"{outcome.detail}\n"
            )
            sys.stdout.flush()

    until = time.monotonic() + 60 * arguments.minutes
    choose = runner.Choose(arguments.only, arguments.every, arguments.seed, until)
    found = {}
    for number, kind in enumerate(arguments.kinds):
        module = importlib.import_module(f"tests.attack.{kind}")
        part = choose.part(len(arguments.kinds) - number)
        found[kind] = module.run(arguments.seed, part, report)
    sys.stdout.write(runner.table(found) + "\n")
    sys.exit(any(runner.failed(o) for outcomes in found.values() for o in outcomes))


if __name__ == "__main__":
    main()
