"""What a run finds in its directory when some of its files are gone or damaged."""

import gc
import math
import pathlib
import shutil
import signal
import time
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.experiments import assert_same_run, start_training, tiny_config
from tfmusic.errors import UserError
from tfmusic.models import make_model
from tfmusic.representations import make_representation
from tfmusic.serving.saved_model import export_run
from tfmusic.training.checkpoint_files import (
    checkpoints_in,
    has_begun,
    remove_checkpoints,
)
from tfmusic.training.checkpoints import Checkpoints, restore_weights
from tfmusic.training.optimizers import make_optimizer
from tfmusic.training.run_directory import restore_model, save_run
from tfmusic.training.setup import train_and_evaluate


@pytest.fixture(scope="module")
def model():
    config = tiny_config()
    model = make_model(make_representation(config.representation), config.model)
    model.build_model()
    model.compile_for_training(make_optimizer(config.optimizer, 5, 3))
    model.optimizer.build(model.trainable_variables)
    return model


def reach(model, checkpoints, step, loss):
    """What the end of an epoch does; all weights are the step's number."""
    for variable in model.trainable_variables:
        variable.assign(tf.fill(variable.shape, float(step)))
    progress = checkpoints.progress
    progress.step.assign(step)
    if loss < float(progress.best_loss):
        progress.best_loss.assign(loss)
        progress.best_step.assign(step)
        checkpoints.save_best()
    checkpoints.save()


def weight(model):
    return float(tf.reduce_max(model.trainable_variables[0]))


def restore(model, workdir, keep=2):
    """Resumes in a directory; gives the checkpoints and the step, None if it begins."""
    checkpoints = Checkpoints(str(workdir), model, keep)
    if not checkpoints.restore():
        return checkpoints, None
    assert weight(model) == int(checkpoints.progress.step)
    return checkpoints, int(checkpoints.progress.step)


def snapshot(workdir):
    paths = pathlib.Path(workdir).rglob("*")
    return {path: path.read_bytes() for path in paths if path.is_file()}


@pytest.fixture
def run(model, tmp_path):
    """A run whose third epoch was worse than its second: latest/ has 10 and 15."""
    workdir = tmp_path / "run"
    checkpoints = Checkpoints(str(workdir), model)
    for step, loss in ((5, 3.0), (10, 1.0), (15, 2.0)):
        reach(model, checkpoints, step, loss)
    (workdir / "metrics.csv").write_text("epoch,loss\n0,3\n1,1\n2,2\n")
    return workdir


def names(directory):
    return [pathlib.Path(path).name for path in checkpoints_in(str(directory))]


def test_as_many_states_stay_as_are_wanted_and_the_best_weights(model, run):
    assert names(run / "latest") == ["ckpt-15", "ckpt-10"]
    assert names(run / "best") == ["ckpt-10"]
    assert restore(model, run)[1] == 15
    assert restore_weights(model, str(run)).endswith("best/ckpt-10")
    assert weight(model) == 10
    reach(model, restore(model, run, keep=1)[0], 20, loss=0.5)
    assert names(run / "latest") == ["ckpt-20"]
    assert names(run / "best") == ["ckpt-20"]


@pytest.mark.parametrize(
    ("checkpoint", "path"),
    [
        ("best", "best/ckpt-10"),
        ("latest", "latest/ckpt-15"),
        ("15", "latest/ckpt-15"),
        (10, "latest/ckpt-10"),
    ],
)
def test_weights_are_those_that_are_asked_for(checkpoint, path, model, run):
    assert restore_weights(model, str(run), checkpoint) == str(run / path)
    assert weight(model) == int(path.split("-")[1])


def test_best_weights_are_reached_by_their_step_where_their_state_is_gone(model, run):
    reach(model, restore(model, run)[0], 20, loss=2.0)
    assert names(run / "latest") == ["ckpt-20", "ckpt-15"]
    assert restore_weights(model, str(run), 10) == str(run / "best" / "ckpt-10")


@pytest.mark.parametrize("wrong", ["5", "newest", "-15", "015", "15.0"])
def test_a_step_that_is_not_kept_is_answered_with_those_that_are(wrong, model, run):
    with pytest.raises(UserError) as caught:
        restore_weights(model, str(run), wrong)
    message = str(caught.value)
    assert f"latest or a step that is kept (10, 15), got {wrong!r}" in message
    assert "\n" not in message


