import functools
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.contracts import make_sequence
from tests.experiments import tiny_config
from tests.latents import make_latent_wgan
from tfmusic.errors import UserError
from tfmusic.models import make_model
from tfmusic.notes.reading import read_file
from tfmusic.notes.writing import to_midi_bytes, write_midi
from tfmusic.representations import make_representation
from tfmusic.serving.catalogue import CARD
from tfmusic.serving.model_card import describe_controls
from tfmusic.serving.player import Player, versions
from tfmusic.serving.requests import request_music
from tfmusic.serving.saved_model import export_model, export_run
from tfmusic.training.run_directory import hash_weights, restore_model
from tfmusic.training.scoring import evaluate_run
from tfmusic.training.setup import train_and_evaluate

ROOT = pathlib.Path(__file__).resolve().parents[2]
PRIMER = make_sequence([(60, 80, 0.0, 0.5), (64, 80, 0.5, 1.0), (67, 80, 1.0, 2.0)])


@pytest.fixture(scope="module")
def player(tiny_export):
    return Player(tiny_export)


def midi(pieces):
    return [to_midi_bytes(piece) for piece in pieces]


def test_same_seed_gives_the_same_bytes_and_another_seed_does_not(player):
    first = midi(player.generate(num_outputs=3, num_steps=24, seed=5))
    assert midi(player.generate(num_outputs=3, num_steps=24, seed=5)) == first
    assert midi(player.generate(num_outputs=3, num_steps=24, seed=6)) != first
    assert len(set(first)) == 3


def test_every_seed_that_fits_makes_music(player):
    smallest = midi(player.generate(num_steps=24, seed=-(2**63)))
    assert smallest != midi(player.generate(num_steps=24, seed=2**63 - 1))


def test_new_process_without_dataset_or_run_gives_the_same_files(
    player, tiny_export, tmp_path
):
    alone = shutil.copytree(tiny_export, tmp_path / "model")
    command = [sys.executable, "-m", "tfmusic.generate", f"--model_dir={alone}"]
    command += [f"--output_dir={tmp_path}/music", "--num_outputs=2", "--seed=5"]
    command += ["--num_steps=24", "--temperature=0", "--nopictures"]
    command += ["--max_repeats=1"]
    assert subprocess.run(command, cwd=ROOT).returncode == 0
    controls = {"temperature": 0.0, "max_repeats": 1}
    pieces = player.generate(2, 24, seed=5, controls=controls)
    for number, expected in enumerate(midi(pieces), start=1):
        assert (tmp_path / "music" / f"piece_{number}.mid").read_bytes() == expected
    contents = (tmp_path / "music" / "contents.txt").read_text()
    assert "piece_2.mid  generated piece 2" in contents
    assert player.guarded_steps > 0
    assert f"max_repeats, max_silence changed {player.guarded_steps} steps" in contents


def test_export_plays_as_the_model_in_memory_does(player, tiny_run):
    _, model, _ = restore_model(tiny_run[1])
    inputs = {
        "num_outputs": tf.constant(2),
        "num_steps": tf.constant(9),
        "seed": tf.constant(3, tf.int64),
    }
    for control in model.CONTROLS:
        inputs[control.name] = tf.constant(control.default)
    expected = model.endpoints()["generate"].function(*inputs.values())
    loaded = tf.saved_model.load(player.path)
    outputs = loaded.signatures["generate"](**inputs)
    np.testing.assert_array_equal(outputs["roll"], expected["roll"])


def test_music_goes_on_from_the_primer(player):
    pieces = player.generate(num_outputs=2, num_steps=8, seed=0, primer=PRIMER)
    for piece in pieces:
        assert list(piece.notes[:3]) == list(PRIMER.notes)
        # At 120 quarters a minute PRIMER lasts a second, and a sixteenth an eighth.
        new = [(note.start_time - 1.0) / 0.125 for note in piece.notes[3:]]
        assert new == sorted(new)
        np.testing.assert_allclose(new, np.round(new), atol=1e-6)
        assert all(0 <= step < 8 for step in new)
    alone = player.generate(2, 8, 0, primer=PRIMER, include_primer=False)
    assert [(n.pitch, n.start_time) for n in alone[0].notes] == [
        (n.pitch, n.start_time - 1.0) for n in pieces[0].notes[3:]
    ]


def test_steps_that_guards_changed_are_counted(player):
    player.generate(2, 40, controls={"max_repeats": 0, "max_silence": 0})
    assert player.guarded_steps == 0
    player.generate(2, 40, controls={"max_repeats": 1, "temperature": 0.0})
    assert player.guarded_steps > 0


