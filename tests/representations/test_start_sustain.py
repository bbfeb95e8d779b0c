"""Starts and sustains, and the repair of generated ones."""

import numpy as np

from tests.contracts import make_sequence
from tfmusic.representations import make_representation

C4 = 60 - 21


def make_roll(**settings):
    return make_representation({"name": "start_sustain", **settings})


def note_steps(sequence):
    return [
        (note.pitch, note.start_time * 8, note.end_time * 8) for note in sequence.notes
    ]


def test_channels_are_start_and_sustain():
    sequence = make_sequence([(60, 80, 0, 0.75), (60, 80, 0.75, 1), (62, 80, 1.25, 2)])
    roll = make_roll().encode(sequence)["roll"]
    assert roll.shape == (8, 88, 2)
    starts = [[1, 0], [0, 1], [0, 1], [1, 0], [0, 0], [0, 0], [0, 0], [0, 0]]
    assert roll[:, C4].tolist() == starts
    assert not (roll[..., 0] & roll[..., 1]).any()


def test_the_last_note_is_not_cut():
    sequence = make_sequence([(60, 80, 0, 1), (64, 80, 1, 4)])
    roll = make_roll().encode(sequence)["roll"]
    assert len(roll) == 16
    assert roll[5:, C4 + 4, 1].all()


def test_notes_off_the_keyboard_do_not_come_out_at_its_other_end():
    sequence = make_sequence([(20, 80, 0, 1), (109, 80, 0, 1), (60, 80, 0, 1)])
    representation = make_roll()
    roll = representation.encode(sequence)["roll"]
    assert np.flatnonzero(roll.any(axis=(0, 2))).tolist() == [C4]
    assert representation.losses(sequence) == {"outside_range": 2}


def test_generated_rolls_are_repaired():
    roll = np.zeros((8, 88, 2), bool)
    roll[1:3, C4, 1] = True  # sustain after silence: a start
    roll[5, C4] = True  # both: a start
    roll[6, C4, 1] = True
    roll[4, C4, 0] = True
    decoded = make_roll().decode({"roll": roll})
    assert note_steps(decoded) == [(60, 1, 3), (60, 4, 5), (60, 5, 7)]


def test_the_reference_reads_the_first_instrument_alone():
    sequence = make_sequence([(60, 80, 0, 1)], [(40, 80, 0, 1)])
    roll = make_roll(first_instrument_only=True).encode(sequence)["roll"]
    assert np.flatnonzero(roll.any(axis=(0, 2))).tolist() == [C4]
