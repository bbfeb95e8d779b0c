"""What a source of music consists of."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from tfmusic.errors import DropError
from tfmusic.notes import NoteSequence
from tfmusic.notes.reading import Limits
from tfmusic.pipelines.parsing import parse_pieces

DEFAULT_LIMITS = Limits()
Parse = Callable[[bytes, str, Limits, bool], Sequence[NoteSequence | DropError]]


@dataclasses.dataclass(frozen=True)
class SourceItem:
    """One file of a source, not read yet. Worker processes get a copy.

    Attributes:
        name: What the file is called within the source; no two share a name.
        load: Fetches its contents; of those that are larger than so many bytes, no
            more than one byte beyond. Raises DropError. Like `parse` it runs in a
            process that may be stopped, unless the file is in a bucket.
        path: The file that holds it, alone or with others.
        metadata: What the source says of the piece: title, composer, year ...
        split: The split that the source puts it in; empty if it has no say.
        parse: (contents, name, limits, whether the repeats of scores are played) to
            pieces, most often one; a function of
            `tfmusic.pipelines.parsing`, as it runs in a process that may be stopped.
            Gives a DropError for a piece that cannot be read; raises one if none can.
    """

    name: str
    load: Callable[[int], bytes]
    path: str
    metadata: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    split: str = ""
    parse: Parse = parse_pieces

    def read(
        self, limits: Limits = DEFAULT_LIMITS
    ) -> Sequence[NoteSequence | DropError]:
        """Loads and parses it in this process, so within no limits of time and memory.

        Raises:
            DropError: It cannot be had.
        """
        return self.parse(self.load(limits.max_bytes), self.name, limits, True)


@dataclasses.dataclass(frozen=True)
class Source:
    """Music to make a dataset of.

    Attributes:
        name: How the user called it.
        items: Lists its files, in a fixed order.
    """

    name: str
    items: Callable[[], Iterator[SourceItem]]
