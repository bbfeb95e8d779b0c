import hashlib

import numpy as np
import pytest

from tfmusic.data.splits import (
    Content,
    assign_split,
    assign_splits,
    content_hash,
    content_sketch,
    group_alike,
)
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


def contents_of(n):
    return [Content(hashlib.sha256(str(i).encode()).hexdigest()) for i in range(n)]


def test_splits_have_about_their_share_and_do_not_depend_on_other_pieces():
    contents = contents_of(3000)
    splits = assign_splits(contents, FRACTIONS)
    shares = [
        list(splits.values()).count(split) / 3000
        for split in ("train", "validation", "test")
    ]
    np.testing.assert_allclose(shares, FRACTIONS, atol=0.02)
    fewer = assign_splits(contents[::2], FRACTIONS)
    assert all(splits[content] == split for content, split in fewer.items())
    assert all(assign_split(h, FRACTIONS) == split for h, split in splits.items())


@pytest.mark.parametrize("num_pieces", [3, 4, 8, 20])
def test_small_sets_have_something_in_every_split(num_pieces):
    for start in range(10):
        contents = contents_of(start + num_pieces)[start:]
        assert set(assign_splits(contents, FRACTIONS).values()) == {
            "train",
            "validation",
            "test",
        }


@pytest.mark.parametrize(("num_pieces", "least"), [(27, 2), (40, 3), (99, 7)])
def test_small_sets_keep_enough_to_judge_by(num_pieces, least):
    # FRACTIONS keeps a tenth each for validation and test.
    for start in range(0, 200, 10):
        contents = contents_of(start + num_pieces)[start:]
        splits = list(assign_splits(contents, FRACTIONS).values())
        assert splits.count("validation") >= least
        assert splits.count("test") >= least
        assert splits.count("train") >= 0.6 * num_pieces - 1


def test_split_without_a_share_stays_empty():
    assert "test" not in assign_splits(contents_of(20), (0.5, 0.5, 0)).values()


def test_one_piece_goes_to_training():
    for content in contents_of(20):
        assert assign_splits([content], FRACTIONS) == {content.hash: "train"}


def test_no_pieces_have_no_splits():
    assert assign_splits([], FRACTIONS) == {}
    assert assign_splits([], FRACTIONS).leaks() == {}


def melody(seed, num_notes=60):
    """A random walk in chords of two notes."""
    rng = np.random.default_rng(seed)
    pitches = 60 + np.cumsum(rng.integers(-3, 4, num_notes)) % 24
    starts = np.cumsum(rng.choice([0.25, 0.5], num_notes))
    return [
        (int(pitch) + chord, float(start), float(start) + 0.25)
        for pitch, start in zip(pitches, starts, strict=True)
        for chord in (0, int(rng.integers(3, 6)))
    ]


@pytest.mark.parametrize("seed", range(10))
def test_another_version_of_a_piece_goes_where_the_piece_is(seed):
    notes = melody(seed)
    begin = notes[0][1]
    versions = {
        "in another key": transpose(piece(notes), 4),
        "without the last phrase": piece(notes[:-24]),
        "with wrong notes": piece([(p + (i % 40 == 7), s, e)
                                   for i, (p, s, e) in enumerate(notes)]),
        "with an upbeat": piece([(48, begin - 0.25, begin), *notes]),
    }  # fmt: skip
    others = [Content.of(piece(melody(100 + i))) for i in range(30)]
    original = Content.of(piece(notes))
    expected = assign_splits([original, *others], FRACTIONS)
    contents = [Content.of(version) for version in versions.values()]
    splits = assign_splits([original, *contents, *others], FRACTIONS)
    home = {name: splits[c.hash] for name, c in zip(versions, contents, strict=True)}
    assert home == dict.fromkeys(versions, splits[original.hash])
    # Nobody else had to move.
    assert all(splits[other.hash] == expected[other.hash] for other in others)


def performance(notes, seed):
    """As somebody plays it: without a beat, chords spread, notes wrong or missing."""
    rng = np.random.default_rng(seed)
    starts = np.array([start for _, start, _ in notes])
    tempos = 1.5 * np.exp(np.cumsum(rng.normal(scale=0.02, size=len(notes))))
    played = np.cumsum(np.diff(starts, prepend=0) * tempos) + rng.uniform(
        0, 0.02, len(notes)
    )
    kinds = rng.choice(["right", "wrong", "none"], len(notes), p=[0.92, 0.05, 0.03])
    return piece(
        [
            (pitch + (kind == "wrong"), start, start + 0.3)
            for (pitch, _, _), start, kind in zip(notes, played, kinds, strict=True)
            if kind != "none"
        ]
    )


def test_performances_of_a_work_are_in_one_split():
    works = [melody(seed, num_notes=400) for seed in range(12)]
    contents = [
        Content.of(performance(notes, 100 * take + i))
        for take in range(3)
        for i, notes in enumerate(works)
    ]
    contents += [Content.of(piece(notes)) for notes in works]  # their scores
    groups = group_alike(contents)
    found = [groups[content.hash] for content in contents]
    assert found == found[:12] * 4
    assert len(set(found)) == 12
    splits = assign_splits(contents, (0.4, 0.3, 0.3))
    assert len({splits[content.hash] for content in contents}) == 3


def test_short_pieces_need_more_in_common():
    begin = melody(20, 16)
    later = [(p, s + 9, e + 9) for p, s, e in melody(21, 60)]
    other = [(p, s + 9, e + 9) for p, s, e in melody(22, 60)]
    contents = [Content.of(piece([*begin, *rest])) for rest in (later, other)]
    assert len(set(group_alike(contents).values())) == 2


def test_pieces_that_share_a_phrase_are_two_pieces():
    phrase = melody(1, 12)
    one = Content.of(piece([*phrase, *[(p, s + 6, e + 6) for p, s, e in melody(2)]]))
    other = Content.of(piece([*phrase, *[(p, s + 6, e + 6) for p, s, e in melody(3)]]))
    contents = [one, other, *contents_of(40)]
    splits = assign_splits(contents, FRACTIONS)
    for content in (one, other):
        assert splits[content.hash] == assign_split(content.hash, FRACTIONS)


def test_piece_joins_its_like_where_the_source_has_put_it():
    notes = melody(5)
    for split in ("train", "validation", "test"):
        official = Content.of(piece(notes), split)
        copy = Content.of(piece(notes[:-10]))
        twin = Content.of(piece(notes))
        splits = assign_splits([copy, official, twin, *contents_of(9)], FRACTIONS)
        assert splits[copy.hash] == splits[twin.hash] == split


def test_sources_own_splits_stay_and_their_leaks_are_counted():
    notes = melody(6)
    contents = [
        Content.of(piece(notes), "train"),
        Content.of(piece(notes[:-8]), "train"),
        Content.of(piece(notes), "test"),
        Content.of(piece(melody(7)), "train"),
    ]
    splits = assign_splits(contents, FRACTIONS)
    assert splits.leaks() == {0: 2, 1: 2}
    assert assign_splits(contents[2:], FRACTIONS).leaks() == {}
    # A copy that the source is silent about is held out with the test piece.
    assert splits[contents[0].hash] == "test"


def test_drums_and_few_notes_have_no_sketch():
    assert content_sketch(piece(drums=[(36, i, i + 0.1) for i in range(20)])) == ""
    assert content_sketch(piece(NOTES)) == ""
    assert content_sketch(NoteSequence()) == ""
