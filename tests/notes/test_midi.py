import pytest

from tests.notes import midi_files as m
from tests.notes.midi_reading import ONE_NOTE, read, repaired, spans
from tests.notes.sequences import tuples
from tfmusic.notes import repairs
from tfmusic.notes.reading import Limits, read_bytes
from tfmusic.notes.transforms import apply_sustain


def test_a_note_lasts_from_its_note_on_to_its_note_off():
    sequence = read(
        m.track(
            (0, m.on(60, 80)),
            (480, m.on(60, 0)),  # a note-off
            (0, m.on(62, 70)),
            (240, b"\x3c\x50"),  # running status: a note-on
            (240, m.off(62)),
            (0, b"\x3c\x00"),
        )
    )
    assert tuples(sequence) == [(60, 80, 0, 0.5), (62, 70, 0.5, 1), (60, 80, 0.75, 1)]
    assert (sequence.filename, sequence.total_time) == ("x.mid", 1)
    assert sequence.ticks_per_quarter == 480
    assert sequence.source_info.parser == sequence.SourceInfo.PRETTY_MIDI
    assert sequence.source_info.encoding_type == sequence.SourceInfo.MIDI


def test_a_note_off_ends_all_notes_of_its_key_that_began_before_it():
    ended = [(0, m.on(60)), (240, m.on(60)), (240, m.off(60)), (240, m.off(60))]
    assert spans(read(m.track(*ended))) == [(60, 0, 0.5), (60, 0.25, 0.5)]
    once = m.track((0, m.on(60)), (240, m.on(60)), (240, m.off(60)))
    assert spans(read(once)) == [(60, 0, 0.5), (60, 0.25, 0.5)]
    # On one tick, it ends those before and not those that begin there, in any order.
    for swapped in ([m.on(60), m.off(60)], [m.off(60), m.on(60)]):
        again = m.track(
            (0, m.on(60)), (240, swapped[0]), (0, swapped[1]), (240, m.off(60))
        )
        assert repaired(m.midi_file(again)) == ([(60, 0, 0.25), (60, 0.25, 0.5)], {})


def test_note_offs_are_for_their_own_track_channel_and_key():
    sequence = read(
        m.track((0, m.on(60)), (480, m.off(60))),
        m.track(
            (240, m.on(60)), (0, m.on(60, 80, 1)), (720, m.off(60)), (0, m.off(60, 1))
        ),
    )
    assert spans(sequence) == [(60, 0, 0.5), (60, 0.25, 1), (60, 0.25, 1)]


def test_instruments_are_tracks_channels_and_programs():
    sequence = read(
        m.track((0, m.name("conductor"))),
        m.track(
            (0, m.name("hands")),
            (0, m.program(5, 3)),
            (0, m.on(60, 80, 3)),
            (0, m.on(36, 90, 9)),
            (240, m.off(36, 9)),
            (240, m.off(60, 3)),
            (0, m.program(6, 3)),
            (0, m.on(62, 80, 3)),
            (480, m.off(62, 3)),
        ),
        ONE_NOTE,
    )
    found = [(n.instrument, n.pitch, n.program, n.is_drum) for n in sequence.notes]
    # In the order in which they first end a note; a track's name is that of all.
    assert found == [
        (0, 36, 0, True),
        (1, 60, 5, False),
        (2, 62, 6, False),
        (3, 60, 0, False),
    ]
    names = [(info.instrument, info.name) for info in sequence.instrument_infos]
    assert names == [(0, "hands"), (1, "hands"), (2, "hands")]


def test_notes_are_in_order_of_instrument_end_start_and_pitch():
    sequence = read(
        m.track(
            (0, m.on(64)),
            (0, m.on(60)),
            (240, m.on(72)),
            (240, m.off(72)),
            (0, m.off(64)),
            (0, m.off(60)),
        ),
        ONE_NOTE,
    )
    found = [(n.instrument, n.pitch) for n in sequence.notes]
    assert found == [(0, 60), (0, 64), (0, 72), (1, 60)]


