"""What is written as audio sounds as the music says."""

import os
import pathlib
import struct
import subprocess
import sys
import wave

import numpy as np
import pytest

from tests.notes.sequences import make_sequence
from tfmusic.errors import UserError
from tfmusic.notes.synthesis import (
    find_soundfont,
    player_name,
    render,
    synthesize,
)
from tfmusic.notes.writing import write_wav

RATE = 44100


@pytest.fixture(scope="module")
def soundfont() -> str:
    path = find_soundfont()
    if path is None:
        pytest.skip("tinysoundfont or the SoundFont of pretty_midi is not installed")
    return path


def loudness(samples: np.ndarray, start: float, end: float) -> float:
    """Root mean square of both channels from one second to another."""
    part = samples[int(start * RATE) : int(end * RATE)].astype(float)
    return float(np.sqrt(np.mean(part**2))) if len(part) else 0.0


def frequency(samples: np.ndarray) -> float:
    """Of the strongest partial in the first second."""
    return float(np.argmax(np.abs(np.fft.rfft(samples[:RATE].mean(axis=1)))))


def test_piano_plays_a_in_tune_and_in_stereo(soundfont):
    samples = render(make_sequence((69, 100, 0, 1.0)), soundfont)
    assert samples.dtype == np.float32 and samples.shape[1] == 2
    assert abs(frequency(samples) - 440) <= 1
    assert np.abs(samples).max() == pytest.approx(0.9)
    # It dies away and ends.
    assert 1.0 * RATE < len(samples) < 4.0 * RATE


def test_the_same_music_gives_the_same_file(soundfont, tmp_path):
    sequence = make_sequence((69, 100, 0, 0.5), (36, 90, 0.2, 0.4, 1))
    sequence.notes[1].is_drum = True
    for name in ("a.wav", "b.wav"):
        write_wav(sequence, tmp_path / name, soundfont)
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()
    with wave.open(str(tmp_path / "a.wav")) as file:
        assert file.getparams()[:3] == (2, 2, RATE)
        heard = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    samples = render(sequence, soundfont)
    np.testing.assert_allclose(heard.reshape(-1, 2) / 32767, samples, atol=1e-4)


def test_pedal_holds_until_it_is_lifted(soundfont):
    def play(pedal: bool) -> np.ndarray:
        sequence = make_sequence((60, 100, 0, 0.2), (84, 1, 4.0, 4.1))
        if pedal:
            for time, value in ((0, 127), (2, 0)):
                sequence.control_changes.add(
                    time=time, control_number=64, control_value=value
                )
        return render(sequence, soundfont)

    dry, wet = play(pedal=False), play(pedal=True)
    assert loudness(wet, 1, 2) > 100 * loudness(dry, 1, 2)
    assert loudness(wet, 3, 4) < loudness(wet, 1, 2) / 100


