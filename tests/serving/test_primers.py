"""Primers into models and back, without a model: what it adds is made up here."""

import numpy as np
import pytest

from tests.contracts import make_sequence
from tests.notes.test_beats import song
from tfmusic.errors import UserError
from tfmusic.notes import NoteSequence
from tfmusic.notes.transforms import transpose
from tfmusic.representations import make_representation
from tfmusic.serving.primers import join, on_beat, read_primer
from tfmusic.serving.setting import Setting

ONE_KEY = {"name": "test", "config": {"data": {"key": "C"}}}
ANY_KEY = {"name": "test", "config": {"data": {"key": "original"}}}
# Sixteenths at 100 quarters a minute, as decoded music has them.
ROLL = make_representation({"name": "play_articulate", "qpm": 100})
# I IV V I of C major; half notes at 60 quarters a minute.
CHORDS = ((48, 55, 60, 64), (53, 57, 60, 65), (55, 59, 62, 67), (48, 55, 60, 64))


def cadence(semitones=0):
    notes = [
        (pitch + semitones, 70, 2.0 * i, 2.0 * i + 2.0)
        for i, chord in enumerate(CHORDS)
        for pitch in chord
    ]
    return make_sequence(notes, qpm=60, time_signature=(2, 4))


def rows(notes):
    return [(n.pitch, round(n.start_time, 6), round(n.end_time, 6)) for n in notes]


def generated(*notes):
    """What a model might add: (pitch, first step, last step, exclusive)."""
    return ROLL.encode(make_sequence([(p, 80, a / 4, b / 4) for p, a, b in notes]))


def test_model_of_one_key_reads_any_primer_as_in_that_key():
    primer = read_primer(ONE_KEY, ROLL, cadence(1))
    assert primer.semitones == -1
    expected = ROLL.encode(cadence())
    np.testing.assert_array_equal(primer.prompt["roll"], expected["roll"])
    assert primer.remarks == (
        "read in C major, which the model knows; written in Db major",
    )
    assert read_primer(ANY_KEY, ROLL, cadence(1)).semitones == 0


def test_what_a_model_of_one_key_adds_is_moved_back():
    primer = read_primer(ONE_KEY, ROLL, cadence(1))
    piece = join(primer, ROLL, generated((60, 0, 4)))
    assert rows(piece.notes[:16]) == rows(cadence(1).notes)
    assert rows(piece.notes[16:]) == [(61, 8.0, 9.0)]


def test_key_that_is_given_is_believed():
    a_minor = Setting(key="Em").tonality
    primer = read_primer(ONE_KEY, ROLL, cadence(), a_minor)
    assert primer.semitones == 5
    assert "A minor" in primer.remarks[0]


def test_a_primer_is_in_the_key_that_it_is_written_in():
    piece = cadence(1)  # in C sharp by its notes
    piece.key_signatures.add(time=0, key=7)
    primer = read_primer(ONE_KEY, ROLL, piece)
    assert primer.semitones == 5
    assert "written in G major" in primer.remarks[0]


def test_music_goes_on_in_tempo_and_metre_at_the_end_of_the_primer():
    sequence = cadence()
    sequence.tempos.add(time=6, qpm=120)  # the last chord lasts four quarters then
    primer = read_primer(ANY_KEY, ROLL, sequence)
    piece = join(primer, ROLL, generated((60, 0, 4), (62, 4, 6)))
    assert rows(piece.notes[16:]) == [(60, 8.0, 8.5), (62, 8.5, 8.75)]
    assert [(t.time, t.qpm) for t in piece.tempos] == [(0, 60), (6, 120)]
    assert [(s.numerator, s.denominator) for s in piece.time_signatures] == [(2, 4)]
    assert piece.total_time == 8.75


def test_notes_that_the_model_holds_are_struck_again_and_others_are_not():
    sequence = make_sequence([(60, 80, 0.0, 0.5), (67, 80, 0.0, 0.5)], qpm=60)
    held = make_representation({"name": "binary_roll", "qpm": 100})
    primer = read_primer(ANY_KEY, held, sequence)
    new = make_sequence([(67, 80, 0.0, 0.5), (72, 80, 0.0, 0.5)])
    piece = join(primer, held, held.encode(new))
    assert rows(piece.notes) == [
        (60, 0.0, 0.5),
        (67, 0.0, 0.5),
        (67, 0.5, 1.0),
        (72, 0.5, 1.0),
    ]