@pytest.mark.parametrize("checkpoint", ["best", "latest", "15"])
def test_a_folder_without_checkpoints_is_no_run(checkpoint, model, tmp_path):
    with pytest.raises(UserError, match="found no checkpoint in it; train first"):
        restore_weights(model, str(tmp_path), checkpoint)


def test_other_programs_find_the_newest(run):
    newest = tf.train.latest_checkpoint(str(run / "latest"))
    assert newest == str(run / "latest" / "ckpt-15")


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        'model_checkpoint_path: "ckpt-15"\nall_model_checkp',
        'model_checkpoint_path: "ckpt-99"\nall_model_checkpoint_paths: "ckpt-99"\n',
    ],
    ids=["gone", "empty", "truncated", "names what is gone"],
)
def test_tensorflows_record_is_not_needed(text, model, run):
    for directory in ("latest", "best"):
        path = run / directory / "checkpoint"
        path.unlink() if text is None else path.write_text(text)
    assert restore(model, run)[1] == 15
    restore_weights(model, str(run))
    assert weight(model) == 10


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


DAMAGE = {"removed": pathlib.Path.unlink, "cut": cut}


@pytest.mark.parametrize("ending", ["index", "data-00000-of-00001"])
@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_without_the_newest_state_the_one_before_is_restored(
    damage, ending, model, run, caplog
):
    damage(run / "latest" / f"ckpt-15.{ending}")
    checkpoints, step = restore(model, run)
    assert step == 10
    assert "latest/ckpt-15 cannot be read" in caplog.text
    # What is done again takes the place of what was damaged, in files of its own.
    reach(model, checkpoints, 15, loss=2.0)
    assert restore(model, run)[1] == 15
    assert names(run / "latest") == ["ckpt-15-2", "ckpt-10"]


def test_state_of_another_name_is_not_trusted(model, run, caplog):
    for path in (run / "latest").glob("ckpt-10.*"):
        path.rename(path.with_name(path.name.replace("10", "20")))
    assert restore(model, run)[1] == 15
    assert "ckpt-20 cannot be read (it is of step 10)" in caplog.text


def test_run_whose_states_are_all_damaged_is_refused(model, run):
    for path in (run / "latest").glob("*.data*"):
        cut(path)
    before = snapshot(run)
    with pytest.raises(UserError, match=r"but ckpt-10, ckpt-15 cannot be restored"):
        restore(model, run)
    assert snapshot(run) == before


@pytest.mark.parametrize(
    ("kept", "message"),
    [
        ("best/ckpt*", "found best/ckpt-10, but no checkpoint in latest"),
        ("metrics.csv", "found metrics.csv of 3 epochs, but no"),
        ("latest/checkpoint", "found latest/checkpoint, but no"),
        ("*/*", "found best/ckpt-10, latest/checkpoint, but no"),
    ],
)
def test_run_whose_states_are_gone_is_not_begun_anew(kept, message, model, run):
    wanted = set(run.glob(kept)) - set(run.glob("latest/ckpt-*"))
    for path in [path for path in run.rglob("*") if path.is_file()]:
        if path not in wanted:
            path.unlink()
    before = snapshot(run)
    with pytest.raises(UserError, match=f"{message}.* --workdir; .* remove it first"):
        restore(model, run)
    config = tiny_config()
    with pytest.raises(UserError, match=message):
        save_run(str(run), config, make_representation(config.representation))
    assert snapshot(run) == before


def test_states_without_their_config_are_refused(model, run):
    config = tiny_config()
    with pytest.raises(UserError, match=r"checkpoints but no config\.json"):
        save_run(str(run), config, make_representation(config.representation))


