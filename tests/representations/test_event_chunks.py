"""Chunks of events: pedals, overflows, and the vectors that networks read."""

import numpy as np
import pytest

from tests.contracts import make_sequence
from tests.representations.conftest import with_controls
from tfmusic.errors import UserError
from tfmusic.representations import EncodeError, make_representation
from tfmusic.representations.event_vectors import ENCODINGS

DAMPER, SOSTENUTO, SOFT = 88, 89, 90


def make_chunks(**settings):
    return make_representation({"name": "event_chunks", **settings})


def rows_of(representation, sequence):
    """(chunk, id, start, duration, intensity) of every event."""
    features = representation.encode(sequence)
    counts = features["num_events"].tolist()
    assert not any(features["events"][i, n:].any() for i, n in enumerate(counts))
    return [
        (i, *event)
        for i, n in enumerate(counts)
        for event in features["events"][i, :n].tolist()
    ]


def controls_of(sequence):
    return [
        (c.control_number, round(c.time * 960), c.control_value)
        for c in sequence.control_changes
    ]


def test_notes_lie_in_the_chunks_in_which_they_begin():
    sequence = make_sequence([(60, 81, 0, 2), (21, 1, 0.5, 0.75), (108, 127, 3, 4)])
    assert rows_of(make_chunks(), sequence) == [
        (0, 39, 0, 960, 81),
        (0, 0, 240, 120, 1),
        (3, 87, 0, 480, 127),
    ]
    features = make_chunks().encode(sequence)
    assert features["events"].shape == (4, 30, 4)
    assert features["num_events"].tolist() == [2, 0, 0, 1]


def test_the_first_chunk_holds_as_many_as_the_others():
    """The original leaves one out there."""
    chord = [(60 + i, 80, start, start + 1) for start in (0, 1) for i in range(15)]
    representation = make_chunks(chunk_seconds=0.25, max_events=15)
    counts = representation.encode(make_sequence(chord))["num_events"]
    assert counts.tolist() == [15, 0, 15]
    assert not representation.losses(make_sequence(chord))


def test_a_key_struck_again_ends_its_note():
    """There, the note before has no duration."""
    sequence = make_sequence([(60, 80, 0, 1), (60, 90, 0.5, 1)])
    assert rows_of(make_chunks(), sequence) == [
        (0, 39, 0, 240, 80),
        (0, 39, 240, 240, 90),
    ]


def test_of_too_many_events_the_shortest_and_softest_are_left_out():
    notes = [(60, 50, 0, 1), (61, 40, 0, 1), (62, 90, 0.2, 0.5), (63, 60, 0.5, 2)]
    sequence = with_controls(make_sequence(notes), (64, 0.01, 90), (64, 0.02, 0))
    representation = make_chunks(max_events=2)
    assert [row[1] for row in rows_of(representation, sequence)] == [39, 42]
    assert representation.losses(sequence) == {"overflows": 3}
    assert not representation.losses(representation.canonicalize(sequence))


def test_pedals_are_read_in_bins():
    sequence = with_controls(
        make_sequence([(60, 80, 0, 4)]),
        *[(64, 0.25, 10), (64, 0.5, 30), (64, 0.75, 33), (64, 1, 0), (64, 1.5, 127)],
        *[(66, 0.5, 64), (66, 0.5, 65), (66, 1, 96), (67, 0, 1), (67, 0, 0)],
    )
    pedals = [row for row in rows_of(make_chunks(), sequence) if row[1] >= DAMPER]
    assert pedals == [
        (0, DAMPER, 240, 480, 20),  # 10 and 30, equally long
        (1, SOSTENUTO, 0, 1440, 86),  # 65 for 0.5 s and 96 for 1 s
        (1, DAMPER, 240, 240, 33),
        (3, DAMPER, 0, 480, 127),
    ]
    exact = [r for r in rows_of(make_chunks(pedal_bins=127), sequence) if r[1] > 87]
    assert [(row[1], row[4]) for row in exact] == [
        *[(DAMPER, 10), (DAMPER, 30), (SOSTENUTO, 65)],
        *[(DAMPER, 33), (SOSTENUTO, 96), (DAMPER, 127)],
    ]


