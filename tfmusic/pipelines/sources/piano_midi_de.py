"""`piano_midi_de:PATH`: the classical piano page of Bernd Krueger, piano-midi.de.

Scores with tempos and dynamics by hand. Most have a track for each hand, whose names
say so: see `tfmusic.notes.transforms.assign_hands`.
"""

from collections.abc import Iterator

from tfmusic.errors import UserError
from tfmusic.pipelines.sources.boulanger_lewandowski import SPLIT_NAMES
from tfmusic.pipelines.sources.files import is_music, open_collection, read_table
from tfmusic.pipelines.sources.items import SourceItem

_TABLE = r"boulanger_split_match\.csv"
# A match that is not clearly better than the next is none.
_MIN_RATIO = 2.0


def list_piano_midi_de(path: str) -> Iterator[SourceItem]:
    """The pieces of a folder or archive that has a folder for each composer.

    Where a table `boulanger_split_match.csv` (columns bl_split, best_file, score and
    second_score) says which pieces are in which split of Boulanger-Lewandowski et al.
    2012, those are in that split. The others are divided by their content.

    Raises:
        UserError: There is no such folder, or the table is another one.
    """
    collection = open_collection(path)
    found = collection.text(_TABLE)
    splits = read_splits(found[1]) if found else {}
    for name in filter(is_music, collection.names()):
        composer, _, file = name.rpartition("/")
        composer = composer.rpartition("/")[2]
        yield collection.item(
            name,
            metadata={"composer": composer.replace("_", " ")} if composer else {},
            split=splits.get(f"{composer}/{file}", ""),
        )


def read_splits(text: str) -> dict[str, str]:
    """The split of each file (`Composer/name.mid`) that the table is sure of.

    Raises:
        UserError: A column is missing, or holds something else.
    """
    best: dict[str, tuple[float, str]] = {}
    try:
        for row in read_table(text, "boulanger_split_match.csv"):
            score = float(row["score"])
            if score <= _MIN_RATIO * float(row["second_score"]):
                continue
            match = (score, SPLIT_NAMES[row["bl_split"]])
            best[row["best_file"]] = max(match, best.get(row["best_file"], match))
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            "boulanger_split_match.csv: expected columns bl_split, best_file, score "
            f"and second_score, but {error!r}"
        ) from error
    return {file: split for file, (_, split) in best.items()}
