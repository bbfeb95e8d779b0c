import numpy as np
import pytest

from tests.contracts import make_sequence
from tests.evaluation.conftest import make_random_piece
from tfmusic.evaluation.memorisation import TrainingMusic
from tfmusic.notes import NoteSequence
from tfmusic.notes.grid import TempoMap
from tfmusic.notes.transforms import crop, stretch, transpose


def strokes_of(sequence):
    """(quarters, pitches) of each moment in which notes start."""
    strokes = {}
    for note in sequence.notes:
        quarters = round(note.start_time * sequence.tempos[0].qpm / 60 * 12) / 12
        strokes.setdefault(quarters, set()).add(note.pitch)
    return sorted((quarters, sorted(pitches)) for quarters, pitches in strokes.items())


def same_but_for_key(ours, theirs):
    shift = theirs[0][1][0] - ours[0][1][0]
    later = theirs[0][0] - ours[0][0]
    return all(
        abs(a + later - b) < 1e-6 and [p + shift for p in mine] == other
        for (a, mine), (b, other) in zip(ours, theirs, strict=True)
    )


def brute_force(sequence, training, min_strokes):
    """Longest common passage and share of copied strokes, by trying them all."""
    ours = strokes_of(sequence)
    longest, copied = 0, set()
    for theirs in map(strokes_of, training):
        for i in range(len(ours)):
            for j in range(len(theirs)):
                for n in range(2, min(len(ours) - i, len(theirs) - j) + 1):
                    if not same_but_for_key(ours[i : i + n], theirs[j : j + n]):
                        break
                    longest = max(longest, n)
                    if n >= min_strokes:
                        copied |= set(range(i, i + n))
    return longest, len(copied) / len(ours)


def melody(seed, length=30):
    """A melody of few pitches and two lengths, so that passages recur by chance."""
    random = np.random.default_rng(seed)
    starts = np.cumsum(random.choice([0.5, 1.0], length))
    notes = [
        (int(p), 80, s, s + 0.5)
        for p, s in zip(random.choice([60, 62, 64, 65], length), starts, strict=True)
    ]
    notes += [(48, 80, s, s + 0.5) for s in starts[::3]]
    return make_sequence(notes)


@pytest.mark.parametrize("seed", range(5))
def test_passages_are_those_that_trying_them_all_finds(seed):
    training = [melody(100 * seed + i) for i in range(4)]
    piece = transpose(melody(seed + 1000), 5)
    for min_strokes in (2, 3, 4):
        found = TrainingMusic.of(training).find(piece, min_strokes)
        longest, share = brute_force(piece, training, min_strokes)
        assert found.longest_strokes == longest
        assert found.copied_share == pytest.approx(share)


def test_a_copy_in_another_key_and_tempo_is_found(chorales):
    copy = stretch(transpose(chorales[20], -3), 1.25)
    found = TrainingMusic.of(chorales).find(copy)
    assert found.source == 20
    assert found.copied_share == 1
    assert found.longest_strokes == len(strokes_of(chorales[20]))
    assert found.start_quarters == pytest.approx(found.source_start_quarters)


def test_a_stolen_passage_is_found_where_it_lies(chorales):
    chorale = chorales[7]
    begin, end = TempoMap.of(chorale).to_seconds([8, 20])
    stolen = crop(transpose(chorale, 2), begin, end)
    slower = 12 * 0.5 / (end - begin)  # at 120 quarters a minute
    piece = make_random_piece(0, num_notes=40, quarters=16)
    piece.tempos[0].qpm = 120
    offset = 20.0
    for note in stolen.notes:
        piece.notes.add(
            pitch=note.pitch,
            velocity=80,
            start_time=offset + slower * note.start_time,
            end_time=offset + slower * note.end_time,
        )
    found = TrainingMusic.of(chorales).find(piece)
    assert found.source == 7
    assert found.start_quarters == pytest.approx(40)
    assert found.source_start_quarters == pytest.approx(8)
    assert 10 <= found.longest_quarters <= 12
    num_strokes = len(strokes_of(piece))
    assert found.copied_share == pytest.approx(found.longest_strokes / num_strokes)


def test_new_music_is_not_flagged(chorales):
    training = TrainingMusic.of(chorales)
    for seed in range(10):
        found = training.find(make_random_piece(seed, num_notes=80))
        assert found.longest_strokes <= 4
        assert found.copied_share == 0


def test_unseen_chorales_share_short_passages_alone(chorales):
    found = [
        TrainingMusic.of(chorales[:i] + chorales[i + 1 :]).find(chorales[i])
        for i in range(0, 50, 5)
    ]
    assert np.median([passage.longest_strokes for passage in found]) < 8


def test_passages_do_not_run_from_one_piece_into_the_next():
    first = make_sequence([(60, 80, 0, 1), (64, 80, 1, 2)])
    second = make_sequence([(67, 80, 0, 1), (72, 80, 1, 2)])
    both = make_sequence([(60 + p, 80, i, i + 1) for i, p in enumerate((0, 4, 7, 12))])
    found = TrainingMusic.of([first, second]).find(both)
    assert found.longest_strokes == 2
    assert found.source == 0


@pytest.mark.parametrize("training", [[], [NoteSequence()]])
def test_nothing_is_copied_from_nothing(training):
    piece = make_sequence([(60, 80, 0, 1), (64, 80, 1, 2)])
    for music in (piece, make_sequence([(60, 80, 0, 1)]), NoteSequence()):
        found = TrainingMusic.of(training).find(music)
        assert found.longest_strokes == found.copied_share == 0
        assert found.source is None