@pytest.fixture(scope="module")
def token_export(tmp_path_factory):
    """The directory of an untrained model of notes and chords."""
    keras.utils.set_random_seed(0)
    model = make_model(
        make_representation({"name": "note_chord_tokens"}).fit_counts({"C4.E4": 2}),
        {"name": "token_lstm", "embedding_size": 8, "units": (8,)},
    )
    model.build_model()
    path = str(tmp_path_factory.mktemp("tokens") / "1")
    card = {
        "name": "notes",
        "checkpoint": "none",
        "representation": model.representation.to_config(),
        "controls": describe_controls(model.CONTROLS),
        "search_controls": describe_controls(model.SEARCH_CONTROLS),
    }
    export_model(model, card, path)
    return path


def test_search_writes_all_beams_ranked(token_export, tmp_path):
    write_midi(PRIMER, str(tmp_path / "primer.mid"))
    command = [sys.executable, "-m", "tfmusic.generate", f"--model_dir={token_export}"]
    command += [f"--output_dir={tmp_path}/music", "--beam_width=3", "--num_steps=12"]
    command += [
        *(f"--primer={tmp_path}/primer.mid", "--primer_seconds=0.4"),
        "--nopictures",
        "--no_repeat_ngram=4",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = re.findall(r"piece_(\d).mid .* log-likelihood (-[\d.]+) nats", done.stdout)
    assert [number for number, _ in found] == ["1", "2", "3"]
    values = [float(value) for _, value in found]
    assert values == sorted(values, reverse=True)
    player = Player(token_export)
    primer = player.cut_primer(PRIMER, seconds=0.4)
    assert len(primer.notes) == 2
    ranked = player.search(3, 12, primer, controls={"no_repeat_ngram": 4})
    np.testing.assert_allclose([value for _, value in ranked], values, atol=0.01)
    for number, (piece, _) in enumerate(ranked, start=1):
        written = (tmp_path / "music" / f"piece_{number}.mid").read_bytes()
        assert written == to_midi_bytes(piece)
    drawn = [
        player.search(3, 12, primer, controls={"temperature": 2.0}, seed=seed)
        for seed in (1, 1, 2)
    ]
    first, again, other = (midi(piece for piece, _ in beams) for beams in drawn)
    assert first == again != other


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"controls": {"top_k": 1}}, "top_k: leave it out with a beam search"),
        ({"controls": {"length": 1}}, "unknown 'length'.*length_power"),
        ({"controls": {"length_power": 3}}, "length_power: expected 0 to 2, got 3"),
        ({"beam_width": 0}, "beam_width: expected at least 1, got 0"),
        ({"num_steps": 0}, "num_steps: expected at least 1, got 0"),
        ({"beam_width": 2**40}, "beam_width: expected at most 4,096, got 1,099"),
    ],
    ids=["control", "name", "bounds", "width", "steps", "many"],
)
def test_mistake_in_a_search_is_answered_in_words(token_export, changes, message):
    with pytest.raises(UserError, match=message):
        Player(token_export).search(**changes)


def test_a_search_leaves_nothing_to_chance(token_export):
    command = [sys.executable, "-m", "tfmusic.generate", f"--model_dir={token_export}"]
    command += ["--output_dir=none", "--beam_width=3", "--seed=3"]
    env = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 2
    assert "--seed: leave it out with --beam_width" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.fixture(scope="module")
def gan_export(tmp_path_factory):
    """The directory of an untrained model that makes pieces of noise."""
    path = str(tmp_path_factory.mktemp("gan") / "1")
    model = make_latent_wgan()
    card = {
        "name": "latent_wgan",
        "checkpoint": "none",
        "representation": model.output_representation.to_config(),
        "controls": describe_controls(model.CONTROLS),
    }
    export_model(model, card, path)
    return path


