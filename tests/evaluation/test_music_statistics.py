import collections
import math

import numpy as np
import pytest

from tests.contracts import make_sequence
from tfmusic.evaluation.music_statistics import statistics
from tfmusic.evaluation.tables import aggregate
from tfmusic.notes import NoteSequence
from tfmusic.notes.transforms import transpose


def brute_force(sequence):
    """The definitions, by looking at every eighth of a quarter one by one."""
    per_second = sequence.tempos[0].qpm / 60 * 8

    def tick(seconds):
        return round(seconds * per_second)

    num_ticks = tick(sequence.total_time)
    sounding = [
        frozenset(
            n.pitch
            for n in sequence.notes
            if tick(n.start_time) <= t < tick(n.end_time)
        )
        for t in range(num_ticks)
    ]
    onsets = {tick(n.start_time) for n in sequence.notes}

    longest_silence = longest_chord = silence = held = 0
    for t, pitches in enumerate(sounding):
        silence = 0 if pitches else silence + 1
        goes_on = t not in onsets and t > 0 and sounding[t - 1] == pitches
        held = (held + 1 if goes_on else 1) if pitches else 0
        longest_silence = max(longest_silence, silence)
        longest_chord = max(longest_chord, held)

    chords = [sounding[t] for t in sorted(onsets)]
    repeats = most_repeats = 1
    for before, chord in zip(chords, chords[1:], strict=False):
        repeats = repeats + 1 if chord == before else 1
        most_repeats = max(most_repeats, repeats)
    same = [a == b for a, b in zip(chords, chords[1:], strict=False)]

    lengths = sorted(
        (tick(n.end_time) - tick(n.start_time)) / 8 for n in sequence.notes
    )
    bounds = [0, 0.25, 0.5, 1, 2, 4, math.inf]
    classes = collections.Counter(n.pitch % 12 for n in sequence.notes)
    shares = [count / len(sequence.notes) for count in classes.values()]
    busy = [len(pitches) for pitches in sounding if pitches]
    return {
        "num_notes": len(sequence.notes),
        "seconds": num_ticks / per_second,
        "length_quarters": num_ticks / 8,
        "notes_per_quarter": len(sequence.notes) * 8 / num_ticks,
        "polyphony": sum(busy) / len(busy),
        "silence_share": 1 - len(busy) / num_ticks,
        "longest_silence_quarters": longest_silence / 8,
        "pitch_class_entropy": -sum(share * math.log2(share) for share in shares),
        "mean_length_quarters": sum(lengths) / len(lengths),
        "median_length_quarters": np.median(lengths),
        "length_shares": tuple(
            sum(low < length <= high for length in lengths) / len(lengths)
            for low, high in zip(bounds, bounds[1:], strict=False)
        ),
        "num_distinct_chords": len(set(chords)),
        "repeated_chord_share": sum(same) / len(same),
        "most_repeats": most_repeats,
        "longest_chord_quarters": longest_chord / 8,
    }


def test_numbers_are_those_of_their_definitions(random_piece):
    found = statistics(random_piece)
    for name, expected in brute_force(random_piece).items():
        assert getattr(found, name) == pytest.approx(expected, abs=1e-5), name


def test_numbers_of_a_chorale_are_those_of_their_definitions(chorales):
    for chorale in chorales[::10]:
        found = statistics(chorale)
        for name, expected in brute_force(chorale).items():
            assert getattr(found, name) == pytest.approx(expected, abs=1e-5), name


def test_quarters_follow_every_tempo():
    sequence = make_sequence([(60, 80, 0, 2), (62, 80, 4, 8)], qpm=60)
    sequence.tempos.add(time=4, qpm=120)
    found = statistics(sequence)
    assert found.mean_length_quarters == pytest.approx((2 + 8) / 2)
    assert found.longest_silence_quarters == pytest.approx(2)
    assert found.longest_chord_quarters == pytest.approx(8)


def test_silence_before_and_after_the_notes_counts():
    sequence = make_sequence([(60, 80, 2, 3)], qpm=60)
    sequence.total_time = 8
    found = statistics(sequence)
    assert found.seconds == 8
    assert found.silence_share == pytest.approx(7 / 8)
    assert found.longest_silence_quarters == pytest.approx(5)


def test_drums_do_not_count():
    sequence = make_sequence([(60, 80, 0, 1)], [(36, 80, 0, 1)])
    sequence.notes[1].is_drum = True
    assert statistics(sequence).pitch_ranges == {"all": (60, 60)}
    assert statistics(sequence).num_notes == 1