def test_more_instruments_than_fit_one_byte():
    sequence = read(*[ONE_NOTE] * 200)
    assert [note.instrument for note in sequence.notes] == list(range(200))


def test_a_pedal_holds_the_notes_of_its_channel_in_all_tracks():
    hands = [m.track((0, m.on(pitch)), (480, m.off(pitch))) for pitch in (72, 48)]
    other = m.track((0, m.on(30, 80, 1)), (480, m.off(30, 1)))
    pedal = m.track((240, m.control(64, 127)), (1200, m.control(64, 0)))
    expected = [(30, 0, 0.5), (48, 0, 1.5), (72, 0, 1.5)]
    assert spans(apply_sustain(read(*hands, other, pedal))) == expected
    assert spans(apply_sustain(read(pedal, other, *hands))) == expected
    # The same within one hand, and the whole as a file of type 0.
    right = m.track(
        *((0, m.on(72)), (240, m.control(64, 127)), (240, m.off(72))),
        (960, m.control(64, 0)),
    )
    assert spans(apply_sustain(read(right, hands[1], other))) == expected


def test_controls_and_pitch_bends_are_for_every_instrument_on_their_channel():
    sequence = read(
        m.track((0, m.on(72)), (480, m.off(72)), (0, m.control(67, 20))),
        m.track((0, m.program(9)), (0, m.on(48)), (480, m.off(48))),
        m.track((0, m.control(7, 100)), (0, m.control(10, 30)), (240, m.bend(-8192))),
        m.track((0, m.control(7, 50, 1)), (240, m.bend(8191, 1))),
    )
    controls = [(0, 7, 100), (0, 10, 30), (0.5, 67, 20)]
    for instrument in (0, 1):
        assert controls == [
            (c.time, c.control_number, c.control_value)
            for c in sequence.control_changes
            if c.instrument == instrument and c.program == 9
        ]
        assert [
            (b.time, b.bend) for b in sequence.pitch_bends if b.instrument == instrument
        ] == [(0.25, -8192)]
    # Channel 2 has no notes.
    assert len(sequence.control_changes) == 6 and len(sequence.pitch_bends) == 2


def programs(*tracks: bytes) -> list[int]:
    notes = sorted(read(*tracks).notes, key=lambda note: (note.start_time, note.pitch))
    return [note.program for note in notes]


def test_a_program_holds_for_its_channel_in_all_tracks_from_its_tick_on():
    notes = m.track((0, m.on(60)), (480, m.off(60)), (0, m.on(62)), (480, m.off(62)))
    other = m.track((0, m.on(80, 80, 1)), (480, m.off(80, 1)))
    assert programs(m.track((0, m.program(7))), notes, other) == [7, 0, 7]
    assert programs(notes, m.track((0, m.program(7))), other) == [7, 0, 7]
    assert programs(notes, m.track((480, m.program(7)))) == [0, 7]
    # A note keeps the program with which it began.
    assert programs(notes, m.track((240, m.program(7)), (9, m.program(8)))) == [0, 8]
    assert programs(
        m.track((0, m.program(3))), notes, m.track((480, m.program(4)))
    ) == [3, 4]


def test_of_programs_on_one_tick_each_track_keeps_its_own():
    # As files have them in which more instruments are than channels.
    def track(program, pitch):
        notes = [
            (0, m.on(pitch)),
            (480, m.off(pitch)),
            (0, m.on(pitch)),
            (9, m.off(pitch)),
        ]
        return m.track((0, m.program(program)), *notes)

    without = m.track((0, m.on(62)), (480, m.off(62)))
    assert programs(track(5, 60), track(6, 61), without) == [5, 6, 6, 5, 6]
    change = m.track((480, m.program(9)))
    assert programs(track(5, 60), track(6, 61), change) == [5, 6, 9, 9]


