"""`bach_chorales`: the chorales by Johann Sebastian Bach that music21 carries."""

import dataclasses
from collections.abc import Iterator

from tfmusic.pipelines.parsing import parse_chorale
from tfmusic.pipelines.sources.files import Folder
from tfmusic.pipelines.sources.items import SourceItem


def list_bach_chorales() -> Iterator[SourceItem]:
    """The chorales; those that are not in four parts are dropped as they are read."""
    from music21 import common

    metadata = {"composer": "Johann Sebastian Bach"}
    for item in Folder(str(common.getCorpusFilePath() / "bach")).music():
        yield dataclasses.replace(item, metadata=metadata, parse=parse_chorale)