def test_programs_velocities_and_drums_are_heard(soundfont):
    def play(**fields) -> np.ndarray:
        sequence = make_sequence((60, 100, 0, 0.5), (48, 127, 1, 1.5, 1))
        for name, value in fields.items():
            setattr(sequence.notes[0], name, value)
        return render(sequence, soundfont)[: RATE // 2]

    piano, flute, drum, soft = (
        play(),
        play(program=73),
        play(is_drum=True),
        play(velocity=20),
    )
    for other in (flute, drum):
        assert abs(np.corrcoef(piano.mean(axis=1), other.mean(axis=1))[0, 1]) < 0.5
    assert loudness(soft, 0, 0.5) < loudness(piano, 0, 0.5) / 3


def test_what_a_soundfont_lacks_its_first_instrument_plays(soundfont, tmp_path):
    data = bytearray(pathlib.Path(soundfont).read_bytes())
    begin = data.index(b"phdr") + 8
    (length,) = struct.unpack("<I", data[begin - 4 : begin])
    for place in range(begin + 38, begin + length - 38, 38):
        data[place + 22 : place + 24] = b"\x63\x00"  # all but one go to bank 99
    (tmp_path / "one.sf2").write_bytes(data)
    (first,) = struct.unpack("<H", data[begin + 20 : begin + 22])
    sequence = make_sequence((60, 80, 0, 1))
    sequence.notes[0].program = first
    expected = render(sequence, str(tmp_path / "one.sf2"))
    sequence.notes[0].program = first + 1
    heard = render(sequence, str(tmp_path / "one.sf2"))
    np.testing.assert_array_equal(heard, expected)


def test_volume_pan_and_bend_are_heard(soundfont):
    def play(*controls: tuple[int, int], bend: int = 0) -> np.ndarray:
        sequence = make_sequence((69, 100, 0, 1), (69, 100, 5, 6, 1))
        for number, value in controls:
            sequence.control_changes.add(control_number=number, control_value=value)
        if bend:
            sequence.pitch_bends.add(bend=bend)
        return render(sequence, soundfont)

    assert loudness(play((7, 20)), 0, 1) < loudness(play(), 0, 1) / 3
    left, right = np.abs(play((10, 0))[:RATE]).max(axis=0)
    assert left > 5 * right
    assert abs(frequency(play(bend=8191)) - 440 * 2 ** (2 / 12)) <= 2


def test_many_loud_notes_and_instruments_do_not_clip(soundfont):
    sequence = make_sequence(*[(30 + i, 127, 0, 1, i % 20) for i in range(64)])
    for note in sequence.notes:
        note.program = note.instrument
    samples = render(sequence, soundfont)
    assert np.abs(samples).max() == pytest.approx(0.9)
    assert (np.abs(samples) > 0.899).sum() < 10  # a peak, not a plateau


def test_more_instruments_than_channels_are_heard_each_with_its_program(soundfont):
    many = make_sequence(*[(69, 1, 2, 2.1, i) for i in range(16)], (69, 100, 0, 1, 16))
    one = make_sequence((69, 1, 2, 2.1, 0), (69, 100, 0, 1, 16))
    for sequence in (many, one):
        sequence.notes[-1].program = 73
    many, one = (render(s, soundfont)[:RATE].mean(axis=1) for s in (many, one))
    assert np.corrcoef(many, one)[0, 1] > 0.999


def test_silence_is_written_too(soundfont, tmp_path):
    write_wav(make_sequence(), tmp_path / "a.wav", soundfont)
    with wave.open(str(tmp_path / "a.wav")) as file:
        assert file.getnframes() == 0


def test_a_file_that_is_no_soundfont_is_refused(soundfont, tmp_path):
    with pytest.raises(UserError, match="no.sf2: expected a SoundFont .*found no file"):
        find_soundfont(tmp_path / "no.sf2")
    (tmp_path / "x.sf2").write_bytes(b"RIFF, but no font")
    with pytest.raises(UserError, match="x.sf2: expected a SoundFont"):
        write_wav(make_sequence(), tmp_path / "a.wav", tmp_path / "x.sf2")
    assert not (tmp_path / "a.wav").exists()


def test_without_tinysoundfont_a_simple_synthesizer_plays(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "tinysoundfont", None)
    assert find_soundfont() is None
    assert player_name(None).startswith("a simple synthesizer (for real instruments")
    sequence = make_sequence((69, 100, 0, 1.0))
    write_wav(sequence, tmp_path / "a.wav", sample_rate=8000)
    with wave.open(str(tmp_path / "a.wav")) as file:
        assert file.getparams()[:3] == (1, 2, 8000)
        heard = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    np.testing.assert_allclose(heard / 32767, synthesize(sequence, 8000), atol=1e-4)
    (tmp_path / "x.sf2").write_bytes(b"RIFF")
    with pytest.raises(UserError, match="pip install --no-deps tinysoundfont"):
        write_wav(sequence, tmp_path / "b.wav", tmp_path / "x.sf2")


def test_player_is_named_by_its_soundfont():
    assert player_name("/fonts/Grand.sf2") == "the instruments of Grand.sf2"


def test_synthesizer_is_imported_only_where_audio_is_written(tmp_path):
    code = (
        "import sys\n"
        "from tfmusic.notes import NoteSequence, synthesis, writing\n"
        "writing.write_midi(NoteSequence(), 'a.mid')\n"
        "synthesis.find_soundfont()\n"
        "sys.exit(bool({'tinysoundfont', 'pretty_midi'} & set(sys.modules)))\n"
    )
    root = pathlib.Path(__file__).resolve().parents[2]
    paths = os.pathsep.join([str(root), *filter(None, sys.path)])
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": paths},
    )
    assert run.returncode == 0


def test_simple_tones_follow_the_notes():
    sequence = make_sequence(
        (69, 120, 0.0, 1.0), (69, 30, 2.0, 3.0), (45, 120, 4.0, 5.0)
    )
    rate = 8000
    samples = synthesize(sequence, rate)
    assert samples.dtype == np.float32 and len(samples) == 6 * rate
    assert np.abs(samples).max() == pytest.approx(0.9)
    seconds = samples.reshape(6, rate)
    loudest = np.abs(seconds).max(axis=1)
    assert loudest[0] > 2 * loudest[2] > 0
    assert np.abs(seconds[[1, 3]][:, rate // 5 :]).max() < 1e-6  # silence between notes
    for second, pitch in [(0, 440), (4, 110)]:
        assert abs(np.argmax(np.abs(np.fft.rfft(seconds[second]))) - pitch) <= 1


def test_simple_tones_follow_the_pedal_and_an_empty_sequence_is_silent():
    sequence = make_sequence((60, 80, 0, 0.2), (72, 1, 2, 2.1))
    dry = synthesize(sequence, 8000)
    sequence.control_changes.add(time=0, control_number=64, control_value=127)
    wet = synthesize(sequence, 8000)
    assert np.abs(dry[8000:16000]).max() < 1e-6 < 0.01 < np.abs(wet[8000:16000]).max()
    assert not synthesize(make_sequence(), 8000).any()
