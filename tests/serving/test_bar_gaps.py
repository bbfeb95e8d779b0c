"""Bars, hands and instruments that stay in music of bars, and what comes back."""

import numpy as np
import pytest

from tests.contracts import make_sequence
from tests.serving.exports import export_untrained
from tfmusic.errors import UserError
from tfmusic.representations import make_representation
from tfmusic.serving.bar_gaps import MOST_BARS
from tfmusic.serving.gaps import fill_gap, read_gap
from tfmusic.serving.player import Player

CARD = {"name": "some", "endpoints": {"infill": {}}}
PIANO = make_representation({"name": "bar_events", "programs": False})
BAND = make_representation({"name": "bar_events"})
TUNES = make_representation(
    {"name": "bar_events", "programs": False, "tempos": False, "num_velocity_bins": 0}
)
HIGH = make_representation(
    {"name": "bar_events", "programs": False, "highest_pitch": 48}
)


def piano(late=0.0):
    """Two bars of 4/4 of two hands, a note each quarter."""
    hands = [
        [(pitch + i % 3, 81, i + late, i + 0.9 + late) for i in range(8)]
        for pitch in (72, 48)
    ]
    return make_sequence(*hands, qpm=60.0, time_signature=(4, 4))


def band():
    """A flute, a piano that doubles it, and drums."""
    piece = make_sequence(
        *([(72, 81, i, i + 1) for i in range(4)], [(60, 81, i, i + 1) for i in (0, 2)]),
        qpm=60.0,
        names=("Melody", "Keys"),
        time_signature=(4, 4),
    )
    for note in piece.notes:
        note.program = 73 if note.instrument == 0 else 0
    piece.notes.add(
        pitch=38, velocity=99, end_time=0.25, is_drum=True, instrument=2, program=0
    )
    piece.instrument_infos.add(instrument=2, name="Drums")
    return piece


def played(sequence):
    return sorted(
        (n.start_time, n.pitch, n.end_time, n.velocity, n.instrument)
        for n in sequence.notes
    )


def written(gap, kind, *notes):
    """What comes back where a model writes these notes."""
    piece = gap.primer.sequence
    both = make_sequence(*[[]], qpm=60.0, time_signature=(4, 4))
    both.notes.extend(n for n, k in zip(piece.notes, gap.is_kept, strict=True) if k)
    for pitch, start, end, program in notes:
        both.notes.add(
            pitch=pitch,
            velocity=41,
            start_time=start,
            end_time=end,
            program=program % 128,
            is_drum=program == 128,
        )
    both.total_time = 8.0
    return fill_gap(gap, kind, kind.encode(both))


def is_open(gap):
    return gap.inputs["highest_open"] >= gap.inputs["lowest_open"]


@pytest.mark.parametrize("late", [0.0, 0.02])
def test_bars_outside_the_gap_come_back_as_they_were(late):
    piece = piano(late)
    gap = read_gap(CARD, PIANO, piece, bars=(2, 2))
    assert is_open(gap).tolist() == [False] * 48 + [True] * 48
    made = written(gap, PIANO, (60, 5.0, 5.5, 0), (61, 2.0, 3.0, 0))
    first = [note for note in played(piece) if note[0] < 4]
    assert played(made) == [*first, (5.0, 60, 5.5, 41, 1)]


def test_what_is_written_last_does_not_make_the_piece_longer():
    piece = piano()
    made = written(read_gap(CARD, PIANO, piece, bars=(2, 2)), PIANO, (60, 7.0, 9.5, 0))
    assert played(made)[-1] == (7.0, 60, 8.0, 41, 1)
    assert made.total_time == 8.0


def test_an_upbeat_is_bar_0_and_the_last_bar_is_open_to_its_end():
    piece = make_sequence([(60, 80, i, i + 1) for i in range(6)], qpm=60.0)
    piece.time_signatures.add(numerator=4, denominator=4, time=1.0)
    assert is_open(read_gap(CARD, TUNES, piece, bars=(0, 0))).tolist() == [True] * 12
    last = is_open(read_gap(CARD, TUNES, piece, bars=(2, 2)))
    assert np.flatnonzero(last).tolist() == list(range(60, 108))
    with pytest.raises(UserError, match="infill: expected bars from 0 to 2"):
        read_gap(CARD, TUNES, piece, bars=(1, 3))


