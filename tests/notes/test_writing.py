import collections
import io
import itertools

import mido
import numpy as np
import pytest

from tests.notes.sequences import differences, make_sequence, read_by_note_seq, tuples
from tfmusic.errors import UserError
from tfmusic.notes import NoteSequence
from tfmusic.notes.grid import BeatGrid, FrameGrid, TempoMap, metres
from tfmusic.notes.reading import read_bytes, read_file
from tfmusic.notes.writing import (
    to_midi_bytes,
    write_midi,
    write_musicxml,
    write_wav,
)


def notes_by_key(data: bytes):
    """Per track, (channel, pitch): (absolute tick, message) in order."""
    for track in mido.MidiFile(file=io.BytesIO(data)).tracks:
        keys, tick = collections.defaultdict(list), 0
        for message in track:
            tick += message.time
            if message.type in ("note_on", "note_off"):
                keys[message.channel, message.note].append((tick, message))
        yield keys


def check_ons_and_offs_alternate(data: bytes) -> None:
    for keys in notes_by_key(data):
        for events in keys.values():
            kinds = [message.type for _, message in events]
            assert kinds == ["note_on", "note_off"] * (len(kinds) // 2)
            for (on_tick, on), (off_tick, off) in zip(
                events[::2], events[1::2], strict=True
            ):
                assert off_tick > on_tick
                assert on.velocity > 0 and off.velocity == 0


@pytest.fixture
def rich() -> NoteSequence:
    sequence = make_sequence(
        (64, 70, 0.25, 1.0, 0),
        (60, 80, 0.0, 1.5, 0),
        (48, 60, 0.5, 2.5, 1),
        (36, 100, 0.0, 0.25, 2),
    )
    sequence.tempos.add(time=1.0, qpm=60)
    sequence.notes[2].program = 40
    sequence.notes[3].is_drum = True
    sequence.time_signatures.add(time=0, numerator=3, denominator=4)
    sequence.time_signatures.add(time=1.5, numerator=7, denominator=8)
    for key in range(24):
        sequence.key_signatures.add(time=key / 4, key=key % 12, mode=key // 12)
    for number, value in [(64, 127), (66, 1), (67, 90), (64, 0), (1, 5)]:
        sequence.control_changes.add(
            time=0.5, control_number=number, control_value=value
        )
    for value in (-8192, 0, 8191):
        sequence.pitch_bends.add(time=1.5, bend=value, instrument=1, program=40)
    for instrument, name in enumerate(["Right hand", "Violin", "Drums"]):
        sequence.instrument_infos.add(instrument=instrument, name=name)
    sequence.source_info.parser = sequence.SourceInfo.PRETTY_MIDI
    sequence.source_info.encoding_type = sequence.SourceInfo.MIDI
    return sequence


def test_reading_gives_back_what_was_written(rich):
    data = to_midi_bytes(rich)
    assert not differences(read_bytes(data, "x.mid"), rich)
    assert not differences(read_by_note_seq(data), rich)
    assert to_midi_bytes(rich) == to_midi_bytes(read_bytes(data, "x.mid")) == data


def test_drums_are_on_channel_ten_and_nothing_else_is():
    sequence = make_sequence(*[(60, 80, 0, 1, i) for i in range(20)])
    sequence.notes[7].is_drum = True
    channels = [
        next(iter(keys))[0] for keys in notes_by_key(to_midi_bytes(sequence)) if keys
    ]
    assert [i for i, channel in enumerate(channels) if channel == 9] == [7]


def heads(data: bytes):
    """(ports, (channel, program) pairs) of each track, of what stands at tick 0."""
    for track in mido.MidiFile(file=io.BytesIO(data)).tracks:
        first = list(itertools.takewhile(lambda message: message.time == 0, track))
        ports = [message.port for message in first if message.type == "midi_port"]
        programs = [
            (message.channel, message.program)
            for message in first
            if message.type == "program_change"
        ]
        yield ports, programs


def make_orchestra(num_instruments: int) -> NoteSequence:
    """All hold one key, each with its program and its volume."""
    sequence = make_sequence(
        *[(60, 80, i / 10, 9 - i / 10, i) for i in range(num_instruments)]
    )
    for i, note in enumerate(sequence.notes):
        note.program = i
        sequence.control_changes.add(
            instrument=i, program=i, control_number=7, control_value=i
        )
    return sequence


def test_fifteen_instruments_need_no_port():
    sequence = make_orchestra(16)
    sequence.notes[15].is_drum = True
    found = list(heads(to_midi_bytes(sequence)))
    assert not any(ports for ports, _ in found)
    channels = [channel for _, programs in found for channel, _ in programs]
    assert channels == [*range(9), *range(10, 16), 9]


def test_more_instruments_than_channels_keep_their_programs_and_notes():
    sequence = make_orchestra(40)
    sequence.notes[3].is_drum = True
    data = to_midi_bytes(sequence)
    conductor, *found = heads(data)
    assert conductor == ([0], [])
    places = [(ports, programs[0][0]) for ports, programs in found]
    assert places[:5] == [([0], 0), ([0], 1), ([0], 2), ([0], 9), ([0], 3)]
    melodic = [place for place in places if place[1] != 9]
    assert [ports for ports, _ in melodic] == [[0]] * 15 + [[1]] * 15 + [[2]] * 9
    assert len(set(map(str, places))) == 40
    assert [programs[0][1] for _, programs in found] == list(range(40))
    for again in (read_bytes(data, "x.mid"), read_by_note_seq(data)):
        assert sorted(
            (n.program, round(n.start_time, 3), round(n.end_time, 3))
            for n in again.notes
        ) == [(i, round(i / 10, 3), round(9 - i / 10, 3)) for i in range(40)]
    again = read_bytes(data, "x.mid")
    assert all(c.program == c.control_value for c in again.control_changes)
    assert len(again.control_changes) == 40


def test_more_instruments_than_all_ports_have_are_a_users_error():
    with pytest.raises(UserError, match="expected at most 1920 instruments"):
        to_midi_bytes(make_sequence(*[(60, 80, 0, 1, i) for i in range(1921)]))


def test_two_kits_of_drums_are_on_two_ports():
    sequence = make_sequence(*[(36, 80, 0, 1, i) for i in range(3)])
    for note, kit in zip(sequence.notes, (0, 25, 0), strict=True):
        note.is_drum, note.program = True, kit
    _, *found = heads(to_midi_bytes(sequence))
    assert found == [([0], [(9, 0)]), ([1], [(9, 25)]), ([0], [(9, 0)])]


def controls(data: bytes) -> list[tuple]:
    """(track, control, value) of all, in the file's order."""
    return [
        (i, message.control, message.value)
        for i, track in enumerate(mido.MidiFile(file=io.BytesIO(data)).tracks)
        for message in track
        if message.type == "control_change"
    ]


def test_a_channel_gets_each_control_once_however_many_instruments_share_it():
    sequence = make_sequence((36, 80, 0, 1, 0), (38, 80, 0, 1, 1))
    for note in sequence.notes:
        note.is_drum = True
        for value in (100, 0, 100):  # within one instrument every change counts
            sequence.control_changes.add(
                instrument=note.instrument,
                is_drum=True,
                time=0.5,
                control_number=7,
                control_value=value,
            )
    assert controls(to_midi_bytes(sequence)) == [(1, 7, 100), (1, 7, 0), (1, 7, 100)]
    for event in (*sequence.notes, *sequence.control_changes):
        event.is_drum = False  # now each has a channel of its own
    assert len(controls(to_midi_bytes(sequence))) == 6


def test_a_pedal_belongs_to_its_instrument_whatever_program_it_names():
    sequence = make_sequence((60, 80, 0, 1, 0), (60, 80, 0, 1, 1))
    sequence.notes[1].program = 40
    sequence.control_changes.add(instrument=1, control_number=64, control_value=127)
    data = to_midi_bytes(sequence)
    assert controls(data) == [(2, 64, 127)]
    assert len(mido.MidiFile(file=io.BytesIO(data)).tracks) == 3


def test_a_bank_is_chosen_before_the_program():
    sequence = make_sequence((60, 80, 0, 1))
    for number in (7, 0, 32):
        sequence.control_changes.add(control_number=number, control_value=1)
    _, track = mido.MidiFile(file=io.BytesIO(to_midi_bytes(sequence))).tracks
    assert [
        getattr(message, "control", message.type)
        for message in track
        if not message.time
    ] == [0, 32, "program_change", 7, "note_on", "end_of_track"]


def test_all_tracks_end_together_after_the_last_release_and_the_total_time():
    sequence = make_sequence((60, 80, 0, 1, 0), (62, 80, 0, 2.5, 1))
    for total_time, quarters in [(4.0, 8), (0.0, 5)]:  # at 120 qpm
        sequence.total_time = total_time
        file = mido.MidiFile(file=io.BytesIO(to_midi_bytes(sequence)))
        lengths = [sum(message.time for message in track) for track in file.tracks]
        assert lengths == [quarters * 220] * 3
        assert all(track[-1].type == "end_of_track" for track in file.tracks)


def test_title_names_the_first_track_and_instruments_name_theirs():
    sequence = make_sequence((60, 80, 0, 1))
    sequence.sequence_metadata.title = "Прелюдия"
    sequence.instrument_infos.add(instrument=0, name="Флейта")
    data = to_midi_bytes(sequence)
    file = mido.MidiFile(file=io.BytesIO(data), charset="utf-8")
    assert [track.name for track in file.tracks] == ["Прелюдия", "Флейта"]
    (info,) = read_bytes(data, "x.mid").instrument_infos
    assert info.name == "Флейта"


GRIDS = [
    *[BeatGrid(n, qpm) for n in (1, 2, 3, 4, 6, 8, 12, 16, 24) for qpm in (120, 95)],
    *[FrameGrid(rate) for rate in (2, 16, 24, 100, 960, 31.25)],
]


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_steps_of_a_grid_are_whole_ticks_of_a_file(grid):
    sequence = grid.new_sequence()
    steps = np.arange(0, 2000, 7)
    for start, end in itertools.pairwise(grid.to_seconds(steps).tolist()):
        sequence.notes.add(pitch=60, velocity=80, start_time=start, end_time=end)
    again = read_bytes(to_midi_bytes(sequence), "x.mid")
    ticks = []
    for piece in (sequence, again):
        quarters = TempoMap.of(piece).to_quarters([n.start_time for n in piece.notes])
        ticks.append(quarters * piece.ticks_per_quarter)
    np.testing.assert_allclose(*ticks, rtol=0, atol=1e-9)
    np.testing.assert_allclose(ticks[1], np.round(ticks[1]), rtol=0, atol=1e-9)
    assert np.array_equal(grid.to_steps(again, grid.to_seconds(steps)), steps)


@pytest.mark.parametrize("ticks_per_quarter", [24, 220, 480, 32767])
@pytest.mark.parametrize("qpm", [40, 95, 120, 200])
def test_ticks_are_scaled_by_the_tempo(ticks_per_quarter, qpm):
    # One of the reference systems wrote ticks of another scale than its header's.
    quarter = 60 / qpm
    sequence = make_sequence((60, 80, quarter, 3 * quarter), qpm=qpm)
    sequence.ticks_per_quarter = ticks_per_quarter
    data = to_midi_bytes(sequence)
    (keys,) = [keys for keys in notes_by_key(data) if keys]
    ticks = [tick for tick, _ in keys[0, 60]]
    assert ticks == [ticks_per_quarter, 3 * ticks_per_quarter]
    (note,) = read_bytes(data, "x.mid").notes
    assert note.start_time == pytest.approx(quarter, abs=1e-5)
    assert note.end_time == pytest.approx(3 * quarter, abs=1e-5)


def test_no_note_is_left_on_and_no_note_off_has_a_velocity():
    # Two of the reference systems left notes on, or let go with a velocity above 0.
    generator = np.random.default_rng(0)
    starts = generator.uniform(0, 20, 500)
    lengths = generator.choice([0, 1e-4, 0.3, 5], 500)
    pitches = generator.integers(58, 64, 500)
    velocities = generator.integers(0, 128, 500)
    sequence = make_sequence(
        *zip(
            pitches.tolist(),
            velocities.tolist(),
            starts.tolist(),
            (starts + lengths).tolist(),
            strict=True,
        )
    )
    data = to_midi_bytes(sequence)
    check_ons_and_offs_alternate(data)
    # What no two notes share a key for is what both readers make of it.
    again = read_bytes(data, "x.mid")
    assert not differences(again, read_by_note_seq(data))
    assert to_midi_bytes(again) == data


def test_of_overlapping_notes_the_earlier_is_cut_and_of_simultaneous_the_longer_stays():
    sequence = make_sequence(
        (60, 80, 0, 2), (60, 70, 1, 3), (62, 1, 0, 1), (62, 2, 0, 4)
    )
    written = read_bytes(to_midi_bytes(sequence), "x.mid")
    assert sorted(tuples(written)) == [(60, 70, 1, 3), (60, 80, 0, 1), (62, 2, 0, 4)]
    # Two instruments have a key each.
    sequence = make_sequence((60, 80, 0, 2, 0), (60, 70, 1, 3, 1))
    written = read_bytes(to_midi_bytes(sequence), "x.mid")
    assert tuples(written) == [(60, 80, 0, 2), (60, 70, 1, 3)]


def check_round_trip(sequence: NoteSequence) -> None:
    data = to_midi_bytes(sequence)
    check_ons_and_offs_alternate(data)
    written = read_bytes(data, "x.mid")
    different = differences(written, sequence)
    # Of tempos at one tick only the last has a meaning, and the others are not written.
    different.discard("tempos")
    times = np.linspace(0, sequence.total_time, 1000)
    quarters = [TempoMap.of(s).to_quarters(times) for s in (written, sequence)]
    np.testing.assert_allclose(*quarters, atol=1e-6)
    if "notes" in different:
        # Only those that MIDI cannot hold: two at once on one key of one instrument.
        different.remove("notes")
        ours, theirs = set(tuples(written)), set(tuples(sequence))
        assert len(theirs - ours) <= len(sequence.notes) / 20
        for pitch, _, start, end in theirs - ours:
            others = [n for n in sequence.notes if n.pitch == pitch]
            assert sum(n.start_time < end and n.end_time > start for n in others) > 1
    assert not different


def test_round_trip_of_real_pieces(shared_data):
    for path in sorted(shared_data.glob("piano_midi_de/**/*.mid"))[::60]:
        check_round_trip(read_file(path))


@pytest.mark.slow
def test_round_trip_of_all_of_piano_midi_de(shared_data):
    for path in sorted(shared_data.glob("piano_midi_de/**/*.mid")):
        check_round_trip(read_file(path))


def test_what_midi_cannot_say_is_left_out_and_the_rest_stays():
    sequence = make_sequence((60, 80, 0, 1))
    sequence.time_signatures.add(time=0, numerator=4, denominator=3)
    sequence.key_signatures.add(time=0, mode=sequence.KeySignature.DORIAN)
    sequence.instrument_infos.add(instrument=0, name="Флейта")
    sequence.tempos[0].qpm = 1  # a quarter of a minute does not fit three bytes
    written = read_bytes(to_midi_bytes(sequence), "x.mid")
    assert not written.time_signatures and not written.key_signatures
    assert written.instrument_infos[0].name == "Флейта"
    assert written.tempos[0].qpm == pytest.approx(3.58, abs=0.01)
    assert read_bytes(to_midi_bytes(make_sequence((60, 0, 0, 1))), "").notes[0].velocity


def test_files_appear_whole_under_their_names_alone(tmp_path, rich):
    for write, name in [
        (write_midi, "a.mid"),
        (write_musicxml, "a.musicxml"),
        (write_wav, "a.wav"),
    ]:
        write(rich, tmp_path / "new folder" / name)
    names = sorted(path.name for path in (tmp_path / "new folder").iterdir())
    assert names == ["a.mid", "a.musicxml", "a.wav"]
    assert (tmp_path / "new folder" / "a.mid").read_bytes() == to_midi_bytes(rich)


@pytest.mark.parametrize("write", [write_midi, write_musicxml, write_wav])
def test_music_is_not_written_into_a_folder_named_as_a_bucket(
    write, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="s3://bucket/x: expected a path on this"):
        write(make_sequence(), "s3://bucket/x")
    assert not list(tmp_path.iterdir())


def test_an_upbeat_has_a_time_signature_of_its_own_in_the_file():
    sequence = make_sequence((60, 80, 0, 8, 0))
    sequence.time_signatures.add(time=0.5, numerator=3, denominator=4)
    data = to_midi_bytes(sequence)
    conductor = mido.MidiFile(file=io.BytesIO(data)).tracks[0]
    ticks, found = 0, []
    for message in conductor:
        ticks += message.time
        if message.type == "time_signature":
            found.append((ticks, message.numerator, message.denominator))
    assert found == [(0, 1, 4), (220, 3, 4)]
    again = read_bytes(data, "x.mid")
    assert metres(again, TempoMap.of(again)) == [(-2, 3, 4)]
    assert to_midi_bytes(again) == data