def test_weights_of_another_network_are_refused_in_one_line(model, run, caplog):
    first, *others = model.variables
    longer = keras.Variable(np.zeros([first.shape[0] + 1, *first.shape[1:]]))
    extra = keras.Variable(0.0)
    for variables, message in (
        ([longer, *others], r"weights of shape \[.*\] stand where \[.*\] are needed"),
        ([first, *others, extra], "expected a whole checkpoint"),
    ):
        with pytest.raises(UserError, match=message):
            restore_weights(types.SimpleNamespace(variables=variables), str(run))
        gc.collect()  # what was not restored is told then, if at all
    assert caplog.text == ""


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_best_weights_that_are_gone_are_not_replaced_in_silence(
    damage, model, run, caplog
):
    damage(run / "best" / "ckpt-10.data-00000-of-00001")
    with pytest.raises(UserError, match="best/ckpt-10: expected a whole checkpoint"):
        restore_weights(model, str(run))
    shutil.rmtree(run / "best")
    with pytest.raises(
        UserError,
        match=r"step 10, .*\(1\.0000\), are gone; .* copy .*latest/ckpt-15\.\*",
    ):
        restore_weights(model, str(run))
    checkpoints, step = restore(model, run)
    assert step == 15
    assert "step 10, with the lowest validation loss so far (1.0000), are gone" in (
        caplog.text
    )
    reach(model, checkpoints, 20, loss=1.5)
    assert names(run / "best") == ["ckpt-20"]


def test_newest_state_serves_as_the_best_where_a_user_copies_it(model, run):
    shutil.rmtree(run / "best")
    (run / "best").mkdir()
    for path in (run / "latest").glob("ckpt-15.*"):
        shutil.copy(path, run / "best")
    assert restore_weights(model, str(run)).endswith("best/ckpt-15")
    assert weight(model) == 15
    checkpoints, _ = restore(model, run)
    reach(model, checkpoints, 20, loss=1.5)
    assert restore_weights(model, str(run)).endswith("best/ckpt-20")


def test_best_weights_come_back_from_the_state_that_has_them(model, run):
    for path in (run / "latest").glob("ckpt-15.*"):
        path.unlink()
    shutil.rmtree(run / "best")
    restore_weights(model, str(run))
    assert weight(model) == 10
    restore(model, run)
    assert names(run / "best") == ["ckpt-10"]


def test_better_weights_of_a_state_that_was_lost_stay(model, run, caplog):
    checkpoints, _ = restore(model, run)
    reach(model, checkpoints, 20, loss=0.5)
    for path in (run / "latest").glob("ckpt-20.*"):
        path.unlink()
    checkpoints, step = restore(model, run)
    assert step == 15
    reach(model, checkpoints, 18, loss=0.75)  # the best that this state knows of
    assert "best/ckpt-20 stays the best" in caplog.text
    assert names(run / "best") == ["ckpt-20"]
    checkpoints, step = restore(model, run)
    assert step == 18
    reach(model, checkpoints, 25, loss=0.25)
    assert names(run / "best") == ["ckpt-25"]


def test_run_without_a_best_epoch_says_that_it_gives_the_newest(
    model, tmp_path, caplog
):
    reach(model, Checkpoints(str(tmp_path), model), 3, loss=math.inf)
    assert restore_weights(model, str(tmp_path)).endswith("latest/ckpt-3")
    assert "no epoch is validated yet" in caplog.text


def test_killed_save_leaves_the_state_before(model, run):
    latest, best = run / "latest", run / "best"
    # TensorFlow writes parts in a folder, then one file of values, then the index.
    (latest / "ckpt-20.partial_temp").mkdir()
    (latest / "ckpt-20.partial_temp" / "part-00000-of-00001.index").touch()
    (latest / "ckpt-20.partial.data-00000-of-00001").write_bytes(b"values")
    (latest / "ckpt-20.partial.index").write_bytes(b"half an ind")
    (best / "ckpt-20.data-00000-of-00001").write_bytes(b"renamed before its index")
    checkpoints, step = restore(model, run)
    assert step == 15
    restore_weights(model, str(run))
    assert weight(model) == 10
    reach(model, checkpoints, 20, loss=0.5)
    assert restore(model, run)[1] == 20
    for directory in (latest, best):
        files = [path.name for path in directory.iterdir()]
        assert not [name for name in files if "partial" in name]
    assert names(best) == ["ckpt-20-2"]
    assert restore_weights(model, str(run)).endswith("best/ckpt-20-2")


