import pytest

from tests.notes.score_files import (
    attributes,
    backup,
    direction,
    note,
    notes,
    tie,
)
from tests.notes.score_reading import (
    TUNE,
    TUNE_READ,
    chords,
    harmony,
    heard,
    keys,
    metres,
    read,
)
from tfmusic.notes import NoteSequence, repairs
from tfmusic.notes.scores import FERMATA, remarks
from tfmusic.notes.transforms import LEFT, RIGHT, assign_hands, transpose

# --- pitches, lengths, voices ---


def test_pitches_are_in_the_octave_of_their_letter():
    sequence = read([attributes("6/4") + notes("Cb4 B#3 Cbb5 B##4 Fb4 E#4")])
    assert [n.pitch for n in sequence.notes] == [59, 60, 70, 73, 64, 65]


def test_tied_notes_are_one_note_over_bar_lines_and_in_chords():
    first = note("C4", 2) + note("C4", 2, tie("start")) + note("E4", 2, chord=True)
    first += note("G4", 2, tie("start"), chord=True)
    second = note("C4", 4, tie("stop", "start"))
    second += backup(4) + note("G4", 1, tie("stop") + "<voice>2</voice>")
    third = note("C4", 1, tie("stop")) + note("C4", 1) + note("r", 2)
    assert heard(read([attributes() + first, second, third])) == [
        (60, 0, 1),
        (60, 1, 4.5),
        (64, 1, 2),
        (67, 1, 2.5),
        (60, 4.5, 5),
    ]


def test_a_tie_needs_no_end_and_no_sign_but_tied():
    start = "<notations><tied type='start'/></notations>"
    sequence = read(
        [attributes() + note("C4", 4, tie("start")), notes("C4 C4", 2)],
        [attributes() + note("E4", 4, start), notes("E4 F4", 2)],
    )
    assert heard(sequence) == [(60, 0, 3), (64, 0, 3), (60, 3, 4), (65, 3, 4)]


def test_two_voices_hold_one_pitch_each_with_its_own_tie():
    first = note("C4", 4, tie("start") + "<voice>1</voice>") + backup(4)
    first += note("C4", 4, tie("start") + "<voice>2</voice>")
    second = note("C4", 1, tie("stop") + "<voice>1</voice>") + note("r", 3) + backup(4)
    second += note("C4", 3, tie("stop") + "<voice>2</voice>") + note("r", 1)
    assert heard(read([attributes() + first, second])) == [(60, 0, 2.5), (60, 0, 3.5)]


def test_tuplets_and_decimal_numbers_are_exact():
    measure = notes("C4 D4 E4", 4) + notes("C4 D4 E4", "2.0") + notes("F4", 6)
    sequence = read([attributes("3/4", divisions=6) + measure, note("G4", 18)])
    assert [n.start_time for n in sequence.notes] == pytest.approx(
        [0, 1 / 3, 2 / 3, 1, 7 / 6, 4 / 3, 1.5, 2.0]
    )


def test_grace_and_cue_notes_are_left_out_and_counted():
    measure = note("D4", grace=True) + note("C4", 2) + note("E4", 2, cue=True)
    with repairs.counted() as found:
        sequence = read([attributes() + measure])
    assert heard(sequence) == [(60, 0, 1)]
    assert remarks(sequence) == {"left out": "1 cue notes, 1 grace notes"}
    assert found == {"cue notes left out": 1, "grace notes left out": 1}


def test_notes_of_a_chord_have_their_own_lengths():
    measure = note("C4", 4) + note("E4", 1, chord=True) + backup(4) + note("G3", 4)
    assert heard(read([attributes() + measure])) == [
        (55, 0, 2),
        (60, 0, 2),
        (64, 0, 0.5),
    ]


def test_notes_of_a_chord_that_look_alike_are_equally_long():
    half, quarter = "<type>half</type><dot/>", "<type>quarter</type>"
    measure = note("C4", 3, half) + note("E4", 2, half, chord=True)
    measure += note("G4", 1, quarter, chord=True) + note("A4")
    assert heard(read([attributes() + measure])) == [
        (60, 0, 1.5),
        (64, 0, 1.5),
        (67, 0, 0.5),
        (69, 1.5, 2),
    ]


