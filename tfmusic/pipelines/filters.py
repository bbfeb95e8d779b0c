"""Which pieces of a source are wanted, and which of their instruments.

Nothing here needs TensorFlow: see `tfmusic.pipelines.parsing`.
"""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfmusic.errors import DropError, UserError, choose
from tfmusic.notes import NoteSequence, wire
from tfmusic.notes.grid import TempoMap, metres

_TINY = 1e-6  # seconds; rounding error of a tempo map


@dataclasses.dataclass(frozen=True)
class Filters:
    """What a piece must be like to be kept; by default anything.

    Instruments are chosen first, and the rest is asked of what they leave.

    Attributes:
        composers: Parts of names, in any case; a piece by one of them is kept.
        min_seconds: The shortest piece that is kept.
        max_seconds: The longest piece that is kept; 0 for any.
        metres: Such as "3/4"; a piece that is in these alone is kept. Music without
            a time signature is in 4/4, as in MIDI.
        programs: MIDI programs from 0, such as "24" or "0-7", whose notes are kept.
            Drums have no program: see `drums`.
        instruments: Parts of names of tracks or parts, in any case, whose notes are
            kept.
        drums: "keep" or "drop".
    """

    composers: tuple[str, ...] = ()
    min_seconds: float = 0.0
    max_seconds: float = 0.0
    metres: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    instruments: tuple[str, ...] = ()
    drums: str = "keep"

    def __post_init__(self):
        choose("--drums", self.drums, ["keep", "drop"])
        for metre in self.metres:
            if not re.fullmatch(r"[1-9]\d*/(1|2|4|8|16|32|64)", metre):
                raise UserError(f"--metre: expected such as 3/4, not {metre!r}")
        for programs in self.programs:
            low, high = _program_range(programs)
            if not 0 <= low <= high <= 127:
                raise UserError(
                    f"--programs: expected such as 24 or 0-7, within 0..127, not "
                    f"{programs!r}"
                )
        if self.max_seconds and self.max_seconds < self.min_seconds:
            raise UserError(
                f"--max_seconds: expected at least --min_seconds, that is "
                f"{self.min_seconds:g}, not {self.max_seconds:g}"
            )

    def to_dict(self) -> dict[str, Any]:
        """All settings; JSON can hold them."""
        fields = dataclasses.asdict(self)
        return {k: list(v) if isinstance(v, tuple) else v for k, v in fields.items()}

    def apply(
        self, sequence: NoteSequence, metadata: Mapping[str, Any]
    ) -> NoteSequence:
        """A piece as it is wanted.

        Args:
            sequence: The piece.
            metadata: What is known of it; `composer` is looked at.

        Raises:
            DropError: It is not wanted.
        """
        composer = str(metadata.get("composer", ""))
        if self.composers and not _names_one(composer, self.composers):
            raise DropError(
                "other_composer",
                f"expected {' or '.join(self.composers)}, found "
                f"{composer or 'no composer'}",
            )
        chooses = self.programs or self.instruments or self.drums == "drop"
        if chooses and sequence.notes:
            sequence = self._choose_notes(sequence)
        if self.metres:
            self._check_metre(sequence)
        seconds = round(sequence.total_time, 3)
        if seconds < self.min_seconds:
            raise DropError(
                "under_min_seconds",
                f"expected at least {self.min_seconds:g} s, found {seconds:g}",
                seconds,
            )
        if self.max_seconds and seconds > self.max_seconds:
            raise DropError(
                "over_max_seconds",
                f"expected at most {self.max_seconds:g} s, found {seconds:g}",
                seconds,
            )
        return sequence

    def _choose_notes(self, sequence: NoteSequence) -> NoteSequence:
        notes = wire.columns(sequence, "notes", "program", "is_drum")
        kept = ~notes["is_drum"] | (self.drums == "keep")
        if not kept.any():
            raise DropError("only_drums", "expected other instruments than drums")
        if self.programs:
            ranges = map(_program_range, self.programs)
            program, is_drum = notes["program"], notes["is_drum"]
            wanted = np.any(
                [(program >= a) & (program <= b) for a, b in ranges], axis=0
            )
            kept &= wanted | is_drum
            if not kept[~is_drum].any():
                raise DropError(
                    "other_programs",
                    f"expected notes of programs {', '.join(self.programs)}, found "
                    f"programs {sorted(set(program[~is_drum].tolist()))}",
                )
        if self.instruments:
            names = _track_names(sequence)
            kept &= [_names_one(name, self.instruments) for name in names]
            if not kept.any():
                found = ", ".join(sorted(set(filter(None, names)))) or "no names"
                raise DropError(
                    "other_instruments",
                    f"expected notes of {' or '.join(self.instruments)}, found {found}",
                )
        return _with_notes(sequence, kept)

    def _check_metre(self, sequence: NoteSequence) -> None:
        # As `tfmusic.notes.grid.bars` has it, one after the other.
        tempo_map = TempoMap.of(sequence)
        notes = wire.columns(sequence, "notes", "start_time", "end_time")
        begin = notes["start_time"].min(initial=np.inf)
        end = notes["end_time"].max(initial=0.0)
        known = metres(sequence, tempo_map)
        starts = tempo_map.to_seconds(np.array([start for start, *_ in known]))
        first = max(np.searchsorted(starts, begin + _TINY, "right") - 1, 0)
        found = {
            f"{numerator}/{denominator}"
            for start, (_, numerator, denominator) in zip(
                starts[first:], known[first:], strict=True
            )
            if start < end - _TINY or start == starts[first]
        }
        if not found <= set(self.metres):
            raise DropError(
                "other_metre",
                f"expected {' or '.join(self.metres)}, found "
                f"{', '.join(sorted(found))}",
            )


def _program_range(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)(?:-(\d+))?", text)
    return (int(match[1]), int(match[2] or match[1])) if match else (-1, -1)


def _names_one(name: str, parts: Sequence[str]) -> bool:
    return any(part.casefold() in name.casefold() for part in parts)


def _track_names(sequence: NoteSequence) -> list[str]:
    """For each note the names of its track and of its part."""
    tracks = {info.instrument: info.name for info in sequence.instrument_infos}
    parts = {info.part: info.name for info in sequence.part_infos}
    return [
        f"{tracks.get(note.instrument, '')} {parts.get(note.part, '')}".strip()
        for note in sequence.notes
    ]


def _with_notes(sequence: NoteSequence, kept: np.ndarray) -> NoteSequence:
    """The notes of a mask, and what else belongs to their instruments."""
    result = NoteSequence()
    result.CopyFrom(sequence)
    notes = [note for note, keep in zip(result.notes, kept, strict=True) if keep]
    instruments = {note.instrument for note in notes}
    kept_fields = {"notes": notes}
    for field in ("control_changes", "pitch_bends", "instrument_infos"):
        kept_fields[field] = [
            item for item in getattr(result, field) if item.instrument in instruments
        ]
    for field, items in kept_fields.items():
        result.ClearField(field)
        getattr(result, field).extend(items)
    result.total_time = max((note.end_time for note in notes), default=0.0)
    return result
