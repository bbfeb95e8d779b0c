import collections
import io
import wave

import mido
import numpy as np
import pytest

from tests.notes import midi_files as m
from tests.notes.sequences import differences, make_sequence, read_by_note_seq, tuples
from tfmusic.errors import UserError
from tfmusic.notes import NoteSequence
from tfmusic.notes.grid import TempoMap
from tfmusic.notes.reading import read_bytes, read_file
from tfmusic.notes.synthesis import synthesize
from tfmusic.notes.transforms import apply_sustain
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


def test_many_instruments_keep_their_programs_and_pedals_apart():
    sequence = make_sequence(*[(60, 80, 0, 1, i) for i in range(40)])
    for i, note in enumerate(sequence.notes):
        note.is_drum = i >= 37
        note.program = i + 1
        for time, value in ((0.5, 127), (2 + i / 8, 0)):
            sequence.control_changes.add(
                time=time,
                control_number=64,
                control_value=value,
                instrument=i,
                program=i + 1,
                is_drum=i >= 37,
            )
    data = to_midi_bytes(sequence)
    again = read_bytes(data, "x.mid")
    assert not differences(again, sequence) - {"source_info"}
    held = sorted(note.end_time for note in apply_sustain(again).notes)
    assert held == [1, 1, 1] + [2 + i / 8 for i in range(37)]
    assert to_midi_bytes(again) == data


def test_a_pedal_without_a_program_is_that_of_its_instrument():
    sequence = make_sequence((60, 80, 0, 1), (72, 80, 0, 1))
    sequence.notes[0].program, sequence.notes[1].program = 5, 6
    sequence.control_changes.add(time=0.5, control_number=64, control_value=127)
    sequence.control_changes.add(time=2, control_number=64, control_value=0)
    again = read_bytes(to_midi_bytes(sequence), "x.mid")
    assert [note.end_time for note in apply_sustain(again).notes] == [2, 2]
    assert len(again.control_changes) == 4


def test_a_pedal_of_both_hands_is_in_the_file_once_for_each():
    hands = [
        m.track((0, m.on(60 + i)), (480, m.off(60 + i)), (0, m.on(60)), (9, m.off(60)))
        for i in (0, 12)
    ]
    pedal = m.track((100, m.control(64, 127)), (700, m.control(64, 0)))
    data = m.midi_file(*hands, pedal)
    for _ in range(3):
        data = to_midi_bytes(read_bytes(data, "x.mid"))
        messages = [
            (track, message.channel, message.value)
            for track, events in enumerate(mido.MidiFile(file=io.BytesIO(data)).tracks)
            for message in events
            if message.type == "control_change"
        ]
        assert messages == [(1, 0, 127), (1, 0, 0), (2, 1, 127), (2, 1, 0)]


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


def test_a_score_reads_back_with_its_parts_metre_key_and_tempo(tmp_path):
    sequence = make_sequence(
        (60, 80, 0.01, 0.5, 0),  # a little late: the score rounds to sixteenths
        (64, 80, 0.0, 0.5, 0),
        (65, 80, 0.5, 0.667, 0),
        (67, 80, 0.667, 0.833, 0),
        (69, 80, 0.833, 1.0, 0),
        (48, 80, 0.0, 2.0, 1),
        (50, 80, 1.0, 3.0, 1),  # another voice
        qpm=120,
    )
    sequence.time_signatures.add(time=0, numerator=3, denominator=4)
    sequence.key_signatures.add(time=0, key=7)
    sequence.tempos.add(time=2, qpm=90)
    for instrument, name in enumerate(["Right hand", "Left hand"]):
        sequence.instrument_infos.add(instrument=instrument, name=name)
    write_musicxml(sequence, tmp_path / "a.musicxml")
    again = read_file(tmp_path / "a.musicxml")
    assert [info.name for info in again.instrument_infos] == ["Right hand", "Left hand"]
    assert [t.qpm for t in again.tempos] == [120, 90]
    assert [(t.numerator, t.denominator) for t in again.time_signatures] == [(3, 4)]
    assert again.key_signatures[0].key == 7
    third = 1 / 6
    assert sorted(
        (n.instrument, n.pitch, round(n.start_time, 3), round(n.end_time, 3))
        for n in again.notes
    ) == [
        (0, 60, 0.0, 0.5),
        (0, 64, 0.0, 0.5),
        (0, 65, 0.5, round(0.5 + third, 3)),
        (0, 67, round(0.5 + third, 3), round(0.5 + 2 * third, 3)),
        (0, 69, round(0.5 + 2 * third, 3), 1.0),
        (1, 48, 0.0, 2.0),
        (1, 50, 1.0, 3.0),
    ]


def test_a_real_performance_makes_a_score_that_opens(shared_data, tmp_path):
    sequence = read_file(shared_data / "piano_midi_de/midis/Chopin/chpn-p4.mid")
    write_musicxml(sequence, tmp_path / "a.musicxml")
    again = read_file(tmp_path / "a.musicxml")
    assert len(again.notes) == len(sequence.notes)


def test_sound_follows_the_notes(tmp_path):
    sequence = make_sequence(
        (69, 120, 0.0, 1.0), (69, 30, 2.0, 3.0), (45, 120, 4.0, 5.0)
    )
    rate = 8000
    samples = synthesize(sequence, rate)
    assert samples.dtype == np.float32 and len(samples) == 6 * rate
    assert np.abs(samples).max() == pytest.approx(0.9)
    seconds = samples.reshape(6, rate)
    loudness = np.abs(seconds).max(axis=1)
    assert loudness[0] > 2 * loudness[2] > 0
    assert np.abs(seconds[[1, 3]][:, rate // 5 :]).max() < 1e-6  # silence between notes
    for second, frequency in [(0, 440), (4, 110)]:
        assert abs(np.argmax(np.abs(np.fft.rfft(seconds[second]))) - frequency) <= 1
    write_wav(sequence, tmp_path / "a.wav", sample_rate=rate)
    with wave.open(str(tmp_path / "a.wav")) as file:
        assert file.getframerate() == rate and file.getsampwidth() == 2
        heard = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    np.testing.assert_allclose(heard / 32767, samples, atol=1e-4)


def test_the_pedal_is_heard_and_an_empty_sequence_is_silent():
    sequence = make_sequence((60, 80, 0, 0.2), (72, 1, 2, 2.1))
    dry = synthesize(sequence, 8000)
    sequence.control_changes.add(time=0, control_number=64, control_value=127)
    wet = synthesize(sequence, 8000)
    assert np.abs(dry[8000:16000]).max() < 1e-6 < 0.01 < np.abs(wet[8000:16000]).max()
    assert not synthesize(make_sequence(), 8000).any()


@pytest.mark.parametrize("write", [write_midi, write_musicxml, write_wav])
def test_music_is_not_written_into_a_folder_named_as_a_bucket(
    write, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="s3://bucket/x: expected a path on this"):
        write(make_sequence(), "s3://bucket/x")
    assert not list(tmp_path.iterdir())
