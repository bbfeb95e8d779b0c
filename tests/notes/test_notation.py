"""Scores, read back by music21 alone."""

import warnings
from xml.etree import ElementTree

import numpy as np
import pytest
from music21 import (
    chord,
    converter,
    instrument,
    key,
    meter,
    stream,
    tempo,
)

from tests.notes.sequences import make_sequence
from tests.notes.test_beats import song
from tfmusic.errors import UserError
from tfmusic.notes import NoteSequence
from tfmusic.notes.grid import TempoMap
from tfmusic.notes.notation import to_musicxml
from tfmusic.notes.reading import read_file
from tfmusic.notes.writing import write_musicxml

Signature = NoteSequence.KeySignature


def make_piece(*parts, qpm: float = 120.0, names=(), programs=()) -> NoteSequence:
    """Parts of (pitch, start, end) in quarter notes."""
    second = 60 / qpm
    sequence = make_sequence(
        *[
            (pitch, 80, start * second, end * second, i)
            for i, notes in enumerate(parts)
            for pitch, start, end in notes
        ],
        qpm=qpm,
    )
    for i, name in enumerate(names):
        sequence.instrument_infos.add(instrument=i, name=name)
    for note in sequence.notes:
        note.program = programs[note.instrument] if programs else 0
    return sequence


def read(sequence: NoteSequence, title: str = "") -> stream.Score:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return converter.parse(to_musicxml(sequence, title), format="musicxml")


def notes_of(part: stream.Stream) -> list[tuple]:
    """(pitch, start, end) of all notes of a part, tied ones joined."""
    rows, tied = [], {}
    flat = part.flatten().notes
    for element in sorted(flat, key=lambda element: element.offset):
        members = element.notes if isinstance(element, chord.Chord) else [element]
        start = round(float(element.offset), 6)
        end = round(float(element.offset + element.quarterLength), 6)
        for note in members:
            kind = note.tie.type if note.tie else ""
            waiting = tied.get((note.pitch.midi, start), [])
            row = [note.pitch.midi, start, end]
            if kind in ("continue", "stop"):
                row = waiting.pop()  # a tie that leads from nowhere is an error
                row[2] = end
            else:
                rows.append(row)
            if kind in ("start", "continue"):
                tied.setdefault((note.pitch.midi, end), []).append(row)
    assert not any(tied.values())
    return sorted(map(tuple, rows))


def expected(*notes) -> list[tuple]:
    return sorted((p, round(float(a), 6), round(float(b), 6)) for p, a, b in notes)


def num_voices(measure: stream.Measure) -> int:
    return max(len(measure.voices), 1)


MELODY = [(67, i, i + 1) for i in range(8)]
CHORDS = [(p, 2 * i, 2 * i + 2) for i in range(4) for p in (48, 55, 64, 72)]


@pytest.mark.parametrize(
    "notes",
    [
        MELODY,
        [(60, 0, 6), (62, 6, 6.125), (64, 7, 12)],  # over bar lines
        [(60 + i, i / 3, (i + 1) / 3) for i in range(12)],
        [(60 + i, 2 * i / 3, 2 * (i + 1) / 3) for i in range(6)],
        [(60 + i, i / 6, (i + 1) / 6) for i in range(24)],
        [(60, 1 / 3, 4.5), (64, 4.5, 5)],
        [(72, i / 3, (i + 1) / 3) for i in range(12)]
        + [(60, i / 4, (i + 1) / 4) for i in range(16)],
        [(60 + i, i / 4, 8 - i / 4) for i in range(10)],  # ten at once
        CHORDS,
        [(60, 0, 1), (60, 0, 1), (60, 0, 2)],
    ],
)
def test_notes_read_back_as_they_were(notes):
    for metre in [(4, 4), (3, 4), (6, 8), (7, 8), (2, 2)]:
        sequence = make_piece(notes)
        sequence.time_signatures.add(numerator=metre[0], denominator=metre[1])
        score = read(sequence)
        found = sorted(row for part in score.parts for row in notes_of(part))
        assert found == expected(*notes)
        for measure in score[stream.Measure]:
            assert num_voices(measure) <= 4


def test_ties_are_those_that_music21_strips():
    (part,) = read(make_piece([(60, 0, 6), (62, 6, 6.125), (64, 7, 12)])).parts
    stripped = part.stripTies().flatten().notes
    found = [(n.pitch.midi, n.offset, n.quarterLength) for n in stripped]
    assert found == [(60, 0, 6), (62, 6, 0.125), (64, 7, 5)]