def test_transposing_instruments_sound_as_they_do():
    def transposed(chromatic, octaves=0):
        octave = f"<octave-change>{octaves}</octave-change>" if octaves else ""
        return f"<transpose><chromatic>{chromatic}</chromatic>{octave}</transpose>"

    sequence = read(
        [attributes(fifths=0) + note("C4", 4), note("D4", 4)],
        [attributes(fifths=2, more=transposed(-2)) + note("D4", 4), note("E4", 4)],
        [attributes(fifths=0, more=transposed(0, -1)) + note("C4", 4), note("D4", 4)],
    )
    assert heard(sequence) == [
        (48, 0, 2),
        (60, 0, 2),
        (60, 0, 2),
        (50, 2, 4),
        (62, 2, 4),
        (62, 2, 4),
    ]
    assert keys(sequence) == [(0, 0, 0)]


def test_keys_and_their_changes_are_at_sounding_pitch():
    clarinet = "<transpose><diatonic>-1</diatonic><chromatic>-2</chromatic></transpose>"
    change = "<attributes><key><fifths>1</fifths><mode>minor</mode></key></attributes>"
    sequence = read(
        [
            attributes(fifths=3, mode="major", more=clarinet) + note("A4", 4),
            change + note("E4", 4),
        ]
    )
    mode = NoteSequence.KeySignature
    assert keys(sequence) == [(0, 7, mode.MAJOR), (2, 2, mode.MINOR)]  # G, D minor


@pytest.mark.parametrize(
    ("fifths", "mode", "tonic", "name"),
    [
        (0, "minor", 9, "MINOR"),
        (-3, "minor", 0, "MINOR"),
        (-3, "major", 3, "MAJOR"),
        (0, "dorian", 2, "DORIAN"),
        (7, "", 1, "MAJOR"),
    ],
)
def test_keys_are_named_by_their_tonic(fifths, mode, tonic, name):
    sequence = read([attributes(fifths=fifths, mode=mode) + note("C4", 4)])
    assert keys(sequence) == [(0, tonic, getattr(NoteSequence.KeySignature, name))]


def test_each_staff_of_a_piano_is_an_instrument_and_a_hand():
    staves = "<staves>2</staves>"

    def on(staff):
        return f"<voice>{4 * staff - 3}</voice><staff>{staff}</staff>"

    # The left hand plays above the right one.
    measure = note("C4", 4, on(1)) + backup(4) + note("C6", 4, on(2))
    head = "<part-name>Piano</part-name>"
    sequence = read(
        [attributes() + note("E4", 4)],
        [attributes(more=staves) + measure],
        heads={1: head},
    )
    assert [(n.pitch, n.instrument, n.part, n.voice) for n in sequence.notes] == [
        (64, 0, 0, 1),
        (60, 1, 1, 1),
        (84, 2, 1, 5),
    ]
    assert [info.name for info in sequence.instrument_infos] == [
        "Part 1",
        "Piano (right hand)",
        "Piano (left hand)",
    ]
    assert [info.name for info in sequence.part_infos] == ["Part 1", "Piano"]
    assert assign_hands(sequence)[1:].tolist() == [RIGHT, LEFT]


def test_programs_count_from_zero_and_names_are_kept():
    heads = {
        0: "<part-name>Organ\nI</part-name><score-instrument id='i'/>"
        "<midi-instrument id='i'><midi-channel>3</midi-channel>"
        "<midi-program>20</midi-program></midi-instrument>"
    }
    sequence = read(TUNE, TUNE, heads=heads)
    assert [n.program for n in sequence.notes] == [19] * 8 + [0] * 8
    assert sequence.instrument_infos[0].name == "Organ I"


