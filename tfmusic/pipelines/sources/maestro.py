"""`maestro:PATH`: MAESTRO, performances from the International Piano-e-Competition.

Hawthorne et al., "Enabling Factorized Piano Music Modeling and Generation with the
MAESTRO Dataset", ICLR 2019; https://magenta.tensorflow.org/datasets/maestro.
"""

from collections.abc import Iterator

from tfmusic.errors import UserError
from tfmusic.pipelines.sources.files import open_collection, read_table
from tfmusic.pipelines.sources.items import SourceItem

_TABLE = r"maestro-v[\d.]+\.csv"


def list_maestro(path: str) -> Iterator[SourceItem]:
    """The performances that the dataset's table lists, in the table's splits.

    The splits are the published ones, to the letter. They keep compositions apart by
    title; version 3 has five titles that stand in two splits all the same.

    Args:
        path: The folder or the MIDI archive, as it is published.

    Raises:
        UserError: There is no table, or not the one that was expected.
    """
    collection = open_collection(path)
    if not (found := collection.text(_TABLE)):
        raise UserError(
            f"maestro:{path}: expected a table such as maestro-v3.0.0.csv in it, found "
            "none; take the path itself to read the music without it"
        )
    folder, text = found
    for row in read_table(text, f"maestro:{path}"):
        try:
            fields = {
                "metadata": {
                    "composer": row["canonical_composer"],
                    "title": row["canonical_title"],
                    "year": int(row["year"]),
                },
                # A row that names none is no reason to choose one.
                "split": row["split"] or "nothing",
            }
            yield collection.item(folder + row["midi_filename"], **fields)
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"maestro:{path}: expected a table with canonical_composer, "
                "canonical_title, split, year and midi_filename, found the row "
                f"{row}"
            ) from error
