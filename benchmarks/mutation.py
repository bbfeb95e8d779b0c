"""How many faults, put into the code one at a time, the fast tests catch.

    python -m pytest -p benchmarks.reach --reach=FILE
    python -m benchmarks.mutation --reach=FILE [--sample=300] [--seed=0]
        [--minutes=60] [--quick]

Draws places in equal parts of five kinds: an operator is turned (+ into -, < into <=),
a number of the code changed, a truth turned, a call left out, and a value of a config
doubled. Each fault is put into a copy of the repository, and the fast tests that reach
its line (`benchmarks.reach` records which do) run there, those of its module and the
quickest first, until one fails or sixty seconds of processor time are gone. Prints a
line for each fault, and `mutation.score`, the fraction of those that a test caught; a
test that fails without any fault, too, catches none. --quick draws 15; --minutes ends
earlier, after a part of the sample that is no less random.
"""

import ast
import collections
import contextlib
import dataclasses
import json
import os
import pathlib
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence

import pytest
import tensorflow  # noqa: F401  Once, for all tests: each fault has a fork of this.
from absl import app, flags

_REACH = flags.DEFINE_string("reach", None, "What `benchmarks.reach` wrote.")
_SAMPLE = flags.DEFINE_integer("sample", 300, "How many faults.", lower_bound=1)
_SEED = flags.DEFINE_integer("seed", 0, "Decides which.")
_QUICK = flags.DEFINE_bool("quick", False, "15 faults.")
_MINUTES = flags.DEFINE_float(
    "minutes", float("inf"), "No fault is begun later: a part of the sample is tried."
)

ROOT = pathlib.Path(__file__).parent.parent
FOLDERS = ("models", "generation", "networks", "data", "training")
_SECONDS = 60.0  # of processor time, for a fault
_TEST_SECONDS = 90.0  # likewise; a test that takes more hangs
_WALL_SECONDS = 1800  # so does one that takes so long, whatever else runs
# Which look at signatures and classes, and so reach no line.
_OF_FORM = ("tests/test_settings.py", "tests/test_forms.py")
_OPERATORS = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}


@dataclasses.dataclass(frozen=True)
class Fault:
    """A place in the code and what stands there instead.

    Attributes:
        kind: operator, constant, truth, call or config.
        path: Its file, from the root of the repository.
        lines: Where it is, from the first line to the last.
        old: What stands there.
        new: What is to stand there.
        code: The whole file with it.
    """

    kind: str
    path: str
    lines: range
    old: str
    new: str
    code: str

    def __str__(self):
        place = f"{self.path}:{self.lines[0]}"
        return f"{self.kind:8} {place}: {self.old} -> {self.new}"


def main(_: Sequence[str]) -> None:
    """Draws faults and tries them."""
    if not _REACH.value or not os.path.exists(_REACH.value):
        sys.exit(
            "error: expected --reach=FILE, which this writes: "
            "python -m pytest -p benchmarks.reach --reach=FILE"
        )
    reach = json.loads(pathlib.Path(_REACH.value).read_text())
    faults = draw(15 if _QUICK.value else _SAMPLE.value, random.Random(_SEED.value))
    killers = {}
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder) / "tfmusic"
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".*", "demo", "runs"))
        there = collect(copy, list(reach["seconds"]))
        if there is None:
            report = (copy / "report.txt").read_text()
            sys.exit(f"error: without any fault fails the {report}")
        begin = time.monotonic()
        for number, fault in enumerate(faults, 1):
            start = time.monotonic()
            if start > begin + 60 * _MINUTES.value:
                break
            tests = [test for test in tests_of(fault, reach) if _is_of(test, there)]
            killers[fault] = try_fault(copy, fault, tests)
            seconds = time.monotonic() - start
            words = killers[fault] or f"NOT CAUGHT of {len(tests)} tests"
            print(f"{number:4} {fault}  {words} ({seconds:.0f} s)", flush=True)
        suspects = sorted({test for test in killers.values() if "::" in str(test)})
        bad = {test for test in suspects if run_tests(copy, [test])}
    faults = list(killers)
    caught = [f for f, killer in killers.items() if killer and killer not in bad]
    if bad:
        print("these fail without any fault, too:", *sorted(bad), sep="\n  ")
    for kind in sorted({fault.kind for fault in faults}):
        of_kind = [fault for fault in faults if fault.kind == kind]
        num_caught = sum(fault in caught for fault in of_kind)
        print(f"{kind}: {num_caught} of {len(of_kind)} caught")
    print(f"mutation.score = {len(caught) / len(faults):.3f}")