def test_drum_hits_have_the_pitch_that_the_score_gives_their_instrument():
    kit = (
        "<part-name>Kit</part-name>"
        "<score-instrument id='a'><instrument-name>?</instrument-name>"
        "</score-instrument><score-instrument id='b'>"
        "<instrument-name>Snare Drum</instrument-name></score-instrument>"
        "<midi-instrument id='a'><midi-channel>10</midi-channel>"
        "<midi-unpitched>37</midi-unpitched></midi-instrument>"
    )
    strange = kit.replace("Snare Drum", "Washing Machine")
    hits = note("x", 2, "<instrument id='a'/>") + note("x", 2, "<instrument id='b'/>")
    sequence = read([attributes(fifths=0) + hits], TUNE[:1], heads={0: kit})
    assert [(n.pitch, n.is_drum) for n in sequence.notes[:2]] == [
        (36, True),
        (38, True),
    ]
    assert not any(n.is_drum for n in sequence.notes[2:])
    assert not sequence.key_signatures  # a drum has none
    sequence = read([attributes() + hits], heads={0: strange})
    assert [n.pitch for n in sequence.notes] == [36]
    assert remarks(sequence) == {"left out": "1 drum hits without a MIDI number"}


# --- time ---


def test_every_part_follows_every_tempo_mark():
    slow = direction("<words>slower</words>", 'tempo="60"')
    sequence = read(
        [attributes() + notes("C5 D5") + slow + notes("E5 F5"), note("G5", 4)],
        [attributes() + notes("C4 D4 E4 F4"), note("G4", 4)],
    )
    assert [(t.time, t.qpm) for t in sequence.tempos] == [(0, 120), (1, 60)]
    starts, ends = [0, 0.5, 1, 2, 3], [0.5, 1, 2, 3, 7]
    for part in (0, 1):
        played = [n for n in sequence.notes if n.part == part]
        assert [n.start_time for n in played] == starts
        assert [n.end_time for n in played] == ends


@pytest.mark.parametrize(
    "mark",
    [
        '<sound tempo="60"/>',
        direction("<words>x</words>", 'tempo="60.00"'),
        direction(
            "<metronome><beat-unit>quarter</beat-unit>"
            "<per-minute>ca. 60</per-minute></metronome>"
        ),
        direction(
            "<metronome><beat-unit>quarter</beat-unit><beat-unit-dot/>"
            "<per-minute>40</per-minute></metronome>"
        ),
        direction(  # what sounds counts, not what is shown
            "<metronome><beat-unit>half</beat-unit>"
            "<per-minute>99</per-minute></metronome>",
            'tempo="60"',
        ),
    ],
)
def test_a_tempo_may_stand_in_any_part_and_form(mark):
    sequence = read(TUNE[:1], [attributes() + mark + note("C3", 4)])
    assert [(t.time, t.qpm) for t in sequence.tempos] == [(0, 60)]
    assert heard(sequence)[0] == (48, 0, 4)


def test_an_offset_moves_a_mark_even_into_the_next_measure():
    late = direction("<words>x</words>", 'tempo="60"', "<offset>3</offset>")
    later = direction("<words>x</words>", 'tempo="60"', "<offset>5</offset>")
    for mark, seconds in ((late, 1.5), (later, 2.5)):
        sequence = read([attributes() + mark + notes("C4 D4 E4 F4"), note("C4", 4)])
        assert [t.time for t in sequence.tempos] == [0, seconds]


def test_there_is_a_tempo_where_none_is_written():
    assert [(t.time, t.qpm) for t in read(TUNE).tempos] == [(0, 120)]


def test_metronome_marks_without_a_number_are_counted():
    equation = "<beat-unit>quarter</beat-unit><beat-unit>eighth</beat-unit>"
    mark = direction(f"<metronome>{equation}</metronome>")
    sequence = read([TUNE[0] + mark])
    assert remarks(sequence) == {"left out": "1 metronome marks without a number"}


def test_measures_begin_together_in_all_parts():
    # The first part is written out to the half alone.
    sequence = read([attributes() + note("C5", 2), note("D5", 4)], TUNE)
    assert [row for row in heard(sequence) if row[0] > 70] == [(72, 0, 1), (74, 2, 4)]


