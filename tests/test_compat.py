import subprocess
import sys
import textwrap

import pytest

from tfmusic.compat import import_parts_of, tracing_for_export


@pytest.fixture
def package(tmp_path):
    """A package whose `__init__` writes a file and gives a name of a module's."""
    (tmp_path / "band").mkdir()
    (tmp_path / "band" / "__init__.py").write_text(
        "from band.drums import hit\nopen('imported', 'w').close()\n"
    )
    (tmp_path / "band" / "drums.py").write_text("def hit():\n    return 'boom'\n")
    return tmp_path


def test_modules_of_a_package_are_imported_without_the_whole_of_it(package):
    code = """
        import os
        from tfmusic.compat import import_parts_of
        import_parts_of("band")
        import band.drums
        from band import drums
        assert drums is band.drums and drums.hit() == "boom"
        assert not os.path.exists("imported")
        try:
            from band import bass
        except ImportError:
            pass
        else:
            raise AssertionError("there is no bass")
        from band import hit
        assert hit is drums.hit
        assert os.path.exists("imported")
    """
    root = str(pytest.importorskip("tfmusic").__path__[0]).removesuffix("/tfmusic")
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=package,
        env={"PYTHONPATH": f"{root}:{package}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_package_that_is_missing():
    with pytest.raises(ModuleNotFoundError, match="No module named 'no_such_band'"):
        import_parts_of("no_such_band")


def test_what_is_traced_for_an_export_is_not_traced_again(tmp_path):
    import tensorflow as tf

    traced = []

    @tf.function(input_signature=[tf.TensorSpec([], tf.float32, "x")])
    def double(x):
        traced.append(x)
        return {"y": 2.0 * x}

    with tracing_for_export():
        double.get_concrete_function()
    module = tf.Module()
    module.double = double
    tf.saved_model.save(module, str(tmp_path), signatures={"double": double})
    assert len(traced) == 1
    loaded = tf.saved_model.load(str(tmp_path))
    assert loaded.signatures["double"](x=tf.constant(3.0))["y"] == 6.0
