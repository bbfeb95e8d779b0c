import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tests.models import contracts
from tests.models.conftest import make_case
from tfmusic.training.live_line import loss_of

# Loads exports where this package cannot be imported and calls their signatures.
FRESH = """
import sys
import numpy as np
import tensorflow as tf
for path in sys.argv[1:]:
    signatures = tf.saved_model.load(path).signatures
    for name, signature in signatures.items():
        inputs = np.load(f"{path}/{name}.npz")
        outputs = signature(**{key: tf.constant(inputs[key]) for key in inputs})
        arrays = {key: value.numpy() for key, value in outputs.items()}
        np.savez(f"{path}/{name}_outputs.npz", **arrays)
assert "tfmusic" not in sys.modules
"""


def test_loss_is_finite_and_reaches_all_weights(case):
    contracts.check_gradients(case.model, case.pieces)


@pytest.mark.parametrize(
    ("name", "is_loss"),
    [
        ("tokens", True),
        ("two_hands", True),
        ("next_frame", True),
        ("biaxial", True),
        ("tokens_reference", False),  # of the last step alone
        ("one_hand_reference", False),  # with weights of the keys
        ("next_frame_reference", False),  # of one class a frame
        ("seq2seq_reference", False),  # focal
    ],
)
def test_training_shows_nats_only_where_it_makes_nats_small(name, is_loss):
    case = make_case(name)
    case.model.compile_for_training("sgd")
    logs = case.model.test_step(contracts.whole_pieces(case.model, case.pieces))
    assert ("nats_per_step" in logs, "nats_of_all_steps" in logs) == (
        is_loss,
        not is_loss,
    )


def test_a_loss_that_is_no_likelihood_is_also_told_without_padding():
    case = make_case("seq2seq_reference")
    case.model.compile_for_training("sgd")
    x, y, weights = contracts.whole_pieces(case.model, case.pieces)
    logs = case.model.test_step((x, y, weights))
    weights = np.asarray(weights)
    assert np.any(weights == 0.0)
    # The loss divides by all steps.
    expected = float(logs["loss"]) * weights.size / weights.sum()
    assert float(logs["loss_per_step"]) == pytest.approx(expected, rel=1e-4)
    assert loss_of(logs) == pytest.approx(expected, rel=1e-4)


def test_a_piece_scores_the_same_in_any_batch(case):
    contracts.check_batch_consistency(case.model, case.pieces)


def test_the_future_changes_no_score(case):
    later = {name: array[3:] for name, array in case.pieces[2].items()}
    contracts.check_causality(case.model, case.pieces[1], later)


def test_generation_steps_reach_the_state_of_the_sequence(case):
    piece = {name: array[:6] for name, array in case.pieces[0].items()}
    contracts.check_step_equals_sequence(case.model, piece)


def test_seeds_decide_the_music(trained):
    contracts.check_seeds(trained.model)


def test_guards_keep_music_from_standing_still(case):
    contracts.check_guards(case.model, case.pieces[0])


def test_output_is_fed_back(trained):
    contracts.check_feedback(trained.model, trained.pieces[0])


def test_the_step_learned_is_the_next_one(trained):
    # A network trained on the step after the next would skip every other one.
    piece = trained.pieces[2]
    prompt = {name: array[np.newaxis, :8] for name, array in piece.items()}
    made = contracts.call_endpoint(
        trained.model, "continue", prompt, num_steps=10, seed=0, temperature=0.0
    )
    for name, array in piece.items():
        np.testing.assert_array_equal(made[name][0], array[8:18])
    assert made["num_steps"] == [10]


def test_music_from_nothing_is_what_was_learned(trained):
    # Down to the first step: the start is learned too.
    controls = contracts.metre_controls(trained.model, trained.pieces[0])
    settings = dict(num_outputs=2, num_steps=8, seed=0, temperature=0.0, **controls)
    made = contracts.call_endpoint(trained.model, "generate", **settings)
    first = contracts.num_said(trained.model)
    for name, array in trained.pieces[0].items():
        np.testing.assert_array_equal(made[name][1], array[first : first + 8])