def test_run_that_was_killed_in_its_first_save_has_not_begun(model, tmp_path):
    (tmp_path / "latest" / "ckpt-5.partial_temp").mkdir(parents=True)
    (tmp_path / "latest" / "ckpt-5.partial.index").touch()
    assert not has_begun(str(tmp_path))
    assert restore(model, tmp_path)[1] is None


@pytest.mark.parametrize("best_step", [10, 15])
def test_runs_of_earlier_versions_resume(best_step, model, run):
    # They wrote weights alone as the best, and TensorFlow's record beside both.
    shutil.rmtree(run / "best")
    reach(model, Checkpoints(str(run / "other"), model), best_step, loss=1.0)
    weights = [variable.value for variable in model.variables]
    tf.train.CheckpointManager(
        tf.train.Checkpoint(weights=weights), str(run / "best"), max_to_keep=1
    ).save(checkpoint_number=best_step)
    assert restore_weights(model, str(run)).endswith(f"best/ckpt-{best_step}")
    assert weight(model) == best_step
    checkpoints, _ = restore(model, run)
    reach(model, checkpoints, 20, loss=0.5)
    assert restore_weights(model, str(run)).endswith("best/ckpt-20")
    # Nothing says how good the weights of a state are that was lost.
    assert names(run / "best") == ["ckpt-20"] + ["ckpt-15"] * (best_step == 15)


def test_run_of_one_epoch_whose_states_are_gone_is_refused(tiny_data, tmp_path):
    workdir = tmp_path / "run"
    train_and_evaluate(tiny_config(num_epochs=1), tiny_data, str(workdir))
    shutil.rmtree(workdir / "latest")
    before = snapshot(workdir)
    with pytest.raises(UserError, match=r"best/ckpt-5, metrics\.csv of 1 epochs"):
        train_and_evaluate(tiny_config(), tiny_data, str(workdir))
    assert snapshot(workdir) == before


def test_run_that_is_killed_at_the_end_of_its_first_epoch_resumes(
    tiny_data, whole_run, tmp_path, monkeypatch
):
    def die(_):
        raise KeyboardInterrupt

    workdir = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save_best", die)
        with pytest.raises(KeyboardInterrupt):
            train_and_evaluate(tiny_config(), tiny_data, str(workdir))
    assert (workdir / "metrics.csv").exists()
    train_and_evaluate(tiny_config(), tiny_data, str(workdir))
    assert_same_run(whole_run, workdir)


def test_directory_may_have_the_characters_of_patterns(tiny_data, whole_run, tmp_path):
    workdir = str(tmp_path / "run [a] *?")
    train_and_evaluate(tiny_config(num_epochs=1), tiny_data, workdir)
    train_and_evaluate(tiny_config(), tiny_data, workdir)
    ours = str(shutil.copytree(workdir, tmp_path / "plain"))
    assert_same_run(whole_run, ours)
    assert restore_model(workdir)[2] == restore_model(ours)[2].replace(ours, workdir)
    # TensorFlow could not load a model from there.
    with pytest.raises(UserError, match=r"a directory with '\[' in its name"):
        export_run(workdir, f"{workdir}/model")


@pytest.mark.slow
def test_run_that_is_killed_while_it_saves_resumes(tiny_data, tmp_path):
    config = tiny_config(steps_per_epoch=40, save_every_steps=1)
    train_and_evaluate(config, tiny_data, str(tmp_path / "whole"))
    workdir = tmp_path / "killed"
    for _ in range(4):
        process = start_training(config, tiny_data, workdir)
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and process.poll() is None:
            if any("partial" in name for name in _listed(workdir / "latest")):
                break
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    train_and_evaluate(config, tiny_data, str(workdir))
    assert_same_run(tmp_path / "whole", workdir)


def _listed(directory):
    try:
        return [path.name for path in directory.iterdir()]
    except FileNotFoundError:
        return []


def test_what_cannot_be_removed_is_named_and_stops_nothing(
    tmp_path, monkeypatch, caplog
):
    (tmp_path / "ckpt-3.index").write_bytes(b"")

    def refuse(path):
        raise tf.errors.PermissionDeniedError(None, None, path)

    monkeypatch.setattr(tf.io.gfile, "remove", refuse)
    remove_checkpoints(str(tmp_path), {str(tmp_path / "ckpt-3")})
    assert "ckpt-3.index cannot be removed; it is not needed any more" in caplog.text
