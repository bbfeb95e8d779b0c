import hashlib

import numpy as np
import pytest

from tfmusic.data.splits import assign_splits, content_hash
from tfmusic.notes import NoteSequence
from tfmusic.notes.transforms import stretch, transpose

NOTES = [(60, 0, 0.5), (64, 0, 0.5), (67, 0.5, 1), (72, 1, 2)]
FRACTIONS = (0.8, 0.1, 0.1)


def piece(notes=NOTES, drums=(), qpm=120):
    sequence = NoteSequence()
    sequence.tempos.add(qpm=qpm)
    for pitch, start, end in notes:
        sequence.notes.add(pitch=pitch, velocity=80, start_time=start, end_time=end)
    for pitch, start, end in drums:
        sequence.notes.add(
            pitch=pitch, velocity=80, start_time=start, end_time=end, is_drum=True
        )
    return sequence


def test_name_tempo_dynamics_instrument_and_opening_rest_do_not_count():
    other = stretch(piece([(p, s + 2, e + 2) for p, s, e in NOTES]), 1.5)
    other.filename = "copy.mid"
    for note in other.notes:
        note.velocity, note.program, note.instrument = 33, 40, 2
    assert content_hash(other) == content_hash(piece())


def test_order_of_notes_and_their_lengths_do_not_count():
    other = [(p, s, e + 0.25) for p, s, e in reversed(NOTES)]
    assert content_hash(piece(other)) == content_hash(piece())


@pytest.mark.parametrize("semitones", [-12, -1, 3, 7])
def test_transposed_piece_is_the_same_piece(semitones):
    other = transpose(piece(), semitones)
    assert content_hash(other) == content_hash(piece())
    assert content_hash(other, ignore_transposition=False) != content_hash(
        piece(), ignore_transposition=False
    )


def test_drums_stay_when_the_piece_is_transposed():
    drums = [(36, 0, 0.1), (38, 1, 1.1)]
    one, other = piece(drums=drums), transpose(piece(drums=drums), 2)
    assert content_hash(one) == content_hash(other)
    assert content_hash(one) != content_hash(piece(drums=[(35, 0, 0.1), (37, 1, 1.1)]))
    assert content_hash(one) != content_hash(piece())


@pytest.mark.parametrize(
    "notes",
    [NOTES[:-1], [*NOTES[:-1], (71, 1, 2)], [*NOTES[:-1], (72, 1.5, 2)]],
    ids=["a note less", "another pitch", "another onset"],
)
def test_other_music_is_another_piece(notes):
    assert content_hash(piece(notes)) != content_hash(piece())


def test_piece_without_notes_has_a_hash():
    assert content_hash(NoteSequence()) == content_hash(piece([]))


def hashes(n):
    return [hashlib.sha256(str(i).encode()).hexdigest() for i in range(n)]


def test_splits_have_about_their_share_and_do_not_depend_on_other_pieces():
    contents = hashes(3000)
    splits = assign_splits(contents, FRACTIONS)
    shares = [
        list(splits.values()).count(split) / 3000
        for split in ("train", "validation", "test")
    ]
    np.testing.assert_allclose(shares, FRACTIONS, atol=0.02)
    fewer = assign_splits(contents[::2], FRACTIONS)
    assert all(splits[content] == split for content, split in fewer.items())


@pytest.mark.parametrize("num_pieces", [3, 4, 8, 20])
def test_small_sets_have_something_in_every_split(num_pieces):
    for start in range(10):
        contents = hashes(start + num_pieces)[start:]
        assert set(assign_splits(contents, FRACTIONS).values()) == {
            "train",
            "validation",
            "test",
        }


def test_split_without_a_share_stays_empty():
    assert "test" not in assign_splits(hashes(20), (0.5, 0.5, 0)).values()


def test_one_piece_goes_to_training():
    for content in hashes(20):
        assert assign_splits([content], FRACTIONS) == {content: "train"}
