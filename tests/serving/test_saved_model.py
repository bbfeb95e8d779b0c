"""What the exports of all families have in common, read by TensorFlow alone."""

import dataclasses
import json
import pathlib
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tests.serving.exports import export_untrained, families
from tfmusic.data.dataset_info import DatasetInfo
from tfmusic.errors import UserError
from tfmusic.networks.recurrence import recurrent_layers
from tfmusic.serving.catalogue import CARD
from tfmusic.serving.player import versions
from tfmusic.serving.saved_model import export_run
from tfmusic.training.run_directory import load_scores, restore_model, save_scores
from tfmusic.training.scoring import evaluate_run

# Plays every warm-up request of an export, where this package cannot be imported.
REPLAY = """
import sys
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2
path = sys.argv[1]
signatures = tf.saved_model.load(path).signatures
requests = path + "/assets.extra/tf_serving_warmup_requests"
for record in tf.data.TFRecordDataset(requests).as_numpy_iterator():
    request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
    name = request.model_spec.signature_name
    inputs = {k: tf.constant(tf.make_ndarray(v)) for k, v in request.inputs.items()}
    shapes = {k: v.shape.as_list() for k, v in signatures[name](**inputs).items()}
    print(name, shapes, file=sys.stderr)
    print(name)
assert "tfmusic" not in sys.modules
"""

# What a GPU would run in cuDNN; the fast tests look at one.
RECURRENT = ["next_frame"] + [
    pytest.param(case, marks=pytest.mark.slow)
    for case in ("tokens", "tokens_tied_gru", "two_hands", "biaxial", "seq2seq")
    + ("latent_wgan:recurrent",)
]


@pytest.fixture(scope="module", params=families())
def export(request, tmp_path_factory):
    """The directory of a version, and the model in it."""
    path = tmp_path_factory.mktemp("export") / "1"
    return path, export_untrained(request.param, path)


def read_card(path):
    return json.loads((path / CARD).read_text())


def meta_graph(path):
    from tensorflow.core.protobuf import saved_model_pb2

    data = (path / "saved_model.pb").read_bytes()
    return saved_model_pb2.SavedModel.FromString(data).meta_graphs[0]


def test_card_documents_every_input_and_output(export):
    path, model = export
    endpoints = read_card(path)["endpoints"]
    rows = {"pieces"} if "generate" in model.endpoints() else set()
    assert endpoints.keys() == {*model.endpoints(), *rows, "serving_default"}
    signatures = meta_graph(path).signature_def
    for name, endpoint in endpoints.items():
        assert endpoint["doc"]
        for ours, theirs in (
            (endpoint["inputs"], signatures[name].inputs),
            (endpoint["outputs"], signatures[name].outputs),
        ):
            assert ours.keys() == set(theirs)
            for key, spec in ours.items():
                shape = [
                    d.size if d.size >= 0 else None
                    for d in theirs[key].tensor_shape.dim
                ]
                assert spec["shape"] == shape, key
                assert tf.as_dtype(spec["dtype"]).as_datatype_enum == theirs[key].dtype
                assert spec["doc"], f"{name}: nothing says what {key} means"


def test_exports_hold_no_operations_of_ours(export):
    graph = meta_graph(export[0]).graph_def
    parts = [graph.node, *(function.node_def for function in graph.library.function)]
    operations = {node.op for part in parts for node in part}
    assert "MatMul" in operations
    assert not [name for name in operations if name.startswith("Tfmusic")]


def test_exports_hold_each_graph_once(export):
    functions = meta_graph(export[0]).graph_def.library.function
    names = [re.sub(r"\d+$", "", function.signature.name) for function in functions]
    num_signatures = names.count("__inference_signature_wrapper_call_")
    assert num_signatures >= 3
    assert names.count("__inference_call_") == num_signatures


def test_vocabulary_is_an_asset_that_tensorflow_moves_along(export):
    path, model = export
    vocabulary = getattr(model.representation, "vocabulary", None)
    assets = [asset.filename for asset in meta_graph(path).asset_file_def]
    if vocabulary is None:
        assert assets == []
        return
    assert assets == ["vocabulary.txt"]
    lines = (path / "assets" / assets[0]).read_text(encoding="utf-8").split("\n")
    assert tuple(lines[:-1]) == vocabulary.tokens


