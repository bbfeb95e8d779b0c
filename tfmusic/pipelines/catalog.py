"""What became of every file and piece, in an index on disk.

A million files fit on a disk and not in memory. Their index is a temporary database of
SQLite, in the folder for temporary files: it is read out of the batches' own indexes at
each call of the job, and it is gone when the job ends, however that ends.
"""

import contextlib
import hashlib
import itertools
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from tfmusic.data.splits import SPLITS, Content, assign_splits
from tfmusic.files import disk_error, read_json
from tfmusic.pipelines.elements import data_path, index_path

# Names are kept as bytes: those of files need not be UTF-8.
_TABLES = """
    PRAGMA journal_mode = OFF;
    PRAGMA synchronous = OFF;
    PRAGMA cache_size = -4000;  -- in KiB
    CREATE TABLE files (id INTEGER PRIMARY KEY, name BLOB, hash BLOB);
    CREATE TABLE pieces (
        id INTEGER PRIMARY KEY, name BLOB, file BLOB, content BLOB, sketch BLOB,
        told TEXT, home TEXT
    );
    CREATE TABLE encoded (
        experiment INTEGER, piece INTEGER, batch INTEGER, start INTEGER, length INTEGER,
        hash BLOB, num_steps INTEGER, num_notes INTEGER, seconds REAL, counts TEXT
    );
    CREATE TABLE drops (
        id INTEGER PRIMARY KEY, again INTEGER, experiment INTEGER, name BLOB,
        fields TEXT
    );
"""
# Of a file that was read before, the second reading drops each piece by its name.
_DROPS = """
    SELECT name, id, fields FROM drops WHERE NOT again
        AND (experiment = -1 OR (NOT :again AND experiment = :number))
    UNION ALL
    SELECT ifnull(pieces.name, drops.name), drops.id, fields
        FROM drops LEFT JOIN pieces ON pieces.file = drops.name
        WHERE :again AND again AND experiment IN (-1, :number)
    ORDER BY 1, 2
"""


class EncodedPiece(NamedTuple):
    """A piece of an experiment: its record, and what is counted of it.

    Attributes:
        batch: The number of the batch that wrote it; see `Catalog.data_path`.
        offset: Of the record's first byte.
        length: Its number of bytes.
        num_steps: As of `tfmusic.pipelines.elements.Encoded`, and so are the others.
        num_notes: Notes of the piece.
        seconds: Its length.
        counts: JSON of `losses` and of what was repaired.
    """

    batch: int
    offset: int
    length: int
    num_steps: int
    num_notes: int
    seconds: float
    counts: str


class Drops:
    """What an experiment could not use, each piece once, by name; read anew each time.

    A dictionary of the fields of `tfmusic.pipelines.elements.Drop` for each.
    """

    def __init__(self, rows: sqlite3.Connection, number: int, again: bool):
        """Of a database; see `Catalog.drops`."""
        self._rows = rows
        self._wanted = {"number": number, "again": again}

    def __iter__(self) -> Iterator[dict[str, Any]]:
        rows = self._rows.execute(_DROPS, self._wanted)
        for name, of_name in itertools.groupby(rows, lambda row: row[0]):
            *_, fields = next(of_name)
            yield {**json.loads(fields), "name": _text(name)}


