"""`pop909:PATH`: POP909, pop songs arranged for piano.

Wang et al., "POP909: A Pop-song Dataset for Music Arrangement Generation", ISMIR 2020;
https://github.com/music-x-lab/POP909-Dataset.
"""

import re
from collections.abc import Iterator

from tfmusic.pipelines.sources.files import open_collection
from tfmusic.pipelines.sources.items import SourceItem


def list_pop909(path: str) -> Iterator[SourceItem]:
    """The 909 songs: `001/001.mid` and so on, in a folder or archive.

    Each has the instruments MELODY, BRIDGE (a second melody) and PIANO; any of them can
    be chosen with `--instruments`. The arrangers' earlier `versions` of a song are left
    out. Where a file says 1/4 throughout, a beat without bars, it is read in 4/4.
    """
    collection = open_collection(path)
    for name in collection.names():
        if re.search(r"(^|/)(\d{3})/\2\.mid$", name):
            yield collection.item(name)