def test_tracks_with_different_ports_have_different_channels():
    notes = [(0, m.on(60)), (480, m.off(60))]
    down = [(0, m.program(7)), (0, m.control(64, 127)), (960, m.control(64, 0))]
    port = (0, m.port(1))
    first, second = m.track(*notes), m.track(port, *notes)
    sequence = read(first, second, m.track(port, *down))
    assert [n.program for n in sequence.notes] == [0, 7]
    assert spans(apply_sustain(sequence)) == [(60, 0, 0.5), (60, 0, 1)]
    # A port holds from where it stands, to the end of its track.
    sequence = read(m.track(*notes, port, *notes), m.track(*down))
    assert [n.program for n in sequence.notes] == [7, 0]
    drums = read(m.track(port, (0, m.on(36, 80, 9)), (9, m.off(36, 9))))
    assert drums.notes[0].is_drum


def test_tempos_metres_and_keys_of_all_tracks_make_one_map_each():
    notes = ((0, m.on(60)), (480, m.off(60)), (0, m.on(62)), (480, m.off(62)))
    sequence = read(
        m.track(
            (0, m.tempo(500_000)), (0, m.key_signature(2, 0)), (960, m.tempo(250_000))
        ),
        m.track((0, m.time_signature(4, 2)), (480, m.tempo(1_000_000)), *notes),
        m.track(
            (0, m.time_signature(3, 2)),
            (0, m.key_signature(-3, 1)),
            (480, m.tempo(2_000_000)),
            (0, m.key_signature(-1, 0)),
            (0, m.time_signature(6, 3)),
            (480, m.tempo(250_000)),
        ),
    )
    assert [(t.time, t.qpm) for t in sequence.tempos] == [
        (0, 120),
        (0.5, 30),
        (2.5, 240),
    ]
    metres = [(s.time, s.numerator, s.denominator) for s in sequence.time_signatures]
    assert metres == [(0, 3, 4), (0.5, 6, 8)]
    keys = [(k.time, k.key, k.mode) for k in sequence.key_signatures]
    assert keys == [(0, 0, 1), (0.5, 5, 0)]
    assert spans(sequence) == [(60, 0.5, 2.5), (62, 2.5, 2.75)]


def metres_of(*signatures):
    conductor = m.track(*((480, m.time_signature(n, power)) for n, power in signatures))
    with repairs.counted() as found:
        sequence = read(conductor, ONE_NOTE)
    metres = [(s.time, s.numerator, s.denominator) for s in sequence.time_signatures]
    return metres, dict(found)


def test_beats_without_bars_are_grouped_by_four():
    metres, found = metres_of((1, 2), (1, 2))
    assert metres == [(0.5, 4, 4)]
    assert found == {"metres of 1/4 throughout, read as 4/4": 1}
    # A bar of one beat among others is one.
    assert metres_of((4, 2), (1, 2)) == ([(0.5, 4, 4), (1.0, 1, 4)], {})


def test_a_tempo_that_is_there_already_is_none():
    sequence = read(
        m.track(
            (240, m.tempo(500_000)), (0, m.tempo(400_000)), (240, m.tempo(400_000))
        ),
        m.track((960, m.on(60)), (480, m.off(60))),
    )
    assert [(t.time, t.qpm) for t in sequence.tempos] == [(0, 120), (0.25, 150)]
    assert spans(sequence) == [(60, 0.85, 1.25)]


def test_signatures_and_tempos_that_make_no_sense_are_passed_over():
    conductor = m.track(
        (0, m.time_signature(0, 2)),
        (0, m.time_signature(4, 200)),
        (0, m.key_signature(40, 0)),
        (0, m.key_signature(2, 9)),
        (0, m.key_signature(-128, 0)),
        (0, m.tempo(0)),
        (0, b"\xff\x51\x02\x01\x01"),
        (0, b"\xff\x58\x01\x04"),
        (0, b"\xff\x59\x00"),
        (0, b"\xff\x21\x00"),
    )
    with repairs.counted() as found:
        sequence = read(conductor, ONE_NOTE)
    assert found == {
        "impossible metres, left out": 2,
        "impossible keys, left out": 3,
        "impossible tempos, left out": 1,
    }
    assert not sequence.time_signatures and not sequence.key_signatures
    assert [tempo.qpm for tempo in sequence.tempos] == [120]
    assert tuples(sequence) == [(60, 80, 0.0, 0.5)]


