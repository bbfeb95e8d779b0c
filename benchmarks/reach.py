"""Which tests reach each line, and the time of each; for `benchmarks.mutation`.

    python -m pytest -p benchmarks.reach --reach=FILE [TESTS]

FILE is JSON. What it has of other tests stays, so that parts can be run one by one.
"""

import collections
import inspect
import json
import os
import pathlib

import coverage
import pytest
from tensorflow.python.autograph.impl import api

ROOT = pathlib.Path(__file__).parent.parent


def pytest_addoption(parser):
    """Adds --reach."""
    parser.addoption("--reach", required=True, help="The file to write.")


def pytest_configure(config):
    """Begins."""
    config.pluginmanager.register(Recorder(pathlib.Path(config.getoption("reach"))))


class Recorder:
    """Records what runs while each test, or a fixture that several share, does."""

    def __init__(self, path: pathlib.Path):
        self._path = path.absolute()
        self._coverage = coverage.Coverage(
            data_file=None,
            config_file=False,
            source=[ROOT / "tfmusic", ROOT / "configs"],
        )
        self._seconds = {}
        self._fixtures = collections.defaultdict(set)  # what they ran for, by name
        self._names = {}  # names of the fixtures of each test
        self._converted = collections.defaultdict(set)
        self._context = ""
        self._watch_autograph()
        self._coverage.start()

    def _watch_autograph(self):
        """Notes what AutoGraph converts, as it runs from another file then."""
        convert = api._convert_actual

        def watch(function, context):
            lines, first = inspect.getsourcelines(function)
            place = (inspect.getsourcefile(function), first, first + len(lines))
            self._converted[place].add(self._context)
            return convert(function, context)

        api._convert_actual = watch

    def _switch(self, context):
        before, self._context = self._context, context
        self._coverage.switch_context(context)
        return before

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item):
        """Times a test."""
        self._names[item.nodeid] = item.fixturenames
        self._switch(item.nodeid)
        start = sum(os.times()[:4])
        try:
            return (yield)
        finally:
            # Of the processor: other work on the machine changes them little.
            self._seconds[item.nodeid] = round(sum(os.times()[:4]) - start, 3)
            self._switch("")

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef, request):
        """What a fixture runs belongs to each test that uses it."""
        if fixturedef.scope == "function":
            return (yield)
        context = f"{fixturedef.baseid}::{fixturedef.argname} (fixture)"
        self._fixtures[fixturedef.argname].add((fixturedef.baseid, context))
        before = self._switch(context)
        try:
            return (yield)
        finally:
            self._switch(before)

    def pytest_sessionfinish(self):
        """Writes the file."""
        self._coverage.stop()
        lines = collections.defaultdict(lambda: collections.defaultdict(set))
        data = self._coverage.get_data()
        for file in data.measured_files():
            for line, contexts in data.contexts_by_lineno(file).items():
                lines[file][line].update(contexts)
        for (file, first, end), contexts in self._converted.items():
            for line in range(first, end):
                lines[file][line] |= contexts
        users = collections.defaultdict(set)
        for test, names in self._names.items():
            users[test].add(test)
            for name in names:
                for base, context in self._fixtures.get(name, ()):
                    if test.startswith(base):
                        users[context].add(test)
        found = {"seconds": {}, "lines": {}}
        if self._path.exists():
            found = json.loads(self._path.read_text())
        seconds = found["seconds"] | self._seconds
        number = {test: i for i, test in enumerate(seconds)}
        old = list(found["seconds"])
        result = {}
        for file in {*found["lines"], *map(self._relative, lines)} - {None}:
            result[file] = {}
            before, now = found["lines"].get(file, {}), lines.get(str(ROOT / file), {})
            for line in sorted({*map(int, before), *now}):
                tests = {old[i] for i in before.get(str(line), ())}
                tests = tests - self._seconds.keys()
                for context in now.get(line, ()):
                    tests |= users.get(context, set())
                if tests:
                    result[file][line] = sorted(number[test] for test in tests)
        text = json.dumps({"seconds": seconds, "lines": result})
        self._path.write_text(text)

    @staticmethod
    def _relative(file):
        path = pathlib.Path(file)
        return path.relative_to(ROOT).as_posix() if ROOT in path.parents else None
