"""What a piece sounds like: by the instruments of a SoundFont, or simple tones.

A SoundFont is a file of sampled instruments; the package tinysoundfont plays it. Where
one of them is missing, an additive synthesizer plays, with nothing to install.
"""

import contextlib
import importlib.util
import io
import os
import pathlib
import wave
from collections.abc import Iterable

import numpy as np

from tfmusic.errors import UserError
from tfmusic.notes import NoteSequence
from tfmusic.notes.transforms import apply_sustain
from tfmusic.notes.writing import DRUM_CHANNEL, MidiClock, MidiPart, midi_parts

HOW_TO_INSTALL = "pip install --no-deps tinysoundfont"
_NUM_PARTIALS = 8
_ATTACK_SECONDS = 0.004
_RELEASE_SECONDS = 0.08
_LONGEST_SECONDS = 8.0  # after which the longest string has died away
_PEAK = 0.9
_MAX_VOICES = 1024  # sounding together; a note takes one or two
_TAIL_SECONDS = 5.0  # in which the last notes die away
_SILENCE = 1e-4  # -80 dB
_CHUNK = 2**20  # samples that are converted at once


def find_soundfont(path: str | os.PathLike | None = None) -> str | None:
    """The SoundFont to play with.

    Args:
        path: A file, or None for the one that comes with pretty_midi.

    Returns:
        Its path, or None where there is none, or nothing to play it.

    Raises:
        UserError: A file is named that is no SoundFont, or nothing can play it.
    """
    can_play = importlib.util.find_spec("tinysoundfont") is not None
    if path is not None:
        if not pathlib.Path(path).is_file():
            raise UserError(f"{path}: expected a SoundFont (.sf2), found no file")
        if not can_play:
            raise UserError(f"{path}: to play a SoundFont, {HOW_TO_INSTALL}")
        _load(os.fspath(path))
        return os.fspath(path)
    # note-seq requires pretty_midi; looked for, not imported.
    package = importlib.util.find_spec("pretty_midi")
    if not can_play or package is None or package.origin is None:
        return None
    own = pathlib.Path(package.origin).with_name("TimGM6mb.sf2")
    return str(own) if own.is_file() else None


def player_name(soundfont: str | None) -> str:
    """Who plays, for a line that tells it: what `find_soundfont` found, or tones."""
    if soundfont:
        return f"the instruments of {os.path.basename(soundfont)}"
    return f"a simple synthesizer (for real instruments: {HOW_TO_INSTALL})"


def render(
    sequence: NoteSequence, soundfont: str, sample_rate: int = 44100
) -> np.ndarray:
    """Plays a sequence on the instruments of a SoundFont.

    What is heard is the sequence's MIDI file: programs, drums, velocities, pedal,
    volume, pan and pitch bends. The same sequence gives the same samples.

    Args:
        sequence: Any sequence.
        soundfont: A file, .sf2, .sf3 or .sfo.
        sample_rate: Samples per second.

    Returns:
        float32 [num_samples, 2] within -0.9..0.9, the loudest sample on the bound.

    Raises:
        UserError: The file is no SoundFont.
    """
    sequence = apply_sustain(sequence)  # tinysoundfont knows no pedal
    clock = MidiClock.of(sequence)
    parts = midi_parts(sequence, clock)
    ends = [message[0] for part in parts for message in part.messages]
    num_seconds = clock.seconds([max(ends, default=0)])[0] + _TAIL_SECONDS
    num_samples = int(num_seconds * sample_rate)
    samples = np.zeros((num_samples, 2), np.float32)
    for port in sorted({part.port for part in parts}):
        # A synthesizer has 16 channels, like a port.
        own = [part for part in parts if part.port == port]
        samples += _play_port(own, clock, soundfont, sample_rate, num_samples)
    _normalize(samples)
    loud = np.flatnonzero((samples > _SILENCE).any(axis=1))
    return samples[: loud[-1] + 1 if len(loud) else 0]


def _play_port(
    parts: Iterable[MidiPart],
    clock: MidiClock,
    soundfont: str,
    sample_rate: int,
    num_samples: int,
) -> np.ndarray:
    """Up to 16 channels; float32 [num_samples, 2]."""
    synth = _load(soundfont, sample_rate)
    messages = [message for part in parts for message in part.messages]
    messages.sort(key=lambda message: message[:2])
    seconds = clock.seconds(tick for tick, _, _ in messages)
    places = np.round(seconds * sample_rate).astype(np.int64).tolist()
    samples = np.zeros((num_samples, 2), np.float32)
    begin = 0
    for place, (_, _, message) in zip(places, messages, strict=True):
        if place > begin:
            synth.generate_simple(place - begin, samples[begin:place].data.cast("B"))
            begin = place
        _send(synth, message)
    synth.generate_simple(num_samples - begin, samples[begin:].data.cast("B"))
    return samples