def test_notes_without_length_last_for_a_thirty_second():
    hits = [
        (0, m.on(36, 80, 9)),
        (0, m.off(36, 9)),
        (480, m.on(36, 80, 9)),
        (0, m.off(36, 9)),
    ]
    expected = [(36, 0, 0.062), (36, 0.5, 0.562)]
    assert repaired(m.midi_file(m.track(*hits))) == (
        expected,
        {"notes without length": 2},
    )
    keys = m.track((0, m.on(60)), (0, m.off(60)), (30, m.on(60)), (480, m.off(60)))
    # Or until the key is struck again.
    expected = [(60, 0, 0.031), (60, 0.031, 0.531)]
    assert repaired(m.midi_file(keys)) == (expected, {"notes without length": 1})
    coarse = m.midi_file(m.track((0, m.on(60)), (0, m.off(60))), division=1)
    assert repaired(coarse) == ([(60, 0, 0.5)], {"notes without length": 1})


def test_drums_that_are_never_switched_off_are_as_short():
    hits = m.track((0, m.on(36, 80, 9)), (480, m.on(38, 80, 9)), (30, m.on(38, 80, 9)))
    expected = [(36, 0, 0.062), (38, 0.5, 0.531), (38, 0.531, 0.594)]
    assert repaired(m.midi_file(hits)) == (expected, {"notes without an end": 3})


def test_keys_that_are_never_let_go_sound_until_struck_again_or_their_track_ends():
    keys = m.track((0, m.on(60)), (480, m.on(60)), (480, m.on(62)), (480, m.off(62)))
    longer = m.track((0, m.on(72)), (4800, m.off(72)))
    expected = [(60, 0, 0.5), (60, 0.5, 1.5), (62, 1, 1.5), (72, 0, 5)]
    assert repaired(m.midi_file(keys, longer)) == (
        expected,
        {"notes without an end": 2},
    )
    last = m.track((480, m.on(60)))
    expected = [(60, 0.5, 0.562)], {"notes without an end": 1}
    assert repaired(m.midi_file(last)) == expected


@pytest.mark.parametrize(
    "events",
    [
        [(0, b"\xf0\x05\x43\x12\x00\x07\xf7")],
        [(0, b"\xf0\x03\x43\x12\x00"), (0, b"\xf7\x02\x07\xf7")],
        [(0, b"\xf0\x03\x43\x12\x00"), (0, b"\xf7\x02\x07\x08"), (0, b"\xf7\x01\xf7")],
        [(0, b"\xf7\x01\xfa")],
        [(0, b"\xf7\x03\xf3\x90\xff")],
        [(0, b"\xf0\x81\x00" + bytes(127) + b"\xf7")],
        [(0, b"\xf0\x00")],
        [(0, b"\xfa"), (0, b"\xf3\x01"), (0, b"\xf2\x01\x02")],
    ],
    ids=["whole", "packets", "three", "escape", "status", "long", "empty", "bare"],
)
def test_system_messages_move_no_notes(events):
    notes = [(0, m.on(60)), (480, m.off(60))]
    assert spans(read(m.track(*events, *notes))) == [(60, 0, 0.5)]
    # The time that they take themselves is kept, and running status goes on behind.
    later = [(delta + 120, event) for delta, event in events]
    wait = 120 * len(events) / 960
    sequence = read(
        m.track(
            notes[0], *later, (480, b"\x40\x50"), (480, b"\x3c\x00"), (0, b"\x40\x00")
        )
    )
    assert spans(sequence) == [
        (60, 0, pytest.approx(wait + 1)),
        (64, pytest.approx(wait + 0.5), pytest.approx(wait + 1)),
    ]


