"""What an exported model answers to a phrase that is played."""

import pytest

from tfmusic.errors import UserError
from tfmusic.live.phrases import Event, Metre, Phrase
from tfmusic.live.session import answering
from tfmusic.serving.player import Player


def test_a_model_goes_on_with_a_phrase_in_its_tempo(tiny_export):
    player = Player(tiny_export)
    with pytest.raises(UserError, match="temprature"):
        answering(player, 2, {"temprature": 1})
    answer = answering(player, 2, {"temperature": 1.0})
    phrase = Phrase(Metre(qpm=240), 4)
    for event in (Event(7.0, 60, 80), Event(7.9, 60, 0), Event(8.0, 64, 80)):
        phrase.add(event)
    bars = [list(answer(phrase.to_sequence(), seed)) for seed in (1, 1, 2)]
    assert bars[0] == bars[1] != bars[2]
    assert [len(found) for found in bars] == [2, 2, 2]
    # Each of a second, from its own beginning.
    times = [(n.start_time, n.end_time) for bar in bars[0] for n in bar.notes]
    assert all(0 <= start < end <= 1 + 1e-6 for start, end in times)
    assert bars[0][0].notes and bars[0][1].notes
