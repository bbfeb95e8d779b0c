"""`dataset_info.json`: what a dataset holds and how it was made; written last."""

import dataclasses
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import tfmusic
from tfmusic.data.settings import DataSettings
from tfmusic.data.splits import SPLITS as SPLITS  # its readers look here
from tfmusic.errors import UserError, choose
from tfmusic.files import exists, prepare_path, read_json, write_file
from tfmusic.representations import make_representation
from tfmusic.representations.base import Representation
from tfmusic.stored import NUMBER, check_form, reading

FILE_NAME = "dataset_info.json"
# The layout of the records and of this file; part of every fingerprint.
FORMAT = 1
# As the publishers of the sets that `--source` knows by name state them.
LICENCES = {
    "bach_chorales": "compositions in the public domain; encodings as in music21",
    "boulanger_lewandowski": "none stated",
    "folk": "tunes in the public domain; transcriptions as in music21, no terms stated",
    "giantmidi": "CC BY 4.0",
    "jsb_chorales_16th": "compositions in the public domain; none stated for the file",
    "maestro": "CC BY-NC-SA 4.0",
    "piano_midi_de": "CC BY-SA 3.0 DE",
    "pop909": "MIT for the arrangements; the songs are copyrighted",
}

_WHAT = "the description of a dataset"
_REMEDY = "copy the dataset again, or write it again with tfmusic build ... --overwrite"
_SPLIT_FORM = {
    **dict.fromkeys(("num_pieces", "num_steps", "num_notes", "max_steps"), int),
    "seconds": NUMBER,
    "num_bytes?": int,
    "shards": [str],
    "shard_pieces?": [int],
    "piece_steps": [int],
}
_COUNTS_FORM = {"*": int}
_FORM = {
    "representation": dict,
    "preparation": dict,
    "source": str,
    "splits": dict.fromkeys(SPLITS, _SPLIT_FORM),
    "split_fractions?": [NUMBER],
    **dict.fromkeys(("dropped?", "losses?", "repairs?"), _COUNTS_FORM),
    "versions": {"*": str},
    "source_hash?": str,
    "num_files?": int,
    "compression?": str,
    "filters?": dict,
    "job_settings?": dict,
}