def test_targets_are_one_step_after_inputs(case):
    (name, array), *_ = case.pieces[0].items()
    window = contracts.cut_window(case.pieces[0], 3, 10)
    x, y, weight = case.model.example_fn(window, tf.constant([0, 0]))
    x = x[name] if isinstance(x, dict) else x
    np.testing.assert_array_equal(x, array[3:13])
    y = contracts.targets_as_features(case.model, y)
    np.testing.assert_array_equal(np.reshape(y, array[4:14].shape), array[4:14])
    np.testing.assert_array_equal(weight, np.ones(10))


def test_windows_count_the_piece_and_its_end_only(case):
    size = len(next(iter(case.pieces[0].values())))
    window = contracts.cut_window(case.pieces[0], -1, size + 5)
    _, _, weight = case.model.example_fn(window, tf.constant([0, 0]))
    counted = size + case.model.learns_end
    np.testing.assert_array_equal(weight, np.arange(size + 5) < counted)


def test_evaluation_does_not_depend_on_batching(trained):
    windows = [
        contracts.cut_window(piece, start, 9)
        for piece in trained.pieces
        for start in range(-1, len(next(iter(piece.values()))), 9)
    ]
    examples = contracts.make_batch(trained.model, windows)
    results = []
    for size in (1, 3, len(windows)):
        data = tf.data.Dataset.from_tensor_slices(examples).batch(size)
        results.append(trained.model.evaluate(data, verbose=0, return_dict=True))
    for name, value in results[0].items():
        for other in results[1:]:
            np.testing.assert_allclose(value, other[name], rtol=1e-4, err_msg=name)


def export_calls(case) -> dict[str, dict]:
    prompt = {name: array[np.newaxis, :9] for name, array in case.pieces[0].items()}
    return {
        "generate": dict(num_outputs=2, num_steps=6, seed=5),
        "continue": dict(prompt=prompt, num_steps=6, seed=5),
        "score": dict(prompt=prompt, num_steps=[9]),
    }


def test_exports_play_in_a_fresh_process_what_models_do_eagerly(all_trained, tmp_path):
    for family, case in all_trained.items():
        path = tmp_path / family
        calls = export_calls(case)
        module = tf.Module()
        module.model = case.model
        signatures = {
            name: contracts.endpoint_function(case.model, name) for name in calls
        }
        tf.saved_model.save(module, str(path), signatures=signatures)
        for name, values in calls.items():
            inputs = contracts.endpoint_inputs(case.model, name, **values)
            arrays = {key: tensor.numpy() for key, tensor in inputs.items()}
            np.savez(path / f"{name}.npz", **arrays)
    paths = [tmp_path / family for family in all_trained]
    command = [sys.executable, "-I", "-c", FRESH, *paths]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for path, case in zip(paths, all_trained.values(), strict=True):
        for name, values in export_calls(case).items():
            loaded = np.load(path / f"{name}_outputs.npz")
            for key, array in contracts.call_eagerly(
                case.model, name, **values
            ).items():
                np.testing.assert_allclose(loaded[key], array, rtol=1e-5)


def test_no_steps_are_refused(trained):
    with pytest.raises(tf.errors.InvalidArgumentError, match="num_steps"):
        contracts.call_endpoint(
            trained.model, "generate", num_outputs=1, num_steps=0, seed=0
        )


@pytest.mark.parametrize("name", ["tokens", "two_hands", "seq2seq", "biaxial"])
def test_logits_are_float32_under_mixed_precision(name, mixed_precision):
    case = make_case(name)
    x, _, _ = contracts.whole_pieces(case.model, case.pieces[:1])
    assert case.model(x).dtype == tf.float32
    contracts.call_endpoint(case.model, "generate", num_outputs=1, num_steps=2, seed=0)