def test_row_signatures_make_each_row_as_if_it_were_alone(export):
    path, model = export
    if "generate" not in model.endpoints():
        pytest.skip("it makes no pieces")
    loaded = tf.saved_model.load(str(path))
    first = model.CONTROLS[0]
    other = first.minimum + 0.5 * (first.default - first.minimum)
    for rows, values in (
        (loaded.pieces(num_steps=[3, 7], seed=[5, 6]), [first.default] * 2),
        (loaded.serving_default(num_steps=[3, 7], seed=[5, 6]), [first.default] * 2),
        (
            loaded.serving_default(
                num_steps=[3, 7], seed=[5, 6], **{first.name: [first.default, other]}
            ),
            [first.default, other],
        ),
    ):
        for i, (num_steps, seed, value) in enumerate(
            zip([3, 7], [5, 6], values, strict=True)
        ):
            alone = loaded.generate(
                num_outputs=1, num_steps=num_steps, seed=seed, **{first.name: value}
            )
            for name, array in alone.items():
                row = rows[name][i]
                row = row[:num_steps] if row.shape.rank else row
                np.testing.assert_array_equal(row, array[0])


def test_controls_that_a_call_leaves_out_have_the_models_defaults(export):
    path, model = export
    defaults = {c.name: c.default for c in model.CONTROLS}
    search = {c.name: c.default for c in model.SEARCH_CONTROLS} | {"seed": 0}
    endpoints = read_card(path)["endpoints"]
    signatures = meta_graph(path).signature_def
    for name in endpoints:
        signature = signatures[name]
        found = {k: tf.make_ndarray(v) for k, v in signature.defaults.items()}
        specs = endpoints[name]["inputs"]
        for key, value in found.items():
            assert value.shape == tuple(n or 1 for n in specs[key]["shape"])
            assert (value == np.array(specs[key]["default"], value.dtype)).all()
        if name == "step":  # what a piece begins with
            assert found.keys() == specs.keys()
            continue
        own = search if "beam_width" in signature.inputs else defaults
        own = {k: v for k, v in own.items() if k in signature.inputs}
        if name != "pieces":
            assert found.keys() == own.keys(), name
        for key, value in found.items():
            assert value == np.float32(own[key]), f"{name}: {key}"
    if "generate" not in endpoints:
        return
    loaded = tf.saved_model.load(str(path))
    given = {"num_outputs": 2, "num_steps": 5, "seed": 3}
    short = loaded.generate(**given)
    specs = endpoints["generate"]["inputs"]
    whole = loaded.signatures["generate"](
        **{k: tf.constant(v, specs[k]["dtype"]) for k, v in (defaults | given).items()}
    )
    for name, array in whole.items():
        np.testing.assert_array_equal(short[name], array)


