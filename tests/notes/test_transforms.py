import numpy as np
import pytest
from note_seq import sequences_lib

from tests.notes.sequences import make_sequence, tuples
from tfmusic.errors import DropError, UserError
from tfmusic.notes import NoteSequence
from tfmusic.notes.reading import read_file
from tfmusic.notes.transforms import (
    apply_sustain,
    assign_hands,
    crop,
    stretch,
    transpose,
    without_drums,
)


def with_drum(sequence):
    sequence.notes.add(
        pitch=36, velocity=90, start_time=0, end_time=1, instrument=5, is_drum=True
    )
    sequence.instrument_infos.add(instrument=5, name="Drums")
    return sequence


def test_transposing_moves_notes_and_keys_but_no_drums():
    sequence = with_drum(make_sequence((60, 80, 0, 1)))
    sequence.key_signatures.add(time=0, key=0)
    before = sequence.SerializeToString()
    moved = transpose(sequence, -3)
    assert [n.pitch for n in moved.notes] == [57, 36]
    assert moved.key_signatures[0].key == 9
    assert sequence.SerializeToString() == before
    assert transpose(moved, 3) == sequence


def test_transposing_keeps_the_silence_at_the_end():
    sequence = make_sequence((60, 80, 0, 1))
    sequence.total_time = 4.0
    assert transpose(sequence, 2).total_time == 4
    assert transpose(NoteSequence(total_time=3.0), 2).total_time == 3


def test_transposing_beyond_the_pitches_there_are_drops_the_piece():
    sequence = make_sequence((3, 80, 0, 1), (120, 80, 0, 1))
    assert len(transpose(sequence, 7).notes) == 2
    for semitones in (8, -4):
        with pytest.raises(DropError, match="3..120 moved by") as caught:
            transpose(sequence, semitones)
        assert caught.value.reason == "pitch_range"


def test_stretching_slows_the_tempo_as_well():
    stretched = stretch(make_sequence((60, 80, 1, 2)), 1.5)
    assert tuples(stretched) == [(60, 80, 1.5, 3.0)]
    assert stretched.tempos[0].qpm == 80
    with pytest.raises(UserError, match="above 0"):
        stretch(stretched, 0)


def test_cropping_keeps_what_starts_inside_and_the_tempo_in_force():
    sequence = make_sequence((60, 80, 0, 3), (62, 80, 2, 9), (64, 80, 5, 6))
    sequence.tempos.add(time=1, qpm=90)
    part = crop(sequence, 2, 4)
    assert tuples(part) == [(62, 80, 0.0, 2.0)]
    assert [(t.time, t.qpm) for t in part.tempos] == [(0, 90)]
    assert part.total_time == 2
    for wrong in [(3, 3), (-1, 2), (9, 10)]:
        with pytest.raises(UserError, match="crop"):
            crop(sequence, *wrong)


def test_the_pedal_holds_notes_until_it_is_lifted_or_they_are_struck_again():
    sequence = make_sequence((60, 80, 0, 0.5), (62, 80, 0, 0.5), (60, 80, 1, 1.2))
    sequence.control_changes.add(time=0.2, control_number=64, control_value=127)
    sequence.control_changes.add(time=3, control_number=64, control_value=0)
    held = {(n.pitch, n.start_time): n.end_time for n in apply_sustain(sequence).notes}
    assert held == {(60, 0): 1, (62, 0): 3, (60, 1): 3}
    assert tuples(sequence)[0] == (60, 80, 0.0, 0.5)


def press(sequence, *events, instrument=0):
    for time, value in events:
        sequence.control_changes.add(
            time=time, control_number=64, control_value=value, instrument=instrument
        )
    return sequence


def by_note_seq(sequence):
    return sequences_lib.apply_sustain_control_changes(sequence)


