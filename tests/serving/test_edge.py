"""One step as LiteRT and ONNX files, against the export's own step."""

import json

import numpy as np
import pytest

from tests.serving.exports import export_untrained
from tfmusic.errors import UserError
from tfmusic.serving.edge import export_step
from tfmusic.serving.player import Player

NUM_STEPS = 20
CASES = ("chords", "tokens_bars", "tokens_keys_down", "two_hands_metre")
pytestmark = pytest.mark.slow


def load(path):
    """A function of the named inputs of a file."""
    if path.endswith(".onnx"):
        runtime = pytest.importorskip("onnxruntime", reason="see [edge]")
        session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        return lambda inputs: dict(zip(names, session.run(None, inputs), strict=True))
    interpreter = pytest.importorskip("ai_edge_litert.interpreter", reason="see [edge]")
    runner = interpreter.Interpreter(path).get_signature_runner()
    return lambda inputs: runner(**inputs)


@pytest.mark.parametrize("kind", ["litert", "onnx"])
@pytest.mark.parametrize("case", CASES)
def test_a_file_does_what_the_step_of_the_export_does(case, kind, tmp_path):
    if kind == "onnx":
        pytest.importorskip("tf2onnx", reason="see [edge]")
    export_untrained(case, tmp_path / "export" / "1")
    path = export_step(str(tmp_path / "export"), str(tmp_path / "edge"), kind)
    card = json.loads((tmp_path / "edge" / f"{case}.json").read_text())
    step, player = load(path), Player(str(tmp_path / "export"))
    mine = {
        name: np.full(spec["shape"], spec["default"], spec["dtype"])
        for name, spec in card["inputs"].items()
    }
    theirs = dict(mine)
    random = np.random.default_rng(1)
    for _ in range(NUM_STEPS):
        expected, found = player.call("step", theirs), step(mine)
        assert expected.keys() == found.keys() == card["outputs"].keys()
        for name, array in expected.items():
            np.testing.assert_allclose(found[name], array, rtol=1e-4, atol=1e-4)
        frame = {}
        if "tokens" in mine:
            assert len(card["tokens"]) == found["logits"].shape[1]
            frame["tokens"] = random.integers(3, len(card["tokens"]), 1, np.int32)
        for name in {"keys", "roll"} & mine.keys():
            frame[name] = random.random(mine[name].shape) < 0.05
        mine = {n: found.get(f"next_{n}", frame.get(n)) for n in mine}
        theirs = {n: expected.get(f"next_{n}", frame.get(n)) for n in mine}


def test_weights_of_8_bits_are_near_and_smaller(tmp_path):
    export_untrained("tokens_bars", tmp_path / "export" / "1")
    sizes = {}
    for kind in ("litert", "litert_int8"):
        path = export_step(str(tmp_path / "export"), str(tmp_path / kind), kind)
        with open(path, "rb") as file:
            sizes[kind] = len(file.read())
    card = json.loads((tmp_path / "litert_int8" / "tokens_bars.json").read_text())
    inputs = {
        name: np.full(spec["shape"], spec["default"], spec["dtype"])
        for name, spec in card["inputs"].items()
    }
    expected = Player(str(tmp_path / "export")).call("step", inputs)["logits"]
    found = load(path)(inputs)["logits"]
    possible = expected > -1e6
    assert np.abs(found - expected)[possible].max() < 0.1
    assert sizes["litert_int8"] < 0.7 * sizes["litert"]


def test_a_model_without_a_step_is_refused_in_one_line(tmp_path):
    export_untrained("seq2seq", tmp_path / "1")
    with pytest.raises(UserError, match="expected an export with the endpoint step"):
        export_step(str(tmp_path), str(tmp_path / "edge"), "litert")
    assert not (tmp_path / "edge").exists()
