"""All that is measured of a piece, as the sections of a table."""

import dataclasses

import numpy as np

from tfmusic.evaluation.harmony import ending, harmony
from tfmusic.evaluation.melody import (
    interval_histogram,
    melodic_intervals,
    melody_pitches,
)
from tfmusic.evaluation.metre import metre
from tfmusic.evaluation.music_statistics import MusicStatistics, statistics_of
from tfmusic.evaluation.note_arrays import NoteArrays, Segments
from tfmusic.evaluation.repetition import (
    passage_returns,
    repeated_patterns,
    top_voice,
)
from tfmusic.evaluation.structure import structure
from tfmusic.evaluation.tonality import SoundingTime, key_of, tonality
from tfmusic.evaluation.voice_leading import voice_leading
from tfmusic.evaluation.voices import VoiceGrid, sounding_frames
from tfmusic.notes import NoteSequence


@dataclasses.dataclass(frozen=True)
class Description:
    """A piece in numbers; those that make no sense for its kind of music are left out.

    Attributes:
        statistics: What any music has.
        sections: All values, also those of `statistics`, by section and label.
        histograms: Fractions by name: what no single number tells.
    """

    statistics: MusicStatistics
    sections: dict[str, dict[str, float]]
    histograms: dict[str, tuple[float, ...]]


def describe(
    sequence: NoteSequence, has_beat: bool = True, is_whole: bool = True
) -> Description:
    """Measures a piece.

    Args:
        sequence: The music.
        has_beat: Whether its tempos mean anything. Without a beat there is no metre,
            and lengths are in seconds.
        is_whole: Whether it has its own end, and was not cut.
    """
    notes = NoteArrays.of(sequence, has_beat)
    segments = Segments.of(notes)
    sounding = SoundingTime(segments)
    melody = melody_pitches(notes, segments)
    music = statistics_of(notes, segments)
    tonic = int(key_of(sounding.total)) % 12
    sections = {
        **(_on_the_beat(notes, tonic, is_whole) if has_beat else {}),
        "Key": tonality(notes, sounding),
        "Melody": melodic_intervals(melody),
    }
    repetition = sections.setdefault("Repetition", {})
    patterns = repeated_patterns(melody)
    if patterns is not None:
        label = "runs of 4 melody notes that come again, %"
        repetition[label] = 100 * patterns
    frames = np.arange(np.ceil(sounding.end))
    chroma = sounding.between(frames, frames + 1)
    for durations, value in structure(chroma).items():
        label = f"a part of {durations} {notes.unit} stands for the piece, 0 to 1"
        repetition[label] = value
    sections |= music.sections()
    return Description(
        statistics=music,
        sections={name: rows for name, rows in sections.items() if rows},
        histograms=_histograms(music, notes, melody, tonic),
    )


def _on_the_beat(
    notes: NoteArrays, tonic: int, is_whole: bool
) -> dict[str, dict[str, float]]:
    """What needs a grid of eighth notes."""
    frames = sounding_frames(notes)
    voices = VoiceGrid.of(notes, frames)
    returns = 100.0 * passage_returns(top_voice(frames, voices))
    return {
        "Metre": metre(notes, voices),
        "Harmony": harmony(frames) | (ending(frames, tonic) if is_whole else {}),
        "Voice leading": voice_leading(voices) if voices is not None else {},
        "Repetition": {"pieces in which 2 bars of melody return, %": returns},
    }


def _histograms(
    music: MusicStatistics, notes: NoteArrays, melody: np.ndarray, tonic: int
) -> dict[str, tuple[float, ...]]:
    if not len(notes.pitch):
        return {}
    classes = np.bincount((notes.pitch - tonic) % 12, minlength=12) / len(notes.pitch)
    found = {
        "pitch classes above the tonic": classes,
        "note lengths": np.array(music.length_shares),
    }
    if len(melody) > 1:
        found["melodic intervals"] = interval_histogram(melody)
    return {name: tuple(fractions.tolist()) for name, fractions in found.items()}
