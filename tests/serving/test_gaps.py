"""Bars and voices of a piece written anew, and all that has to stay as it is."""

import numpy as np
import pytest

from tests.contracts import make_sequence
from tests.serving.exports import export_untrained
from tfmusic.errors import UserError
from tfmusic.notes import NoteSequence
from tfmusic.serving.gaps import fill_gap, parse_bars, read_gap
from tfmusic.serving.player import Player

PITCHES = (72, 67, 64, 48)
FEW = {"gibbs_steps": 2}


@pytest.fixture(scope="module")
def player(tmp_path_factory):
    path = tmp_path_factory.mktemp("infill")
    export_untrained("infill", path / "1")
    return Player(str(path))


def chorale(*, upbeat=False, late=0.0):
    """Three bars of 4/4 in quarters; notes may come late, in quarters."""
    begin = -1 if upbeat else 0
    tracks = [
        [
            (pitch + i % 3, 90, i - begin + late, i - begin + 1 + late)
            for i in range(begin, 12)
        ]
        for pitch in PITCHES
    ]
    sequence = make_sequence(*tracks, qpm=60.0, time_signature=(4, 4))
    sequence.time_signatures[0].time = -begin
    sequence.notes.sort(key=lambda note: note.start_time)
    return sequence


def melody():
    tune = [(pitch, 70, i, i + 1) for i, pitch in enumerate((60, 62, 64, 65))]
    return make_sequence(tune, names=("Flute",))


def played(sequence, names=(0, 1, 2, 3)):
    """The notes of some instruments, to compare."""
    return sorted(
        (note.instrument, note.start_time, note.pitch, note.end_time, note.velocity)
        for note in sequence.notes
        if note.instrument in names
    )


def in_span(sequence, begin, end):
    return [note for note in sequence.notes if begin <= note.start_time < end]


@pytest.mark.parametrize("late", [0.0, 0.07])
@pytest.mark.parametrize(("upbeat", "begin"), [(False, 4.0), (True, 5.0)])
def test_bars_are_written_anew_and_the_others_stay(player, late, upbeat, begin):
    piece = chorale(upbeat=upbeat, late=late)
    before = piece.SerializeToString(deterministic=True)
    [made] = player.infill(piece, bars=(2, 2), seed=1, controls=FEW)
    assert piece.SerializeToString(deterministic=True) == before
    around = [
        played(NoteSequence(notes=in_span(music, *span)))
        for span in ((0, begin), (begin + 4, 99))
        for music in (made, piece)
    ]
    assert around[0] == around[1]
    assert around[2] == around[3]
    new = in_span(made, begin, begin + 4)
    assert played(NoteSequence(notes=new)) != played(
        NoteSequence(notes=in_span(piece, begin, begin + 4))
    )
    # None sounds into what was kept of its voice.
    for note in new:
        later = [n.start_time for n in made.notes if n.instrument == note.instrument]
        assert not any(note.start_time < time < note.end_time for time in later)


def test_the_upbeat_is_bar_0(player):
    piece = chorale(upbeat=True)
    [made] = player.infill(piece, bars=(0, 0), controls=FEW)
    assert played(NoteSequence(notes=in_span(made, 1, 99))) == played(
        NoteSequence(notes=in_span(piece, 1, 99))
    )


def test_voices_that_are_kept_stay_and_the_others_are_new(player):
    piece = chorale(late=0.1)
    made = player.infill(
        piece, keep=["Soprano", "bass"], num_outputs=2, seed=3, controls=FEW
    )
    for music in made:
        assert played(music, [0, 3]) == played(piece, [0, 3])
        assert played(music, [1, 2]) != played(piece, [1, 2])
    assert played(made[0]) != played(made[1])


def test_bars_and_voices_together(player):
    piece = chorale()
    [made] = player.infill(piece, bars=(2, 3), keep=("tenor",), controls=FEW)
    assert played(made, [2]) == played(piece, [2])
    assert played(NoteSequence(notes=in_span(made, 0, 4))) == played(
        NoteSequence(notes=in_span(piece, 0, 4))
    )