def test_new_notes_go_to_the_instrument_that_plays_near_them():
    sequence = make_sequence([(72, 100, 0.0, 0.5), (40, 60, 0.0, 0.5)])
    sequence.notes[0].instrument, sequence.notes[0].program = 3, 73
    sequence.notes[1].instrument, sequence.notes[1].program = 5, 32
    sequence.notes.add(
        pitch=36, velocity=90, start_time=0, end_time=0.5, instrument=9, is_drum=True
    )
    primer = read_primer(ANY_KEY, ROLL, sequence)
    assert primer.remarks == ("1 of 3 notes (33 %): drums are left out",)
    piece = join(primer, ROLL, generated((45, 0, 4), (70, 0, 4)))
    found = [(n.pitch, n.instrument, n.program, n.velocity) for n in piece.notes[3:]]
    # Without dynamics of the model's own, notes are as loud as the primer's.
    assert found == [(45, 5, 32, 80), (70, 3, 73, 80)]


@pytest.mark.parametrize(
    ("primer", "names", "expected"),
    [
        # Hands cross: a left one above, a right one below.
        (([72], [40]), ["R", "L"], [(35, 0), (80, 1)]),
        # The left one comes in, and has no track yet.
        (([72, 74],), ["R", "Left hand"], [(35, 0), (80, 1)]),
        # One track is of both hands.
        (([72, 40],), ["R"], [(35, 0), (80, 0)]),
    ],
)
def test_new_notes_keep_their_hands(primer, names, expected):
    rolls = make_representation({"name": "two_hands_roll", "qpm": 100})
    tracks = [[(pitch, 80, 0, 1) for pitch in track] for track in primer]
    sequence = make_sequence(*tracks, names=["R", "L"][: len(tracks)])
    hands = [(35, 80, 0, 1)], [(80, 80, 0, 1)]
    new = rolls.encode(make_sequence(*hands, names=["Right hand", "Left hand"]))
    piece = join(read_primer(ANY_KEY, rolls, sequence), rolls, new)
    assert [(n.pitch, n.instrument) for n in piece.notes[2:]] == expected
    assert [info.name for info in piece.instrument_infos] == names


def test_a_band_goes_on_with_its_instruments_and_drums():
    def bars(*pitches):
        """A bar each of flute, drums and, from the second bar on, bass."""
        band = NoteSequence(ticks_per_quarter=480)
        band.tempos.add(qpm=120)
        band.time_signatures.add(numerator=4, denominator=4)
        for bar, pitch in enumerate(pitches):
            for program, is_drum, p in ((73, False, pitch), (0, True, 38)) + (
                ((32, False, 40),) if bar else ()
            ):
                band.notes.add(
                    pitch=p,
                    velocity=80,
                    start_time=2.0 * bar,
                    end_time=2.0 * bar + 0.5,
                    program=program,
                    is_drum=is_drum,
                    instrument={73: 0, 0: 9, 32: 1}[program],
                )
        band.total_time = 2.0 * len(pitches)
        return band

    events = make_representation({"name": "bar_events"})
    primer = read_primer(ANY_KEY, events, bars(72))
    both = events.encode(bars(72, 45))
    start = len(primer.prompt["tokens"])
    new = {name: array[start:] for name, array in both.items()}
    piece = join(primer, events, new)
    assert {(n.pitch, n.program, n.is_drum) for n in piece.notes[2:]} == {
        (45, 73, False),
        (38, 0, True),
        (40, 32, False),
    }
    flute, drums, bass = (
        {n.instrument for n in piece.notes if (n.program, n.is_drum) == kind}
        for kind in ((73, False), (0, True), (32, False))
    )
    assert (flute, drums, bass) == ({0}, {9}, {10})
    assert [info.name for info in piece.instrument_infos] == ["Program 32"]


def test_primer_with_silence_before_goes_on_at_its_end():
    chords = make_representation(
        {"name": "chord_frames", "steps_per_quarter": 2, "qpm": 100}
    ).fit_counts({"60.64.67": 2, "62.65.69": 2})
    sequence = make_sequence([(p, 80, 2.0, 3.0) for p in (60, 64, 67)], qpm=60)
    primer = read_primer(ANY_KEY, chords, sequence)
    new = chords.encode(make_sequence([(p, 80, 0.0, 1.0) for p in (62, 65, 69)]))
    piece = join(primer, chords, new)
    assert {row[1:] for row in rows(piece.notes[3:])} == {(3.0, 4.0)}


