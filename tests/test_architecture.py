"""The order in which packages may import one another (docs/architecture.md)."""

import ast
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]

# A module may import from its own level and from those above it in this list.
LEVELS = [
    [
        "tfmusic.compat",
        "tfmusic.errors",
        "tfmusic.checks",
        "tfmusic.stored",
        "tfmusic.files",
        "tfmusic.settings",
        "tfmusic.config",
        "tfmusic.command_line",
        "tfmusic.sandbox",
    ],
    ["tfmusic.notes"],
    ["tfmusic.representations"],
    ["tfmusic.data"],
    ["tfmusic.networks", "tfmusic.generation"],
    ["tfmusic.models"],
    ["tfmusic.evaluation"],
    ["tfmusic.training"],
    ["tfmusic.serving"],
    ["tfmusic.pipelines"],
    [
        "tfmusic.build",
        "tfmusic.inspect",
        "tfmusic.encode_latents",
        "tfmusic.train",
        "tfmusic.curves",
        "tfmusic.evaluate",
        "tfmusic.export",
        "tfmusic.generate",
        "tfmusic.reconstruct",
        "tfmusic.serve",
        "tfmusic.list_models",
        "tfmusic.listening",
        "tfmusic.show",
        "tfmusic.studio",
        "tfmusic.play",
        "tfmusic.live",
        "tfmusic.doctor",
        "tfmusic.cli",
        "tfmusic.__main__",
    ],
    ["tfmusic.notebook", "tfmusic.api"],
]
# What only some may import.
RESTRICTED = {
    "note_seq": ("tfmusic.notes",),
    "tensorflow_io": ("tfmusic.files",),
    "tensorflow_serving": ("tfmusic.serving",),
    "apache_beam": ("tfmusic.pipelines",),
    "pickle": (),
}
WITHOUT_TENSORFLOW = (
    "tfmusic.compat",
    "tfmusic.errors",
    "tfmusic.checks",
    "tfmusic.stored",
    "tfmusic.sandbox",
    "tfmusic.notes",
    "tfmusic.representations",
    "tfmusic.serving.c_runtime",
    "tfmusic.serving.catalogue",
    "tfmusic.serving.endpoints",
    "tfmusic.serving.graph_parts",
    "tfmusic.serving.player",
    "tfmusic.serving.requests",
    "tfmusic.studio",
    "tfmusic.play",
    "tfmusic.notebook",
    "tfmusic.live",
)
WITHOUT_KERAS = (*WITHOUT_TENSORFLOW, "tfmusic.data", "tfmusic.pipelines")


CONFIGS_IMPORT = (
    "tfmusic.configs",
    "tfmusic.data.settings",
    "tfmusic.errors",
    "tfmusic.settings",
    "tfmusic.training.settings",
)


