import collections
import random
import struct
import time
import zipfile

import numpy as np
import pytest

from tests.notes import midi_files as m
from tests.notes.midi_reference import Reference, find_differences
from tests.notes.sequences import tuples
from tfmusic.errors import UserError
from tfmusic.notes import repairs, wire
from tfmusic.notes.guarded import read_input
from tfmusic.notes.reading import Limits, ReadError, read_bytes, read_file
from tfmusic.notes.transforms import apply_sustain, sustained_ends

# In all tests but some: 480 ticks are a quarter note of half a second.
ONE_NOTE = m.track((0, m.on(60)), (480, m.off(60)))


def read(*tracks: bytes, **header):
    return read_bytes(m.midi_file(*tracks, **header), "x.mid")


def refusal(data: bytes, name: str = "x.mid", **limits) -> str:
    with pytest.raises(ReadError) as caught:
        read_bytes(data, name, Limits(**limits))
    assert "\n" not in str(caught.value)
    return caught.value.reason


def spans(sequence) -> list[tuple]:
    """(pitch, start, end) of every note in order, times to the millisecond."""
    return sorted(
        (n.pitch, round(n.start_time, 3), round(n.end_time, 3)) for n in sequence.notes
    )


def repaired(data: bytes) -> tuple[list[tuple], dict[str, int]]:
    with repairs.counted() as found:
        sequence = read_bytes(data, "x.mid")
    return spans(sequence), dict(found)


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
        (0, m.tempo(0)),
        (0, b"\xff\x51\x02\x01\x01"),
        (0, b"\xff\x58\x01\x04"),
        (0, b"\xff\x59\x00"),
        (0, b"\xff\x21\x00"),
    )
    sequence = read(conductor, ONE_NOTE)
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


TWO_TRACKS = [
    m.track((0, m.on(60)), (480, m.off(60))),
    m.track((0, m.on(72)), (480, m.off(72))),
]
TWO_NOTES = [(60, 0, 0.5), (72, 0, 0.5)]


@pytest.mark.parametrize("number", [0, 1, 3, 65535])
def test_a_wrong_number_of_tracks_is_repaired(number):
    data = m.midi_file(*TWO_TRACKS)
    data = data[:10] + struct.pack(">H", number) + data[12:]
    assert repaired(data) == (TWO_NOTES, {"files with a wrong number of tracks": 1})
    assert repaired(m.midi_file(*TWO_TRACKS)) == (TWO_NOTES, {})


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("length", [0, 1, 5, 12, 14, 17, 20, 35, 10_000, 2**32 - 1])
def test_a_track_of_a_wrong_length_is_read_to_where_it_says_that_it_ends(which, length):
    tracks = list(TWO_TRACKS)
    body = tracks[which][8:]
    assert len(body) == 13
    tracks[which] = b"MTrk" + struct.pack(">I", length) + body
    found = repaired(m.midi_file(*tracks))
    assert found == (TWO_NOTES, {"tracks of a wrong length": 1})


def test_a_length_that_takes_in_the_next_track_is_wrong():
    first, second = TWO_TRACKS
    both = b"MTrk" + struct.pack(">I", len(first + second) - 8) + first[8:]
    expected = (TWO_NOTES, {"tracks of a wrong length": 1})
    assert repaired(m.midi_file(both, second)) == expected


def test_a_track_may_lack_its_end_and_bytes_behind_its_end_are_passed_over():
    first, second = TWO_TRACKS
    without = m.chunk(first[8:-4])
    assert repaired(m.midi_file(without, second)) == (TWO_NOTES, {})
    assert repaired(m.midi_file(second, without)) == (TWO_NOTES, {})
    behind = m.chunk(first[8:] + bytes(5))
    assert repaired(m.midi_file(behind, second)) == (TWO_NOTES, {})


def test_another_file_behind_a_file_is_passed_over():
    data = m.midi_file(*TWO_TRACKS)
    assert repaired(data + m.midi_file(ONE_NOTE)) == (TWO_NOTES, {})


def test_what_is_cut_short_is_refused():
    data = m.midi_file(*TWO_TRACKS)
    # Cut between its tracks, it is like a file with a wrong number of tracks.
    whole = 14, 14 + len(TWO_TRACKS[0])
    for end in set(range(14, len(data))) - set(whole):
        assert refusal(data[:end]) == "truncated"
    # So is one whose last track says nowhere that it ends.
    without = m.midi_file(m.chunk(TWO_TRACKS[0][8:-4]))
    longer = without[:18] + struct.pack(">I", 1000) + without[22:]
    assert refusal(longer) == "truncated"


def test_repairs_are_said_where_a_file_is_named_on_a_command_line(tmp_path, caplog):
    path = tmp_path / "x.mid"
    path.write_bytes(
        m.midi_file(m.track((0, m.on(60)), (480, m.on(62)), (0, m.off(62))))
    )
    assert len(read_input(str(path), "primer").notes) == 2
    (record,) = caplog.records
    assert record.getMessage() == (
        f"--primer={path}: changed in reading: 1 notes without length, "
        "1 notes without an end"
    )


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