def test_a_measure_too_long_in_one_part_does_not_delay_the_others():
    sequence = read(
        [attributes("2/4") + notes("C5 D5") + note("r", 2), note("E5", 2)],
        [attributes("2/4") + notes("C4 D4"), note("E4", 2)],
    )
    assert [row for row in heard(sequence) if row[1] >= 1] == [(64, 1, 2), (76, 1, 2)]
    # But a cadenza, while the others rest, does.
    sequence = read(
        [attributes("2/4") + notes("C5 D5 E5 F5"), note("E5", 2)],
        [attributes("2/4") + note("r", 2), note("E4", 2)],
    )
    assert (64, 2, 3) in heard(sequence)


def test_unwritten_rests_make_no_metre():
    forward = "<forward><duration>2</duration></forward>"
    whole_rest = '<note><rest measure="yes"/><duration>4</duration></note>'
    sequence = read([attributes() + note("C4", 2) + forward, note("D4", 4)])
    assert (heard(sequence)[1], metres(sequence)) == ((62, 2, 4), [(0, 4, 4)])
    sequence = read([attributes() + note("C4", 4, "<voice>3</voice>"), note("D4", 4)])
    assert (heard(sequence)[1], metres(sequence)) == ((62, 2, 4), [(0, 4, 4)])
    sequence = read([attributes("3/4") + note("C4", 3), whole_rest, note("D4", 3)])
    assert (heard(sequence)[1], metres(sequence)) == ((62, 3, 4.5), [(0, 3, 4)])
    sequence = read([attributes("3/4") + note("C4", 3), "", note("D4", 3)])
    assert heard(sequence)[1] == (62, 3, 4.5)


def test_the_first_metre_begins_after_an_upbeat():
    upbeat = '<measure implicit="yes">' + attributes() + note("G3")
    filled = upbeat + "<forward><duration>3</duration></forward>"  # as Finale does
    for first in (upbeat, attributes() + note("G3"), filled):
        sequence = read([first, note("C4", 4), note("D4", 3)])
        assert metres(sequence) == [(0.5, 4, 4)]
        assert heard(sequence) == [(55, 0, 0.5), (60, 0.5, 2.5), (62, 2.5, 4)]


def test_bars_are_found_again_after_an_irregular_measure():
    # 4 quarters, 5, then 4; a repeat within a bar leaves the bars where they are.
    sequence = read([attributes() + note("C4", 4), note("D4", 5), note("E4", 4)])
    assert metres(sequence) == [(0, 4, 4), (4.5, 4, 4)]
    divided = [attributes() + note("C4", 4), note("D4", 3), note("E4"), note("F4", 4)]
    assert metres(read(divided)) == [(0, 4, 4)]


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("<beats>3+1</beats><beat-type>4</beat-type>", [(0, 4, 4)]),
        (
            "<beats>2</beats><beat-type>4</beat-type>"
            "<beats>4</beats><beat-type>8</beat-type>",
            [(0, 8, 8)],
        ),
        ("<senza-misura/>", []),
        ("<beats>four</beats><beat-type>4</beat-type>", []),
    ],
)
def test_strange_metres_are_added_up_or_left_out(time, expected):
    first = f"<attributes><time>{time}</time></attributes>" + notes("C4 E4 G4 E4")
    sequence = read([first, TUNE[1]])
    assert (metres(sequence), heard(sequence)) == (expected, TUNE_READ)
    assert ("left out" in remarks(sequence)) == ("four" in time)


def test_a_metre_may_change_within_a_measure():
    change = "<attributes><time><beats>2</beats><beat-type>4</beat-type></time>"
    measure = attributes() + notes("C4 E4") + change + "</attributes>" + notes("G4 E4")
    sequence = read([measure, notes("C4 E4")])
    assert metres(sequence) == [(0, 4, 4), (1, 2, 4)]


# --- dynamics, chords, texts ---


