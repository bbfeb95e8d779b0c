"""How many faults, put into the code one at a time, the fast tests catch.

    python -m benchmarks.mutation [--sample=300] [--seed=0] [--quick]

Draws places in equal parts of five kinds: an operator is turned (+ into -, < into <=),
a number of the code changed, a truth turned, a call left out, and a value of a config
doubled. Each fault is put into a copy of the repository, and the tests of its module
are run there, then those of its folder, until one fails. Prints a line for each, and
`mutation.score`, the fraction of those that a test caught. Tests that have not ended
after half an hour have failed, too. 300 faults take hours; --quick draws 15.
"""

import ast
import collections
import dataclasses
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence

from absl import app, flags

_SAMPLE = flags.DEFINE_integer("sample", 300, "How many faults.", lower_bound=1)
_SEED = flags.DEFINE_integer("seed", 0, "Decides which.")
_QUICK = flags.DEFINE_bool("quick", False, "15 faults.")

ROOT = pathlib.Path(__file__).parent.parent
FOLDERS = ("models", "generation", "networks", "data", "training")
_SECONDS = 1800
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
        line: Where it is.
        old: What stands there.
        new: What is to stand there.
        code: The whole file with it.
    """

    kind: str
    path: str
    line: int
    old: str
    new: str
    code: str

    def __str__(self):
        return f"{self.kind:8} {self.path}:{self.line}: {self.old} -> {self.new}"


def main(_: Sequence[str]) -> None:
    """Draws faults and tries them."""
    faults = draw(15 if _QUICK.value else _SAMPLE.value, random.Random(_SEED.value))
    caught = collections.Counter()
    total = collections.Counter(fault.kind for fault in faults)
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder) / "tfmusic"
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".*", "demo", "runs"))
        for number, fault in enumerate(faults, 1):
            is_caught = try_fault(copy, fault)
            caught[fault.kind] += is_caught
            words = "caught" if is_caught else "NOT CAUGHT"
            print(f"{number:4} {words:10} {fault}", flush=True)
    for kind in sorted(total):
        print(f"{kind}: {caught[kind]} of {total[kind]} caught")
    print(f"mutation.score = {caught.total() / total.total():.3f}")


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
    for node in ast.walk(tree):
        if is_config:
            is_field = isinstance(node, ast.keyword) and node.arg
            if is_field and (new := _other(node.value, 2)) is not None:
                yield "config", node.value, new
        elif isinstance(node, ast.BinOp | ast.Compare | ast.BoolOp):
            if (new := _turned(node)) is not None:
                yield "operator", node, new
        elif isinstance(node, ast.Constant):
            if (new := _other(node)) is not None:
                kind = "truth" if isinstance(node.value, bool) else "constant"
                yield kind, node, new
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            yield "call", node, "pass"


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
    return Fault(kind, relative, node.lineno, old, new, changed.decode())


def try_fault(copy: pathlib.Path, fault: Fault) -> bool:
    """Whether a test fails with the fault in a copy of the repository."""
    path = copy / fault.path
    good = path.read_text()
    path.write_text(fault.code)
    try:
        return any(_fails(copy, tests) for tests in _tests(fault.path))
    finally:
        path.write_text(good)


def _tests(path: str) -> Iterator[list[str]]:
    """The tests of a module, then others that train and play with it."""
    module = pathlib.Path(path)
    if module.parent.name == "configs":
        yield ["tests/models/test_published_settings.py", "tests/test_configs.py"]
        yield ["tests/test_pretrained.py"]
        return
    own = sorted(ROOT.glob(f"tests/**/test_{module.stem.removesuffix('s')}*.py"))
    if own:
        yield [test.relative_to(ROOT).as_posix() for test in own]
    yield [f"tests/{module.parent.name}"]
    if module.parent.name != "models":
        yield ["tests/models"]


def _fails(copy: pathlib.Path, tests: Sequence[str]) -> bool:
    """Whether one of the tests fails, or they do not end."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
    try:
        done = subprocess.run(
            [*command, *tests], cwd=copy, capture_output=True, timeout=_SECONDS
        )
    except subprocess.TimeoutExpired:
        return True
    return done.returncode not in (0, 5)  # 5: no tests


if __name__ == "__main__":
    app.run(main)
