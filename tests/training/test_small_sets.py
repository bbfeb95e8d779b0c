"""What a run decides by the size of its data, and what it says of it."""

import csv
import io
import os
import sys
import threading

import numpy as np
import pytest

from tests.data.builders import write_dataset
from tests.experiments import LENGTHS, family_experiment, newest_values, tiny_config
from tfmusic.data.settings import DataSettings
from tfmusic.errors import UserError
from tfmusic.evaluation.curves import draw_curves
from tfmusic.representations import make_representation
from tfmusic.training.callbacks import read_metrics
from tfmusic.training.first_look import variation_in_words
from tfmusic.training.live_line import duration, loss_in_words, loss_of, say
from tfmusic.training.run_directory import load_run
from tfmusic.training.setup import train_and_evaluate
from tfmusic.training.verdict import describe_epochs, judge, next_commands

HOURS = {"train": {"num_pieces": 40, "seconds": 2 * 3600}}


def metrics(workdir, name):
    with open(f"{workdir}/metrics.csv") as file:
        return [float(row[name]) for row in csv.DictReader(file)]


def num_steps(workdir):
    return newest_values(workdir)["progress/step/.ATTRIBUTES/VARIABLE_VALUE"]


def test_epoch_of_a_small_set_is_as_many_passes_as_the_fewest_steps_take(
    tiny_data, tmp_path, capsys
):
    # One pass is four batches: sixteen windows of these four pieces, four at once.
    config = tiny_config(num_epochs=2, steps_per_epoch=0, min_steps_per_epoch=0)
    train_and_evaluate(config, tiny_data, str(tmp_path / "passes"))
    one_pass = int(num_steps(tmp_path / "passes")) // 2
    config.train.min_steps_per_epoch = 2 * one_pass + 1
    train_and_evaluate(config, tiny_data, str(tmp_path / "run"))
    assert num_steps(tmp_path / "run") == 2 * 3 * one_pass
    assert f"each 3 times through the music in {3 * one_pass} steps" in (
        capsys.readouterr().out
    )


def test_warmup_left_open_is_a_twentieth_of_the_run_and_stays_when_it_is_made_longer(
    tiny_data, tmp_path
):
    workdir = str(tmp_path / "run")
    config = tiny_config(num_epochs=8)
    config.optimizer.warmup_steps = -1
    train_and_evaluate(config, tiny_data, workdir)
    assert load_run(workdir)[0].optimizer.warmup_steps == 8 * 5 // 20
    config.train.num_epochs = 12
    train_and_evaluate(config, tiny_data, workdir)
    assert load_run(workdir)[0].optimizer.warmup_steps == 2
    assert num_steps(workdir) == 60
    assert config.optimizer.warmup_steps == -1, "the caller's config stays as it is"


@pytest.mark.parametrize(("min_steps", "warmup"), [(40, 0), (0, 40)])
def test_run_does_not_stop_early_before_enough_steps_nor_in_the_warmup(
    min_steps, warmup, tiny_data, tmp_path
):
    config = tiny_config(
        num_epochs=12, early_stopping_epochs=1, early_stopping_min_steps=min_steps
    )
    # Without a step of any size no epoch is better than the first.
    config.optimizer.update(name="sgd", learning_rate=1e-30, warmup_steps=warmup)
    train_and_evaluate(config, tiny_data, str(tmp_path))
    assert num_steps(tmp_path) == 40


def test_validation_can_be_limited_to_the_same_few_batches(tiny_data, tmp_path):
    config = tiny_config(eval_batch_size=1)
    config.optimizer.update(name="sgd", learning_rate=1e-30)
    train_and_evaluate(config, tiny_data, str(tmp_path / "all"))
    config.train.eval_steps = 1
    train_and_evaluate(config, tiny_data, str(tmp_path / "one"))
    limited = metrics(tmp_path / "one", "val_loss")
    assert limited == [limited[0]] * 3
    assert limited[0] != pytest.approx(metrics(tmp_path / "all", "val_loss")[0])