@pytest.mark.parametrize("total_time", [0.0, 4.0])
def test_empty_music_has_documented_values(total_time):
    found = statistics(NoteSequence(total_time=total_time))
    assert found.silence_share == 1
    assert found.longest_silence_quarters == 2 * total_time  # at 120 a minute
    assert found.num_notes == found.polyphony == found.num_distinct_chords == 0
    assert found.length_shares is None
    assert found.pitch_ranges == {}
    assert not any(map(math.isnan, found.rows().values()))


def test_notes_of_no_length_are_no_music_but_no_fault():
    found = statistics(make_sequence([(60, 80, 1, 1)]))
    assert found.num_notes == 1
    assert found.silence_share == 1


def test_ranges_are_those_of_the_named_hands():
    right, left = [(72, 80, 0, 1), (76, 80, 1, 2)], [(40, 80, 0, 2)]
    sequence = make_sequence(right, left, names=("Right hand", "Left hand"))
    assert statistics(sequence).pitch_ranges == {
        "all": (40, 76),
        "Right hand": (72, 76),
        "Left hand": (40, 40),
    }


def test_parts_of_one_name_stay_apart():
    tracks = [[(60, 80, 0, 1)], [(50, 80, 0, 1)], [(40, 80, 0, 1)]]
    sequence = make_sequence(*tracks, names=("Piano", "Piano"))
    assert list(statistics(sequence).pitch_ranges) == [
        "all",
        "Piano",
        "Piano 2",
        "voice 3",
    ]


def test_voices_of_one_instrument_are_told_by_rank():
    first, second = (72, 67, 64, 48), (71, 67, 62, 43)
    notes = [(pitch, 80, 0, 1) for pitch in first]
    notes += [(pitch, 80, 1, 2) for pitch in second]
    # A passing moment of three pitches says nothing of the voices.
    notes += [(pitch, 80, 2, 2.5) for pitch in (90, 50, 30)]
    assert statistics(make_sequence(notes)).pitch_ranges == {
        "all": (30, 90),
        "Soprano": (71, 72),
        "Alto": (67, 67),
        "Tenor": (62, 64),
        "Bass": (43, 48),
    }


def test_ranks_agree_with_the_parts_of_real_chorales(chorales):
    for chorale in chorales[:10]:
        merged = NoteSequence.FromString(chorale.SerializeToString())
        del merged.part_infos[:]
        for note in merged.notes:
            note.part = note.instrument = 0
        by_part, by_rank = (statistics(s).pitch_ranges for s in (chorale, merged))
        assert by_part.keys() == by_rank.keys()
        # Crossing voices swap ranks, so ranges agree up to a few semitones.
        for voice, limits in by_part.items():
            assert np.abs(np.subtract(limits, by_rank[voice])).max() <= 7


def test_chorales_are_like_chorales(chorales):
    assert len(chorales) == 50
    found = aggregate([statistics(chorale) for chorale in chorales])
    assert 3.7 < found["pitches at once"].mean <= 4
    assert found["silence, %"].mean < 3
    assert 0.7 < found["mean note length, quarters"].mean < 1.3
    assert 2.8 < found["pitch class entropy, bits"].mean < 3.2
    assert found["repeated chords, %"].mean < 3
    assert found["longest unchanged chord, quarters"].mean < 5
    lowest = [
        found[f"lowest pitch, {v}"].mean for v in ("Bass", "Tenor", "Alto", "Soprano")
    ]
    assert lowest == sorted(lowest)


def test_transposition_changes_pitches_alone(chorales):
    before, after = statistics(chorales[0]), statistics(transpose(chorales[0], 3))
    for label, value in before.rows().items():
        assert after.rows()[label] == pytest.approx(value), label
    for label, value in before.range_rows().items():
        assert after.range_rows()[label] == value + 3


def test_a_stuck_model_shows():
    notes = [(p, 80, i / 2, (i + 1) / 2) for i in range(40) for p in (48, 60, 64, 67)]
    struck = statistics(make_sequence(notes))
    assert struck.repeated_chord_share == 1
    assert struck.most_repeats == 40
    assert struck.longest_chord_quarters == 0.5
    held = statistics(make_sequence([(60, 80, 0, 64)]))
    assert held.longest_chord_quarters == 64
