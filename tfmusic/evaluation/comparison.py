"""Generated music beside held-out music: statistics, and what is copied."""

import dataclasses
import json
import os
from collections.abc import Sequence

from tfmusic.evaluation.memorisation import CopiedPassage, TrainingMusic
from tfmusic.evaluation.music_statistics import (
    MusicStatistics,
    aggregate,
    format_table,
    statistics,
)
from tfmusic.files import write_file
from tfmusic.notes import NoteSequence


@dataclasses.dataclass(frozen=True)
class PieceReport:
    """What is known about one piece.

    Attributes:
        name: Its file name, may be empty.
        statistics: The piece in numbers.
        copied: What it has in common with the training music, if that was given.
        copied_from: File name of the training piece that holds the longest passage.
    """

    name: str
    statistics: MusicStatistics
    copied: CopiedPassage | None
    copied_from: str | None

    def rows(self) -> dict[str, float]:
        """The values by the label that tables give them."""
        copied = self.copied.rows() if self.copied else {}
        return {**self.statistics.rows(), **copied}


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Sets of pieces side by side.

    Attributes:
        groups: The reports of each set, by its heading.
    """

    groups: dict[str, list[PieceReport]]

    def table(self) -> str:
        """A table in Markdown that also reads as plain text; see `format_table`."""
        return format_table(self.groups)

    def to_json(self) -> str:
        """The same for programs: of each set the summary, then every piece."""
        groups = {
            heading: {
                "summary": {
                    label: dataclasses.asdict(value)
                    for label, value in aggregate(pieces).items()
                },
                "pieces": [dataclasses.asdict(piece) for piece in pieces],
            }
            for heading, pieces in self.groups.items()
        }
        return json.dumps(groups, indent=1)

    def write(self, output_dir: str) -> None:
        """Writes `statistics.md` and `statistics.json` into a directory."""
        os.makedirs(output_dir, exist_ok=True)
        write_file(os.path.join(output_dir, "statistics.md"), self.table())
        path = os.path.join(output_dir, "statistics.json")
        write_file(path, self.to_json() + "\n")


def compare(
    generated: Sequence[NoteSequence],
    held_out: Sequence[NoteSequence],
    training: Sequence[NoteSequence] = (),
) -> Comparison:
    """Compares generated with held-out pieces.

    All should have gone through the same representation: a generated piece cannot have
    what it drops, and passages that it alters are no longer found in the original.

    Args:
        generated: What a model made.
        held_out: What it should resemble.
        training: What it learned from: adds how much of it each piece copies. That of
            held-out pieces is what the style shares without copying.
    """
    music = TrainingMusic.of(training) if training else None

    def report(piece: NoteSequence) -> PieceReport:
        copied = music.find(piece) if music else None
        source = None if copied is None else copied.source
        return PieceReport(
            name=piece.filename,
            statistics=statistics(piece),
            copied=copied,
            copied_from=None if source is None else training[source].filename,
        )

    return Comparison(
        {
            "generated": [report(piece) for piece in generated],
            "held-out": [report(piece) for piece in held_out],
        }
    )