def test_velocity_and_half_pedals_come_back():
    sequence = with_controls(
        make_sequence([(60, 33, 0, 2)]), (64, 0, 45), (66, 0.5, 70), (67, 0.25, 110)
    )
    decoded = make_chunks().canonicalize(sequence)
    assert [n.velocity for n in decoded.notes] == [33]
    assert controls_of(decoded) == [
        *[(64, 0, 45), (67, 240, 110), (66, 480, 70)],
        *[(64, 960, 0), (66, 960, 0), (67, 960, 0)],
    ]


def test_held_pedals_can_be_events_of_each_chunk():
    sequence = with_controls(
        make_sequence([(60, 80, 0, 5)]),
        *[(64, 0.25, 90), (64, 1.75, 0), (67, 0.5, 127), (67, 1, 0), (64, 2, 70)],
    )
    representation = make_chunks(split_pedals=True)
    pedals = [row for row in rows_of(representation, sequence) if row[1] >= DAMPER]
    assert pedals == [
        (0, DAMPER, 240, 240, 90),
        (1, DAMPER, 0, 480, 90),
        (1, SOFT, 0, 480, 127),  # from border to border: one
        (2, DAMPER, 0, 480, 90),
        (3, DAMPER, 0, 240, 90),
        (4, DAMPER, 0, 480, 70),
    ]
    whole = make_chunks().canonicalize(sequence)
    assert controls_of(representation.canonicalize(sequence)) == controls_of(whole)
    long = with_controls(make_sequence([(60, 80, 0, 300)]), (67, 0, 127))
    assert len([row for row in rows_of(representation, long) if row[1] == SOFT]) == 300


def test_pedals_of_drums_do_not_count_nor_do_those_after_the_end():
    sequence = with_controls(make_sequence([(60, 80, 0, 1)]), (64, 5, 127))
    sequence.control_changes.add(
        time=0, control_number=64, control_value=127, instrument=3, is_drum=True
    )
    assert [row[1] for row in rows_of(make_chunks(), sequence)] == [39]


def test_what_lasts_too_long_is_cut_or_told():
    sequence = with_controls(make_sequence([(60, 80, 0, 300)]), (67, 0, 127))
    representation = make_chunks()
    assert representation.losses(sequence) == {"clamped_durations": 1}
    # The pedal is not: it takes several events, and is one again.
    rows = [row for row in rows_of(representation, sequence) if row[1] == SOFT]
    assert [row[3] for row in rows] == [65535, 65535, 150 * 960 - 2 * 65535]
    controls = controls_of(representation.canonicalize(sequence))
    assert controls[0] == (67, 0, 127)
    assert controls[-1] == (67, 150 * 960, 0)


def test_pieces_whose_pedals_leave_no_room_are_dropped():
    sequence = make_sequence([(60, 80, 0, 0.25)])
    sequence.total_time = 9
    sequence = with_controls(sequence, (64, 0, 90), (66, 0, 90))
    with pytest.raises(EncodeError, match="no_notes: .* 2 events are too few"):
        make_chunks(max_events=2).encode(sequence)


def test_pedals_that_last_for_days_are_refused():
    sequence = with_controls(make_sequence([(60, 80, 0, 1)]), (64, 1, 90), (67, 2e5, 9))
    sequence.total_time = 3e5
    with pytest.raises(
        EncodeError, match="too_long: expected at most 67108864 steps, fou"
    ):
        make_chunks().encode(sequence)


def test_generated_events_are_brought_into_range():
    events = np.zeros((2, 30, 4), np.int64)
    events[0, :4] = [
        *[(39, 500, 0, 0), (91, 0, 9, 9), (DAMPER, 0, 600, 200), (DAMPER, 240, 9, 9)]
    ]
    events[1, 0] = (40, 0, 48, 80)
    features = {"events": events, "num_events": np.array([4, 0])}
    decoded = make_chunks().decode(features)
    (note,) = decoded.notes
    assert (note.pitch, note.velocity) == (60, 1)
    assert round(note.start_time * 960) == 479
    assert round(note.end_time * 960) == 480
    assert decoded.total_time == 0.625


def test_a_pedal_takes_up_again_what_lasts_beyond_later_events():
    events = np.zeros((1, 30, 4), np.int64)
    events[0, :6] = [
        *[(DAMPER, 0, 600, 90), (DAMPER, 40, 20, 9), (DAMPER, 50, 100, 30)],
        *[(DAMPER, 50, 5, 60), (DAMPER, 150, 450, 70), (90, 100, 10, 50)],
    ]
    decoded = make_chunks().decode({"events": events, "num_events": np.array([6])})
    assert controls_of(decoded) == [
        *[(64, 0, 90), (64, 40, 9), (64, 50, 30), (67, 100, 50), (67, 110, 0)],
        *[(64, 150, 70), (64, 600, 0)],
    ]


