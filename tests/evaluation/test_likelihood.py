import json
import math

import numpy as np
import pytest
import scipy.io

from tfmusic.evaluation.likelihood import LikelihoodTotal, note_1gram

# Boulanger-Lewandowski et al. 2012, table 1, row "Note 1-Gram".
PUBLISHED = {
    "JSB_Chorales": -11.06,
    "MuseData": -11.51,
    "Nottingham": -10.25,
    "Piano_midi": -11.05,
}


def pieces(seed=0, lengths=(7, 1, 12, 5, 3)):
    random = np.random.default_rng(seed)
    return [-random.exponential(10.0, length) for length in lengths]


def total_of(batches):
    total = LikelihoodTotal()
    for batch in batches:
        longest = max(len(piece) for piece in batch)
        # What stands behind a piece must not matter, whatever it is.
        padded = np.full((len(batch), longest + 2), np.nan, np.float64)
        for row, piece in zip(padded, batch, strict=True):
            row[: len(piece)] = piece
        total.update(padded, np.array([len(piece) for piece in batch], np.int32))
    return total


def test_mean_is_over_all_steps_however_they_are_batched():
    rows = pieces()
    steps = np.concatenate(rows)
    for batches in ([rows], [[row] for row in rows], [rows[:2], rows[2:]]):
        total = total_of(batches)
        assert total.log_likelihood_per_step == pytest.approx(steps.mean(), rel=1e-14)
        assert total.num_steps == len(steps)
        assert total.num_pieces == len(rows)
        assert total.piece_log_likelihoods == pytest.approx([r.sum() for r in rows])


def test_many_small_float32_steps_keep_their_sum():
    total = LikelihoodTotal()
    for _ in range(20):
        total.update(np.full((1, 100_000), -0.1, np.float32), [100_000])
    assert total.log_likelihood_per_step == pytest.approx(-np.float32(0.1), rel=1e-12)


def test_standard_error_is_the_spread_over_samples_of_pieces():
    random = np.random.default_rng(1)
    means, errors = [], []
    for _ in range(400):
        lengths = random.integers(20, 60, size=40)
        rows = [random.normal(-8, 1) + random.normal(size=n) for n in lengths]
        total = total_of([rows])
        means.append(total.log_likelihood_per_step)
        errors.append(total.standard_error)
    assert np.mean(errors) == pytest.approx(np.std(means), rel=0.1)


def test_summary_is_defined_for_no_and_for_one_piece():
    assert LikelihoodTotal().result() == {
        "log_likelihood_per_step": 0.0,
        "standard_error": None,
        "num_steps": 0,
        "num_pieces": 0,
    }
    one = total_of([[np.array([-1.0, -3.0])]]).result()
    assert one["log_likelihood_per_step"] == -2
    assert json.loads(json.dumps(one))["standard_error"] is None


def test_an_impossible_step_is_minus_infinity():
    total = total_of([[np.array([-1.0, -np.inf])], [np.array([-1.0])]])
    assert total.log_likelihood_per_step == -math.inf
    assert total.standard_error is None


@pytest.mark.parametrize(
    ("log_likelihood", "num_steps", "message"),
    [
        ([[-1.0, np.nan]], [2], "piece 0, step 1: its likelihood is NaN"),
        ([[-1.0]], [2], "a piece of 2 steps has 1 likelihoods"),
        ([-1.0], [1], r"expected log_likelihood \[batch, time\]"),
        ([[-1.0]], [1, 1], r"and num_steps \[batch\], not \(1, 1\) and \(2,\)"),
    ],
)
def test_what_cannot_be_a_likelihood_is_refused(log_likelihood, num_steps, message):
    with pytest.raises(ValueError, match=message):
        LikelihoodTotal().update(log_likelihood, num_steps)


def test_a_key_that_training_never_plays_costs_finitely_much():
    total = note_1gram([np.zeros((9, 2), bool)], [np.array([[1, 0]])])
    assert total.log_likelihood_per_step == pytest.approx(
        math.log(0.5 / 10) + math.log(9.5 / 10)
    )


@pytest.mark.parametrize("name", PUBLISHED)
def test_baseline_scores_what_its_paper_prints(shared_data, name):
    path = shared_data / "boulanger_lewandowski" / f"{name}.mat"
    if not path.is_file():
        pytest.skip(f"real music is not there: {path}")
    rolls = scipy.io.loadmat(path)
    total = note_1gram(rolls["traindata"][0], rolls["testdata"][0])
    assert round(total.log_likelihood_per_step, 2) == PUBLISHED[name]
    assert total.num_steps == sum(len(roll) for roll in rolls["testdata"][0])


def test_seconds_of_music_are_another_measure_of_the_same_total():
    total = LikelihoodTotal()
    total.update(np.array([[-1.0, -2.0, -9.0], [-3.0, -4.0, -5.0]]), [2, 3])
    assert total.result(6.0)["log_likelihood_per_second"] == pytest.approx(-2.5)
    assert "log_likelihood_per_second" not in total.result()
