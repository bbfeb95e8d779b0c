import numpy as np
import pytest

from tests.contracts import make_sequence
from tfmusic.evaluation.reconstruction import ReconstructionTotal, match_notes
from tfmusic.notes.reading import read_file
from tfmusic.notes.writing import write_midi
from tfmusic.representations import make_representation


def with_pedal(sequence, *values):
    for time, number, value in values:
        sequence.control_changes.add(
            time=time, control_number=number, control_value=value
        )
    return sequence


def score(original, reconstructed):
    total = ReconstructionTotal()
    total.update(original, reconstructed)
    return total.result()


def test_a_piece_comes_back_as_itself_in_full():
    piece = make_sequence([(60, 80, 0, 1), (64, 70, 0, 1), (60, 60, 1, 3)])
    result = score(piece, piece)
    for name in ("precision", "recall", "f1"):
        assert result[f"note_{name}_25ms"] == result[f"note_{name}_50ms"] == 1
    assert result["velocity_error"] == result["duration_error_seconds"] == 0
    assert result["damper_error"] == 0
    assert (result["num_pieces"], result["num_notes"]) == (1, 3)


def test_pitch_is_exact_and_onsets_are_within_the_tolerance():
    # 120 quarter notes a minute: a quarter is half a second.
    piece = make_sequence([(60, 80, 0, 1), (62, 80, 1, 2), (64, 80, 2, 3)])
    other = make_sequence(
        [(61, 80, 0, 1), (62, 80, 1.04, 2), (64, 80, 2.09, 3), (65, 80, 3, 4)]
    )
    result = score(piece, other)
    assert result["note_precision_25ms"] == 1 / 4
    assert result["note_recall_25ms"] == 1 / 3
    assert result["note_f1_25ms"] == 2 / 7
    assert result["note_precision_50ms"] == 2 / 4
    assert result["note_f1_50ms"] == 4 / 7


def test_errors_are_those_of_the_notes_that_came_back():
    piece = make_sequence([(60, 80, 0, 1), (62, 80, 1, 2), (99, 1, 0, 9)])
    other = make_sequence([(60, 84, 0, 2), (62, 78, 1, 2)])
    result = score(piece, other)
    assert result["velocity_error"] == 3
    assert result["duration_error_seconds"] == 0.25
    assert result["duration_error_share"] == 0.5


def test_pedals_are_compared_over_time():
    notes = [(60, 80, 0, 4)]  # two seconds
    piece = with_pedal(make_sequence(notes), (0, 64, 100), (1, 64, 0), (1, 67, 40))
    other = with_pedal(make_sequence(notes), (0.5, 64, 80), (1.5, 64, 0))
    result = score(piece, other)
    assert result["damper_error"] == pytest.approx((100 + 20 + 80) / 4)
    assert result["soft_error"] == 20
    assert result["sostenuto_error"] == 0
    assert result["damper_f1"] == 0.5


def test_a_midi_file_says_the_same_of_a_reconstruction(tmp_path):
    """Down to the clicks of the file."""
    chunks = make_representation({"name": "event_chunks", "chunk_seconds": 0.25})
    notes = [(60 + i % 3, 40 + i, i / 2, i / 2 + 0.7) for i in range(40)]
    pedals = [(i / 3, 64 + 3 * (i % 2), 30 * (i % 4)) for i in range(50)]
    piece = chunks.canonicalize(with_pedal(make_sequence(notes), *pedals))
    other = [(p + (v % 9 == 0), v + 5, s + 0.05 * (v % 3), e) for p, v, s, e in notes]
    pedals = [(time + 0.02, number, value + 7) for time, number, value in pedals]
    made = chunks.canonicalize(with_pedal(make_sequence(other), *pedals))
    write_midi(made, tmp_path / "made.mid")
    result = score(piece, made)
    assert 0 < result["note_f1_25ms"] < result["note_f1_50ms"] < 1
    assert score(piece, read_file(tmp_path / "made.mid")) == pytest.approx(
        result, rel=2e-3
    )


def test_pieces_count_by_their_notes():
    total = ReconstructionTotal()
    long = make_sequence([(60 + i, 80, i, i + 1) for i in range(9)])
    total.update(long, long)
    total.update(make_sequence([(60, 80, 0, 1)]), make_sequence([(61, 80, 0, 1)]))
    assert total.result()["note_f1_25ms"] == 0.9


def test_as_many_notes_are_paired_as_can_be():
    random = np.random.default_rng(0)
    for _ in range(50):
        true, found = (
            np.stack([np.full(n, 60.0), np.sort(random.random(n))], axis=1)
            for n in (12, 9)
        )
        pairs = match_notes(true, found, 0.05)
        gaps = np.abs(true[pairs[:, 0], 1] - found[pairs[:, 1], 1])
        assert np.all(gaps <= 0.05 + 1e-9)
        assert len(set(pairs[:, 0])) == len(set(pairs[:, 1])) == len(pairs)
        assert len(pairs) == largest_matching(true[:, 1], found[:, 1])


def largest_matching(true, found):
    """By augmenting paths, the slow and sure way."""
    owner = {}

    def place(i, tried):
        for j in np.flatnonzero(np.abs(found - true[i]) <= 0.05):
            if j not in tried:
                tried.add(j)
                if j not in owner or place(owner[j], tried):
                    owner[j] = i
                    return True
        return False

    return sum(place(i, set()) for i in range(len(true)))


def test_silence_is_no_mistake():
    result = score(make_sequence([]), make_sequence([]))
    assert result["note_f1_50ms"] == 0