def test_performance_goes_on_in_real_time():
    events = make_representation({"name": "performance_events"})
    sequence = make_sequence([(60, 64, 0.0, 1.25)], qpm=60)
    primer = read_primer(ANY_KEY, events, sequence)
    new = events.encode(make_sequence([(64, 99, 0.5, 0.75)], qpm=60))
    piece = join(primer, events, new)
    assert rows(piece.notes) == [(60, 0.0, 1.25), (64, 1.75, 2.0)]
    assert piece.notes[1].velocity in range(96, 100)
    assert [t.qpm for t in piece.tempos] == [60]


def test_music_without_its_primer_begins_at_zero_in_the_last_tempo():
    sequence = cadence()
    sequence.tempos.add(time=6, qpm=120)
    sequence.time_signatures.add(time=4, numerator=3, denominator=4)
    primer = read_primer(ANY_KEY, ROLL, sequence)
    piece = join(primer, ROLL, generated((60, 0, 4)), include_primer=False)
    assert rows(piece.notes) == [(60, 0.0, 0.5)]
    assert [(t.time, t.qpm) for t in piece.tempos] == [(0, 120)]
    assert [s.numerator for s in piece.time_signatures] == [3]


def test_limit_cuts_what_is_new():
    primer = read_primer(ANY_KEY, ROLL, cadence())
    new = generated((60, 0, 4), (62, 4, 8), (64, 8, 12))
    piece = join(primer, ROLL, new, limit_seconds=6 * 60 / 100 / 4)
    assert rows(piece.notes[16:]) == [(60, 8.0, 9.0), (62, 9.0, 9.5)]


def test_ticks_hold_the_steps_of_model_and_primer():
    sequence = cadence()
    sequence.ticks_per_quarter = 10
    piece = join(read_primer(ANY_KEY, ROLL, sequence), ROLL, generated((60, 0, 1)))
    assert piece.ticks_per_quarter == 20


def test_primer_of_drums_alone_is_refused_in_one_line():
    sequence = NoteSequence(filename="beat.mid")
    sequence.notes.add(pitch=36, velocity=90, end_time=0.5, is_drum=True)
    for card in (ONE_KEY, ANY_KEY):
        with pytest.raises(UserError, match="primer beat.mid: cannot be encoded"):
            read_primer(card, ROLL, sequence)


# ---- What a model leaves open.


@pytest.mark.parametrize(
    ("setting", "primer", "seconds"),
    [
        (dict(bars=2), None, 8 * 60 / 100),
        (dict(bars=2, metre="3/4"), None, 6 * 60 / 100),
        (dict(seconds=6, qpm=50), None, 3.0),  # half as many quarters in a second
        (dict(bars=2), cadence(), 4 * 60 / 100),
        (dict(seconds=10), cadence(), 6.0),
        (dict(num_steps=7), None, None),
        (dict(), None, None),
    ],
)
def test_length_in_seconds_of_the_models_own_tempo(setting, primer, seconds):
    wanted = Setting(**setting)
    bar_quarters = wanted.bar_quarters(primer, {}, {})
    assert wanted.limit_seconds(ROLL, primer, bar_quarters) == (
        seconds if seconds is None else pytest.approx(seconds)
    )


TUNES = make_representation(
    {"name": "bar_events", "programs": False, "tempos": False, "num_velocity_bins": 0}
)


def test_what_a_model_of_tunes_has_not_learned_of_a_primer_is_said():
    tunes = TUNES.fit_counts({"metre 3": 4})  # 4/4 alone
    tune = make_sequence([(60 + i, 80, i, i + 1) for i in range(4)], qpm=60)
    tune.time_signatures.add(numerator=4, denominator=4)
    assert read_primer(ANY_KEY, tunes, tune).remarks == ()
    tune.time_signatures[0].numerator = 1  # an upbeat, as scores write it
    tune.time_signatures.add(time=1, numerator=4, denominator=4)
    assert read_primer(ANY_KEY, tunes, tune).remarks == ()
    del tune.time_signatures[1]
    tune.time_signatures[0].numerator = 5
    (remark,) = read_primer(ANY_KEY, tunes, tune).remarks
    assert remark.startswith("in 5/4, which the model has not learned")
    assert remark.endswith("it knows 4/4")
    chords = make_sequence([(60, 80, 0, 2), (64, 80, 0, 2)], qpm=60)
    (remark,) = read_primer(ANY_KEY, tunes, chords).remarks
    assert remark.startswith("the model writes one voice")