@dataclasses.dataclass(frozen=True)
class DatasetInfo:
    """What the job that wrote a dataset knows about it.

    Attributes:
        representation: `to_config()` of the fitted representation.
        preparation: What was done to the pieces before they were encoded.
        source: Where they came from, as the job was told.
        splits: For each of `SPLITS`: `num_pieces`, `num_steps`, `num_notes`, `seconds`,
            `max_steps`, `shards` (file names, in order), `shard_pieces` (how many
            pieces each holds; not in older datasets) and `piece_steps` (the length of
            every piece, in the order of the records).
        split_fractions: The fractions of the pieces that `SPLITS` were to have.
        dropped: How many pieces could not be used, by reason.
        losses: How often the encoding lost something, by kind.
        repairs: What was repaired in reading the files, by kind, and how often.
        versions: Versions of the software that wrote it.
        source_hash: SHA-256 over the names and the contents of the source's files.
        pieces_hash: SHA-256 over what the pieces were encoded into, and their splits;
            empty in older datasets.
        num_files: How many files the source had.
        compression: Of the records: `""` or `"gzip"`.
        filters: Which pieces of the source were wanted, by name of the setting.
        job_settings: What else the job was told that has a say in pieces and shards, by
            name of the flag; those that are not there were as they are by default.
        complete: Whether the job came to its end; the file is written last.
    """

    representation: Mapping[str, Any]
    preparation: Mapping[str, Any]
    source: str
    splits: Mapping[str, Mapping[str, Any]]
    split_fractions: Sequence[float] = dataclasses.field(default_factory=list)
    dropped: Mapping[str, int] = dataclasses.field(default_factory=dict)
    losses: Mapping[str, int] = dataclasses.field(default_factory=dict)
    repairs: Mapping[str, int] = dataclasses.field(default_factory=dict)
    versions: Mapping[str, str] = dataclasses.field(
        default_factory=lambda: {"tfmusic": tfmusic.__version__, "format": str(FORMAT)}
    )
    source_hash: str = ""
    pieces_hash: str = ""
    num_files: int = 0
    compression: str = ""
    filters: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    job_settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    complete: bool = True

    def __repr__(self):
        counts = [
            f"{self.splits[split]['num_pieces']} {split}"
            for split in SPLITS
            if split in self.splits
        ]
        name = self.representation["name"]
        return f"<DatasetInfo of {self.source} as {name}: {', '.join(counts)}>"

    @property
    def fingerprint(self) -> str:
        """Sixteen hex digits that stand for how the pieces were encoded."""
        return fingerprint(self.make_representation(), self.preparation)

    def make_representation(self) -> Representation:
        """The fitted representation that the pieces were encoded with."""
        return make_representation(self.representation)

    @property
    def licence(self) -> str:
        """The licence of the music, as far as the name of its source tells."""
        return LICENCES.get(self.source.partition(":")[0], "unknown")

    def describe(self) -> dict[str, Any]:
        """What one should know of a model's training data, without lists of pieces."""
        sizes = ("num_pieces", "num_steps", "num_notes", "seconds")
        return {
            "source": self.source,
            "licence": self.licence,
            "source_hash": self.source_hash,
            "pieces_hash": self.pieces_hash,
            "num_files": self.num_files,
            "fingerprint": self.fingerprint,
            "preparation": dict(self.preparation),
            "filters": dict(self.filters),
            "splits": {
                name: {size: split[size] for size in sizes}
                for name, split in self.splits.items()
            },
            "dropped": dict(self.dropped),
        }

    @classmethod
    def load(cls, data_dir: str) -> "DatasetInfo":
        """Reads the description of a dataset.

        Raises:
            UserError: The directory holds no dataset, or one that is half-written or of
                another version.
        """
        prepare_path(data_dir)
        path = os.path.join(data_dir, FILE_NAME)
        if not exists(path):
            raise UserError(
                f"{data_dir}: expected a dataset, found no {FILE_NAME} in it; tfmusic "
                "build --config=CONFIG --source=MUSIC --output_dir=FOLDER writes one "
                "into a new folder"
            )
        with reading(path, _WHAT, _REMEDY):
            fields = read_json(path)
        if not isinstance(fields, dict) or not fields.get("complete"):
            raise UserError(
                f"{data_dir}: the dataset is not complete; write it again with "
                "tfmusic build ... --overwrite"
            )
        with reading(path, _WHAT, _REMEDY):
            check_form(fields, {"versions": {"format": str}})
        if fields.get("checksum", found := _checksum(fields)) != found:
            raise UserError(
                f"{path}: its checksum is that of other contents, so it was damaged or "
                "changed; copy the dataset again, or write it again with tfmusic build "
                "... --overwrite"
            )
        if (version := fields["versions"]["format"]) != str(FORMAT):
            raise UserError(
                f"{data_dir}: expected format {FORMAT}, found {version}; write the "
                "dataset again with tfmusic build ... --overwrite"
            )
        names = {field.name for field in dataclasses.fields(cls)}
        with reading(path, _WHAT, _REMEDY):
            check_form(fields, _FORM)
            _check_counts(fields["splits"])
            info = cls(**{name: fields[name] for name in names & fields.keys()})
            choose("compression", info.compression, ("", "gzip"))
            info.make_representation()
        return info

    def save(self, data_dir: str) -> None:
        """Writes the description; the shards must be there by now."""
        fields = {**dataclasses.asdict(self), "fingerprint": self.fingerprint}
        fields = json.loads(json.dumps(fields))  # as they will be read
        fields["checksum"] = _checksum(fields)
        text = json.dumps(fields, indent=1, sort_keys=True)
        # Lists of numbers on one line: pieces may be many.
        text = re.sub(r"\[\n[\s\d.,]+\]", lambda m: " ".join(m[0].split()), text)
        write_file(os.path.join(data_dir, FILE_NAME), text + "\n")

    def check(self, config: Any) -> None:
        """Makes sure that the dataset is the one that an experiment asks for.

        Args:
            config: An experiment; its sections `representation` and `data` are read.

        Raises:
            UserError: It is not; names both fingerprints and what differs.
        """
        representation = make_representation(config.representation)
        preparation = DataSettings.from_config(config.data).preparation()
        if (expected := fingerprint(representation, preparation)) == self.fingerprint:
            return
        found = self.make_representation().settings() | _prefixed(self.preparation)
        wanted = representation.settings() | _prefixed(preparation)
        changes = "; ".join(
            f"{name} is {ours!r} in the dataset and {theirs!r} in the config"
            for name, ours, theirs in differences(found, wanted)
        )
        raise UserError(
            f"the config has fingerprint {expected}, the dataset {self.fingerprint}: "
            f"{changes}; write the dataset with this config, or change the config"
        )


def _check_counts(splits: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuses numbers of pieces that do not go together."""
    for name, split in splits.items():
        lengths, number = split["piece_steps"], split["num_pieces"]
        if len(lengths) != number or min(lengths, default=1) < 1:
            raise ValueError(f"splits.{name}: not the lengths of {number} pieces")
        counts = split.get("shard_pieces")
        is_known = counts is not None
        if is_known and (len(counts), sum(counts)) != (len(split["shards"]), number):
            raise ValueError(f"splits.{name}.shard_pieces: not those of the shards")


def _checksum(fields: Mapping[str, Any]) -> str:
    """Sixteen hex digits over all that a description says but for themselves."""
    said = {name: value for name, value in fields.items() if name != "checksum"}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]


def fingerprint(representation: Representation, preparation: Mapping[str, Any]) -> str:
    """Sixteen hex digits that stand for how pieces are encoded.

    What was fitted to the pieces (a vocabulary) is left out: a config does not know it.
    """
    parts = [FORMAT, representation.settings(), dict(preparation)]
    text = json.dumps(_plain(parts), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _plain(value: Any) -> Any:
    """Values that are equal in the same spelling: 4 and 4.0, lists and tuples."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _prefixed(preparation: Mapping[str, Any]) -> dict[str, Any]:
    return {f"data.{name}": value for name, value in preparation.items()}


class _Absent:
    """Stands in messages for a setting that one side does not know."""

    def __repr__(self) -> str:
        return "not there"


def differences(
    found: Mapping[str, Any], wanted: Mapping[str, Any], prefix: str = ""
) -> Iterator[tuple[str, Any, Any]]:
    """The settings that differ: dotted name, what was found and what was wanted.

    Settings that are not there count as None, and say in messages that they are not:
    what an older version wrote lacks those that were added since.
    """
    for name in sorted(found.keys() | wanted.keys()):
        old, new = found.get(name), wanted.get(name)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from differences(old, new, f"{prefix}{name}.")
        elif _plain(old) != _plain(new):
            absent = _Absent()
            yield prefix + name, found.get(name, absent), wanted.get(name, absent)
