"""Whether a beat is heard: right values by hand."""

import numpy as np
import pytest

from tests.contracts import make_sequence
from tfmusic.evaluation.metre import groove_consistency, metre
from tfmusic.evaluation.note_arrays import NoteArrays, has_beat
from tfmusic.evaluation.voices import VoiceGrid, sounding_frames

ON_BEAT = "3 or more voices move on the beat, %"
UNCLEAR = "stretches of 8 quarters without a clear beat, %"
NOTES_ON_BEAT = "notes that begin on the beat, %"
TRIADS = ((72, 67, 64, 48), (71, 67, 62, 55))


def four_parts(*chords):
    """Chords of four parts; each is (pitches from the top, start, end) in quarters."""
    tracks = [
        [(pitches[part], 80, start, end) for pitches, start, end in chords]
        for part in range(4)
    ]
    return make_sequence(*tracks)


def metre_of(sequence):
    notes = NoteArrays.of(sequence)
    return metre(notes, VoiceGrid.of(notes, sounding_frames(notes)))


def alternating(starts, end):
    ends = [*starts[1:], end]
    return four_parts(
        *(
            (TRIADS[i % 2], start, stop)
            for i, (start, stop) in enumerate(zip(starts, ends, strict=True))
        )
    )


def test_moves_of_three_voices_count_by_their_phase():
    # The alto stays on G: three voices move. On the beat thrice, off it once.
    found = metre_of(alternating([0, 1, 2, 2.5, 4], 6))
    assert found[ON_BEAT] == 75
    # Moves off the beat all together are a beat that begins with a pickup.
    assert metre_of(alternating([0, 0.5, 1.5, 2.5, 3.5], 6))[ON_BEAT] == 100


def test_two_moving_voices_are_no_move():
    third = (72, 67, 62, 55)
    found = metre_of(four_parts((TRIADS[0], 0, 1), (third, 1, 3)))
    assert ON_BEAT not in found
    assert UNCLEAR not in found


def test_stretches_are_clear_by_themselves():
    # 8 quarters on the beat, then 8 in which moves are on and off it in turn: of three
    # stretches the last has no clear beat, and the middle one has 6 of 8 on it.
    steady = list(range(9))
    syncopated = [9.5, 10, 11.5, 12, 13.5, 14, 15.5]
    found = metre_of(alternating(steady + syncopated, 16.5))
    assert found[UNCLEAR] == pytest.approx(100 / 3)


def test_notes_on_the_beat_are_those_of_the_fullest_sixteenth():
    notes = [(60, 80, start, start + 0.25) for start in (0, 1, 2, 3, 3.5, 3.75)]
    found = metre_of(make_sequence(notes))
    assert found[NOTES_ON_BEAT] == pytest.approx(100 * 4 / 6)
    late = [(p, v, start + 0.25, end + 0.25) for p, v, start, end in notes]
    assert metre_of(make_sequence(late)) == found | {
        "rhythm kept from bar to bar, 0 to 1": pytest.approx(1 - 6 / 96)
    }


def test_rhythm_is_kept_in_bars_of_the_metre():
    waltz = [(60, 80, start, start + 1) for start in (0, 1, 2, 3, 4, 5, 6)]
    in_three = make_sequence(waltz, time_signature=(3, 4))
    # Bars 1 and 2 are the same; of the third, and last, two onsets are missing.
    assert groove_consistency(NoteArrays.of(in_three)) == pytest.approx(
        1 - 2 / (2 * 72)
    )
    assert groove_consistency(NoteArrays.of(make_sequence(waltz[:2]))) is None


def test_bar_is_that_of_the_signature_that_holds_longest():
    sequence = make_sequence([(60, 80, 0, 13)], time_signature=(1, 4))
    sequence.time_signatures.add(time=0.5, numerator=3, denominator=4)
    assert NoteArrays.of(sequence).bar_quarters == 3
    assert NoteArrays.of(make_sequence([(60, 80, 0, 1)])).bar_quarters == 4


def test_beat_is_known_from_onsets():
    random = np.random.default_rng(0)
    grid = [(60, 80, start / 4, start / 4 + 0.25) for start in range(50)]
    late = [(p, v, start + 0.03, end) for p, v, start, end in grid]
    free = [(60, 80, start, start + 0.1) for start in random.uniform(0, 50, 200)]
    assert has_beat([make_sequence(grid)])
    assert has_beat([make_sequence(late)])
    assert not has_beat([make_sequence(free)])
    assert not has_beat([make_sequence(free), make_sequence(free), make_sequence(grid)])
    assert has_beat([])


def test_voices_of_one_instrument_are_its_pitches_from_the_top():
    chords = ((72, 67, 64, 48), (71, 67, 67, 48), (72, 72, 60, 48))
    sequence = make_sequence(
        [
            (pitch, 80, i, i + 1)
            for i, chord in enumerate(chords)
            for pitch in sorted(set(chord))
        ],
        [(40, 80, 3, 3.2)],
    )
    notes = NoteArrays.of(sequence)
    frames = sounding_frames(notes)
    assert VoiceGrid.of(notes, frames) is None  # most frames have three pitches
    four = [(pitch, 80, 4, 8) for pitch in chords[0]]
    sequence = make_sequence(
        [(p, v, s, e) for p, v, s, e in four]
        + [
            (pitch, 80, i, i + 1)
            for i, chord in enumerate(chords)
            for pitch in sorted(set(chord))
        ]
    )
    notes = NoteArrays.of(sequence)
    voices = VoiceGrid.of(notes, sounding_frames(notes))
    assert not voices.are_parts
    # Two voices share a pitch where that moves all of them least: the tenor goes up to
    # the alto's G, and the alto to the soprano's C.
    assert voices.pitch[:6:2].tolist() == [list(chord) for chord in chords]
    assert voices.pitch[6].tolist() == [-1] * 4


def test_four_parts_are_voices_even_where_they_cross():
    crossing = four_parts(((64, 67, 60, 48), 0, 1), ((72, 67, 60, 48), 1, 4))
    notes = NoteArrays.of(crossing)
    voices = VoiceGrid.of(notes, sounding_frames(notes))
    assert voices.are_parts
    assert voices.pitch[0].tolist() == [64, 67, 60, 48]
    assert voices.chords().tolist() == [[64, 67, 60, 48], [72, 67, 60, 48]]


def test_parts_that_mostly_rest_are_no_four_voices():
    tracks = [[(60 + part, 80, 4 * part, 4 * part + 1)] for part in range(4)]
    notes = NoteArrays.of(make_sequence(*tracks))
    assert VoiceGrid.of(notes, sounding_frames(notes)) is None


def test_notes_a_hair_early_sound_on_their_beat():
    notes = NoteArrays.of(make_sequence([(60, 80, 0.98, 2.01), (62, 80, 2.02, 3)]))
    frames = sounding_frames(notes)
    assert [np.flatnonzero(frame).tolist() for frame in frames] == [
        [],
        [],
        [60],
        [60],
        [62],
        [62],
    ]