@pytest.mark.parametrize(
    ("low", "key", "moved"),
    # In the middle G is a fourth down; low music goes up a fifth; a semitone is one.
    [(54, "G", -5), (48, "G", 7), (66, "F#", -6), (50, "F#", 6), (70, "Db", 1)],
)
def test_music_in_another_key_stays_where_voices_lie(low, key, moved):
    piece = make_sequence([(low, 80, 0, 1), (low + 12, 80, 1, 2)])
    (first, _) = Setting(key=key).apply(piece, 100.0).notes
    assert first.pitch == low + moved


def test_the_key_of_a_primer_is_the_one_that_is_said():
    tune = make_sequence([(60, 80, 0, 1)], qpm=60)
    tune.key_signatures.add(key=7)
    assert set(read_primer(ANY_KEY, TUNES, tune).prompt["plan_key"]) == {8}
    said = Setting(key="Em").tonality
    assert set(read_primer(ANY_KEY, TUNES, tune, said).prompt["plan_key"]) == {17}


@pytest.mark.parametrize(
    ("bars", "bar_quarters", "phrases", "length"),
    [(8, 4.0, 4, 8.0), (12, 3.0, 4, 9.0), (1, 4.0, 1, 4.0), (24, 4.0, 12, 8.0)],
)
def test_phrases_end_with_the_last_of_the_bars(bars, bar_quarters, phrases, length):
    spec = {"default": 8.0, "minimum": 2.0, "maximum": 64.0}
    known = {"phrases": {}, "phrase_quarters": spec, "stollen": {}}
    plan = Setting(bars=bars).phrases(known, bar_quarters)
    # Two of few phrases do not come again.
    form = {} if phrases >= 6 else {"stollen": 0.0}
    assert plan == {"phrases": phrases, "phrase_quarters": length, **form}
    assert Setting(bars=bars).phrases({}, bar_quarters) == {}
    assert Setting().phrases(known, bar_quarters) == {}


def test_length_in_steps():
    assert Setting().steps(ANY_KEY, ROLL, None) == 256
    assert Setting(num_steps=7).steps(ANY_KEY, ROLL, None) == 7
    assert Setting(bars=2).steps(ANY_KEY, ROLL, 4.8) == 32
    # Twice what training pieces take, for tokens that take no fixed time.
    events = make_representation({"name": "performance_events"})
    splits = {"train": {"num_steps": 3000, "seconds": 100}}
    card = {"name": "test", "data": {"splits": splits}}
    assert Setting(seconds=10).steps(card, events, 10.0) == 600
    # Pieces that end by themselves get twice what training pieces have.
    splits["train"]["num_pieces"] = 5
    assert Setting().steps(card, events, None) == 256
    card["controls"] = {"length_bars": {}}
    assert Setting().steps(card, events, None) == 1200
    splits["train"]["num_pieces"] = 1
    assert Setting().steps(card, events, None) == 2048
    with pytest.raises(UserError, match="give the length as num_steps"):
        Setting(seconds=10).steps(ANY_KEY, events, 10.0)


def test_new_music_is_set_in_tempo_key_metre_and_sound():
    piece = ROLL.decode(generated((60, 0, 4), (64, 4, 8)))
    setting = Setting(qpm=50, key="Bb", metre="6/8", program=40)
    piece = setting.apply(piece, own_qpm=100)
    assert rows(piece.notes) == [(58, 0.0, 1.2), (62, 1.2, 2.4)]
    assert {note.program for note in piece.notes} == {40}
    assert [t.qpm for t in piece.tempos] == [50]
    (metre,), (key,) = piece.time_signatures, piece.key_signatures
    assert (metre.numerator, metre.denominator) == (6, 8)
    assert (key.key, key.mode) == (10, key.MAJOR)


def test_metre_reaches_models_that_know_it():
    assert Setting(metre="6/8").controls({"bar_quarters": {}}) == {"bar_quarters": 3.0}
    assert Setting(metre="6/8").controls({"temperature": {}}) == {}
    piece = ROLL.decode(generated((60, 2, 14)))
    piece.time_signatures[0].time = 0.3  # an upbeat stays one
    piece = Setting(metre="6/8").apply(piece, own_qpm=100)
    (metre,) = piece.time_signatures
    assert (metre.time, metre.numerator, metre.denominator) == (0.3, 6, 8)


