"""How near short samples come to held-out music."""

import numpy as np
import pytest

from tests.contracts import make_sequence
from tfmusic.evaluation.sample_overlap import (
    SampleStatistics,
    compare_samples,
    format_comparison,
)


def sample(seed, lowest=40, velocity=60):
    """Notes of chance: a stroke each quarter of a second for four seconds."""
    random = np.random.default_rng(seed)
    notes = [
        (int(random.integers(lowest, lowest + 24)), velocity, t / 4, t / 4 + 0.2)
        for t in range(16)
    ]
    piece = make_sequence(notes, qpm=60.0)
    for time, value in ((1.0, 127), (2.0, 0), (3.0, 40)):
        piece.control_changes.add(time=time, control_number=64, control_value=value)
    return piece


def of(seeds, **settings):
    return SampleStatistics.of([sample(seed, **settings) for seed in seeds], 4.0)


def test_numbers_of_a_sample():
    means = of([0]).means()
    assert means["notes_per_second"] == 4.0
    assert means["mean_velocity"] == 60.0
    assert means["velocity_spread"] == 0.0
    assert means["interval_seconds"] == pytest.approx(0.25)
    assert means["damper_share"] == pytest.approx(0.5)


def test_histograms_hold_all_that_is_played():
    histograms = of([0, 1]).histograms
    assert histograms["pitches"].sum() == histograms["lengths"].sum() == 32
    assert histograms["intervals"].sum() == 30
    # Up for two seconds of four, then a second each at 40 and 127; two pieces.
    np.testing.assert_allclose(histograms["damper"], [4, 0, 2, 0, 2])
    np.testing.assert_allclose(histograms["soft"], [8, 0, 0, 0, 0])


def test_a_set_shares_everything_with_itself_and_nothing_with_its_opposite():
    low, high = of(range(8)), of(range(8), lowest=70, velocity=110)
    assert set(low.overlaps(low).values()) == {1.0}
    overlaps = low.overlaps(high)
    assert overlaps["pitches"] == overlaps["velocities"] == 0.0
    assert overlaps["mean_velocity"] == 0.0
    assert overlaps["notes_per_second"] == overlaps["damper"] == 1.0


def test_samples_of_one_kind_are_nearer_than_those_of_another():
    held_out = of(range(100, 120))
    groups = {"near": of(range(20)), "far": of(range(20), lowest=55)}
    result = compare_samples(groups, held_out)
    name = "overlap_of_histograms"
    assert result[f"near.{name}"] > result[f"far.{name}"]
    assert 0.0 < result["far.overlap_of_numbers"] < 1.0
    assert result["near.overlap.pitches"] > 0.8 > result["far.overlap.pitches"]
    assert result["far.overlap.velocities"] == 1.0
    table = format_comparison(groups, held_out)
    assert table.count("\n") == len(set(table.splitlines()))
    assert "mean overlap of histograms" in table


def test_silence_is_a_sample_too():
    silent = SampleStatistics.of([make_sequence([])], 4.0)
    assert silent.means()["notes_per_second"] == 0.0
    overlaps = silent.overlaps(of(range(3)))
    assert overlaps["pitches"] == overlaps["mean_velocity"] == 0.0
    assert overlaps["soft"] == 1.0
