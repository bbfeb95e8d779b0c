"""README and docs: links lead somewhere, and commands can be called as they stand."""

import contextlib
import dataclasses
import functools
import importlib.util
import pathlib
import re
import shlex
import tomllib

import pytest

from tfmusic.cli import COMMANDS, module_of
from tfmusic.config import check_field as check_field_of
from tfmusic.config import list_configs, load_config
from tfmusic.errors import UserError
from tfmusic.notes.limits import Limits

ROOT = pathlib.Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(
    [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "pretrained" / "README.md",
        *DOCS.rglob("*.md"),
    ]
)
FENCE = re.compile(r"^```[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Flags of other programs: Beam's that is the example, and those of tensorboard and pip.
OTHERS = {"runner", "logdir", "no-deps"}
TAKE_CONTROLS = (
    "tfmusic.generate",
    "tfmusic.evaluate",
    "benchmarks.infilling",
    "examples.serving_client",
)
each_page = pytest.mark.parametrize(
    "page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES]
)


@functools.cache
def text_of(page):
    return page.read_text(encoding="utf-8")


@functools.cache
def anchors(page):
    """The anchors of a page's headings, as the site and code hosts make them."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", text_of(page)), re.MULTILINE)
    words = [re.sub(r"[^\w\s-]", "", heading).strip().lower() for heading in headings]
    return {re.sub(r"\s", "-", heading) for heading in words}


@each_page
def test_links_lead_somewhere(page):
    prose = re.sub(r"`[^`]*`", "", FENCE.sub("", text_of(page)))
    for link in re.findall(r"\]\(([^)\s]+)\)", prose):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link
        # The site holds nothing but docs/.
        assert DOCS not in page.parents or DOCS in target.parents, link


@each_page
def test_tests_that_a_page_names_are_there(page):
    for name, test in re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", text_of(page)):
        assert (ROOT / name).exists(), name
        assert not test or f"def {test}(" in text_of(ROOT / name), f"{name}::{test}"


def is_there(name):
    """Whether there is such a module, or the word in the module before it.

    Commands are not imported: they define flags.
    """
    module, _, word = name.rpartition(".")
    with contextlib.suppress(ModuleNotFoundError):  # the module is no package
        if importlib.util.find_spec(name):
            return True
    found = importlib.util.find_spec(module)
    return found and re.search(rf"\b{word}\b", text_of(pathlib.Path(found.origin)))


@each_page
def test_code_that_a_page_names_is_there(page):
    for name in re.findall(r"`((?:tfmusic|pipelines)(?:\.\w+)+)`", text_of(page)):
        assert is_there(name), name


def test_each_page_stands_in_the_order_of_the_site():
    nav = tomllib.loads(text_of(ROOT / "zensical.toml"))["project"]["nav"]

    def files(entry):
        if isinstance(entry, str):
            return [entry]
        parts = entry.values() if isinstance(entry, dict) else entry
        return [file for part in parts for file in files(part)]

    listed = files(nav)
    assert sorted(listed) == sorted(
        str(p.relative_to(DOCS)) for p in DOCS.rglob("*.md")
    )


def test_readme_is_a_start_and_no_manual():
    assert len(text_of(ROOT / "README.md").splitlines()) <= 150
    assert "make demo" in text_of(ROOT / "README.md")
    assert "make test" in text_of(ROOT / "README.md")


def test_each_command_has_its_row():
    rows = re.findall(r"^\| `tfmusic (\w+)` \|", text_of(DOCS / "commands.md"), re.M)
    assert sorted(rows) == sorted(COMMANDS)


def commands(text):
    """The command lines of a page's code: blocks, and code within sentences."""
    blocks = FENCE.findall(text)
    rest = FENCE.sub("", text)
    blocks += re.findall(r"^ {4}\S.*(?:\n {4}.*)*", rest, re.MULTILINE)
    inline = [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", rest)]
    for block in (*blocks, *inline):
        for line in re.split(r"\n|&&|\|", re.sub(r"\\\n", " ", block)):
            line = re.sub(r"\s#.*", "", line).strip()
            found = re.match(
                r"(?:nice )?(tfmusic|make|python -m|docker compose .* train)\s+(\S.*)",
                line,
            )
            if found:
                yield line, found[1], found[2]


@functools.cache
def flags_in(source):
    """The flags that a module or the modules of a package define, by their source."""
    files = sorted(source.rglob("*.py")) if source.is_dir() else [source]
    define = re.compile(r'(?:DEFINE_\w+\(\s*"|add_argument\(\s*"--)(\w+)"')
    return {name for file in files for name in define.findall(text_of(file))}


@functools.cache
def controls():
    """The names of all controls that a model may have."""
    file = ROOT / "tfmusic" / "generation" / "controls.py"
    return set(re.findall(r'Control\(\s*"(\w+)"', text_of(file)))


def source_of(module):
    path = ROOT.joinpath(*module.split("."))
    source = path if path.is_dir() else path.with_suffix(".py")
    assert source.exists(), f"no module {module}"
    return source


def module_and_arguments(program, rest):
    """The module that a command line runs, and its arguments."""
    name, *arguments = shlex.split(rest)
    if program == "python -m" and name == "tfmusic":
        program, name, arguments = "tfmusic", arguments[0], arguments[1:]
    if program == "tfmusic":
        assert name in COMMANDS, f"no command {name}"
        return module_of(name), arguments
    launchers = {
        "pipelines.build_tfrecords": "tfmusic.build",
        "pipelines.encode_latents": "tfmusic.encode_latents",
        "pipelines.inspect_tfrecords": "tfmusic.inspect",
    }
    return launchers.get(name, name), arguments


def check_command(program, rest):
    if program == "make":
        target, *_ = rest.split()
        makefile = text_of(ROOT / "Makefile")
        assert re.search(rf"^{re.escape(target)}:", makefile, re.M), f"no make {target}"
        return
    if rest.startswith(("-", "COMMAND", "pytest")):
        return
    module, arguments = module_and_arguments(program, rest)
    known = flags_in(source_of(module)) | {"help"}
    if module.startswith("benchmarks."):
        known |= flags_in(ROOT / "benchmarks" / "midi_files.py")
    if module in TAKE_CONTROLS:
        known |= controls()
    for argument in arguments:
        if not (found := re.match(r"--([\w-]+)(\.[\w.]+)?=?(.*)", argument)):
            continue
        name, field, value = found.groups()
        if field:
            assert module in ("tfmusic.build", "tfmusic.train"), argument
            check_field(field[1:])
        elif name not in known and name.removeprefix("no") not in known:
            raise AssertionError(f"{module} has no --{name}")
        if name == "config" and not field and re.match(r"[a-z_/]+(\.py)?(:|$)", value):
            load_config(value)


@functools.cache
def check_field(field):
    """Asserts that some experiment has this field."""
    for name in list_configs():
        try:
            return check_field_of(load_config(name), f"config.{field}")
        except UserError:
            continue
    raise AssertionError(f"no experiment has config.{field}")


@each_page
def test_commands_can_be_called_as_they_stand(page):
    for line, program, rest in commands(text_of(page)):
        try:
            check_command(program, rest)
        except (AssertionError, UserError, ValueError) as error:
            raise AssertionError(f"{line}: {error}") from error


@each_page
def test_flags_in_sentences_exist(page):
    known = controls() | OTHERS
    known |= {
        field.name.replace("max_", "limit_") for field in dataclasses.fields(Limits)
    }
    for folder in ("tfmusic", "benchmarks", "examples", "pretrained"):
        known |= flags_in(ROOT / folder)
    for flag, field in re.findall(
        r"`--([\w-]+)((?:\.[\w]+)*)", FENCE.sub("", text_of(page))
    ):
        if flag == "config" and field:
            if field != ".SECTION.FIELD":
                check_field(field[1:])
        else:
            assert flag in known or flag.removeprefix("no") in known, (
                f"no flag --{flag}"
            )
