"""A plain additive synthesizer: what a piece sounds like, with nothing to install."""

import io
import wave

import numpy as np

from tfmusic.notes import NoteSequence
from tfmusic.notes.transforms import apply_sustain

_NUM_PARTIALS = 8
_ATTACK_SECONDS = 0.004
_RELEASE_SECONDS = 0.08
_LONGEST_SECONDS = 8.0  # after which the longest string has died away
_PEAK = 0.9


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
    loudest = np.abs(samples).max(initial=0)
    return samples * np.float32(_PEAK / loudest) if loudest > 0 else samples


def to_wav_bytes(samples: np.ndarray, sample_rate: int) -> bytes:
    """Samples within -1..1, float [num_samples], as a 16-bit WAV file."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes(np.round(samples * 32767).astype("<i2").tobytes())
    return buffer.getvalue()


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