def test_interpolation_writes_the_way_from_one_piece_to_another(gan_export, tmp_path):
    command = [sys.executable, "-m", "tfmusic.generate", f"--model_dir={gan_export}"]
    command += [f"--output_dir={tmp_path}", "--nopictures", "--spread=2"]
    command += ["--interpolate_seeds=3,9", "--num_outputs=3", "--num_steps=8"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "from seed 3 to 9" in done.stdout
    written = [(tmp_path / f"piece_{i}.mid").read_bytes() for i in (1, 2, 3)]
    player = Player(gan_export)
    for seed, midi in ((3, written[0]), (9, written[2])):
        (piece,) = player.generate(1, 8, seed=seed, controls={"spread": 2.0})
        assert midi == to_midi_bytes(piece)


def test_an_interpolation_takes_two_seeds(gan_export):
    command = [sys.executable, "-m", "tfmusic.generate", f"--model_dir={gan_export}"]
    command += ["--output_dir=none", "--interpolate_seeds=3,x"]
    env = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 2
    assert "expected two whole numbers, as in 1,2, got '3,x'" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--scores", "--scores: leave it out: latent_wgan makes music in seconds"),
        ("--soundfont=x.sf2", "--soundfont: give --audio too"),
        ("--audio --soundfont=x.sf2", "x.sf2: expected a SoundFont .*found no file"),
    ],
)
def test_what_cannot_be_written_is_told_before_music_is_made(
    gan_export, tmp_path, flag, message
):
    command = [sys.executable, "-m", "tfmusic.generate", f"--model_dir={gan_export}"]
    command += [f"--output_dir={tmp_path / 'music'}", *flag.split()]
    env = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 2
    assert re.search(message, done.stderr)
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "music").exists()


def test_seeds_that_no_integer_holds_are_answered_in_words(gan_export):
    message = "seeds: expected at most 9,223,372,036,854,775,807, got 1,180"
    with pytest.raises(UserError, match=message):
        Player(gan_export).interpolate(3, 8, seeds=(1, 2**70))


def test_families_without_an_interpolation_say_so(player):
    with pytest.raises(UserError, match="interpolate: .* has no way from one piece"):
        player.interpolate(3, 8, seeds=(1, 2))


def test_families_without_a_search_say_so(player):
    with pytest.raises(UserError, match="beam_width: .* no beam search.*temperature"):
        player.search(3)
    with pytest.raises(UserError, match="unknown 'beam_width'.*temperature"):
        player.generate(controls={"beam_width": 3})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"controls": {"temprature": 1}}, "did you mean 'temperature'.*it can be .*"),
        ({"controls": {"temperature": -1}}, "temperature: expected 0 to 10, got -1"),
        ({"controls": {"temperature": "hot"}}, "expected a number, got 'hot'"),
        ({"num_steps": 0}, "num_steps: expected at least 1, got 0"),
        ({"num_outputs": -2}, "num_outputs: expected at least 1, got -2"),
        ({"num_steps": 2**32 + 5}, "num_steps: expected at most 100,000, got 4,294"),
        (
            {"num_outputs": 2**40, "primer": PRIMER},
            "num_outputs: expected at most 4,096, got 1,099",
        ),
        ({"seed": 2**70}, "seed: expected at most 9,223,372,036,854,775,807, got 1"),
        (
            {"seed": -(2**63) - 1},
            "seed: expected at least -9,223,372,036,854,775,808, got",
        ),
        ({"primer": make_sequence([])}, "cannot be encoded"),
    ],
    ids=["name", "bounds", "number", "steps", "outputs", "many_steps", "many_outputs"]
    + ["seed", "negative_seed", "primer"],
)
def test_mistake_is_answered_in_words(player, changes, message):
    with pytest.raises(UserError, match=message):
        player.generate(**changes)


def test_unreadable_primer_ends_with_one_line_and_status_2(tiny_export, tmp_path):
    broken = tmp_path / "broken.mid"
    broken.write_bytes(b"MThd no more")
    for primer in (broken, tmp_path / "missing.mid"):
        command = [sys.executable, "-m", "tfmusic.generate", f"--primer={primer}"]
        command += [f"--model_dir={tiny_export}", f"--output_dir={tmp_path}/music"]
        env = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
        done = subprocess.run(
            command, cwd=ROOT, env=env, capture_output=True, text=True
        )
        assert done.returncode == 2
        assert primer.name in done.stderr
        assert done.stderr.count("\n") == 1
    assert not (tmp_path / "music").exists()


def test_written_primer_is_read_back_and_continued(player, tmp_path):
    path = str(tmp_path / "primer.mid")
    write_midi(PRIMER, path)
    from_file = player.generate(1, 8, 0, primer=read_file(path))
    assert midi(from_file) == midi(player.generate(1, 8, 0, primer=PRIMER))


def test_new_weights_become_a_new_version_and_old_ones_do_not(tiny_run, tmp_path):
    data_dir, workdir = tiny_run
    mine = shutil.copytree(workdir, tmp_path / "run")
    export_dir = str(tmp_path / "export")
    assert export_run(str(mine), export_dir) == export_run(str(mine), export_dir)
    assert versions(export_dir) == [1]
    train_and_evaluate(tiny_config(num_epochs=3), data_dir, str(mine))
    export_run(str(mine), export_dir)
    assert versions(export_dir) == [1, 2]
    assert Player(export_dir).card["checkpoint"] == "best/ckpt-15"


