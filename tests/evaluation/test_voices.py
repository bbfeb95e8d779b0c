"""Which voice sings each note."""

import pytest

from tests.contracts import make_sequence
from tfmusic.evaluation.voices import in_voices

CHORDS = ((72, 67, 64, 48), (71, 67, 62, 43), (72, 67, 64, 48))


def choir(*more, chords=CHORDS):
    """Chords of a quarter each, played by one piano."""
    notes = [(pitch, 80, i, i + 1) for i, chord in enumerate(chords) for pitch in chord]
    return make_sequence([*notes, *more])


def test_each_voice_of_a_chorale_is_an_instrument():
    piece = choir((65, 80, 3, 4), (69, 80, 3, 4), (50, 80, 3, 4))  # two share a note
    found = in_voices(piece)
    names = [info.name for info in found.instrument_infos]
    assert names == ["Soprano", "Alto", "Tenor", "Bass"]
    of_voice = [[n.pitch for n in found.notes if n.instrument == i] for i in range(4)]
    assert [pitches[:3] for pitches in of_voice] == [
        list(v) for v in zip(*CHORDS, strict=True)
    ]
    assert of_voice[3] == [48, 43, 48, 50]
    assert [(n.pitch, n.start_time, n.end_time) for n in found.notes] == [
        (n.pitch, n.start_time, n.end_time) for n in piece.notes
    ]
    assert not piece.notes[3].instrument  # a copy


@pytest.mark.parametrize(
    "piece",
    [
        make_sequence([(60, 80, 0, 4), (64, 80, 0, 4)]),  # two voices
        choir((24, 80, 0, 1)),  # lower than anybody sings
        make_sequence([(72, 80, 0, 1)], [(48, 80, 0, 1)]),  # instruments of its own
        make_sequence([]),
    ],
)
def test_other_music_stays_as_it_is(piece):
    assert in_voices(piece) is piece
