"""Music that lies beside the beat of its file."""

import random

import pytest

from tests.contracts import make_sequence
from tfmusic.notes import NoteSequence, repairs
from tfmusic.notes.beats import beat_offset, onto_beat
from tfmusic.notes.grid import TempoMap

# A bass on the first and third beat of each bar, off-beats above it: eighths, and a
# sixteenth before the last beat, as accompaniments go.
BAR = [
    (36, 0.0, 2.0),
    (60, 0.0, 2.0),
    (43, 2.0, 4.0),
    (64, 0.5, 1.0),
    (67, 1.0, 2.0),
    (64, 2.5, 3.0),
    (67, 2.75, 3.0),
    (72, 3.0, 4.0),
]


def song(offset, num_bars=12, kind=NoteSequence.SourceInfo.MIDI, **settings):
    """The bar again and again, from so many quarters after the beginning on."""
    sequence = make_sequence(
        [
            (pitch, 80, 4 * bar + offset + start, 4 * bar + offset + end)
            for bar in range(num_bars)
            for pitch, start, end in BAR
        ],
        **settings,
    )
    sequence.source_info.encoding_type = kind
    return sequence


def first_start(sequence):
    return float(
        TempoMap.of(sequence).to_quarters(min(n.start_time for n in sequence.notes))
    )


@pytest.mark.parametrize(
    ("offset", "found", "starts"),
    [
        (0.0, 0.0, 0.0),
        (4.0, 0.0, 4.0),
        (0.01, 0.0, 0.01),  # nearer than any grid can tell
        (0.1, 0.1, 0.0),  # a tenth late: all a tenth earlier
        (3.9, -0.1, 4.0),
        (1.1, 1.1, 0.0),  # then its bars are no better
        (0.75, 0.75, 0.0),  # the beat is where the file has the fourth sixteenth
        (5.6, 1.6, 4.0),  # so is the bar's beginning elsewhere
        (6.35, -1.65, 8.0),
    ],
)
def test_beats_are_found_and_put_where_the_file_has_them(offset, found, starts):
    given = song(offset)
    assert beat_offset(given) == (pytest.approx(found, abs=1e-6), 4.0)
    moved = onto_beat(given)
    assert first_start(moved) == pytest.approx(starts, abs=1e-6)
    assert (moved is given) == (found == 0)
    assert beat_offset(moved)[0] == 0


def test_what_begins_at_once_is_moved_later():
    given = song(-0.1, num_bars=13)
    for note in given.notes:  # the first bar's bass and its tenth are cut
        note.start_time = max(note.start_time, 0.0)
    assert first_start(onto_beat(given)) == pytest.approx(0.1, abs=1e-3)
    given = song(1.1)
    given.notes[0].start_time -= 0.005  # so little is cut
    assert min(note.start_time for note in onto_beat(given).notes) == 0
    given = song(1.6)
    given.notes.add(pitch=60, velocity=80, start_time=0.05, end_time=0.2)
    assert first_start(onto_beat(given)) == pytest.approx(0.1 + 2.4, abs=1e-3)


def test_all_that_has_a_time_comes_along_and_the_beginning_stays():
    given = song(0.6, qpm=90, time_signature=(4, 4))
    second = 60 / 90
    for note in given.notes:  # from the third bar on faster
        note.start_time, note.end_time = (
            min(time, 8.6 * second) + max(time - 8.6 * second, 0) * 90 / 120
            for time in (note.start_time, note.end_time)
        )
    given.tempos.add(time=8.6 * second, qpm=120)
    given.time_signatures.add(time=8.6 * second, numerator=4, denominator=4)
    given.control_changes.add(time=0.0, control_number=7, control_value=90)
    given.control_changes.add(time=1.6 * second, control_number=64, control_value=127)
    given.control_changes.add(time=0.3 * second, control_number=7, control_value=80)
    given.key_signatures.add(time=0.0, key=2)
    given.key_signatures.add(time=4.6 * second, key=4)
    given.pitch_bends.add(time=2.6 * second, bend=100)
    with repairs.counted() as said:
        moved = onto_beat(given)
    assert said == {"pieces beside the beat of their file, moved onto it": 1}
    assert [tempo.time for tempo in moved.tempos] == pytest.approx([0, 8 * second])
    times = [signature.time for signature in moved.time_signatures]
    assert times == pytest.approx([0, 8 * second])
    times = [key.time for key in moved.key_signatures]
    assert times == pytest.approx([0, 4 * second])
    assert moved.pitch_bends[0].time == pytest.approx(2 * second)
    times = [change.time for change in moved.control_changes]
    assert times == pytest.approx([0, second, 0])
    assert moved.total_time == pytest.approx(given.total_time - 0.6 * second)
    assert first_start(given) == pytest.approx(0.6)  # what was given is as it was