def test_a_random_piece_reads_back_whole():
    generator = np.random.default_rng(0)
    notes = []
    for _ in range(300):
        grid = generator.choice([8, 6])
        start = generator.integers(0, 32 * grid) / grid
        end = start + generator.integers(1, 4 * grid) / grid
        notes.append((int(generator.integers(36, 84)), start, end))
    score = read(make_piece(notes))
    found = [row for part in score.parts for row in notes_of(part)]
    # Of two ties of one pitch, nobody can say which goes where.
    for place in (1, 2):
        assert sorted((row[0], row[place]) for row in found) == sorted(
            (row[0], row[place]) for row in expected(*notes)
        )


def staves(score: stream.Score) -> list[tuple[str, int]]:
    """Name and number of notes of each staff."""
    return [(part.partName, len(notes_of(part))) for part in score.parts]


def test_a_piano_has_two_staves_of_one_part():
    sequence = make_piece(CHORDS)
    score = read(sequence)
    assert [len(notes_of(part)) for part in score.parts] == [8, 8]
    assert all(isinstance(part, stream.PartStaff) for part in score.parts)
    root = ElementTree.fromstring(to_musicxml(sequence))
    (part,) = root.findall("part")
    assert root.find("part-list/score-part/part-name").text == "Piano"
    assert part.find("measure/attributes/staves").text == "2"
    clefs = [sign.text for sign in part.iterfind("measure/attributes/clef/sign")]
    assert clefs == ["G", "F"]
    assert {voice.text for voice in part.iter("voice")} == {"1", "5"}


@pytest.mark.parametrize(
    ("parts", "names", "programs", "found"),
    [
        # One line needs one staff, whatever plays it.
        ([MELODY], [], [], [("Piano", 8)]),
        # A name that says otherwise.
        ([CHORDS, MELODY], ["Organ", "Melody"], [], [("Organ", 16), ("Melody", 8)]),
        # Another program.
        ([CHORDS], ["Violin"], [40], [("Violin", 16)]),
        ([CHORDS], [], [48], [("Strings", 16)]),
        # Hands that are instruments of their own.
        (
            [MELODY, CHORDS],
            ["Piano right", "Piano left"],
            [],
            [("Piano", 8), ("Piano", 16)],
        ),
        (
            [CHORDS, MELODY],
            ["Left hand", "Right hand"],
            [],
            [("Piano", 8), ("Piano", 16)],
        ),
        (
            [MELODY, CHORDS],
            ["Klavier (right hand)", "Klavier (left hand)"],
            [],
            [("Klavier", 8), ("Klavier", 16)],
        ),
        ([[(48, 0, 8)], MELODY], [], [], [("Piano", 8), ("Piano", 1)]),
        # Two pianos.
        (
            [CHORDS, CHORDS],
            ["Piano I", "Piano II"],
            [],
            [("Piano I", 8), ("Piano I", 8), ("Piano II", 8), ("Piano II", 8)],
        ),
        # Four voices.
        (
            [[(p, 0, 4)] for p in (72, 67, 64, 48)],
            ["Soprano", "Alto", "Tenor", "Bass"],
            [],
            [("Soprano", 1), ("Alto", 1), ("Tenor", 1), ("Bass", 1)],
        ),
        ([[(p, 0, 4)] for p in (72, 67, 64, 48)], [], [], [("Piano", 1)] * 4),
        # A title as the name of the only instrument.
        ([CHORDS], ["Fugue in C"], [], [("Fugue in C", 8), ("Fugue in C", 8)]),
    ],
)
def test_staves_are_those_of_the_instruments(parts, names, programs, found):
    assert staves(read(make_piece(*parts, names=names, programs=programs))) == found


def test_programs_names_and_drums():
    sequence = make_piece(MELODY, MELODY, MELODY, programs=[40, 73, 0])
    for note in sequence.notes[16:]:
        note.is_drum = True
    sequence.instrument_infos.add(instrument=0, name="Gei\x00ge\n ♪")
    score = read(sequence)
    assert staves(score) == [("Gei ge ♪", 8), ("Flute", 8)]
    programs = [i.midiProgram for p in score.parts for i in p[instrument.Instrument]]
    assert programs == [40, 73]


def test_every_program_keeps_its_number_and_its_pitch(capfd):
    programs = range(0, 128, 8)  # piccolos among them
    sequence = make_piece(*[[(60, 0, 4)]] * len(programs), programs=list(programs))
    score = read(sequence)
    assert [notes_of(part) for part in score.parts] == [[(60, 0, 4)]] * len(programs)
    root = ElementTree.fromstring(to_musicxml(sequence))
    found = [int(element.text) - 1 for element in root.iter("midi-program")]
    assert found == list(programs)
    channels = [int(element.text) for element in root.iter("midi-channel")]
    assert not list(root.iter("transpose"))
    assert not capfd.readouterr().err  # no complaint about channels
    assert channels[:16] == [1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 1]