def check_equal(files) -> None:
    """Reads files as the reference does, which goes through all events one by one."""
    for name, data in files:
        found = find_differences(read_bytes(data, name), Reference(data))
        assert not found, f"{name}: {found}"


def random_events(generator: random.Random):
    channel, pitch = generator.choice([0, 0, 1, 9]), generator.choice([60, 60, 62])
    return generator.choices(
        [
            m.on(pitch, generator.randint(1, 127), channel),
            m.off(pitch, channel),
            m.on(pitch, 0, channel),
            m.program(generator.randint(0, 3), channel),
            m.control(
                generator.choice([7, 64, 64]), generator.choice([0, 127]), channel
            ),
            m.bend(generator.randint(-5, 5), channel),
            bytes([0xD0 | channel, 5]),
            m.tempo(generator.choice([0, 400_000, 500_000])),
            m.time_signature(generator.choice([3, 4]), 2),
            m.key_signature(generator.randint(-7, 7), generator.randint(0, 1)),
            m.port(generator.randint(0, 1)),
            b"\xf0\x03\x43\x12\xf7",
            m.name("x" * generator.randint(1, 100)),
        ],
        [40, 25, 5, 8, 8, 2, 2, 3, 2, 2, 1, 1, 1],
    )[0]


def random_track(generator: random.Random) -> bytes:
    events, status = [], None
    for _ in range(generator.randint(1, 40)):
        wait = generator.choice([0, 0, 0, 1, 2, 30, 200, 20_000])
        event = random_events(generator)
        is_running = event[0] == status and generator.random() < 0.7
        status = event[0] if event[0] < 0xF0 else None
        events.append((wait, event[1:] if is_running else event))
    return m.track(*events)


def test_equals_an_independent_reading_of_random_files():
    generator = random.Random(3)
    for number in range(300):
        tracks = [random_track(generator) for _ in range(generator.randint(1, 4))]
        data = m.midi_file(m.track((0, m.on(60)), (9, m.off(60))), *tracks)
        with repairs.counted() as found:
            sequence = read_bytes(data, "x.mid")
        reference = Reference(data)
        assert not find_differences(sequence, reference), number
        assert found["notes without length"] == reference.num_without_length
        assert found["notes without an end"] == reference.num_without_end


def piano_midi_de(shared_data):
    for path in sorted(shared_data.glob("piano_midi_de/**/*.mid")):
        yield path.name, path.read_bytes()


def from_zip(path, num_files):
    with zipfile.ZipFile(path) as archive:
        names = sorted(n for n in archive.namelist() if n.endswith((".mid", ".midi")))
        for name in names[:: len(names) // num_files][:num_files]:
            yield name, archive.read(name)


def test_equals_an_independent_reading_of_some_real_files(shared_data):
    check_equal(list(piano_midi_de(shared_data))[::34])
    check_equal(from_zip(shared_data / "maestro-v3.0.0-midi.zip", 2))
    check_equal(from_zip(shared_data / "pop909-midi.zip", 5))


@pytest.mark.slow
def test_equals_an_independent_reading_of_all_of_piano_midi_de(shared_data):
    files = list(piano_midi_de(shared_data))
    assert len(files) == 337
    check_equal(files)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["maestro-v3.0.0-midi.zip", "pop909-midi.zip"])
def test_equals_an_independent_reading_of_sixty_files(shared_data, name):
    check_equal(from_zip(shared_data / name, 60))


@pytest.mark.slow
def test_equals_an_independent_reading_of_odd_files(shared_data):
    unread_by_mido = set()
    for path in sorted((shared_data / "odd_midi").rglob("*.mid*")):
        data = path.read_bytes()
        try:
            sequence = read_bytes(data, path.name)
        except ReadError:
            continue
        try:
            reference = Reference(data)
        except IndexError:
            unread_by_mido.add(path.name)
            continue
        assert not find_differences(sequence, reference), path.name
    assert unread_by_mido == {"Levels.mid"}  # for its key signature


def test_every_note_that_the_pedal_of_its_channel_holds_is_held(shared_data):
    files = list(piano_midi_de(shared_data))[::20]
    counts = collections.Counter()
    for name, data in files:
        sequence = read_bytes(data, name)
        ends = wire.columns(sequence, "notes", "end_time")["end_time"]
        counts["notes"] += len(ends)
        counts["held"] += int(np.sum(sustained_ends(sequence) - ends > 1e-6))
        first = [c for c in sequence.control_changes if c.instrument == 0]
        counts["pedals"] += sum(c.control_number == 64 for c in first)
    # The pedal is on a track of its own, beside one for each hand.
    assert counts == {"notes": 48_184, "held": 26_383, "pedals": 7_645}