PEDALLED = {
    "lifted and pressed at once": press(
        make_sequence((60, 80, 0, 1), (62, 80, 1, 2), (64, 80, 2, 3)),
        *[(0.5, 127), (1.5, 0), (1.5, 127), (1.8, 64), (2.5, 63), (9, 0)],
    ),
    "never lifted": press(
        make_sequence((60, 80, 0, 1), (60, 80, 3, 4), (62, 80, 1, 6)), (0.5, 90)
    ),
    "lifted as a note ends": press(
        make_sequence((60, 80, 0, 1), (62, 80, 0, 2)), (0, 90), (1, 0), (2, 90), (3, 0)
    ),
    "struck again while held by hand": press(
        make_sequence((60, 80, 0, 4), (60, 70, 1, 2), (60, 60, 3, 3.5)), (0.5, 90)
    ),
    "overlapping without the pedal": press(
        make_sequence((60, 80, 0, 4), (60, 70, 1, 2), (60, 60, 5, 6)), (4.5, 90)
    ),
    "unison under the pedal": press(
        make_sequence((60, 80, 1, 2), (60, 70, 1, 3), (60, 60, 4, 5)), (0.5, 90), (7, 0)
    ),
    "another instrument's pedal": press(
        press(make_sequence((60, 80, 0, 1), (60, 70, 0, 2, 1)), (0, 90), (8, 0)),
        *[(1, 90), (4, 0)],
        instrument=1,
    ),
    "drums": with_drum(press(make_sequence((60, 80, 0, 1)), (0, 90), (3, 0))),
}


@pytest.mark.parametrize("name", PEDALLED)
def test_the_pedal_holds_notes_as_in_note_seq(name):
    sequence = PEDALLED[name]
    expected, held = by_note_seq(sequence), apply_sustain(sequence)
    assert held.notes == expected.notes
    assert held.total_time == expected.total_time
    assert not held.control_changes
    assert apply_sustain(held) == held


def test_the_pedal_holds_the_notes_of_real_pieces_as_in_note_seq(shared_data):
    for path in sorted((shared_data / "piano_midi_de").rglob("*.mid"))[::40]:
        sequence = read_file(path)
        assert apply_sustain(sequence).notes == by_note_seq(sequence).notes, path


def test_drums_go_with_their_names_and_nothing_else_does():
    sequence = with_drum(make_sequence((60, 80, 0, 0.5)))
    sequence.instrument_infos.add(instrument=0, name="Piano")
    rest = without_drums(sequence)
    assert [n.pitch for n in rest.notes] == [60]
    assert [info.name for info in rest.instrument_infos] == ["Piano"]
    assert rest.total_time == 0.5


@pytest.mark.parametrize(
    ("right", "left"),
    [
        ("Piano right", "Piano left"),
        ("RH", "LH"),
        ("upper staff", "lower staff"),
        ("Klavier rechts", "Klavier links"),
        ("main droite", "main gauche"),
    ],
)
def test_names_tell_the_hands_even_where_they_cross(right, left):
    sequence = make_sequence((40, 80, 0, 1, 0), (80, 80, 0, 1, 1), (45, 80, 1, 2, 2))
    for instrument, name in enumerate([right, left, "Fuga 1"]):
        sequence.instrument_infos.add(instrument=instrument, name=name)
    assert assign_hands(sequence).tolist() == [0, 1, 0]


def test_of_two_unnamed_instruments_the_higher_is_the_right():
    sequence = make_sequence((40, 80, 0, 1, 0), (80, 80, 0, 1, 1), (30, 80, 1, 2, 1))
    assert assign_hands(sequence).tolist() == [1, 0, 0]


def test_one_instrument_is_divided_between_hands_that_reach():
    chords = [(0, [36, 43, 64, 67, 72]), (1, [38, 50, 65, 77]), (2, [41, 69])]
    sequence = make_sequence(
        *[(pitch, 80, start, start + 1) for start, notes in chords for pitch in notes]
    )
    hands = assign_hands(sequence)
    assert hands.tolist() == [1, 1, 0, 0, 0, 1, 1, 0, 0, 1, 0]
    assert hands.dtype == np.int64
    assert assign_hands(make_sequence()).shape == (0,)


def test_hands_are_found_again_on_real_pieces_without_their_names(shared_data):
    agreed = []
    for path in sorted(shared_data.glob("piano_midi_de/**/*.mid"))[::34]:
        sequence = read_file(path)
        hands = assign_hands(sequence)
        del sequence.instrument_infos[:]
        for note in sequence.notes:
            note.instrument = 0
        agreed.append(np.mean(assign_hands(sequence) == hands))
    assert np.mean(agreed) > 0.8
