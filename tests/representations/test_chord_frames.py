import numpy as np
import pytest

from tests.contracts import make_sequence
from tfmusic.representations import EncodeError, make_representation
from tfmusic.representations.vocabulary import END, PAD, START


def fitted(*chords, **settings):
    representation = make_representation({"name": "chord_frames", **settings})
    return representation.fit_counts({chord: 9 for chord in chords})


def tokens_of(representation, sequence):
    ids = representation.encode(sequence)["tokens"]
    return representation.vocabulary.tokens_of(ids)


def test_frames_are_sets_of_sounding_pitches():
    sequence = make_sequence([(60, 80, 0, 2), (64, 80, 0.5, 1), (67, 80, 3, 3.5)])
    representation = fitted("60", "60.64", "67")
    assert tokens_of(representation, sequence) == [
        *("60", "60.64", "60", "60"),
        *("rest", "rest", "67"),
    ]


def test_silence_before_the_first_note_is_trimmed_on_request():
    sequence = make_sequence([(60, 80, 1, 2)])
    assert tokens_of(fitted("60"), sequence) == ["60", "60"]
    kept = tokens_of(fitted("60", trim_silence=False), sequence)
    assert kept == ["rest", "rest", "60", "60"]


def test_runs_merge_to_long_notes():
    sequence = make_sequence([(60, 80, 0, 1), (60, 80, 1, 2), (64, 80, 1, 2)])
    representation = fitted("60", "60.64")
    decoded = representation.decode(representation.encode(sequence))
    notes = [(n.pitch, n.start_time * 2, n.end_time * 2) for n in decoded.notes]
    assert notes == [(60, 0, 2), (64, 1, 2)]
    assert representation.losses(sequence) == {"merged_restrikes": 1}


def test_short_notes_survive():
    sequence = make_sequence([(60, 80, i, i + 0.01) for i in range(4)])
    assert tokens_of(fitted("60"), sequence) == ["60", "rest"] * 3 + ["60"]


def test_every_instrument_is_read_unless_one_is_asked_for():
    sequence = make_sequence([(60, 80, 0, 0.5)], [(48, 80, 0, 0.5)])
    assert tokens_of(fitted("48.60"), sequence) == ["48.60"]
    first = fitted("60", "48.60", first_instrument_only=True)
    assert tokens_of(first, sequence) == ["60"]


def test_unknown_chords_become_the_nearest_and_are_counted():
    chord = [(pitch, 80, 0, 1) for pitch in (60, 64, 67)]
    sequence = make_sequence(chord, [(50, 80, 1, 1.5), (60, 80, 1.5, 2)])
    representation = fitted("60", "60.64", "60.64.67.72")
    tokens = ["60.64.67.72", "60.64.67.72", "rest", "60"]
    assert tokens_of(representation, sequence) == tokens
    assert representation.losses(sequence) == {"substituted_chords": 3}
    canonical = representation.canonicalize(sequence)
    assert not representation.losses(canonical)


def test_pieces_without_a_known_chord_are_dropped():
    with pytest.raises(EncodeError, match="no_known_chords: none of 1 chords shares"):
        fitted("60").encode(make_sequence([(61, 80, 0, 1)]))


def test_vocabulary_keeps_the_rest_and_the_frequent():
    sequence = make_sequence([(60, 80, 0, 2), (64, 80, 2, 3), (67, 80, 3, 3.5)])
    representation = make_representation({"name": "chord_frames", "min_count": 2})
    assert representation.count(sequence) == {"60": 4, "64": 2, "67": 1}
    assert representation.fit([sequence]).tokens[3:] == ("rest", "60", "64")
    limited = make_representation({"name": "chord_frames", "max_vocabulary": 5})
    assert limited.fit([sequence]).tokens[3:] == ("rest", "60")


def test_token_pitches():
    pitches = fitted("60.64").token_pitches()
    assert pitches.shape == (5, 128)
    assert np.argwhere(pitches).tolist() == [[4, 60], [4, 64]]


def test_special_tokens_take_no_time_and_end_ends():
    representation = fitted("60")
    ids = np.array([START, 4, PAD, 4, 77, -3, END, 4], np.int32)
    (note,) = representation.decode({"tokens": ids}).notes
    assert (note.start_time, note.end_time) == (0, 0.5)


def test_reference_plays_eight_frames_a_second():
    representation = fitted(
        "60", steps_per_quarter=0, steps_per_second=2, decode_steps_per_second=8
    )
    sequence = make_sequence([(60, 80, 0, 8)], qpm=120.0)
    features = representation.encode(sequence)
    assert len(features["tokens"]) == 8
    assert representation.decode(features).total_time == 1
    assert representation.canonicalize(sequence).total_time == 1
    # What was read goes in again as it was.
    as_read = representation.decode_as_read(features)
    assert as_read.total_time == 4
    np.testing.assert_array_equal(
        representation.encode(as_read)["tokens"], features["tokens"]
    )


def with_keys(*chords, **settings):
    return fitted(*chords, keys=True, **settings)


