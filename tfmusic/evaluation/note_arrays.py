"""The pitched notes of a sequence as arrays, which is how all of evaluation sees it."""

import collections
import dataclasses
from collections.abc import Sequence

import numpy as np

from tfmusic.notes import NoteSequence
from tfmusic.notes.grid import TempoMap

# Steps of a quarter on which sixteenths and triplets both fall.
BEAT_DIVISION = 12
# Measured: onsets of music with a beat come to 0.6 and more, those of performances
# recorded without one to 0.1 at most.
_LEAST_BEAT_STRENGTH = 0.5
# Seconds; times closer than this are one moment. Arithmetic on tempo maps leaves
# differences far smaller, and no file format has ticks this fine.
_DIGITS = 6


@dataclasses.dataclass(frozen=True)
class NoteArrays:
    """The notes that have a pitch: drums are left out.

    Attributes:
        pitch: int64 [num_notes], MIDI numbers.
        start_seconds: float64 [num_notes], to the microsecond.
        end_seconds: float64 [num_notes]; never before the start.
        start_quarters: float64 [num_notes], by the tempo map of the sequence.
        end_quarters: float64 [num_notes].
        voice: int64 [num_notes], index into `voice_names`.
        voice_names: The part or instrument of each voice, as named in the sequence,
            else "voice 1" and so on; names are unique, and each voice has notes.
        seconds: The length of the music from time 0, trailing silence included.
        tempo_map: Turns seconds into quarters.
        bar_quarters: The length of a bar, by the time signature that holds longest;
            4 without one.
        has_beat: Whether the tempo map means anything. Where it does not, a "quarter"
            is a second.
    """

    pitch: np.ndarray
    start_seconds: np.ndarray
    end_seconds: np.ndarray
    start_quarters: np.ndarray
    end_quarters: np.ndarray
    voice: np.ndarray
    voice_names: tuple[str, ...]
    seconds: float
    tempo_map: TempoMap
    bar_quarters: float
    has_beat: bool

    @classmethod
    def of(cls, sequence: NoteSequence, has_beat: bool = True) -> "NoteArrays":
        """The notes of a sequence, in its order.

        Args:
            sequence: The music.
            has_beat: Whether its tempos mean anything; else time is in seconds alone.
        """
        notes = [note for note in sequence.notes if not note.is_drum]
        times = np.array([(n.start_time, n.end_time) for n in notes], np.float64)
        starts, ends = np.maximum(times.reshape(-1, 2).round(_DIGITS), 0).T
        ends = np.maximum(starts, ends)
        tempo_map = TempoMap.of(sequence) if has_beat else _SECONDS
        # Scores number their parts and put several on one channel; MIDI has no parts.
        members = [(note.part, note.instrument) for note in notes]
        voices = sorted(set(members))
        return cls(
            pitch=np.array([note.pitch for note in notes], np.int64),
            start_seconds=starts,
            end_seconds=ends,
            start_quarters=tempo_map.to_quarters(starts),
            end_quarters=tempo_map.to_quarters(ends),
            voice=np.array([voices.index(m) for m in members], np.int64),
            voice_names=_names(sequence, voices),
            seconds=max(
                round(sequence.total_time, _DIGITS), float(ends.max(initial=0.0))
            ),
            tempo_map=tempo_map,
            bar_quarters=_bar_quarters(sequence) if has_beat else 4.0,
            has_beat=has_beat,
        )

    @property
    def unit(self) -> str:
        """What lengths are measured in, for labels."""
        return "quarters" if self.has_beat else "seconds"


# A tempo map by which a quarter is a second.
_SECONDS = TempoMap(np.zeros(1), np.zeros(1), np.full(1, 60.0))


def has_beat(sequences: Sequence[NoteSequence]) -> bool:
    """Whether most pieces begin their notes on the beats of their tempo maps.

    Performances that were recorded in real time carry a tempo that means nothing. The
    onsets of a piece, as angles within a twelfth of a quarter, have a mean vector: its
    length is near 1 if they keep to a grid, early or late, and near 0 if they do not.
    """
    strengths = []
    for sequence in sequences:
        starts = np.unique(NoteArrays.of(sequence).start_quarters)
        if len(starts):
            angles = np.exp(2j * np.pi * BEAT_DIVISION * starts)
            strengths.append(abs(angles.mean()))
    return bool(np.median(strengths or [1.0]) >= _LEAST_BEAT_STRENGTH)


@dataclasses.dataclass(frozen=True)
class Segments:
    """The music cut wherever a note starts or ends; nothing changes inside a segment.

    The first segment starts at 0 and the last ends with the music, in silence too.

    Attributes:
        seconds: float64 [num_segments + 1], the cuts.
        quarters: float64 [num_segments + 1], the same cuts.
        sounding: bool [num_segments, 128], the pitches that sound.
        struck: bool [num_segments], whether a note starts where the segment does.
    """

    seconds: np.ndarray
    quarters: np.ndarray
    sounding: np.ndarray
    struck: np.ndarray

    @classmethod
    def of(cls, notes: NoteArrays) -> "Segments":
        """Cuts the music. Notes of no length neither sound nor cut."""
        lasting = notes.end_seconds > notes.start_seconds
        starts, ends = notes.start_seconds[lasting], notes.end_seconds[lasting]
        cuts = np.unique(np.concatenate([[0.0, notes.seconds], starts, ends]))
        first, last = np.searchsorted(cuts, starts), np.searchsorted(cuts, ends)
        changes = np.zeros((len(cuts), 128), np.int32)
        np.add.at(changes, (first, notes.pitch[lasting]), 1)
        np.add.at(changes, (last, notes.pitch[lasting]), -1)
        struck = np.zeros(len(cuts), bool)
        struck[first] = True
        return cls(
            seconds=cuts,
            quarters=notes.tempo_map.to_quarters(cuts),
            sounding=changes.cumsum(axis=0)[:-1] > 0,
            struck=struck[:-1],
        )


def _bar_quarters(sequence: NoteSequence) -> float:
    """The length of a bar by the time signature that holds the longest."""
    signatures = [
        s for s in sequence.time_signatures if s.numerator > 0 and s.denominator > 0
    ]
    signatures.sort(key=lambda signature: signature.time)
    ends = [*(s.time for s in signatures[1:]), sequence.total_time]
    seconds = collections.Counter({4.0: 0.0})
    for signature, end in zip(signatures, ends, strict=False):
        quarters = 4 * signature.numerator / signature.denominator
        seconds[quarters] += max(end - signature.time, 0.0)
    return seconds.most_common(1)[0][0]


def _names(sequence: NoteSequence, voices: list[tuple[int, int]]) -> tuple[str, ...]:
    parts = {info.part: info.name for info in sequence.part_infos}
    instruments = {info.instrument: info.name for info in sequence.instrument_infos}
    names = []
    for i, (part, instrument) in enumerate(voices):
        name = parts.get(part) or instruments.get(instrument) or f"voice {i + 1}"
        names.append(name if name not in names else f"{name} {i + 1}")
    return tuple(names)
