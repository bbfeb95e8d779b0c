import math

import pytest

from tfmusic.live.phrases import Event, Metre, Phrase

METRE = Metre(qpm=60)  # a beat a second, bars of 4 s


def played(*events, num_bars=2, metre=METRE):
    phrase = Phrase(metre, num_bars)
    for at, pitch, velocity in events:
        phrase.add(Event(100.0 + at, pitch, velocity))
    return phrase


def notes(phrase):
    return [
        (note.pitch, note.velocity, note.start_time, note.end_time)
        for note in phrase.to_sequence().notes
    ]


def test_phrase_begins_with_the_first_key_that_is_pressed():
    phrase = played((0.0, 59, 0))  # pressed before
    assert phrase.end == math.inf
    phrase = played((0.0, 59, 0), (3.0, 60, 70), (4.0, 60, 0))
    assert phrase.begin == 103.0
    assert notes(phrase) == [(60, 70, 0.0, 1.0)]


def test_phrase_is_over_after_its_bars_or_half_a_bar_of_silence():
    assert played((0, 60, 80), (1, 60, 0)).end == 103.0
    assert played((0, 60, 80), (1, 60, 0), (2, 62, 80), (3, 62, 0)).end == 105.0
    # A key that is held is no silence.
    assert played((0, 60, 80)).end == 108.0
    assert played((0, 60, 80), (7, 60, 0)).end == 108.0


def test_phrase_is_whole_bars_in_its_tempo_and_metre():
    metre = Metre(60, 3, 4)
    sequence = played((0, 60, 80), (3.4, 60, 0), metre=metre).to_sequence()
    assert sequence.total_time == 6.0
    assert sequence.tempos[0].qpm == 60
    signature = sequence.time_signatures[0]
    assert (signature.numerator, signature.denominator) == (3, 4)
    assert played((0, 60, 80), (3, 60, 0), metre=metre).to_sequence().total_time == 3


def test_keys_held_at_the_end_end_there_and_repeated_keys_are_two_notes():
    phrase = played((0, 60, 80), (2, 60, 90), (5, 60, 0), (6, 64, 50), num_bars=2)
    assert notes(phrase) == [(60, 80, 0, 2), (60, 90, 2, 5), (64, 50, 6, 8)]


@pytest.mark.parametrize(
    ("seconds", "beat"), [(0.0, 0.0), (0.1, 0.5), (0.5, 0.5), (2.6, 3.0)]
)
def test_answers_begin_on_the_next_beat(seconds, beat):
    assert Metre(60, 6, 8).next_beat(seconds) == beat