def test_odd_files_are_read_or_refused_with_a_reason(shared_data):
    reasons = {}
    for path in sorted((shared_data / "odd_midi").rglob("*.*")):
        if path.suffix not in (".mid", ".midi", ".rmi"):
            continue
        try:
            assert read_file(path).notes
        except ReadError as error:
            reasons[path.name] = error.reason
    assert reasons == {
        "Issue104_Bizarre_Love_Triangle2.mid": "bad_events",
        "PiDamaged.mid": "truncated",
        "SysExTest.mid": "no_notes",
        "ValueError_Control168.mid": "bad_events",
        "empty.mid": "no_notes",
        "multiple-copyrights.mid": "no_notes",
        "negative-ticks-per-beat.mid": "bad_division",
        "ticks-per-beat-480.mid": "no_notes",
        "type2.mid": "no_notes",
        "zero-ticks-per-beat.mid": "bad_division",
    }


def test_header_is_checked_before_anything_is_parsed():
    good = m.midi_file(ONE_NOTE)
    assert refusal(b"") == "empty"
    assert refusal(b"MThx" + good[4:]) == "not_midi"
    assert refusal(b"RIFF____RMID") == "not_midi"
    assert refusal(good[:10]) == "truncated"
    assert refusal(good[:-1]) == "truncated"
    assert refusal(good[:20]) == "truncated"
    assert refusal(m.midi_file(ONE_NOTE, division=0)) == "bad_division"
    assert refusal(m.midi_file(ONE_NOTE, division=0xE700)) == "bad_division"
    assert refusal(m.midi_file(ONE_NOTE, division=0xFF28)) == "bad_division"
    assert refusal(m.midi_file()) == "no_notes"
    assert refusal(m.midi_file(m.track((0, bytes([0x90, 200, 80]))))) == "bad_events"


def test_running_status_is_that_of_the_same_track():
    running = m.track((0, m.name("x")), (0, b"\x3c\x50"), (480, m.off(60)))
    assert refusal(m.midi_file(running)) == "bad_events"
    assert refusal(m.midi_file(ONE_NOTE, running)) == "bad_events"
    assert refusal(m.midi_file(m.track(), running, ONE_NOTE)) == "bad_events"


def test_a_riff_wrapper_unknown_chunks_and_bytes_behind_are_passed_over():
    good = m.midi_file(ONE_NOTE)
    expected = tuples(read_bytes(good, "x.mid"))
    wrapped = b"RIFF\x40\0\0\0RMIDdata\x30\0\0\0" + good
    assert tuples(read_bytes(wrapped, "x.rmi")) == expected
    unknown = good[:14] + b"XFIH\0\0\0\x02ab" + good[14:] + b"junk"
    assert tuples(read_bytes(unknown, "x.mid")) == expected


def test_limits_bound_bytes_tracks_notes_and_length():
    good = m.midi_file(ONE_NOTE, ONE_NOTE)
    assert refusal(good, max_bytes=len(good) - 1) == "too_large"
    assert refusal(good, max_tracks=1) == "too_many_tracks"
    assert refusal(good, max_notes=1) == "too_many_notes"
    assert refusal(good, max_quarters=0.5) == "too_many_quarters"
    assert refusal(good, max_seconds=0.25) == "too_many_seconds"
    assert len(read_bytes(good, "x.mid", Limits(len(good), 2, 2, 1, 0.5)).notes) == 2


@pytest.mark.parametrize("num_waits", [1, 7, 8, 9, 17])
def test_a_tick_that_would_exhaust_memory_is_refused_at_once(num_waits):
    waits = [(2**28 - 1, m.control(1, 1))] * num_waits
    data = m.midi_file(m.track(*waits, (0, m.on(60)), (1, m.off(60))))
    begin = time.perf_counter()
    assert refusal(data) == "too_many_quarters"
    assert time.perf_counter() - begin < 1


def test_a_missing_file_is_refused_by_name(tmp_path):
    with pytest.raises(UserError, match=r"missing.*nowhere\.mid"):
        read_file(tmp_path / "nowhere.mid")


def damaged_copies(data: bytes, generator: random.Random, num_copies: int):
    for _ in range(num_copies):
        copy = bytearray(data)
        for _ in range(generator.choice([1, 3, 20])):
            place = generator.randrange(len(copy))
            copy[place] = generator.choice([0, 127, 128, 255, generator.randrange(256)])
        yield bytes(
            copy[: generator.choice([len(copy), generator.randrange(len(copy))])]
        )


def test_damaged_copies_are_read_or_refused():
    data = m.midi_file(*[random_track(random.Random(seed)) for seed in range(3)])
    for copy in damaged_copies(data, random.Random(1), 500):
        try:
            read_bytes(copy, "x.mid")
        except ReadError as error:
            assert error.reason


def test_damaged_copies_of_real_files_are_read_or_refused(shared_data):
    generator = random.Random(2)
    for _, data in list(piano_midi_de(shared_data))[::34]:
        for copy in damaged_copies(data, generator, 30):
            try:
                read_bytes(copy, "x.mid")
            except ReadError as error:
                assert error.reason