@pytest.mark.parametrize(
    ("keep", "low", "high"), [("right", 21, 71), ("left", 49, 108)]
)
def test_a_hand_stays_and_new_notes_are_on_the_other_side_of_it(keep, low, high):
    kind = make_representation(
        PIANO.to_config() | {"lowest_pitch": 21, "highest_pitch": 108}
    )
    gap = read_gap(CARD, kind, piano(), keep=[keep])
    hand = int(keep == "left")
    assert gap.is_kept.tolist() == [n.instrument == hand for n in piano().notes]
    assert (gap.inputs["lowest_open"][0], gap.inputs["highest_open"][0]) == (low, high)
    made = written(gap, kind, (60, 0.5, 1.0, 0))
    [new] = [n for n in made.notes if n.pitch == 60]
    assert new.instrument == 1 - hand
    kept = [n for n in played(piano()) if n[4] == hand]
    assert [n for n in played(made) if n[1] != 60] == kept


def test_a_melody_alone_gets_another_instrument():
    tune = make_sequence([(72, 70, i, i + 1) for i in range(4)], names=("Flute",))
    gap = read_gap(CARD, PIANO, tune, keep=["right"])
    assert gap.is_kept.all()
    made = written(gap, PIANO, (48, 0.0, 1.0, 0))
    assert [info.name for info in made.instrument_infos] == ["Flute", "Left hand"]


@pytest.mark.parametrize("name", ["MELODY", "melody "])
def test_an_instrument_of_the_piece_stays_by_its_name(name):
    gap = read_gap(CARD, BAND, band(), keep=[name])
    assert gap.is_kept.tolist() == [n.instrument == 0 for n in band().notes]
    # Nothing new for the flute; what it plays does not bound the others.
    assert np.flatnonzero(gap.inputs["open_voices"]).tolist() == [0, 128]
    assert set(gap.inputs["highest_open"].tolist()) == {127}
    made = written(gap, BAND, (90, 1.0, 2.0, 0), (42, 1.0, 1.25, 128))
    new = [(n.pitch, n.instrument, n.is_drum) for n in made.notes if n.instrument]
    assert sorted(new) == [(42, 2, True), (90, 1, False)]


def test_tracks_of_one_program_are_told_apart_by_their_side():
    piece = band()
    for note in piece.notes:
        note.program = 0
    gap = read_gap(CARD, BAND, piece, keep=["melody"])
    assert gap.inputs["highest_open"][0] == 71
    assert gap.inputs["open_voices"][0]


def test_drums_stay_and_a_band_is_written_to_them():
    gap = read_gap(CARD, BAND, band(), keep=["drums"], bars=(1, 1))
    assert gap.is_kept.tolist() == [n.is_drum for n in band().notes]
    assert np.flatnonzero(gap.inputs["open_voices"]).tolist() == [0, 73]


def test_new_notes_make_room_for_kept_ones_of_their_key():
    piece = piano()
    piece.notes.add(pitch=60, velocity=81, start_time=3.5, end_time=5.0, instrument=1)
    gap = read_gap(CARD, PIANO, piece, bars=(2, 2))
    made = written(gap, PIANO, (60, 4.5, 4.75, 0), (60, 6.0, 7.0, 0))
    times = [(n.start_time, n.end_time) for n in made.notes if n.pitch == 60]
    assert times == [(3.5, 5.0), (6.0, 7.0)]


def test_notes_off_the_keyboard_and_after_the_last_bar_stay():
    small = make_representation(
        {"name": "bar_events", "programs": False, "lowest_pitch": 36}
    )
    piece = piano()
    for start in (4.0, 8.0, 12.0):
        piece.notes.add(pitch=20, velocity=81, start_time=start, end_time=start + 1)
    gap = read_gap(CARD, small, piece, bars=(2, 2))
    made = written(gap, small)
    low = [n.start_time for n in made.notes if n.pitch == 20]
    assert low == [4.0, 8.0, 12.0]
    assert max(n.start_time for n in made.notes if n.pitch > 20) == 3.0
    first = written(read_gap(CARD, small, piece, bars=(1, 1)), small)
    assert min(n.start_time for n in first.notes) == 4.0
    assert len(first.notes) == 2 * 4 + 3