def _is_of(test: str, names: set[str]) -> bool:
    """Whether a test, or a whole file of tests, is among some tests."""
    return test in names or "::" not in test


def draw(number: int, rng: random.Random) -> list[Fault]:
    """Faults in equal parts of each kind, at random places, in a random order."""
    by_kind = collections.defaultdict(list)
    paths = [p for f in FOLDERS for p in sorted((ROOT / "tfmusic" / f).glob("*.py"))]
    for path in [*paths, *sorted((ROOT / "configs").glob("*.py"))]:
        for place in places(path):
            by_kind[place[0]].append((path, *place[1:]))
    faults = []
    for i, kind in enumerate(sorted(by_kind)):
        share = (number + i) // len(by_kind)
        chosen = rng.sample(by_kind[kind], min(share, len(by_kind[kind])))
        faults += [_fault(kind, path, node, new) for path, node, new in chosen]
    rng.shuffle(faults)
    return faults


def places(path: pathlib.Path) -> Iterator[tuple[str, ast.expr | ast.stmt, str]]:
    """What may be changed in a file: the kind, the node and its new text."""
    tree = ast.parse(path.read_text())
    is_config = path.parent.name == "configs"
    types = _types(tree)
    # What is zipped is as long: this is for mistakes to come.
    strict = {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.keyword) and node.arg == "strict"
    }
    for node in ast.walk(tree):
        if node in types:
            continue
        if is_config:
            is_field = isinstance(node, ast.keyword) and node.arg
            if is_field and (new := _other(node.value, 2)) is not None:
                yield "config", node.value, new
        elif isinstance(node, ast.BinOp | ast.Compare | ast.BoolOp):
            if (new := _turned(node)) is not None:
                yield "operator", node, new
        elif isinstance(node, ast.Constant) and node not in strict:
            if (new := _other(node)) is not None:
                kind = "truth" if isinstance(node.value, bool) else "constant"
                yield kind, node, new
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            yield "call", node, "pass"


def _types(tree: ast.AST) -> set[ast.AST]:
    """What stands in annotations, which a fault of an operator makes no program."""
    whole = [
        getattr(node, name)
        for node in ast.walk(tree)
        for name in ("annotation", "returns")
        if getattr(node, name, None) is not None
    ]
    return {part for each in whole for part in ast.walk(each)}


def _turned(node: ast.BinOp | ast.Compare | ast.BoolOp) -> str | None:
    """An expression with another operator; None where no other is known."""
    if isinstance(node, ast.Compare):
        new = _OPERATORS.get(type(node.ops[0]))
        changed = new and ast.Compare(node.left, [new()], node.comparators)
        changed = changed if len(node.ops) == 1 else None
    else:
        new = _OPERATORS.get(type(node.op))
        fields = {name: getattr(node, name) for name in node._fields}
        changed = new and type(node)(**{**fields, "op": new()})
    return f"({ast.unparse(changed)})" if changed else None


def _other(node: ast.expr, times: int = 1) -> str | None:
    """Another value than a truth or a number; None for anything else.

    Args:
        node: The value.
        times: What a number is multiplied by; 1: it becomes the next one.
    """
    if not isinstance(node, ast.Constant):
        return None
    value = node.value
    if isinstance(value, bool):
        return str(not value)
    if isinstance(value, int):
        return str(value * times if value and times > 1 else value + 1)
    if isinstance(value, float):
        return str(value * max(times, 1.5) if value else 0.5)
    return None


def _fault(kind: str, path: pathlib.Path, node, new: str) -> Fault:
    """The fault of a place."""
    lines = path.read_bytes().splitlines(keepends=True)
    begin = sum(map(len, lines[: node.lineno - 1])) + node.col_offset
    end = sum(map(len, lines[: node.end_lineno - 1])) + node.end_col_offset
    code = b"".join(lines)
    old = " ".join(code[begin:end].decode().split())
    changed = code[:begin] + new.encode() + code[end:]
    relative = path.relative_to(ROOT).as_posix()
    span = range(node.lineno, node.end_lineno + 1)
    return Fault(kind, relative, span, old, new, changed.decode())