def test_messages_with_one_byte_of_data_have_running_status_too():
    events = [(0, m.program(3)), (0, b"\x04"), (0, b"\xd0\x20"), (9, b"\x21")]
    sequence = read(m.track(*events, (0, m.on(60)), (480, m.off(60))))
    assert [(n.program, n.start_time) for n in sequence.notes] == [(4, 9 / 960)]


@pytest.mark.parametrize("delta", [0, 127, 128, 16383, 16384, 2_097_151, 2_097_152])
def test_waits_of_one_to_four_bytes(delta):
    track = m.track((delta, m.on(60)), (delta, b"\x3c\x00"), (9, m.control(1, 1)))
    limits = Limits(max_pause_seconds=1e9)
    sequence = read_bytes(m.midi_file(track), "x.mid", limits)
    (note,) = sequence.notes
    assert note.start_time == pytest.approx(delta / 960)
    assert note.end_time == pytest.approx(delta / 480 if delta else 1 / 16)
    padded = m.track((0, m.on(60)), (480, m.off(60)))[8:].replace(
        b"\0\x90", b"\x80\x80\x80\0\x90"
    )
    assert spans(read(m.chunk(padded))) == [(60, 0, 0.5)]


@pytest.mark.parametrize(
    "encoding, names",
    [
        ("utf-8", ["ピアノ", "Flöte", "钢琴", "🎹"]),
        ("cp932", ["ピアノ", "右手", "Aメロ", "第一ヴァイオリン", "主旋律", "歌 1"]),
        ("gbk", ["钢琴", "左手", "主旋律", "小提琴", "古筝 1", "Piano钢琴", "笙"]),
        ("latin-1", ["Flöte", "Mélodie", "Violão", "CANÇÃO", "Für Elise", "çà et là"]),
        ("cp1252", ["Gitarre – links", "L’été", "Chant d’Aria"]),
        ("ascii", ["Piano right", "x"]),
    ],
)
def test_names_are_decoded_from_the_encodings_of_their_systems(encoding, names):
    def read_names(*names):
        notes = [(0, m.on(60)), (480, m.off(60))]
        tracks = [m.track((0, m.meta(3, n.encode(encoding))), *notes) for n in names]
        return [info.name for info in read(*tracks).instrument_infos]

    assert read_names(*names) == names
    for name in names:  # each alone, too
        assert read_names(name) == [name]


def test_names_of_one_file_are_decoded_alike():
    # Alone, these bytes would be two frequent hanzi.
    names = ["ﾍﾞｰｽ", "ﾋﾟｱﾉ", "ｱｺｰｽﾃｨｯｸ"]
    tracks = [
        m.track((0, m.meta(3, n.encode("cp932"))), (0, m.on(60)), (9, m.off(60)))
        for n in names
    ]
    assert [info.name for info in read(*tracks).instrument_infos] == names


def test_of_several_names_the_last_stays_and_zeros_at_its_ends_go():
    sequence = read(
        m.track((0, m.name("a")), (0, m.name("b\0")), (0, m.on(60)), (9, m.off(60)))
    )
    assert [info.name for info in sequence.instrument_infos] == ["b"]
    long = "x" * 300
    sequence = read(
        m.track((0, m.meta(3, long.encode())), (0, m.on(60)), (9, m.off(60)))
    )
    assert [info.name for info in sequence.instrument_infos] == [long]


@pytest.mark.parametrize(
    "frames, ticks, per_second",
    [(25, 40, 1000), (24, 2, 48), (30, 80, 2400), (29, 100, 100 * 30 / 1.001)],
)
def test_time_may_be_counted_in_frames(frames, ticks, per_second):
    division = (256 - frames) << 8 | ticks
    sequence = read(
        m.track((0, m.tempo(1_000_000)), (100, m.on(60)), (300, m.off(60))),
        division=division,
    )
    (note,) = sequence.notes
    assert note.start_time == pytest.approx(100 / per_second)
    assert note.end_time == pytest.approx(400 / per_second)
    assert [(tempo.time, tempo.qpm) for tempo in sequence.tempos] == [(0, 60)]
    assert sequence.ticks_per_quarter == round(per_second / 2)
