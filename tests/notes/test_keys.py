import pytest
from music21 import corpus

from tests.notes.sequences import make_sequence
from tfmusic.errors import DropError, UserError
from tfmusic.notes import NoteSequence
from tfmusic.notes.keys import (
    Key,
    best_key,
    in_scale_rate,
    parse_key,
    transpose_to_c,
    written_key,
)
from tfmusic.notes.reading import read_file


def scale(tonic, steps=(0, 2, 4, 5, 7, 9, 11, 12)):
    return make_sequence(
        *[(tonic + step, 80, i, i + 1) for i, step in enumerate(steps)],
        (tonic, 80, 8, 12),
        (tonic + 7, 80, 8, 12),
    )


def test_the_written_key_is_the_first_that_says_something():
    sequence = NoteSequence()
    assert written_key(sequence) is None
    sequence.key_signatures.add(time=4, key=2)
    assert str(written_key(sequence)) == "D major"
    sequence.key_signatures.add(time=0, key=0)  # as files say that know of no key
    assert written_key(sequence) is None
    sequence.key_signatures[1].mode = NoteSequence.KeySignature.MINOR
    assert str(written_key(sequence)) == "C minor"


def test_equals_music21s_analysis_of_whole_streams():
    paths = [path for path in corpus.getComposer("bach") if path.suffix == ".mxl"]
    for path in paths[::20]:
        key, expected = best_key(read_file(path)), corpus.parse(path).analyze("key")
        assert (key.tonic, key.mode) == (expected.tonic.pitchClass, expected.mode)
        # Grace notes have a length for music21.
        correlation = expected.correlationCoefficient
        assert key.correlation == pytest.approx(correlation, abs=1e-3)


def test_durations_are_weighed_in_quarters_so_a_slow_passage_weighs_no_more():
    sequence = scale(60)
    slow = scale(60)
    slow.tempos[0].qpm = 30
    for note in slow.notes:
        note.start_time, note.end_time = 4 * note.start_time, 4 * note.end_time
    assert best_key(slow) == best_key(sequence)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("G", "G major"),
        ("G Major", "G major"),
        ("bb minor", "Bb minor"),
        ("F#m", "F# minor"),
        ("C sharp minor", "C# minor"),
        ("E-flat major", "Eb major"),
        ("D♭", "Db major"),
        ("B-", "Bb major"),
        ("B-minor", "B minor"),
    ],
)
def test_keys_are_read_as_musicians_write_them(text, key):
    assert str(parse_key(text)) == key


@pytest.mark.parametrize("text", ["", "H", "G foo", "minor"])
def test_what_names_no_key_is_refused(text):
    with pytest.raises(UserError, match="expected such as G, Bb, F#m or D minor"):
        parse_key(text)


def test_drums_have_no_key():
    sequence = make_sequence((60, 80, 0, 1))
    sequence.notes[0].is_drum = True
    with pytest.raises(DropError, match="no_notes"):
        best_key(sequence)


def test_in_scale_rate_counts_notes():
    key = Key(tonic=2, mode="major", correlation=1.0)
    sequence = make_sequence((62, 80, 0, 1), (66, 80, 0, 1), (65, 80, 0, 9))
    assert in_scale_rate(sequence, key) == pytest.approx(2 / 3)
    assert in_scale_rate(make_sequence(), key) == 0


@pytest.mark.parametrize("tonic", range(60, 72))
def test_pieces_move_to_c_major_or_a_minor_by_the_smallest_shift(tonic):
    moved = transpose_to_c(scale(tonic))
    assert (best_key(moved).tonic, best_key(moved).mode) == (0, "major")
    assert -6 <= moved.notes[0].pitch - tonic <= 5
    minor = transpose_to_c(scale(tonic, (0, 2, 3, 5, 7, 8, 11, 12)))
    assert (best_key(minor).tonic, best_key(minor).mode) == (9, "minor")
    assert -6 <= minor.notes[0].pitch - tonic <= 5