@pytest.mark.parametrize("name", ["soprano", "alto"])
def test_a_melody_alone_gets_three_other_voices(player, name):
    piece = melody()
    [made] = player.infill(piece, keep=[name], seed=2, controls={"gibbs_steps": 3})
    assert played(made, [0]) == played(piece, [0])
    names = {info.instrument: info.name for info in made.instrument_infos}
    new = {names[note.instrument] for note in made.notes if note.instrument}
    assert names[0] == "Flute"
    assert new <= {"Soprano", "Alto", "Tenor", "Bass"} - {name.title()}
    assert len(names) == 4


def test_new_voices_find_a_number_beside_the_largest_that_there_is(player):
    piece = melody()
    for part in (*piece.notes, *piece.instrument_infos):
        part.instrument = 2**31 - 1
    [made] = player.infill(piece, keep="soprano", seed=2, controls=FEW)
    assert played(made, [2**31 - 1]) == played(piece, [2**31 - 1])
    assert sorted(i.instrument for i in made.instrument_infos) == [0, 1, 2, 2**31 - 1]


def test_a_tune_without_a_name_becomes_a_part_of_the_score(player):
    tune = make_sequence(
        [(pitch, 70, i, i + 1) for i, pitch in enumerate((72, 74, 76))]
    )
    del tune.instrument_infos[:]
    [piece] = player.infill(tune, keep="soprano", controls=FEW)
    names = {info.instrument: info.name for info in piece.instrument_infos}
    kept = next(note for note in piece.notes if note.pitch == 74)
    assert names[kept.instrument] == "Soprano"
    assert len(set(names.values())) == len(names)
    # Two voices of one track are no part.
    pair = make_sequence([(p, 70, i, i + 1) for i in range(3) for p in (72 + i, 48)])
    del pair.instrument_infos[:]
    [piece] = player.infill(pair, bars=(1, 1), controls=FEW)
    assert pair.notes[0].instrument not in {
        i.instrument for i in piece.instrument_infos
    }


def test_notes_held_into_a_gap_stay_to_their_end_and_new_ones_come_after(player):
    piece = chorale()
    for note in list(piece.notes):
        if note.instrument == 0 and 3 <= note.start_time < 6:
            piece.notes.remove(note)
    held = piece.notes.add(
        pitch=79, velocity=90, start_time=3, end_time=6, instrument=0
    )
    gap = read_gap(player.card, player.representation, piece, bars=(2, 2))
    assert not gap.is_open[16:24, 0].any()
    assert gap.is_open[24:32, 0].all()
    written = {**gap.inputs, "pitch": np.where(gap.is_open, 50, gap.inputs["pitch"])}
    made = fill_gap(gap, player.representation, written)
    assert held in made.notes
    new = [n for n in made.notes if n.instrument == 0 and n.pitch == 50]
    assert [note.start_time for note in new] == [6.0, 7.0]
    assert new[-1].end_time == 8.0


def test_bars_are_read():
    assert parse_bars("bars:5-8") == (5, 8)
    assert parse_bars("bars:3") == (3, 3)
    for text in ("5-8", "bars:", "bars:a-b", "beats:1-2"):
        with pytest.raises(UserError, match="expected bars such as bars:5-8, got"):
            parse_bars(text)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "infill: expected bars to write anew, such as bars:5-8, or voices"),
        ({"bars": (2, 4)}, "infill: expected bars from 1 to 3, .* got 2-4"),
        ({"bars": (0, 1)}, "infill: expected bars from 1 to 3, .* got 0-1"),
        ({"bars": (3, 2)}, "infill: expected bars from 1 to 3, .* got 3-2"),
        ({"keep": ["sopran"]}, "voice to keep: unknown 'sopran' .did you mean"),
        (
            {"keep": ["soprano", "alto", "tenor", "bass"]},
            "keep: expected a voice to write",
        ),
        ({"bars": (1, 1), "num_outputs": 0}, "num_outputs: expected at least 1"),
        ({"bars": (1, 1), "controls": {"warmth": 1}}, "unknown 'warmth'"),
    ],
)
def test_wrong_requests_are_answered_in_one_line(player, settings, message):
    with pytest.raises(UserError, match=message) as caught:
        player.infill(chorale(), **settings)
    assert "\n" not in str(caught.value)