def test_what_has_no_such_beat_or_is_right_anyway_stays():
    free = random.Random(0)
    loose = song(0.1)
    for note in loose.notes:
        note.start_time += free.uniform(0, 0.25)
    triplets = make_sequence([(60, 80, i / 3 + 0.1, i / 3 + 0.4) for i in range(200)])
    triplets.source_info.encoding_type = NoteSequence.SourceInfo.MIDI
    upbeat = song(0.1, time_signature=(1, 4))
    upbeat.time_signatures.add(time=0.5, numerator=4, denominator=4)
    others = [
        upbeat,
        song(0.1, kind=NoteSequence.SourceInfo.MUSIC_XML),
        song(0.1, num_bars=7),  # too few notes to tell
        make_sequence([]),
    ]
    for piece in (loose, triplets, *others):
        assert onto_beat(piece) is piece


def test_syncopation_is_no_other_beat():
    late = make_sequence(
        [
            (pitch, 80, 4 * bar + start, 4 * bar + start + 0.5)
            for bar in range(12)
            for pitch, start in ((36, 0), (36, 2), *((60, i + 0.5) for i in range(4)))
        ]
    )
    late.source_info.encoding_type = NoteSequence.SourceInfo.MIDI
    assert beat_offset(late) == (0, 4)


def bars(*notes, num_bars=24, **settings):
    """Bars of (pitch, start, end), all a tenth of a quarter late."""
    sequence = make_sequence(
        [
            (pitch, 80, 4 * bar + start + 0.1, 4 * bar + end + 0.1)
            for bar in range(num_bars)
            for pitch, start, end in notes
        ],
        **settings,
    )
    sequence.source_info.encoding_type = NoteSequence.SourceInfo.MIDI
    return sequence


BASS = [(36, 0, 1), (36, 2, 3)]


def chords_off_the_beat(length):
    starts = (0.5, 1.5, 2.5, 3.5)
    return [(pitch, s, s + length) for s in starts for pitch in (60, 64)]


def test_the_lowest_note_of_a_chord_says_twice_as_much_of_the_beat():
    # 2 x 2 quarters of bass against 4 x (2 + 1) x 1/2 of chords: too little more.
    assert beat_offset(bars(*BASS, *chords_off_the_beat(0.5)))[0] == pytest.approx(0.1)
    assert beat_offset(bars(*BASS, *chords_off_the_beat(0.75)))[0] == pytest.approx(0.6)


def test_what_is_held_long_says_no_more_of_the_beat():
    held = bars(*BASS, (64, 0.5, 8.5), num_bars=32)
    assert beat_offset(held)[0] == pytest.approx(0.1)


def test_bars_of_half_beats_stay_where_they_are():
    given = make_sequence(
        [(36, 80, 3 * i + 1.6, 3 * i + 2.6) for i in range(70)], time_signature=(7, 8)
    )
    given.source_info.encoding_type = NoteSequence.SourceInfo.MIDI
    assert beat_offset(given) == (pytest.approx(0.6, abs=1e-6), 3.5)


def test_a_tempo_that_changes_before_the_music_stays_before_it():
    given = song(4.75)
    second, late = 0.5, 0.3 * 0.5  # at 120; from there on half as fast
    for note in given.notes:
        note.start_time = late + (note.start_time - late) * 2
        note.end_time = late + (note.end_time - late) * 2
    given.tempos.add(time=late, qpm=60)
    moved = onto_beat(given)
    assert beat_offset(moved)[0] == 0
    assert first_start(moved) == pytest.approx(8.0)
    assert moved.tempos[1].time == pytest.approx(late + 3.25 * second)