def test_a_melody_without_a_track_is_the_highest_notes():
    notes = [(p, 81, i, i + 1) for i in range(4) for p in (72 + i, 60)]
    piece = make_sequence(notes, qpm=60.0, names=("Keys",), time_signature=(4, 4))
    gap = read_gap(CARD, BAND, piece, keep=["melody"])
    kept = [n.pitch for n, k in zip(piece.notes, gap.is_kept, strict=True) if k]
    assert kept == [72, 73, 74, 75]


def test_bars_are_those_of_the_score_or_none():
    piece = piano()
    piece.time_signatures[0].numerator = 11
    with pytest.raises(UserError, match="bars cannot be counted here: 1 of them"):
        read_gap(CARD, PIANO, piece, bars=(1, 1))
    assert read_gap(CARD, PIANO, piece, keep=["right"]).is_open.any()


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        (PIANO, {"keep": ["alto"]}, "voice to keep: unknown 'alto'; it can be"),
        (PIANO, {"keep": ["left", "right"]}, "keep: expected a voice to write"),
        (BAND, {"keep": ["drums"]}, "keep: drums has no notes in the piece"),
        (PIANO, {}, r"bars to write anew, .* or voices to keep \(right, left\)"),
        (PIANO, {"bars": (2, 9)}, "infill: expected bars from 1 to 2, .* got 2-9"),
        (TUNES, {"keep": ["right"]}, "keep: leave it out: some writes one voice"),
        (TUNES, {"bars": (1, 1)}, "some writes one voice, and notes sound together"),
        (HIGH, {"keep": ["left"]}, "keep: expected room for new notes"),
    ],
)
def test_wrong_requests_are_answered_in_one_line(kind, settings, message):
    with pytest.raises(UserError, match=message) as caught:
        read_gap(CARD, kind, piano(), **settings)
    assert "\n" not in str(caught.value)


def test_models_without_the_endpoint_say_why():
    card = {**CARD, "endpoints": {}}
    with pytest.raises(UserError, match="older tfmusic; export it again from its run"):
        read_gap(card, PIANO, piano(), bars=(1, 1))
    card["config"] = {"model": {"name": "token_transformer"}}
    with pytest.raises(UserError, match="cannot fill gaps; models that can"):
        read_gap(card, PIANO, piano(), bars=(1, 1))


def test_so_many_bars_are_written_at_a_time():
    end = 4 * MOST_BARS
    piece = make_sequence([(60, 80, 0, 1), (60, 80, end, end + 1)], qpm=60.0)
    with pytest.raises(
        UserError, match=f"at most {MOST_BARS} bars .* such as --infill"
    ):
        read_gap(CARD, TUNES, piece, bars=(1, MOST_BARS + 1))


@pytest.mark.slow
def test_an_export_fills_bars_and_refuses_what_cannot_be(tmp_path):
    export_untrained("tokens_bars", tmp_path / "model" / "1")
    player = Player(str(tmp_path / "model"))
    piece = make_sequence([(60, 80, i, i + 1) for i in range(16)], qpm=60.0)
    made = player.infill(piece, bars=(2, 3), num_outputs=2, seed=1)
    kept = [n for n in played(piece) if not 4 <= n[0] < 12]
    for music in made:
        assert [n for n in played(music) if not 4 <= n[0] < 12] == kept
    assert player.infill(piece, bars=(2, 3), num_outputs=2, seed=1) == made
    inputs = read_gap(player.card, player.representation, piece, bars=(2, 3)).inputs
    inputs = {name: array[np.newaxis] for name, array in inputs.items()} | {"seed": 1}
    noise = np.random.default_rng(0).integers(0, 700, [1, 30])
    for name, value in {"tokens": noise, "plan_key": noise % 24}.items():
        inputs[name] = value
    inputs["bars_left"] = np.ones([1, 30], np.int32)
    assert player.call("infill", inputs)["num_steps"].shape == (1,)
    for name, value, message in (
        ("open_voices", np.zeros([1, 129], bool), "expected a place for new notes"),
        ("lowest_open", inputs["lowest_open"] * 0 + 128, "expected a place for new"),
        ("open_voices", np.ones([2, 129], bool), "open_voices: expected as many rows"),
    ):
        with pytest.raises(UserError, match=message):
            player.call("infill", {**inputs, name: value})
    with pytest.raises(UserError, match="tokens: expected 0 to"):
        player.call("infill", {**inputs, "tokens": noise + 9999})