def _load(soundfont: str, sample_rate: int = 44100):
    """A synthesizer of tinysoundfont."""
    import tinysoundfont

    synth = tinysoundfont.Synth(samplerate=sample_rate)
    try:
        synth.sfload(soundfont, max_voices=_MAX_VOICES)
    except RuntimeError as error:
        raise UserError(
            f"{soundfont}: expected a SoundFont (.sf2, .sf3 or .sfo), but {error}"
        ) from error
    return synth


def _send(synth, message) -> None:
    if message.type == "note_on":
        synth.noteon(message.channel, message.note, message.velocity)
    elif message.type == "note_off":
        synth.noteoff(message.channel, message.note)
    elif message.type == "control_change":
        synth.control_change(message.channel, message.control, message.value)
    elif message.type == "pitchwheel":
        synth.pitchbend(message.channel, message.pitch + 8192)
    else:
        is_drum = message.channel == DRUM_CHANNEL
        # A SoundFont may lack the program: its first instrument plays then.
        with contextlib.suppress(RuntimeError):
            synth.program_change(message.channel, message.program, is_drum)


def synthesize(sequence: NoteSequence, sample_rate: int = 22050) -> np.ndarray:
    """Plays a sequence on something between a piano and a music box.

    A note is a sum of partials that die away, the high ones and high notes first;
    drums are bursts of noise. The sustain pedal is heard, pitch bends are not.

    Returns:
        float32 [num_samples] within -0.9..0.9, the loudest sample on the bound.
    """
    sequence = apply_sustain(sequence)
    ends = [note.end_time for note in sequence.notes]
    num_samples = int((max(ends, default=0.0) + 1.0) * sample_rate)
    samples = np.zeros(num_samples, np.float32)
    tones: dict[tuple[int, bool], np.ndarray] = {}
    release = np.linspace(1, 0, int(_RELEASE_SECONDS * sample_rate), dtype=np.float32)
    for note in sequence.notes:
        key = note.pitch, note.is_drum
        if key not in tones:
            tones[key] = _tone(*key, sample_rate)
        start = max(round(note.start_time * sample_rate), 0)
        held = max(round(note.end_time * sample_rate) - start, 0)
        sound = tones[key][: held + len(release)] * np.float32(
            (note.velocity or 64) / 127
        )
        tail = sound[held:]
        tail *= release[: len(tail)]
        sound = sound[: num_samples - start]
        samples[start : start + len(sound)] += sound
    _normalize(samples)
    return samples


def to_wav_bytes(samples: np.ndarray, sample_rate: int) -> bytes:
    """A 16-bit WAV file.

    Args:
        samples: Within -1..1, float [num_samples] or [num_samples, num_channels].
        sample_rate: Samples per second.
    """
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1 if samples.ndim == 1 else samples.shape[1])
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        for begin in range(0, len(samples), _CHUNK):
            chunk = np.round(samples[begin : begin + _CHUNK] * 32767)
            file.writeframesraw(chunk.astype("<i2").tobytes())
    return buffer.getvalue()


def _normalize(samples: np.ndarray) -> None:
    """Makes samples as loud as can be without clipping, in their place."""
    loudest = max(samples.max(initial=0), -samples.min(initial=0))
    if loudest > 0:
        samples *= np.float32(_PEAK / loudest)


def _tone(pitch: int, is_drum: bool, sample_rate: int) -> np.ndarray:
    """One note of full velocity, as long as it can be held; float32."""
    frequency = 440.0 * 2 ** ((pitch - 69) / 12)
    if is_drum:
        seconds = np.arange(int(0.3 * sample_rate)) / sample_rate
        noise = np.random.default_rng(pitch).uniform(-0.5, 0.5, len(seconds))
        return (noise * np.exp(-seconds * 25)).astype(np.float32)
    half_life = 1.2 * 2 ** ((60 - pitch) / 24)
    seconds = np.arange(int(_LONGEST_SECONDS * sample_rate)) / sample_rate
    tone = np.zeros(len(seconds))
    for partial in range(1, _NUM_PARTIALS + 1):
        # Partials above half the sample rate would come back as false low ones.
        if partial * frequency < 0.45 * sample_rate:
            decay = np.exp2(-seconds / half_life * partial**0.5)
            phase = 2 * np.pi * frequency * partial * seconds
            tone += np.sin(phase) * decay / partial**1.5
    return (tone * np.minimum(seconds / _ATTACK_SECONDS, 1)).astype(np.float32)