def test_a_note_struck_again_is_a_note_of_its_own():
    sequence = make_sequence(
        [(60, 80, 0, 1), (60, 80, 1, 2), (64, 80, 0.5, 2)], [(55, 80, 0, 2)]
    )
    representation = with_keys("55.60", "55.60.64")
    features = representation.encode(sequence)
    sounding, struck = np.moveaxis(features["keys"], -1, 0)
    assert [np.flatnonzero(frame).tolist() for frame in sounding] == [
        [55, 60],
        [55, 60, 64],
        [55, 60, 64],
        [55, 60, 64],
    ]
    assert [np.flatnonzero(frame).tolist() for frame in struck] == [
        [55, 60],
        [64],
        [60],
        [],
    ]
    notes = [
        (n.pitch, n.start_time * 2, n.end_time * 2)
        for n in representation.decode(features).notes
    ]
    assert notes == [(55, 0, 2), (60, 0, 1), (64, 0.5, 2), (60, 1, 2)]
    assert not representation.losses(sequence)


def test_a_tie_over_frames_is_one_note_and_a_unison_keeps_the_longer():
    sequence = make_sequence([(60, 80, 0.25, 2.1)], [(60, 80, 0.25, 1)])
    representation = with_keys("60")
    features = representation.encode(sequence)
    assert features["keys"][:, 60, 1].tolist() == [True, False, False]
    assert representation.losses(sequence) == {"unisons": 1}


def test_unknown_chords_are_spelled():
    sequence = make_sequence(
        [(60, 80, 0, 1), (64, 80, 0.5, 1)], [(50, 80, 1, 1.5), (60, 80, 1.5, 2)]
    )
    representation = with_keys("60")
    assert tokens_of(representation, sequence) == ["60", "spelled", "spelled", "60"]
    assert not representation.losses(sequence)
    decoded = representation.decode(representation.encode(sequence))
    assert [n.pitch for n in decoded.notes] == [60, 64, 50, 60]
    assert tokens_of(with_keys(), make_sequence([(61, 80, 0, 0.5)])) == ["spelled"]


def test_what_keys_say_counts_for_spelled_chords_alone():
    representation = with_keys("60")
    spelled, known = representation.spelled_id, representation.vocabulary.id_of("60")
    keys = np.zeros((2, 128, 2), bool)
    keys[:, 72, 0] = True
    tokens = np.array([known, spelled], np.int32)
    decoded = representation.decode({"tokens": tokens, "keys": keys})
    assert [n.pitch for n in decoded.notes] == [60, 72]


def test_rare_chords_are_left_to_spelling():
    sequence = make_sequence([(60, 80, 0, 1), (64, 80, 1, 1.5)])
    representation = make_representation(
        {"name": "chord_frames", "keys": True, "min_count": 2}
    ).fit([sequence])
    assert representation.tokens[3:] == ("rest", "spelled", "60")
    assert tokens_of(representation, sequence) == ["60", "60", "spelled"]


def fermatas_at(sequence, *quarters):
    for quarter in quarters:
        sequence.text_annotations.add(time=quarter / 2, text="fermata")
    return sequence


def test_the_plan_counts_down_to_each_fermata_and_knows_the_last():
    sequence = fermatas_at(make_sequence([(60, 80, 0, 6)]), 1, 4)
    features = fitted("60", plan=True).encode(sequence)
    left = [3, 2, 1, 6, 5, 4, 3, 2, 1, 0, 0, 0]
    assert features["phrase_left"].tolist() == left
    assert features["last_phrase"].tolist() == [0] * 3 + [1] * 9


def test_of_pauses_within_three_quarters_the_last_one_ends_the_phrase():
    sequence = fermatas_at(make_sequence([(60, 80, 0, 4)]), 1, 1.5, 3.5)
    features = fitted("60", plan=True).encode(sequence)
    assert features["phrase_left"].tolist() == [8, 7, 6, 5, 4, 3, 2, 1]


def test_music_without_fermatas_has_no_plan():
    features = fitted("60", plan=True).encode(make_sequence([(60, 80, 0, 2)]))
    assert not features["phrase_left"].any()
    assert not features["last_phrase"].any()


def test_the_plan_has_the_key_of_the_piece_and_counts_it():
    # A scale of A minor, to the octave.
    scale = [57, 59, 60, 62, 64, 65, 67, 69]
    notes = [(pitch, 80, i / 2, (i + 1) / 2) for i, pitch in enumerate(scale)]
    notes.append((57, 80, 4, 6))
    sequence = make_sequence(notes)
    representation = make_representation({"name": "chord_frames", "plan": True})
    representation = representation.fit([sequence])
    features = representation.encode(sequence)
    assert set(features["plan_key"]) == {22}
    expected = [0] * 24
    expected[21] = len(features["tokens"])
    assert representation.home_keys == tuple(expected)
    assert "home key 22" not in representation.tokens
    (signature,) = representation.decode(features).key_signatures
    assert (signature.key, signature.mode) == (9, signature.MINOR)
    unknown = features | {"plan_key": np.zeros_like(features["plan_key"])}
    assert not representation.decode(unknown).key_signatures
    up = {part.feature: part for part in representation.transpositions([0, 5]).parts}
    assert up["plan_key"].table[:, 22].tolist() == [22, 15]  # D minor
    assert up["plan_key"].table[1, [0, 1, 8, 12]].tolist() == [0, 6, 1, 5]


def test_decoded_phrases_end_with_fermatas():
    sequence = fermatas_at(make_sequence([(62, 80, 1, 7)]), 2, 6)
    representation = fitted("62", plan=True, qpm=120.0)
    decoded = representation.decode(representation.encode(sequence))
    # The rest before the first note is trimmed.
    assert [t.time for t in decoded.text_annotations] == [0.5, 2.5]
    assert {t.text for t in decoded.text_annotations} == {"fermata"}