@pytest.fixture(scope="module")
def fitted():
    return make_chunks(duration_lognormal=(1.126, 84.32))


def every_event(representation):
    """Every id, and starts, durations and intensities from least to most."""
    ids = np.arange(91)
    starts = np.linspace(0, representation.chunk_steps - 1, 91).astype(int)
    durations = np.geomspace(1, 65535, 91).astype(int)
    intensities = np.linspace(1, 127, 91).astype(int)
    return np.stack([ids, starts, durations, intensities], axis=-1).reshape(7, 13, 4)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_vectors_undo_themselves(fitted, encoding):
    events = every_event(fitted)
    vectors = fitted.to_vectors(events, encoding)
    assert vectors.shape == (7, 13, ENCODINGS[encoding])
    assert np.abs(vectors).max() <= 1
    np.testing.assert_array_equal(fitted.from_vectors(vectors, encoding), events)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_single_precision_is_enough_but_for_the_longest(fitted, encoding):
    events = every_event(fitted)
    vectors = fitted.to_vectors(events, encoding).astype(np.float32)
    back = fitted.from_vectors(vectors, encoding)
    np.testing.assert_array_equal(back[..., [0, 1, 3]], events[..., [0, 1, 3]])
    short = events[..., 2] < 2 * 960
    np.testing.assert_array_equal(back[short, 2], events[short, 2])
    assert back[..., 2].max() < 40_000


def test_sizes_of_vectors_are_the_published_ones():
    assert ENCODINGS == {"none": 4, "pon": 6, "pnOHE": 20, "ponOHE": 27, "OHE": 94}


def test_what_vectors_say(fitted):
    events = np.array([[0, 0, 84, 64], [87, 240, 9, 1], [89, 479, 999, 127]])
    vectors = fitted.to_vectors(events, "pon")
    np.testing.assert_allclose(
        vectors[:, [0, 1, 2, 3, 5]],
        [
            [0, -1, -1, -1, 0],
            [0, 1, (3 - 5.5) / 5.5, 0, -63 / 64],
            [2 / 3, 0, 0, 479 / 240 - 1, 63 / 64],
        ],
    )
    assert vectors[0, 4] == pytest.approx(0.5, abs=0.01)  # about the median
    columns = np.argwhere(fitted.to_vectors(events, "pnOHE")[:, [0, 1, 2, 3]])
    assert columns.tolist() == [[0, 0], [1, 0], [2, 2]]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_any_vectors_are_events(fitted, encoding):
    vectors = np.random.default_rng(0).normal(0, 3, (5, 30, ENCODINGS[encoding]))
    for kind in (np.float32, np.float64):
        events = fitted.from_vectors(vectors.astype(kind), encoding)
        assert events.min(axis=(0, 1)).tolist()[0] >= 0
        assert (events.max(axis=(0, 1)) <= [90, 479, 65535, 127]).all()
        assert (events[..., 2:] >= 1).all()
        decoded = fitted.decode({"events": events, "num_events": np.full(5, 30)})
        assert decoded.notes


def test_durations_are_fitted_on_all_pieces_whatever_their_order(performances):
    representation = make_chunks()
    fitted = representation.fit(performances)
    assert fitted == representation.fit(performances[::-1])
    shape, median = fitted.duration_lognormal
    counts = [(d, n) for s in performances for d, n in representation.count(s).items()]
    durations = np.repeat(*zip(*counts, strict=True))
    assert shape == pytest.approx(np.log(durations).std(), rel=1e-5)
    assert median == pytest.approx(np.exp(np.log(durations).mean()), rel=1e-5)
    # Shares of long and short events are spread over 0..1.
    shares = fitted.to_vectors(fitted.encode(performances[0])["events"], "none")[..., 2]
    assert 0 < shares.min() < shares.max() < 1


def test_vectors_need_a_fit():
    with pytest.raises(UserError, match="how long events last; call fit with the trai"):
        make_chunks().to_vectors(np.zeros((1, 4), int), "pon")


def test_wrong_encodings_are_told(fitted):
    for convert in (fitted.to_vectors, fitted.from_vectors):
        with pytest.raises(UserError, match="unknown 'ponohe'.* pnOHE, pon, ponOHE"):
            convert(np.zeros((1, 4), int), "ponohe")