def test_warmup_requests_play_where_this_package_is_not_installed(export, tmp_path):
    path, _ = export
    done = subprocess.run(
        [sys.executable, "-I", "-c", REPLAY, path],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == list(read_card(path)["endpoints"])


@pytest.mark.parametrize("case", RECURRENT)
def test_export_from_a_machine_with_a_gpu_plays_without_one(
    case, tmp_path, monkeypatch
):
    real = tf.config.list_logical_devices

    def list_devices(kind=None):
        gpu = tf.config.LogicalDevice("/device:GPU:0", "GPU")
        return real(kind) + ([gpu] if kind in (None, "GPU") else [])

    monkeypatch.setattr(tf.config, "list_logical_devices", list_devices)
    model = export_untrained(case, tmp_path / "1")
    graph = meta_graph(tmp_path / "1").graph_def
    functions = graph.library.function
    nodes = [*graph.node, *(node for f in functions for node in f.node_def)]
    assert nodes
    assert not [node.name for node in nodes if "cudnn" in node.op.lower()]
    assert {layer.use_cudnn for layer in recurrent_layers(model)} == {"auto"}


@pytest.mark.slow
def test_saved_model_cli_shows_and_runs_an_export(export, tmp_path):
    path, _ = export
    command = [sys.executable, "-m", "tensorflow.python.tools.saved_model_cli"]
    where = ["--dir", path, "--tag_set", "serve", "--signature_def", "serving_default"]

    def cli(*arguments):
        done = subprocess.run(
            [*command, *arguments], capture_output=True, text=True, cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "inputs['" in cli("show", *where)
    endpoint = read_card(path)["endpoints"]["serving_default"]
    values = {
        name: np.ones([size or 1 for size in spec["shape"]], int).tolist()
        for name, spec in endpoint["inputs"].items()
    }
    inputs = ";".join(f"{name}={value}" for name, value in values.items())
    cli("run", *where, "--input_exprs", inputs, "--outdir", tmp_path)
    outputs = {file.stem: np.load(file) for file in tmp_path.glob("*.npy")}
    assert outputs.keys() == endpoint["outputs"].keys()


def test_card_tells_the_data_and_the_scores_of_the_weights(tiny_run, tmp_path):
    data_dir, workdir = tiny_run
    mine = str(shutil.copytree(workdir, tmp_path / "run"))
    export_dir = str(tmp_path / "export")
    card = read_card(pathlib.Path(export_run(mine, export_dir)))
    assert card["scores"] == {}
    assert card["knows"] == {
        "time": "beats: 4 steps in a quarter note",
        "tempo": "none: music is written at 100 or at --qpm",
        "key": "any",
        "dynamics": "none: all notes are equally loud",
        "instruments": "Piano",
    }
    assert card["data"]["source"] == "test"
    assert card["data"]["splits"]["train"]["num_pieces"] == 4
    result = evaluate_run(mine, data_dir, "test")
    card = read_card(pathlib.Path(export_run(mine, export_dir)))
    assert card["scores"] == {"test": result}
    assert export_run(mine, export_dir).endswith("/2"), "nothing new since then"
    # Another training may leave a checkpoint of the same name.
    _, model, checkpoint = restore_model(mine)
    others = [variable.value for variable in model.variables]
    saved = tf.train.Checkpoint(weights=others)
    saved.restore(checkpoint)
    others[0].assign_add(tf.ones_like(others[0]))
    saved.write(checkpoint)
    other = read_card(pathlib.Path(export_run(mine, export_dir)))
    assert other["checkpoint"] == card["checkpoint"]
    assert other["scores"] == {}
    assert versions(export_dir) == [1, 2, 3]


def test_an_export_that_cannot_be_written_ends_in_one_line(tiny_run, tmp_path):
    (tmp_path / "file").write_text("in the way of a directory")
    with pytest.raises(UserError, match="file/export cannot be written"):
        export_run(tiny_run[1], str(tmp_path / "file" / "export"))


def test_scores_that_cannot_be_kept_are_shown_all_the_same(tiny_run, tmp_path, capsys):
    data_dir, workdir = tiny_run
    mine = shutil.copytree(workdir, tmp_path / "run")
    path = tmp_path / "scores.json"
    with pytest.raises(UserError, match="config.json/scores.json cannot be written"):
        evaluate_run(str(mine), data_dir, "test", f"{mine}/config.json/scores.json")
    (mine / "scores_test.json").mkdir()  # in the way of a file
    with pytest.raises(UserError, match="run/scores_test.json cannot be written"):
        evaluate_run(str(mine), data_dir, "test", str(path))
    likelihood = json.loads(path.read_text())["log_likelihood_per_step"]
    assert f"{likelihood:.4f}" in capsys.readouterr().out


def test_scores_of_other_music_are_not_kept_with_the_run(tiny_run, tmp_path):
    data_dir, workdir = tiny_run
    mine = str(shutil.copytree(workdir, tmp_path / "run"))
    other = str(shutil.copytree(data_dir, tmp_path / "data"))
    info = dataclasses.replace(DatasetInfo.load(other), source="other")
    info.save(other)
    result = evaluate_run(mine, other, "test")
    assert result["source"] == "other"
    assert load_scores(mine, result["weights"]) == {}


def test_scores_of_other_weights_are_left_out(tmp_path):
    save_scores(str(tmp_path), {"split": "test", "weights": "5a", "loss": 1.0})
    assert load_scores(str(tmp_path), "10") == {}
    assert load_scores(str(tmp_path), "5a")["test"]["loss"] == 1.0