def test_an_export_has_the_weights_that_are_asked_for(tiny_run, tmp_path):
    data_dir, workdir = tiny_run
    mine = shutil.copytree(workdir, tmp_path / "run")
    config = tiny_config(num_epochs=3)
    train_and_evaluate(config, data_dir, str(mine))
    for path in (mine / "best").glob("*"):
        path.unlink()
    for path in (mine / "latest").glob("ckpt-10.*"):
        shutil.copy(path, mine / "best")
    card = Player(export_run(str(mine), str(tmp_path / "model"), "latest")).card
    assert card["checkpoint"] == "latest/ckpt-15"
    assert card["weights"] == hash_weights(restore_model(str(mine), 15)[1])
    assert card["weights"] != hash_weights(restore_model(str(mine))[1])
    scores = evaluate_run(str(mine), data_dir, "test", checkpoint="latest")
    assert scores["weights"] == card["weights"]
    # What the run's config says holds where nothing is asked for.
    path = mine / "config.json"
    saved = json.loads(path.read_text())
    saved["train"]["export_checkpoint"] = "latest"
    path.write_text(json.dumps(saved))
    assert restore_model(str(mine))[2] == str(mine / "latest" / "ckpt-15")
    assert restore_model(str(mine), "best")[2] == str(mine / "best" / "ckpt-10")


def test_half_written_export_is_no_version(tiny_export, tmp_path):
    export_dir = shutil.copytree(tiny_export, tmp_path / "export")
    os.rename(export_dir / "1", export_dir / ".1")
    with pytest.raises(UserError, match="found no exported model"):
        Player(str(export_dir))


def test_score_is_the_likelihood_of_each_step(player, tiny_run):
    nats = player.score(PRIMER)
    features = player.representation.encode(PRIMER)
    _, model, _ = restore_model(tiny_run[1])
    expected = model.score(
        {name: tf.constant(array[np.newaxis]) for name, array in features.items()},
        tf.constant([len(nats)]),
    )["log_likelihood"]
    np.testing.assert_allclose(nats, expected[0], rtol=1e-5)
    assert np.all(nats < 0.0)


@pytest.mark.parametrize("damage", [b"{}", b"[]", b"{", b"\xff\x00", "no graph"])
def test_damaged_export_is_told_in_one_line(tiny_export, tmp_path, damage):
    path = tmp_path / "1"
    shutil.copytree(pathlib.Path(tiny_export, "1"), path)
    if damage == "no graph":
        (path / "saved_model.pb").unlink()
    else:
        (path / CARD).write_bytes(damage)
    with pytest.raises(UserError, match="copy or export the model again") as error:
        Player(str(path))
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_control_that_the_card_has_lost_is_told_in_one_line(tiny_export, tmp_path):
    path = tmp_path / "1"
    shutil.copytree(pathlib.Path(tiny_export, "1"), path)
    card = json.loads((path / CARD).read_text())
    del card["controls"]["max_silence"]
    (path / CARD).write_text(json.dumps(card))
    with pytest.raises(UserError, match="a control max_silence in the model.s"):
        Player(str(path)).generate(num_steps=4)


def test_a_control_given_as_a_setting_is_told_where_it_goes(player):
    with pytest.raises(UserError, match="temperature: give it as controls="):
        player.generate(temperature=0.9)


def test_what_a_setting_decides_is_not_given_twice(player):
    control = {"default": 0.0, "minimum": 0.0, "maximum": 100.0, "doc": "x"}
    for name, setting in (
        ("home_key", {"key": "G"}),
        ("bar_quarters", {"metre": "3/4"}),
        ("length_bars", {"bars": 4}),
    ):
        card = player.card | {"controls": player.controls | {name: control}}
        request = functools.partial(request_music, card, player.representation)
        (field,) = setting
        with pytest.raises(UserError, match=f"^{name}: leave it out with {field}: "):
            request(controls={name: 5}, **setting)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--num_outputs=-1", "--best_of=2"], "num_outputs: expected at least 1, got"),
        (["--best_of=0"], "best_of: expected at least 1, got 0"),
        (["--num_outputs=65536", "--best_of=65536"], "best_of: expected at most 32767"),
    ],
)
def test_numbers_of_pieces_are_checked_by_their_own_names(tmp_path, flags, message):
    code = (
        "import sys; sys.modules['tensorflow'] = None\n"
        "from tfmusic.cli import main; main()"
    )
    command = ["generate", "--model=chorales", f"--output_dir={tmp_path}/music", *flags]
    done = subprocess.run(
        [sys.executable, "-c", code, *command], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {message}")
    assert done.stderr.count("\n") == 1
