"""Voices, hands and bars that stay, as what is given of frames, and what comes back."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest

from tests.contracts import make_sequence
from tests.models.conftest import chords_with_keys
from tests.serving.exports import export_untrained
from tfmusic.errors import UserError
from tfmusic.notes.keys import parse_key
from tfmusic.notes.writing import write_midi
from tfmusic.representations import make_representation
from tfmusic.serving.gaps import fill_gap, read_gap
from tfmusic.serving.player import Player

CARD = {"name": "some", "endpoints": {"infill": {}}}
CHORDS = chords_with_keys()
HANDS = make_representation({"name": "two_hands_roll", "steps_per_quarter": 2})


def tune(late=0.0, pitches=(72, 74, 76, 77)):
    notes = [(p, 70, i + late, i + 1 + late) for i, p in enumerate(pitches)]
    return make_sequence(notes, names=("Flute",), qpm=60.0)


def chorale(late=0.0):
    """Two bars of 4/4; in the second the lower voice rests at first."""
    upper = [(72 + i % 3, 90, i + late, i + 1 + late) for i in range(8)]
    lower = [(48 + i % 3, 80, i + late, i + 1 + late) for i in range(8) if i != 4]
    return make_sequence(upper, lower, qpm=60.0, time_signature=(4, 4))


def played(sequence, instruments=(0, 1)):
    return sorted(
        (n.instrument, n.start_time, n.end_time, n.pitch, n.velocity)
        for n in sequence.notes
        if n.instrument in instruments
    )


def write(gap, *cells, kind=CHORDS):
    """What comes back where a model writes these keys at these steps, all struck."""
    if kind is CHORDS:
        keys = gap.inputs["keys"].copy()
        for step, pitch in cells:
            keys[step, pitch] = True
        return fill_gap(gap, kind, {**gap.inputs, "keys": keys})
    roll = gap.inputs["roll"].copy()
    for step, hand, pitch in cells:
        roll[step, hand, pitch - kind.lowest_pitch] = True
    return fill_gap(gap, kind, {**gap.inputs, "roll": roll})


def test_a_soprano_gives_its_key_and_silence_above_it():
    gap = read_gap(CARD, CHORDS, chorale(), keep=["Soprano"])
    is_given, keys = gap.inputs["is_given"], gap.inputs["keys"]
    for step in range(16):
        pitch = 72 + step // 2 % 3
        assert np.flatnonzero(keys[step, :, 0]).tolist() == [pitch]
        assert not is_given[step, :pitch].any()
        assert is_given[step, pitch:].all()
    assert gap.is_kept.tolist() == [note.instrument == 0 for note in chorale().notes]
    # What is to go does not say which key the piece is in.
    assert len(set(gap.inputs["plan_key"].tolist())) == 1


def test_a_bass_that_rests_gives_nothing():
    gap = read_gap(CARD, CHORDS, chorale(), keep=["bass"])
    is_given, keys = gap.inputs["is_given"], gap.inputs["keys"]
    assert is_given[0, :49].all()
    assert not is_given[0, 49:].any()
    # The upper voice is alone there, and so the lowest.
    assert np.flatnonzero(keys[8, :, 0]).tolist() == [73]
    named = chorale()
    for instrument, name in enumerate(("Soprano", "Bass")):
        named.instrument_infos.add(instrument=instrument, name=name)
    gap = read_gap(CARD, CHORDS, named, keep=["bass"])
    assert not gap.inputs["is_given"][8:10].any()
    assert gap.inputs["is_given"][10, :51].all()


@pytest.mark.parametrize("late", [0.0, 0.07])
@pytest.mark.parametrize(("keep", "other"), [("soprano", 60), ("bass", 90)])
def test_a_tune_comes_back_as_it_was_and_what_is_new_has_an_instrument(
    keep, other, late
):
    piece = tune(late)
    gap = read_gap(CARD, CHORDS, piece, keep=[keep])
    made = write(gap, (0, other), (1, other), (4, 76), (5, other))
    assert played(made, [0]) == played(piece)
    # The key of the tune at step 4 is given, whatever a model makes of it.
    new = [(n.pitch, n.start_time, n.end_time) for n in made.notes if n.instrument]
    assert new == [(other, 0.0, 0.5), (other, 0.5, 1.0), (other, 2.5, 3.0)]
    names = {info.instrument: info.name for info in made.instrument_infos}
    assert names == {0: "Flute", 1: "Piano"}
    assert {note.velocity for note in made.notes} == {70}


def test_bars_are_open_but_for_notes_that_are_held_into_them():
    piece = chorale()
    held = piece.notes.add(
        pitch=55, velocity=60, start_time=3, end_time=5, instrument=1
    )
    piece.total_time = 8.0
    gap = read_gap(CARD, CHORDS, piece, bars=(2, 2))
    is_given = gap.inputs["is_given"]
    assert is_given[:8].all()
    assert np.flatnonzero(is_given[8]).tolist() == [55]
    assert not is_given[10:].any()
    made = write(gap, (8, 60), (10, 61))
    assert held in made.notes
    first = [n for n in played(piece) if n[1] < 4]
    assert [n for n in played(made) if n[1] < 4] == first
    assert [n[3] for n in played(made) if n[1] >= 4] == [60, 61]
    # The instrument whose notes are nearest plays them.
    assert {n[0] for n in played(made) if n[1] >= 4} == {1}


def test_new_notes_make_room_for_kept_ones_of_their_key_off_the_grid():
    piece = tune(late=0.1, pitches=(60, 64))
    gap = read_gap(CARD, CHORDS, piece, keep=["soprano"])
    made = write(gap, (2, 60))
    new = [n for n in made.notes if n.instrument == 1]
    assert [(n.start_time, n.end_time) for n in new] == [(1.1, 1.5)]


def test_a_hand_gives_all_of_its_keys_also_where_it_rests():
    gap = read_gap(CARD, HANDS, chorale(), keep=["left"])
    is_given, roll = gap.inputs["is_given"], gap.inputs["roll"]
    assert is_given[:, 1].all()
    assert not is_given[:, 0].any()
    assert not roll[:, 0].any()
    assert not roll[8:10].any()
    assert roll[0, 1, 48 - HANDS.lowest_pitch].all()
    made = write(gap, (8, 0, 80), kind=HANDS)
    assert played(made, [1]) == played(chorale(), [1])
    assert played(made, [0]) == [(0, 4.0, 4.5, 80, 85)]


@pytest.mark.parametrize("name", ["right", "left"])
def test_a_melody_is_the_hand_that_is_kept_however_wide_it_is(name):
    piece = tune(pitches=(84, 40, 84, 40))
    gap = read_gap(CARD, HANDS, piece, keep=[name])
    assert gap.is_kept.all()
    made = write(gap, (0, int(name == "right"), 60), kind=HANDS)
    names = [info.name for info in made.instrument_infos]
    assert names == ["Flute", "Left hand" if name == "right" else "Right hand"]


def test_drums_stay_and_say_nothing():
    piece = tune()
    piece.notes.add(pitch=38, velocity=99, end_time=1.0, is_drum=True, instrument=9)
    gap = read_gap(CARD, CHORDS, piece, keep=["soprano"])
    assert gap.is_kept.all()
    assert not gap.inputs["keys"][:, 38].any()


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        (
            CHORDS,
            {"keep": ["alto"]},
            "voice to keep: unknown 'alto'; it can be bass, soprano",
        ),
        (
            HANDS,
            {"keep": ["soprano"]},
            "voice to keep: unknown 'soprano'; it can be left, right",
        ),
        (CHORDS, {}, r"bars to write anew, .* or voices to keep \(soprano, bass\)"),
        (CHORDS, {"bars": (1, 9)}, "infill: expected bars from 1 to 2, .* got 1-9"),
        (HANDS, {"keep": ["left", "right"]}, "keep: expected a voice to write"),
        (CHORDS, {"keep": 3}, "keep: expected"),
    ],
)
def test_wrong_requests_are_answered_in_one_line(kind, settings, message):
    with pytest.raises(UserError, match=message) as caught:
        read_gap(CARD, kind, chorale(), **settings)
    assert "\n" not in str(caught.value)


def test_older_exports_say_what_to_do():
    with pytest.raises(UserError, match="older tfmusic; export it again from its run"):
        read_gap({**CARD, "endpoints": {}}, CHORDS, chorale(), keep=["soprano"])
    plain = dataclasses.replace(CHORDS, keys=False)
    with pytest.raises(UserError, match="cannot fill gaps; models that can"):
        read_gap({**CARD, "endpoints": {}}, plain, chorale(), bars=(1, 1))


def test_a_soprano_off_the_grid_stays_whole():
    # Dotted: two notes begin in one eighth, the second below the first.
    melody = [(72, 80, 0.0, 0.375), (71, 80, 0.375, 0.5), (69, 80, 0.5, 1.0)]
    low = [(48, 80, 0.0, 1.0)]
    for hands in ([melody], [melody + low]):
        piece = make_sequence(*hands)
        gap = read_gap(CARD, CHORDS, piece, keep=["soprano"])
        kept = [n.pitch for n, k in zip(piece.notes, gap.is_kept, strict=True) if k]
        assert kept == [72, 71, 69]


def test_the_key_that_is_said_is_where_the_music_ends():
    card = {**CARD, "config": {"data": {"key": "C"}}}
    for name, semitones, number in (("G", 5, 1), ("Em", 5, 22), ("C", 0, 1)):
        gap = read_gap(card, CHORDS, tune(), keep=["soprano"], key=parse_key(name))
        assert gap.primer.semitones == semitones
        assert set(gap.inputs["plan_key"].tolist()) == {number}
        assert played(write(gap), [0]) == played(tune())
    gap = read_gap(CARD, CHORDS, tune(), keep=["soprano"], key=parse_key("G"))
    assert (gap.primer.semitones, gap.inputs["plan_key"][0]) == (0, 8)


@pytest.mark.slow
def test_an_export_harmonises_a_file_and_refuses_what_cannot_be(tmp_path):
    export_untrained("chords", tmp_path / "model" / "1")
    player = Player(str(tmp_path / "model"))
    piece = tune(pitches=(62, 64, 90))
    made = player.infill(piece, keep=("soprano",), num_outputs=2, seed=1)
    assert all(played(music, [0]) == played(piece) for music in made)
    assert any(note.pitch == 40 for note in made[0].notes)
    assert player.unmatched_steps == 4
    assert "2 of 6 steps: no known chord has the given note" in player.remarks[-1]
    again = player.infill(piece, keep=("soprano",), num_outputs=2, seed=1)
    assert again == made
    for controls, message in (
        ({"particles": 0}, "particles: expected 1 to 1024, got 0"),
        ({"particles": float("nan")}, "particles: expected 1 to 1024, got nan"),
        ({"particels": 4}, "unknown 'particels' .did you mean 'particles'"),
    ):
        with pytest.raises(UserError, match=message):
            player.infill(piece, keep=("soprano",), controls=controls)
    with pytest.raises(UserError, match="particles: leave it out without --keep"):
        player.generate(controls={"particles": 4})
    with pytest.raises(UserError, match="rows times particles: expected at most"):
        player.infill(
            piece, keep=("bass",), num_outputs=1000, controls={"particles": 1024}
        )
    gap = read_gap(player.card, player.representation, piece, keep=["soprano"])
    inputs = {name: array[np.newaxis] for name, array in gap.inputs.items()}
    inputs = {
        n: inputs[n]
        for n in player.card["endpoints"]["infill"]["inputs"] & inputs.keys()
    }
    inputs["seed"] = 1
    assert player.call("infill", inputs)["num_steps"] == [6]
    for name, value, message in (
        ("is_given", np.ones([1, 6, 5], bool), "is_given: expected bool of shape"),
        ("is_given", np.ones([1, 5, 128], bool), "expected as many"),
        ("bar_position", np.full([1, 6], -1), "bar_position: expected 0 to"),
        ("temperature", np.nan, "temperature: expected 0 to 10, got nan"),
    ):
        with pytest.raises(UserError, match=message):
            player.call("infill", {**inputs, name: value})
    with pytest.raises(UserError, match="key: expected such as G"):
        player.infill(piece, keep=("soprano",), key="H")
    write_midi(piece, str(tmp_path / "tune.mid"))
    command = [sys.executable, "-m", "tfmusic.generate", "--keep=soprano"]
    command += [f"--model_dir={tmp_path}/model", f"--output_dir={tmp_path}/music"]
    command += [f"--primer={tmp_path}/tune.mid", "--particles=2", "--num_outputs=1"]
    done = subprocess.run(
        [*command, "--nopictures"], capture_output=True, text=True, check=True
    )
    assert "2 of 6 steps: no known chord" in done.stdout
