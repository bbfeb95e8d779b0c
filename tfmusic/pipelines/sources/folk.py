"""`folk`: tunes of the British Isles that music21 carries, in ABC.

Three collections, 4,246 tunes, all printed before 1930 and so in the public domain:

- O'Neill's Music of Ireland, Chicago 1903; 2,009 transcriptions by many hands.
- Ryan's Mammoth Collection, Boston 1883; 1,059, most contributed by Ray Davies and
  others of the same project.
- A Selection of Scotch, English, Irish and Foreign Airs, James Aird, Glasgow 1778 to
  1801; 1,178, transcribed by Jack Campin in 2009.

Each file names its transcribers (`Z:`); none states terms. music21 says of its corpus
that it is distributed "with the permission of the encoders", some of it with terms in
the files or folders: that is why its Essen collection, which has such terms, is left
out.
"""

import dataclasses
import os
from collections.abc import Iterator

from tfmusic.pipelines.sources.files import Folder
from tfmusic.pipelines.sources.items import SourceItem

# The folders of music21's corpus, and what tunes are tagged with that name no rhythm.
COLLECTIONS = {
    "airdsAirs": "aird's airs",
    "oneills1850": "o'neill's",
    "ryansMammoth": "ryan's mammoth collection",
}


def list_folk() -> Iterator[SourceItem]:
    """The tunebooks; each tune is a piece, with its rhythm (reel, jig) as its genre."""
    from music21 import common

    corpus = str(common.getCorpusFilePath())
    for folder, name in COLLECTIONS.items():
        for item in Folder(os.path.join(corpus, folder)).music():
            yield dataclasses.replace(
                item, name=f"{folder}/{item.name}", metadata={"tag": name}
            )
