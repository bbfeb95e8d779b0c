"""Sets of pieces as tables."""

import numpy as np
import pytest

from tests.contracts import make_sequence
from tfmusic.evaluation.music_statistics import statistics
from tfmusic.evaluation.tables import Aggregate, aggregate, format_table
from tfmusic.notes import NoteSequence


def test_aggregate_is_the_mean_and_spread_over_pieces_that_have_a_value():
    pieces = [
        statistics(make_sequence([(60, 80, 0, length)], qpm=60)) for length in (1, 3)
    ]
    found = aggregate([*pieces, statistics(NoteSequence())])
    assert found["length, quarters"].mean == pytest.approx(4 / 3)
    assert found["mean note length, quarters"].mean == pytest.approx(2)
    assert found["mean note length, quarters"].std == pytest.approx(1)
    assert found["mean note length, quarters"].num_pieces == 2
    assert aggregate([]) == {}


def test_interval_holds_the_mean_of_19_sets_of_20():
    random = np.random.default_rng(1)
    held = 0
    for _ in range(200):
        found = Aggregate.of(random.normal(5.0, 2.0, 64))
        held += found.low <= 5.0 <= found.high
    assert 0.9 <= held / 200 <= 0.98
    assert found.high - found.low == pytest.approx(2 * 1.96 * 2.0 / 8, rel=0.25)


def test_interval_of_one_piece_is_a_point():
    found = Aggregate.of([3.0])
    assert (found.low, found.mean, found.high) == (3.0, 3.0, 3.0)


def cells_of(table):
    return {
        line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")[2:-1]]
        for line in table.splitlines()
    }


def test_table_shows_sets_side_by_side(chorales):
    one = statistics(make_sequence([(60, 80, 0, 1)]))
    empty = statistics(NoteSequence())
    table = format_table(
        {
            "generated": [one, empty],
            "silent": [empty],
            "held-out": [statistics(chorale) for chorale in chorales[:3]],
        },
        {"overlap": {"notes": "0.50"}},
    )
    assert len({len(line) for line in table.splitlines()}) == 1, "columns are aligned"
    cells = cells_of(table)
    assert cells[""] == ["generated", "silent", "held-out", "overlap"]
    assert cells["pieces"] == ["2", "1", "3", ""]
    assert cells["notes"][0] == "0.50 [0.00, 1.00]"
    assert cells["notes"][-1] == "0.50"
    assert cells["lowest pitch, all"][:2] == ["60.0 [60.0, 60.0] (1 of 2)", "-"]
    assert "nan" not in table
    assert "lowest pitch, Bass" in cells


def test_sets_after_the_first_decide_which_rows_there_are():
    usual = statistics(make_sequence([(60, 80, 0, 1)]))
    rare = statistics(
        make_sequence([(60, 80, 0, 1)], [(50, 80, 0, 1)], names=("Oboe", "Horn"))
    )
    assert "Horn" in format_table({"pieces": [rare, usual]})
    assert "Horn" not in format_table({"pieces": [rare, usual, usual]})
    assert "Horn" not in format_table({"generated": [rare], "held-out": [usual]})
    table = format_table({"generated": [usual], "held-out": [rare]})
    assert cells_of(table)["lowest pitch, Horn"] == ["-", "50.0 [50.0, 50.0]"]
    both = {"generated": [usual], "held-out": [rare], "as written": [usual]}
    assert "Horn" in format_table(both)