class Catalog:
    """The index; files and pieces keep the order in which they are added."""

    def __init__(self):
        # A name that is empty stands for a file that is gone as soon as it is open.
        self._rows = sqlite3.connect("")
        self._rows.executescript(_TABLES)
        self._batches: list[str] = []
        self._first_files: list[int] = []
        self._first_pieces: list[int] = []

    def close(self) -> None:
        """Removes it."""
        self._rows.close()

    def add_batches(self, names: Iterable[str], work_dir: str, again: bool) -> None:
        """Adds what the indexes of batches tell.

        Args:
            names: Of the batches.
            work_dir: The directory that they are in.
            again: Whether their files were read before.
        """
        if again:
            self._rows.execute("CREATE INDEX by_name ON pieces (name)")
            self._rows.execute("CREATE INDEX by_file ON pieces (file)")
        for name in names:
            path = os.path.join(work_dir, name)
            index = read_json(index_path(path))
            pieces = index["pieces"]
            if again:
                ids = self._find_pieces(pieces)
            else:
                self._first_files.append(self._next("files"))
                self._first_pieces.append(first := self._next("pieces"))
                self.add_files(index["files"].items())
                self._add_pieces(pieces)
                ids = range(first, first + len(pieces))
            self._add_encoded(pieces, ids, len(self._batches))
            self._add_drops(index["drops"], again)
            self._batches.append(path)
        if not again:
            self._rows.execute("CREATE INDEX dropped ON drops (name)")

    def _next(self, table: str) -> int:
        (found,) = self._rows.execute(f"SELECT max(id) FROM {table}").fetchone()
        return (found or 0) + 1

    def add_files(self, hashes: Iterable[tuple[str, str]]) -> None:
        """Adds files: their names, and the SHA-256 of their contents."""
        rows = ((_bytes(name), bytes.fromhex(found)) for name, found in hashes)
        self._rows.executemany("INSERT INTO files (name, hash) VALUES (?, ?)", rows)

    def _add_pieces(self, pieces: Sequence[Mapping[str, Any]]) -> None:
        self._rows.executemany(
            "INSERT INTO pieces (name, file, content, sketch, told) "
            "VALUES (?, ?, ?, ?, ?)",
            (
                (
                    _bytes(piece["name"]),
                    _bytes(piece["file"]),
                    bytes.fromhex(piece["content"]),
                    bytes.fromhex(piece["sketch"]),
                    piece["split"],
                )
                for piece in pieces
            ),
        )

    def _add_encoded(
        self, pieces: Sequence[Mapping[str, Any]], ids: Sequence[int], batch: int
    ) -> None:
        self._rows.executemany(
            "INSERT INTO encoded VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                (
                    int(experiment),
                    number,
                    batch,
                    found["offset"],
                    found["length"],
                    bytes.fromhex(found["hash"]),
                    found["num_steps"],
                    found["num_notes"],
                    found["seconds"],
                    json.dumps([found["losses"], found["repairs"]]),
                )
                for number, piece in zip(ids, pieces, strict=True)
                for experiment, found in piece["encoded"].items()
            ),
        )

    def _find_pieces(self, pieces: Sequence[Mapping[str, Any]]) -> list[int]:
        """The numbers of pieces that were added before."""
        find = "SELECT id FROM pieces WHERE name = ?"
        names = ((_bytes(piece["name"]),) for piece in pieces)
        return [self._rows.execute(find, name).fetchone()[0] for name in names]

    def _add_drops(self, drops: Sequence[Mapping[str, Any]], again: bool) -> None:
        self._rows.executemany(
            "INSERT INTO drops (again, experiment, name, fields) VALUES (?, ?, ?, ?)",
            (
                (again, drop["experiment"], _bytes(drop["name"]), json.dumps(drop))
                for drop in drops
            ),
        )

    def data_path(self, batch: int) -> str:
        """The file of a batch that holds its records."""
        return data_path(self._batches[batch])

    @property
    def num_files(self) -> int:
        """How many files were added."""
        return self._rows.execute("SELECT count(*) FROM files").fetchone()[0]

    def hash_source(self) -> str:
        """SHA-256 over the names and the contents of all files."""
        rows = self._rows.execute("SELECT name, hash FROM files ORDER BY name")
        return _hash_pairs((_text(name), found.hex()) for name, found in rows)

    def hash_pieces(self, number: int) -> str:
        """SHA-256 over the arrays of all pieces of an experiment, and their splits."""
        rows = self._rows.execute(
            "SELECT home, hash FROM encoded JOIN pieces ON pieces.id = piece "
            "WHERE experiment = ? ORDER BY home, hash",
            (number,),
        )
        return _hash_pairs((home, found.hex()) for home, found in rows)

    def readable_files(self, batch: int) -> dict[str, str]:
        """The files of a batch of the first reading that could be read.

        Returns:
            By name the SHA-256 of their contents.
        """
        rows = self._rows.execute(
            "SELECT name, hash FROM files WHERE id >= ? AND id < ? AND NOT EXISTS "
            "(SELECT 1 FROM drops WHERE drops.name = files.name AND experiment = -1)",
            self._range(self._first_files, batch),
        )
        return {_text(name): found.hex() for name, found in rows}

    def assign_splits(self, fractions: Sequence[float]) -> dict[int, int]:
        """Decides in which split every piece is.

        Returns:
            See `tfmusic.data.splits.Splits.leaks`.
        """
        rows = self._rows.execute(
            "SELECT content, sketch, told FROM pieces ORDER BY id"
        )
        splits = assign_splits(
            (
                Content(content.hex(), sketch.hex(), told)
                for content, sketch, told in rows
            ),
            fractions,
        )
        homes = enumerate(splits.homes().tolist(), 1)
        self._rows.executemany(
            "UPDATE pieces SET home = ? WHERE id = ?",
            ((SPLITS[home], number) for number, home in homes),
        )
        return splits.leaks()

    def piece_name(self, place: int) -> str:
        """The name of a piece by its place among all."""
        find = "SELECT name FROM pieces WHERE id = ?"
        return _text(self._rows.execute(find, (place + 1,)).fetchone()[0])

    def splits_of(self, batch: int) -> dict[str, str]:
        """The split of each piece of a batch of the first reading, by name."""
        rows = self._rows.execute(
            "SELECT name, home FROM pieces WHERE id >= ? AND id < ?",
            self._range(self._first_pieces, batch),
        )
        return {_text(name): home for name, home in rows}

    def num_encoded(self, number: int, split: str) -> int:
        """How many pieces an experiment has in a split."""
        return self._rows.execute(
            "SELECT count(*) FROM encoded JOIN pieces ON pieces.id = piece "
            "WHERE experiment = ? AND home = ?",
            (number, split),
        ).fetchone()[0]

    def encoded(self, number: int, split: str, seed: int) -> Iterator[EncodedPiece]:
        """The pieces of an experiment in a split, in an order that a seed decides."""

        def place(name: bytes) -> bytes:
            return hashlib.sha256(f"{seed}:{_text(name)}".encode()).digest()

        self._rows.create_function("place", 1, place, deterministic=True)
        rows = self._rows.execute(
            "SELECT batch, start, length, num_steps, num_notes, seconds, counts "
            "FROM encoded JOIN pieces ON pieces.id = piece "
            "WHERE experiment = ? AND home = ? ORDER BY place(name)",
            (number, split),
        )
        return map(EncodedPiece._make, rows)

    def drops(self, number: int, again: bool) -> Drops:
        """What an experiment could not use.

        Args:
            number: Of the experiment.
            again: Whether its vocabulary was fitted first, and so all was read again.
        """
        return Drops(self._rows, number, again)

    def _range(self, firsts: Sequence[int], batch: int) -> tuple[int, int]:
        """The numbers of a batch's rows: from its first up to that of the next one."""
        following = firsts[batch + 1] if batch + 1 < len(firsts) else 1 << 62
        return firsts[batch], following


@contextlib.contextmanager
def open_catalog() -> Iterator[Catalog]:
    """A new catalog.

    Raises:
        WriteError: There is no room for it.
    """
    catalog = Catalog()
    try:
        yield catalog
    except sqlite3.OperationalError as error:
        raise disk_error(error) from error
    finally:
        catalog.close()


def _hash_pairs(pairs: Iterable[tuple[str, str]]) -> str:
    """SHA-256 over the JSON of a list of pairs, of which only one is in memory."""
    found = hashlib.sha256(b"[")
    for number, pair in enumerate(pairs):
        found.update((", " * (number > 0) + json.dumps(pair)).encode())
    found.update(b"]")
    return found.hexdigest()


def _bytes(name: str) -> bytes:
    return name.encode(errors="surrogatepass")


def _text(name: bytes) -> str:
    return name.decode(errors="surrogatepass")