def metres(score: stream.Score) -> list[tuple]:
    signatures = score.parts[0].flatten()[meter.TimeSignature]
    return [(float(s.offset), s.ratioString) for s in signatures]


def keys(score: stream.Score) -> list[tuple]:
    found = score.parts[0].flatten()[key.Key]
    return [(float(k.offset), k.tonic.name, k.mode, k.sharps) for k in found]


def test_metre_and_key_are_those_of_the_sequence():
    sequence = make_piece(MELODY, qpm=60)
    for time, numerator, denominator in [(0, 3, 4), (3, 2, 4)]:
        sequence.time_signatures.add(
            time=time, numerator=numerator, denominator=denominator
        )
    for time, tonic, mode in [
        (0, 7, Signature.MAJOR),
        (3.1, 9, Signature.MINOR),  # goes to the bar line
        (5, 2, Signature.DORIAN),
        (7, 1, Signature.MINOR),
    ]:
        sequence.key_signatures.add(time=time, key=tonic, mode=mode)
    score = read(sequence)
    assert metres(score) == [(0, "3/4"), (3, "2/4")]
    assert keys(score) == [
        (0, "G", "major", 1),
        (3, "A", "minor", 0),
        (5, "D", "dorian", 0),
        (7, "C#", "minor", 4),
    ]


def test_metre_and_key_are_found_where_they_are_not_known():
    scale = [(p, i, i + 1) for i, p in enumerate([63, 65, 67, 68, 70, 72, 74, 75])]
    score = read(make_piece([*scale, *[(p, 8, 12) for p in (63, 67, 70)]]))
    assert metres(score) == [(0, "4/4")]
    assert keys(score) == [(0, "E-", "major", -3)]


@pytest.mark.parametrize(
    ("tonic", "mode", "names"),
    [
        (0, Signature.MAJOR, "C C# D E- E F F# G G# A B- B"),
        (3, Signature.MAJOR, "C D- D E- E F G- G A- A B- B"),  # the fourth is raised
        (9, Signature.MINOR, "C C# D D# E F F# G G# A B- B"),
        (4, Signature.MAJOR, "B# C# D D# E E# F# G G# A A# B"),
        (6, Signature.MAJOR, "B# C# C## D# E E# F# F## G# A A# B"),
    ],
)
def test_pitches_are_spelled_by_the_key(tonic, mode, names):
    sequence = make_piece([(60 + i, i, i + 1) for i in range(12)])
    sequence.key_signatures.add(key=tonic, mode=mode)
    pitches = [note.pitch for note in read(sequence).flatten().notes]
    assert [p.midi for p in pitches] == list(range(60, 72))
    assert " ".join(p.name for p in pitches) == names


def test_an_upbeat_is_a_short_measure_in_all_parts():
    upper = [(67, 0, 1), (72, 1, 4), (74, 4, 7)]
    sequence = make_piece(upper, [(48, 1, 7)], programs=[40, 42])
    sequence.time_signatures.add(time=0.5, numerator=3, denominator=4)
    score = read(sequence)
    for part in score.parts:
        numbers = [(m.number, float(m.offset)) for m in part[stream.Measure]]
        assert numbers == [(0, 0), (1, 1), (2, 4)]
    assert notes_of(score.parts[0]) == expected(*upper)
    assert metres(score) == [(0, "3/4")]
    root = ElementTree.fromstring(to_musicxml(sequence))
    implicit = [m.get("implicit") for m in root.find("part").iter("measure")]
    assert implicit == ["yes", "no", "no"]


def tempos(score: stream.Score) -> list[tuple]:
    marks = score.parts[0].flatten()[tempo.MetronomeMark]
    return [(float(m.offset), round(m.getQuarterBPM(), 3)) for m in marks]


def test_tempos_are_written_where_they_change():
    sequence = make_piece([(60, 0, 12)], qpm=60)
    sequence.tempos.add(time=2.5, qpm=90.5)
    assert tempos(read(sequence)) == [(0, 60), (2.5, 90.5)]