def test_key_metre_and_length_reach_models_that_can_be_asked_for_them():
    doc = "Metre of the first bar; 0: any; 1 3/4; 2 6/8."
    metre_number = {"doc": doc, "maximum": 2.0}
    known = {"key_number": {}, "length_bars": {}, "metre_number": metre_number}
    setting = Setting(key="F#m", metre="6/8", bars=16)
    assert setting.controls(known) == {
        "key_number": 19.0,
        "length_bars": 16.0,
        "metre_number": 2.0,
    }
    with pytest.raises(UserError, match="metre: .*'7/16'.*3/4, 6/8"):
        Setting(metre="7/16").controls(known)
    setting.check(ANY_KEY | {"controls": known}, None)
    # What was asked for is not set again.
    piece = setting.apply(ROLL.decode(generated((60, 0, 4))), 100, known)
    assert [note.pitch for note in piece.notes] == [60]
    assert [(k.key, k.mode) for k in piece.key_signatures] == [(6, 1)]


def test_models_with_a_home_key_play_in_c_or_a_minor_and_are_moved():
    known = {"home_key": {}}
    minor, major = Setting(key="F#m"), Setting(key="G")
    assert minor.controls(known) == {"home_key": 22.0}
    assert major.controls(known) == {"home_key": 1.0}
    major.check(ANY_KEY | {"controls": known}, None)
    piece = major.apply(ROLL.decode(generated((60, 0, 4))), 100, known)
    assert [note.pitch for note in piece.notes] == [67 - 12]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (dict(bars=2, seconds=3), "seconds: leave it out with bars"),
        (dict(num_steps=2, bars=3), "bars: leave it out with num_steps"),
        (dict(bars=0), "bars: expected more than 0 and at most 100,000, got 0"),
        (
            dict(seconds=float("nan")),
            "seconds: expected a finite number, got nan",
        ),
        (dict(qpm=5), "qpm: expected 10 to 1000, got 5"),
        (dict(program=128), "program: expected at most 127, got 128"),
        (dict(key="H"), "key: expected such as G, Bb, F#m or D minor, got 'H'"),
        (dict(metre="4"), "metre: expected such as 4/4, 3/4 or 6/8, got '4'"),
        (dict(metre="0/4"), "metre: expected such as"),
    ],
)
def test_wrong_setting_is_answered_in_words(setting, message):
    with pytest.raises(UserError, match=message):
        Setting(**setting)


def test_what_is_not_open_is_refused():
    with pytest.raises(
        UserError, match="key: leave it out: this model learned from music"
    ):
        Setting(key="G").check(ANY_KEY, None)
    with pytest.raises(UserError, match="qpm: leave it out with a primer"):
        Setting(qpm=90).check(ONE_KEY, cadence())
    Setting(key="G").check(ONE_KEY, cadence())


@pytest.mark.parametrize(
    ("text", "tonic", "mode"),
    [("C", 0, "major"), ("Bb", 10, "major"), ("F#m", 6, "minor"), ("cb", 11, "major")]
    + [("D minor", 2, "minor"), ("G- maj", 6, "major")],
)
def test_names_of_keys(text, tonic, mode):
    key = Setting(key=text).tonality
    assert (key.tonic, key.mode) == (tonic, mode)


def test_moving_to_c_and_back_is_no_move():
    for semitones in range(-5, 7):
        moved = transpose(cadence(), semitones)
        assert read_primer(ONE_KEY, ROLL, moved).semitones == -semitones


def test_primer_beside_its_beat_is_moved_onto_it_for_models_that_count_beats():
    given = song(0.35)
    moved, remarks = on_beat(ROLL, given)
    assert rows(moved.notes) == rows(song(0.0).notes)
    assert remarks == ("moved onto its beat; its file has another",)
    in_seconds = make_representation({"name": "performance_events"})
    assert on_beat(in_seconds, given) == (given, ())
    assert on_beat(ROLL, song(0.0))[1] == ()
    primer = read_primer(ANY_KEY, ROLL, given)
    assert rows(primer.sequence.notes) == rows(song(0.0).notes)
    assert primer.remarks[0] == remarks[0]