@pytest.mark.parametrize("split", ["train", "validation"])
def test_dataset_without_pieces_to_learn_from_or_to_judge_by_is_refused(
    split, tmp_path
):
    kind = make_representation(tiny_config().representation)
    lengths = {**LENGTHS, split: []}
    write_dataset(str(tmp_path / "data"), lengths, kind)
    with pytest.raises(UserError, match=f"expected pieces in its {split} split, found"):
        train_and_evaluate(tiny_config(), str(tmp_path / "data"), str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_lines_are_there_at_once(monkeypatch):
    class Pipe(io.StringIO):
        seen = ""

        def flush(self):
            self.seen = self.getvalue()

    pipe = Pipe()
    monkeypatch.setattr("sys.stdout", pipe)
    say("epoch 1 of 3")
    assert pipe.seen == "epoch 1 of 3\n"


def test_what_stands_in_the_way_of_learning_is_said_with_a_remedy(
    tiny_data, tmp_path, capsys
):
    config = tiny_config(num_epochs=1)
    config.data.update(window_steps=50, window_stride=50, transpose_semitones=0)
    train_and_evaluate(config, tiny_data, str(tmp_path))
    said = capsys.readouterr().out
    assert "4 pieces to train on" in said
    assert "only 2 validation pieces" in said
    assert "windows of 50 steps are longer than 3 of 4 pieces" in said
    assert "half have less than 36" in said
    assert "a small set, and windows are not transposed" in said
    assert "come once in the music" not in said


def test_vocabulary_of_which_most_is_seen_once_is_told(tmp_path, capsys):
    config = family_experiment(
        "skuldur_lstm", tmp_path / "tokens", num_epochs=1, steps_per_epoch=1
    )
    kind = make_representation(config.representation).fit_counts({})

    def rare(num_steps, number):
        zeros = np.zeros(num_steps, np.int32)
        arrays = {name: zeros for name in kind.feature_specs}
        return arrays | {"tokens": 10 + np.arange(num_steps, dtype=np.int32)}

    data = str(tmp_path / "rare")
    write_dataset(data, {"train": [20], "validation": [20]}, kind, rare)
    train_and_evaluate(config, data, str(tmp_path / "run"))
    assert "20 of 20 tokens of note_chord_tokens come once" in capsys.readouterr().out


def test_log_gets_a_line_for_each_epoch_and_at_the_end_what_comes_next(
    tiny_data, tmp_path, capsys
):
    workdir = str(tmp_path / "my run")
    train_and_evaluate(tiny_config(), tiny_data, workdir)
    said = capsys.readouterr().out
    epochs = [line for line in said.splitlines() if line.startswith("epoch ")]
    assert len(epochs) == 3
    assert epochs[1].startswith("epoch 2 of 3, step 10 of 15: loss ")
    assert "left" in epochs[1]
    assert "left" not in epochs[2]
    assert "loss: how badly the model guesses" in said
    assert "verdict: under-fitted: " in said
    assert "best and last epoch: 3 of 3, loss " in said
    assert f"in {workdir}/best" in said
    assert sorted(n for n in os.listdir(workdir) if n.startswith("metrics")) == [
        "metrics.csv",
        "metrics.png",
    ]
    rows = read_metrics(f"{workdir}/metrics.csv")
    assert [row["step"] for row in rows] == ["5", "10", "15"]
    with open(f"{workdir}/metrics.png", "rb") as file:
        assert file.read() == draw_curves({"my run": rows})
    assert (
        f"tfmusic export --workdir='{workdir}' --export_dir='{workdir}_model'" in said
    )


def test_terminal_gets_a_line_that_moves_and_says_when_it_validates(
    tiny_data, tmp_path, monkeypatch
):
    ours, theirs = os.openpty()
    written = []

    def read():
        while b"done" not in b"".join(written[-2:]):
            written.append(os.read(ours, 65536))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    monkeypatch.setattr("tfmusic.training.live_line._SECONDS", 0.0)
    with open(theirs, "w") as terminal:
        monkeypatch.setattr(sys, "stdout", terminal)
        train_and_evaluate(tiny_config(), tiny_data, str(tmp_path))
        terminal.write("done")
        terminal.flush()
        reader.join(timeout=60)
    shown = b"".join(written).decode()
    assert "\x1b[Kepoch 2 of 3, step 3 of 5" in shown
    assert "\x1b[Kepoch 3 of 3, validating, batch 1 of " in shown


def rows(pairs):
    return [{"loss": str(loss), "val_loss": str(found)} for loss, found in pairs]


@pytest.mark.parametrize(
    ("pairs", "splits", "verdict"),
    [
        ([(5, 5), (4, 5.1)], HOURS, "too short to tell, after 2 epochs; the same"),
        (
            [(5, 5), (4, 4.2), (3.5, 3.7)],
            HOURS,
            "under-fitted: validation fell by 0.50",
        ),
        ([(5, 5), (3, 4.2), (2, 4.2), (1, 4.3)], HOURS, "over-fitted: in epoch 2 tr"),
        (
            [(5, 5), (4, 4.2), (3.9, 4.3), (3.8, 4.4)],
            HOURS,
            "fine: in epoch 2 training",
        ),
        (
            [(5, 5), (3, 4.2), (2, 4.2), (1, 4.3)],
            {"train": {"num_pieces": 4, "seconds": 600}},
            "too little data: 4 pieces, 10 min",
        ),
        # From where on: a fall of 1 % of the loss in a fifth of the epochs; validation
        # 15 % above training; ten pieces; half an hour.
        ([(5, 5), (4, 4.0), (4, 3.95)], HOURS, "under-fitted"),
        ([(5, 5), (4, 4.0), (4, 3.97)], HOURS, "fine"),
        ([(5, 5), (3.35, 4), (3, 4.1)], HOURS, "over-fitted"),
        ([(5, 5), (3.45, 4), (3, 4.1)], HOURS, "fine"),
        ([(5, 5), (4, 4), (4, 4)], {"train": {"num_pieces": 9, "seconds": 9e3}}, "too"),
        ([(5, 5), (4, 4), (4, 4)], {"train": {"num_pieces": 10, "seconds": 1800}}, "f"),
        ([(5, 5), (4, 4), (4, 4)], {"train": {"num_pieces": 99, "seconds": 1790}}, "t"),
    ],
)
def test_verdict_names_what_is_the_matter_and_its_figures(pairs, splits, verdict):
    assert judge(rows(pairs), splits).startswith(verdict)


def test_best_and_last_epoch_are_told_apart():
    pairs = [(5, 5), (4, 4.2), (3.9, 4.3)]
    assert describe_epochs(rows(pairs), "nats a frame") == [
        "best epoch: 2 of 3, loss 4.000 nats a frame in training, 4.200 nats a frame "
        "in validation; its weights are kept",
        "last epoch: 3 of 3, loss 3.900 nats a frame in training, 4.300 nats a frame "
        "in validation",
    ]
    # The weights are kept by the loss, whatever else is shown.
    shown = [row | {"val_nats_per_step": 9.0 - i} for i, row in enumerate(rows(pairs))]
    assert [line[:18] for line in describe_epochs(shown)] == [
        "best epoch: 2 of 3",
        "last epoch: 3 of 3",
    ]
    assert "in epoch 2 training 4.00" in judge(shown, HOURS)


def test_verdict_on_a_run_stopped_while_falling_gives_the_command_that_goes_on():
    falling = rows([(6 - i / 10, 6 - i / 10) for i in range(10)])
    said = judge(falling, HOURS)
    assert "fell by 0.20 in the last 2 epochs, to 5.10" in said
    assert "--config.train.num_epochs=20" in said


@pytest.mark.parametrize(
    ("up", "down", "words"),
    [(3, 2, "by -2 to 3 semitones"), (1, -1, "by up to 1 semitone "), (0, -1, "none")],
)
def test_transpositions_are_told_as_they_are(up, down, words):
    settings = DataSettings(transpose_semitones=up, transpose_down_semitones=down)
    assert words in variation_in_words(settings)


def test_a_run_that_learns_by_heart_is_not_judged_by_its_validation():
    pairs = [(5, 5), (3, 4.2), (1, 9)]
    assert judge(rows(pairs), HOURS, takes="latest") == (
        "meant to be learned by heart: from epoch 1 to 3 training went from 5.00 to "
        "1.00, validation from 5.00 to 9.00"
    )
    assert judge(rows(pairs), HOURS).startswith("over-fitted")


def test_an_autoencoder_is_followed_by_what_it_can_do():
    *_, reconstruct, encode = next_commands("run", "data", True, makes_music=False)
    assert reconstruct.startswith("tfmusic reconstruct --model_dir=run_model --input=")
    assert encode == (
        "tfmusic encode_latents --data_dir=data --model_dir=run_model "
        "--output_dir=run_latents"
    )


def test_next_commands_quote_directories_and_leave_out_an_empty_test_split():
    commands = next_commands("runs/a b/", "data", has_test=False)
    assert commands == [
        "tfmusic export --workdir='runs/a b' --export_dir='runs/a b_model'",
        "tfmusic generate --model_dir='runs/a b_model' --output_dir='runs/a b_music' "
        "--num_outputs=4",
    ]
    assert "--data_dir=data --split=test" in next_commands("run", "data", True)[0]


def test_losses_and_times_are_said_in_words():
    # exp(-2.3026) = 0.1
    assert loss_in_words(2.3026, "nats a token") == (
        "2.30 nats a token (10 % for the right one)"
    )
    assert loss_in_words(12.3456, "") == "12.346"
    assert [duration(s) for s in (40, 725, 12000)] == ["40 s", "12 min", "3 h 20 min"]


def test_loss_that_is_shown_leaves_padding_out():
    logs = {"loss": 0.6, "val_loss": 0.7, "nats_per_step": 1.1, "val_nats_per_step": 1}
    assert (loss_of(logs), loss_of(logs, "val_")) == (1.1, 1.0)
    assert loss_of({"loss": 0.6}) == 0.6
    # A row of metrics.csv from after a change of metrics.
    assert loss_of({"loss": "0.6", "nats_per_step": ""}) == 0.6