def test_of_a_performance_with_a_beat_the_tempo_of_measures_is_written():
    sequence = NoteSequence()
    for i in range(16):  # 60 and 62 by turns, then 90 and 92
        qpm = (60 if i < 8 else 90) + 2 * (i % 2)
        sequence.tempos.add(time=float(TempoMap.of(sequence).to_seconds(i)), qpm=qpm)
    tempo_map = TempoMap.of(sequence)
    for i in range(16):
        start, end = tempo_map.to_seconds([i, i + 1])
        sequence.notes.add(pitch=60, velocity=80, start_time=start, end_time=end)
    assert [(p, round(qpm)) for p, qpm in tempos(read(sequence))] == [(0, 61), (8, 91)]


def test_title_and_composer_are_those_of_the_piece_or_none(tmp_path):
    def written(sequence):
        write_musicxml(sequence, tmp_path / "a file.musicxml")
        root = ElementTree.parse(tmp_path / "a file.musicxml").getroot()
        creators = [c.text for c in root.iterfind("identification/creator")]
        assert root.find("identification/encoding/encoding-date") is None
        return root.findtext("work/work-title"), creators

    sequence = make_piece(MELODY)
    assert written(sequence) == ("a file", [])
    sequence.filename = "folder/minuet.mid"
    assert written(sequence) == ("minuet", [])
    sequence.sequence_metadata.title = "Menuett"
    sequence.sequence_metadata.composers.extend(["Petzold", "Bach"])
    assert written(sequence) == ("Menuett", ["Petzold, Bach"])
    text = to_musicxml(make_piece(MELODY)).decode()
    assert "Fragment" not in text and "<movement-title" not in text


def test_the_same_music_gives_the_same_file():
    sequence = make_piece(CHORDS, MELODY)
    assert to_musicxml(sequence) == to_musicxml(sequence)


def test_a_performance_without_a_beat_is_refused():
    generator = np.random.default_rng(1)
    starts = np.sort(generator.uniform(0, 60, 200))
    sequence = make_piece([(60, start, start + 0.3) for start in starts.tolist()])
    with pytest.raises(UserError) as error:
        to_musicxml(sequence)
    message = str(error.value)
    assert "follows a beat" in message and "\n" not in message
    assert "% of its notes begin" in message and "leave the score out" in message
    # A little late is not without a beat.
    late = [(60, i + float(generator.uniform(0, 0.02)), i + 1) for i in range(20)]
    (part,) = read(make_piece(late)).parts
    assert notes_of(part) == expected(*[(60, i, i + 1) for i in range(20)])


def test_music_beside_the_beat_of_its_file_is_written_on_its_own():
    assert to_musicxml(song(0.35)) == to_musicxml(song(0.0))


def test_a_key_that_is_struck_again_is_let_go_before():
    # Rounded, the first note would end after the second begins.
    beats = [(72, i, i + 1) for i in range(20)]
    score = read(make_piece([(60, 0, 0.9), (60, 0.9, 4)], beats, programs=[40, 40]))
    assert notes_of(score.parts[0]) == expected((60, 0, 0.875), (60, 0.875, 4))


def test_without_notes_there_is_no_score():
    drums = make_piece(MELODY)
    for note in drums.notes:
        note.is_drum = True
    for sequence in (make_piece(), drums):
        with pytest.raises(UserError, match="expected notes to write as a score"):
            to_musicxml(sequence)


def test_a_real_piano_piece_is_written_for_two_hands(shared_data):
    path = shared_data / "piano_midi_de/midis/Chopin/chpn-p4.mid"
    sequence = read_file(path)
    score = read(sequence)
    upper, lower = (notes_of(part) for part in score.parts)
    assert len(upper) + len(lower) == len(sequence.notes)
    assert np.mean([n[0] for n in upper]) > np.mean([n[0] for n in lower]) + 7
    tempo_map = TempoMap.of(sequence)
    starts = tempo_map.to_quarters([n.start_time for n in sequence.notes])
    found = sorted(n[1] for n in upper + lower)
    np.testing.assert_allclose(found, np.sort(starts), atol=1 / 48)
    assert all(num_voices(m) <= 4 for m in score[stream.Measure])


def test_scores_of_the_corpus_read_back_whole():
    for name in ("bach/bwv66.6.mxl", "bach/bwv171.6.mxl"):
        path = str(converter.__file__).rpartition("converter")[0] + "corpus/" + name
        sequence = read_file(path)
        tempo_map = TempoMap.of(sequence)
        notes = [
            (n.pitch, *tempo_map.to_quarters([n.start_time, n.end_time]))
            for n in sequence.notes
        ]
        found = sorted(row for part in read(sequence).parts for row in notes_of(part))
        assert found == expected(*notes)