def modules():
    for folder in ("tfmusic", "pipelines", "configs"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            yield name.removesuffix(".__init__"), path


def imports(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_in(name, rooms):
    return any(name == room or name.startswith(room + ".") for room in rooms)


def level(name):
    found = [i for i, rooms in enumerate(LEVELS) if is_in(name, rooms)]
    assert found, (
        f"{name} belongs to no level: add it to LEVELS and docs/architecture.md"
    )
    return found[0]


@pytest.mark.parametrize(
    ("name", "path"), [pytest.param(*module, id=module[0]) for module in modules()]
)
def test_module_imports_only_what_stands_before_it(name, path):
    for imported in imports(path):
        for package, rooms in RESTRICTED.items():
            if is_in(imported, [package]):
                assert is_in(name, rooms), f"{name} imports {imported}"
        if is_in(imported, ["tensorflow"]):
            assert not is_in(name, WITHOUT_TENSORFLOW), f"{name} imports {imported}"
        if is_in(imported, ["keras"]):
            assert not is_in(name, WITHOUT_KERAS), f"{name} imports {imported}"
        if not is_in(imported, ["tfmusic"]) or imported == "tfmusic":
            continue
        if name.startswith("tfmusic."):
            assert level(imported) <= level(name), f"{name} imports {imported}"
        elif name.startswith("configs."):
            assert is_in(imported, CONFIGS_IMPORT), f"{name} imports {imported}"


@pytest.mark.parametrize(
    "name",
    [
        "player",
        "packed",
        "beginnings",
        "c_runtime",
        "catalogue",
        "endpoints",
        "graph_parts",
        "requests",
        "bar_gaps",
        "frame_gaps",
        "gaps",
        "inputs",
        "primers",
        "setting",
        "voice_gaps",
    ],
)
def test_playing_an_export_takes_no_model_code(name):
    path = ROOT / "tfmusic" / "serving" / f"{name}.py"
    allowed = (
        "tfmusic.checks",
        "tfmusic.errors",
        "tfmusic.notes",
        "tfmusic.representations",
        "tfmusic.files",
        "tfmusic.compat",
        "tfmusic.serving.bar_gaps",
        "tfmusic.serving.beginnings",
        "tfmusic.serving.c_runtime",
        "tfmusic.serving.endpoints",
        "tfmusic.serving.graph_parts",
        "tfmusic.serving.catalogue",
        "tfmusic.serving.frame_gaps",
        "tfmusic.serving.gaps",
        "tfmusic.serving.inputs",
        "tfmusic.serving.pace",
        "tfmusic.serving.packed",
        "tfmusic.serving.primers",
        "tfmusic.serving.requests",
        "tfmusic.serving.setting",
        "tfmusic.serving.voice_gaps",
        "tfmusic.stored",
    )
    for imported in imports(path):
        if is_in(imported, ["tfmusic"]) and imported != "tfmusic.data":
            assert is_in(imported, allowed)


def test_importing_the_package_costs_no_tensorflow():
    code = (
        "import sys, tfmusic, tfmusic.files, tfmusic.notes, tfmusic.representations; "
        "sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_making_music_costs_no_tensorflow(tmp_path):
    code = (
        "import atexit, sys; from tfmusic.cli import main\n"
        "heavy = {'tensorflow', 'keras', 'matplotlib', 'pandas', 'scipy'}\n"
        "atexit.register(lambda: print(heavy & set(sys.modules)))\n"
        "main()"
    )
    flags = ["--num_outputs=1", "--num_steps=4", "--nopictures"]
    command = ["generate", "--model=harmony", f"--output_dir={tmp_path}", *flags]
    run = subprocess.run(
        [sys.executable, "-c", code, *command], cwd=ROOT, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.endswith("set()\n"), run.stdout
    assert (tmp_path / "piece_1.mid").exists()


@pytest.mark.slow
def test_a_process_that_imports_tensorflow_later_computes_the_same():
    code = (
        "import numpy as np, tfmusic\n"
        "model = tfmusic.load_model('harmony')\n"
        "piece = model.generate(1, num_steps=8)\n"
        "score = model.score(piece[0])\n"
        "from tfmusic.compat import import_tensorflow; import_tensorflow()\n"
        "import keras; keras.layers.LSTM(2)\n"
        "assert model.generate(1, num_steps=8) == piece\n"
        "other = tfmusic.load_model('harmony')\n"
        "assert type(other._endpoints) is not type(model._endpoints)\n"
        "assert other.generate(1, num_steps=8) == piece\n"
        "assert np.array_equal(other.score(piece[0]), score)"
    )
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, stderr=subprocess.PIPE
    )
    assert run.returncode == 0, run.stderr


def test_importing_the_domain_costs_no_more_of_note_seq_than_its_messages():
    code = (
        "import pickle, sys, tfmusic.notes, tfmusic.pipelines.conversion; "
        "assert 'pandas' not in sys.modules; "
        "sequence = tfmusic.notes.NoteSequence(ticks_per_quarter=7); "
        "assert pickle.loads(pickle.dumps(sequence)) == sequence; "
        "from note_seq import sequences_lib; "
        "assert 'pandas' not in sys.modules"
    )
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, stderr=subprocess.PIPE
    )
    assert run.returncode == 0, run.stderr


def test_no_module_is_longer_than_a_reader_can_hold():
    for name, path in modules():
        num_lines = len(path.read_text(encoding="utf-8").splitlines())
        assert num_lines <= 500, f"{name} has {num_lines} lines: more than one concept?"
