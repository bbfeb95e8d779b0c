import numpy as np
import pytest

from tests.notes.sequences import make_sequence
from tfmusic.errors import UserError
from tfmusic.notes import NoteSequence
from tfmusic.notes.grid import (
    BeatGrid,
    FrameGrid,
    TempoMap,
    bar_positions,
    bars,
    make_grid,
    metres,
    quantize_spans,
    round_steps,
)


def test_halves_are_rounded_up_also_where_rounding_error_hides_them():
    steps = np.array([0.49, 0.5, 1.5, 2.5 - 1e-9, -0.5, -0.6])
    assert round_steps(steps).tolist() == [0, 1, 2, 3, 0, -1]
    # A thirty-second into the piece at 97 qpm is half a sixteenth, if not to the bit.
    sequence = make_sequence(qpm=97)
    times = (np.arange(2000) + 0.5) * 60 / 97 / 4
    assert BeatGrid(4).to_steps(sequence, times).tolist() == list(range(1, 2001))


def test_beat_steps_follow_the_tempo_map_in_whatever_order_it_stands():
    sequence = NoteSequence()
    sequence.tempos.add(time=2, qpm=60)
    sequence.tempos.add(time=0, qpm=120)
    sequence.tempos.add(time=3, qpm=0)  # no tempo at all
    sequence.tempos.add(time=2, qpm=240)  # of two at one time the last counts
    steps = BeatGrid(4).to_steps(sequence, np.array([0, 1, 2, 2.25, 3]))
    assert steps.tolist() == [0, 8, 16, 20, 32]


def test_a_sequence_without_a_tempo_is_at_120():
    assert BeatGrid(4).to_steps(NoteSequence(), np.array([1.0])).tolist() == [8]
    late = NoteSequence()
    late.tempos.add(time=1, qpm=60)
    assert BeatGrid(4).to_steps(late, np.array([1.0, 2.0])).tolist() == [8, 12]


def test_tempo_map_undoes_itself():
    sequence = make_sequence(qpm=97)
    sequence.tempos.add(time=1.7, qpm=33)
    sequence.tempos.add(time=4.1, qpm=180)
    tempo_map, seconds = TempoMap.of(sequence), np.linspace(0, 9, 50)
    np.testing.assert_allclose(
        tempo_map.to_seconds(tempo_map.to_quarters(seconds)), seconds, atol=1e-12
    )


def test_the_beat_grid_does_not_depend_on_the_metre():
    # The reference systems counted steps per metre, and stopped at some metres.
    times, expected = ([0.5, 1.125], [1.0, 2.0]), None
    for numerator, denominator in [(4, 4), (3, 8), (6, 8), (5, 4), (2, 2), (7, 16)]:
        sequence = make_sequence()
        sequence.time_signatures.add(
            time=0, numerator=numerator, denominator=denominator
        )
        steps = [
            part.tolist() for part in quantize_spans(sequence, BeatGrid(4), *times)
        ]
        expected = expected or steps
        assert steps == expected == [[4, 9], [8, 16]]


@pytest.mark.parametrize("grid", [BeatGrid(4, qpm=90), FrameGrid(20)])
def test_decoded_times_come_back_to_their_steps(grid):
    steps = np.arange(500)
    seconds = grid.to_seconds(steps)
    assert seconds.dtype == np.float64
    assert np.array_equal(grid.to_steps(grid.new_sequence(), seconds), steps)


@pytest.mark.parametrize(
    ("grid", "ticks_per_quarter"),
    [
        *[(BeatGrid(n), 480) for n in (1, 2, 3, 4, 6, 8, 12, 16, 24)],
        (BeatGrid(7, qpm=95), 483),
        (FrameGrid(2), 480),
        (FrameGrid(24), 480),
        (FrameGrid(100), 500),
        (FrameGrid(960), 480),
        (FrameGrid(31.25), 500),
        (FrameGrid(33.3), 666),
        (FrameGrid(1e6), 480),  # no file has so many ticks
    ],
)
def test_steps_of_decoded_sequences_are_whole_ticks(grid, ticks_per_quarter):
    assert grid.new_sequence().ticks_per_quarter == ticks_per_quarter


def test_a_note_lasts_at_least_one_step_and_starts_at_none_before_the_first():
    times = [0.0, 0.5, -1.0], [0.01, 0.5, 1.0]
    starts, ends = quantize_spans(make_sequence(), FrameGrid(10), *times)
    assert starts.tolist() == [0, 5, 0]
    assert ends.tolist() == [1, 6, 10]
    assert starts.dtype == ends.dtype == np.int64
    assert [len(a) for a in quantize_spans(NoteSequence(), BeatGrid(4), [], [])] == [
        0,
        0,
    ]


def test_bar_positions_begin_anew_at_every_time_signature():
    sequence = make_sequence()
    sequence.time_signatures.add(time=2, numerator=3, denominator=4)
    sequence.time_signatures.add(time=4, numerator=0, denominator=0)
    positions = bar_positions(sequence, BeatGrid(1), 12).tolist()
    assert positions == [0, 1, 2, 3, 0, 1, 2, 0, 1, 2, 0, 1]
    assert bar_positions(NoteSequence(), BeatGrid(1), 6).tolist() == [0, 1, 2, 3, 0, 1]
    frames = bar_positions(sequence, FrameGrid(2), 12).tolist()
    assert frames == [0, 1, 2, 3, 0, 1, 2, 0, 1, 2, 0, 1]


def test_an_upbeat_is_the_end_of_a_bar():
    sequence = make_sequence()
    sequence.time_signatures.add(time=0.5, numerator=3, denominator=4)
    positions, lengths = bars(sequence, BeatGrid(2), 10)
    assert positions.tolist() == [4, 5, 0, 1, 2, 3, 4, 5, 0, 1]
    assert lengths.tolist() == [6] * 10
    frames = bar_positions(sequence, FrameGrid(4), 10).tolist()
    assert frames == positions.tolist()
    assert metres(sequence, TempoMap.of(sequence)) == [(-2, 3, 4)]
    sequence.time_signatures.add(time=0, numerator=1, denominator=4)  # as MIDI has it
    assert metres(sequence, TempoMap.of(sequence)) == [(-2, 3, 4)]
    del sequence.time_signatures[1]
    sequence.time_signatures[0].time = 1.5  # a whole bar before it: as in MIDI
    assert metres(sequence, TempoMap.of(sequence)) == [(0, 4, 4), (3, 3, 4)]


def test_bars_cut_short_keep_their_length():
    sequence = make_sequence()
    sequence.time_signatures.add(time=1.5, numerator=3, denominator=8)
    positions, lengths = bars(sequence, BeatGrid(1), 9)
    assert positions.tolist() == [0, 1, 2, 0, 1, 0, 0, 1, 0]
    assert lengths.tolist() == [4, 4, 4, 2, 2, 1, 2, 2, 1]


def test_a_grid_is_in_beats_or_in_real_time():
    assert make_grid(4, 0, 90) == BeatGrid(4, 90)
    assert make_grid(0, 2.5, 90) == FrameGrid(2.5)
    for wrong in [(0, 0), (4, 2), (-4, 0), (4, -1)]:
        with pytest.raises(UserError, match="steps_per_quarter or steps_per_second"):
            make_grid(*wrong)
    with pytest.raises(UserError, match="qpm"):
        make_grid(4, 0, 0)