def tests_of(fault: Fault, reach: dict) -> list[str]:
    """The tests to run for a fault, in their order.

    What a module or class does when it is imported belongs to all of its functions.
    Where no test reaches a line, those are taken that reach its function or class.
    """
    lines = {int(n): tests for n, tests in reach["lines"].get(fault.path, {}).items()}
    names = list(reach["seconds"])
    tree = ast.parse((ROOT / fault.path).read_text())
    kinds = (ast.FunctionDef, ast.ClassDef)
    around = [
        node
        for node in ast.walk(tree)
        if isinstance(node, kinds) and node.lineno <= fault.lines[0] <= node.end_lineno
    ]
    inner = around[-1] if around else None
    is_function = isinstance(inner, ast.FunctionDef)
    is_called = is_function and fault.lines[0] >= inner.body[0].lineno
    spans = [fault.lines] if is_called or fault.kind == "config" else []
    spans += map(_lines_of_functions, [*reversed(around), tree])
    found = set()
    for span in spans:
        found = {names[i] for line in span for i in lines.get(line, ())}
        if found:
            break
    stem = pathlib.Path(fault.path).stem.removesuffix("s")
    own = {test for test in names if stem in test.partition("::")[0]}
    # Tests that do all in a process of their own reach nothing.
    reaching = {i for of in reach["lines"].values() for t in of.values() for i in t}
    found |= own - {names[i] for i in reaching}

    def cost(test: str) -> tuple[bool, float, str]:
        return test not in own, reach["seconds"][test], test

    return [*(() if is_called else _OF_FORM), *sorted(found, key=cost)]


def _lines_of_functions(whole: ast.AST) -> list[int]:
    """The lines in the bodies of functions: the others are run at import."""
    return [
        line
        for node in ast.walk(whole)
        if isinstance(node, ast.FunctionDef)
        for line in range(node.body[0].lineno, node.end_lineno + 1)
    ]


def try_fault(copy: pathlib.Path, fault: Fault, tests: Sequence[str]) -> str | None:
    """The first of some tests that fails with the fault in a copy; None: all pass."""
    path = copy / fault.path
    good = path.read_text()
    path.write_text(fault.code)
    try:
        return run_tests(copy, tests) if tests else None
    finally:
        path.write_text(good)


def run_tests(copy: pathlib.Path, tests: Sequence[str]) -> str | None:
    """Runs tests of a copy; the name of the first that fails or hangs."""
    report = copy / "report.txt"
    status = _status(copy, tests, report)
    if status == 4:  # tests have other names now, or no test can be imported
        there = collect(copy, tests)
        if there is None:
            return "collection"
        left = [test for test in tests if test in there]
        status = _status(copy, left, report) if left else 0
    return report.read_text() if status else None


def collect(copy: pathlib.Path, tests: Sequence[str]) -> set[str] | None:
    """The names of all tests in the files of some; None: one cannot be imported."""
    report = copy / "report.txt"
    files = sorted({test.partition("::")[0] for test in tests})
    files = [file for file in files if (copy / file).exists()]
    status = _status(copy, ["--collect-only", *files], report)
    return None if status else set(report.read_text().splitlines())


def _status(copy: pathlib.Path, arguments: Sequence[str], report: pathlib.Path) -> int:
    """Calls pytest in a fork of this process; its exit status."""
    report.write_text("")
    child = os.fork()
    if not child:
        _run_in_child(copy, arguments, report)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # what tests have started and left
    return status


def _run_in_child(copy: pathlib.Path, arguments: Sequence[str], report: pathlib.Path):
    """Runs tests, quietly, and ends this process."""
    status = 1
    try:
        os.setsid()
        with open(os.devnull, "w") as nothing:
            os.dup2(nothing.fileno(), 1)
            os.dup2(nothing.fileno(), 2)
        os.chdir(copy)
        for flag in (_REACH, _SAMPLE, _SEED, _QUICK, _MINUTES):
            delattr(flags.FLAGS, flag.name)  # tests import programs with flags
        sys.path[:] = [p for p in sys.path if p and pathlib.Path(p) != ROOT]
        command = ["-x", "-q", "-p", "no:cacheprovider", *arguments]
        status = pytest.main(command, plugins=[_Report(report)])
    finally:
        os._exit(status)


class _Report:
    """Writes which test runs, begins none too late, and ends what takes too long."""

    def __init__(self, path: pathlib.Path):
        self._path = path

    def pytest_runtest_logstart(self, nodeid):
        if sum(os.times()[:4]) > _SECONDS:
            pytest.exit("no time is left", 0)
        self._path.write_text(nodeid)
        signal.setitimer(signal.ITIMER_PROF, _TEST_SECONDS)
        signal.alarm(_WALL_SECONDS)

    def pytest_collectreport(self, report):
        if report.failed:
            self._path.write_text(f"collection of {report.nodeid}")

    def pytest_collection_finish(self, session):
        if session.config.option.collectonly:
            self._path.write_text("\n".join(item.nodeid for item in session.items))


if __name__ == "__main__":
    app.run(main)