def test_dynamics_are_velocities():
    measure = direction("<dynamics><p/></dynamics>") + notes("C4 D4")
    measure += direction("<dynamics><f/></dynamics>") + note("E4")
    measure += direction("<dynamics><sfz/></dynamics>") + note("F4")
    measure += backup(1) + note("A3", 1, dynamics="50")
    second = note("G4") + direction("<dynamics><fp/></dynamics>") + notes("A4 B4")
    third = direction("<dynamics><f/></dynamics>", 'dynamics="100"') + note("C4", 4)
    fourth = '<sound dynamics="20"/>' + note("D4", 4)
    sequence = read([attributes() + measure, second, third, fourth], TUNE)
    found = {n.pitch: n.velocity for n in sequence.notes if n.part == 0}
    assert found == {
        **{60: 90, 62: 18, 64: 96, 65: 112, 57: 45, 67: 96, 69: 96, 71: 49},
    }
    first = [n.velocity for n in sequence.notes if n.part == 0][:2]
    assert first == [49, 49]
    assert {n.velocity for n in sequence.notes if n.part == 1} == {80}  # nothing said


def test_a_second_voice_is_as_loud_as_the_first():
    measure = note("C4", 2) + direction("<dynamics><pp/></dynamics>") + note("D4", 2)
    measure += backup(4) + note("C3", 2) + note("D3", 2)
    sequence = read([attributes() + measure])
    assert {n.pitch: n.velocity for n in sequence.notes} == {
        **{60: 80, 48: 80, 62: 33, 50: 33}
    }


def test_dynamics_of_one_staff_hold_for_all_unless_others_have_their_own():
    def measure(*staves):
        marks = {1: "f", 2: "p"}
        said = "".join(
            direction(
                f"<dynamics><{marks[staff]}/></dynamics>",
                more=f"<staff>{staff}</staff>",
            )
            for staff in staves
        )
        upper = note("C5", 4, "<staff>1</staff>") + backup(4)
        return attributes() + said + upper + note("C3", 4, "<staff>2</staff>")

    for staves, expected in (((1,), [96, 96]), ((1, 2), [96, 49])):
        sequence = read([measure(*staves)])
        assert [n.velocity for n in sequence.notes] == expected


def test_chord_symbols_are_kept_as_they_sound():
    measure = harmony("A", "minor-seventh") + notes("C4 D4")
    measure += harmony("B", "dominant", "<offset>1</offset>", "-1") + notes("E4 F4")
    sequence = read([attributes() + measure])
    assert chords(sequence) == [(0, "Am7"), (1.5, "Bb7")]
    assert chords(transpose(sequence, 2)) == [(0, "Bm7"), (1.5, "C7")]
    clarinet = "<transpose><chromatic>-2</chromatic></transpose>"
    measure = harmony("D", "major") + note("D4", 4)
    sequence = read([attributes(more=clarinet) + measure])
    assert (chords(sequence), heard(sequence)) == ([(0, "C")], [(60, 0, 2)])


@pytest.mark.parametrize(
    "symbol",
    [
        harmony("C", "other"),
        harmony("C", "Neapolitan"),
        "<harmony><numeral><numeral-root>1</numeral-root></numeral>"
        "<kind>major</kind></harmony>",
    ],
)
def test_chord_symbols_of_no_known_kind_are_counted(symbol):
    sequence = read([TUNE[0] + symbol, TUNE[1]])
    assert heard(sequence) == TUNE_READ
    assert remarks(sequence) == {"left out": "1 chord symbols"}


def test_fermatas_are_kept_once_for_all_parts():
    paused = note("C4", 2, "<notations><fermata/></notations>")
    part = [attributes() + note("C4", 2) + paused]
    sequence = read(part, part)
    found = [(t.time, t.text) for t in sequence.text_annotations]
    assert found == [(1, FERMATA)]


def test_titles_and_composers_are_those_of_people():
    def top(title, composer):
        return (
            f"<movement-title>{title}</movement-title><identification><creator "
            f'type="composer">{composer}</creator><creator type="lyricist">L</creator>'
            "</identification>"
        )

    known = read(TUNE, top=top("A  Tune", "C. Omposer")).sequence_metadata
    assert (known.title, list(known.composers)) == ("A Tune", ["C. Omposer"])
    known = read(TUNE, top=top("Music21 Fragment", "Music21")).sequence_metadata
    assert (known.title, list(known.composers)) == ("", [])
