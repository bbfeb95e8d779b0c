"""What became of every file: the description of a dataset, and what was dropped."""

import array
import collections
import heapq
import itertools
import json
import os
import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from absl import logging

from tfmusic.compat import installed_version
from tfmusic.data.dataset_info import SPLITS, DatasetInfo
from tfmusic.errors import UserError
from tfmusic.files import exists, read_lines, write_lines
from tfmusic.pipelines.catalog import Catalog, EncodedPiece
from tfmusic.pipelines.elements import Job, Packed, Place, Shard

DROPPED_FILE = "dropped.jsonl"
_PIECES_PER_SHARD = 256
_PACKAGES = ("apache-beam", "note-seq", "numpy", "tensorflow")

# What would keep a piece: a flag of the job, or a setting of the config. By reason; or
# by stage and reason where a reason is that of several.
REMEDIES = {
    "timeout": "--file_seconds",
    "out_of_memory": "--file_megabytes",
    "too_large": "--limit_bytes",
    "too_many_tracks": "--limit_tracks",
    "too_many_notes": "--limit_notes",
    "too_many_quarters": "--limit_quarters",
    "too_many_seconds": "--limit_seconds",
    "too_long_pause": "--limit_pause_seconds",
    "too_many_controls": "--limit_controls",
    "too_many_events": "--limit_notes",
    "other_composer": "--composer",
    "under_min_seconds": "--min_seconds",
    "over_max_seconds": "--max_seconds",
    "other_metre": "--metre",
    "only_drums": "--drums",
    "other_programs": "--programs",
    "other_instruments": "--instruments",
    "changed": "--overwrite",
    "too_short": "data.min_steps",
    "encode too_long": "representation.steps_per_quarter or steps_per_second",
    "encode no_notes": "representation.lowest_pitch, representation.highest_pitch",
}

# How many pieces that leak between splits are named.
_NUM_NAMED = 5

Entry = Mapping[str, Any]


def remedy(drop: Entry) -> str:
    """The flag or setting that would keep a piece; empty if there is none."""
    reason = drop["reason"]
    return REMEDIES.get(f"{drop['stage']} {reason}") or REMEDIES.get(reason, "")


def warn_of_leaks(leaks: Mapping[int, int], catalog: Catalog) -> None:
    """Names pieces that a source has both to train on and to judge by.

    Args:
        leaks: See `tfmusic.data.splits.Splits.leaks`.
        catalog: Knows the names.
    """
    if not leaks:
        return
    named = itertools.islice(leaks.items(), _NUM_NAMED)
    names = [
        f"{catalog.piece_name(one)} ({catalog.piece_name(other)})"
        for one, other in named
    ]
    logging.warning(
        "%d pieces that the source has for training are (nearly) the same as "
        "others that it has for validation or testing; they stay there: %s%s",
        len(leaks),
        ", ".join(names),
        " ..." if len(leaks) > _NUM_NAMED else "",
    )


class _Draft:
    """A shard that is being filled: what is needed of its pieces, in their order."""

    def __init__(self):
        self.places = [array.array("Q") for _ in range(3)]  # batch, offset, length
        self.steps = array.array("q")
        self.seconds = array.array("d")
        self.num_notes = 0
        self.losses, self.repairs = collections.Counter(), collections.Counter()

    def add(self, piece: EncodedPiece) -> None:
        """Adds a piece at the end."""
        for column, number in zip(self.places, piece[:3], strict=True):
            column.append(number)
        self.steps.append(piece.num_steps)
        self.seconds.append(piece.seconds)
        self.num_notes += piece.num_notes
        losses, repairs = json.loads(piece.counts)
        self.losses.update(losses)
        self.repairs.update(repairs)


def lay_out(
    job: Job, number: int, directory: str, catalog: Catalog
) -> tuple[list[Packed], dict[str, Any]]:
    """Spreads the pieces of an experiment over shards.

    In a random order that the seed decides, each piece goes to the shard that holds the
    fewest bytes so far.

    Args:
        job: The job.
        number: Of the experiment.
        directory: Where the shards are to be written.
        catalog: Of all pieces.

    Returns:
        The shards, and what the description says of each split.
    """
    shards, described = [], {}
    for split in SPLITS:
        num_pieces = catalog.num_encoded(number, split)
        wanted = job.num_shards or -(-num_pieces // _PIECES_PER_SHARD)
        drafts = [_Draft() for _ in range(min(wanted, num_pieces))]
        _spread(catalog.encoded(number, split, job.seed), drafts)
        names = [
            f"{split}-{i:05d}-of-{len(drafts):05d}.tfrecord" for i in range(len(drafts))
        ]
        for name, draft in zip(names, drafts, strict=True):
            places = tuple(
                Place(catalog.data_path(batch), offset, length)
                for batch, offset, length in zip(*draft.places, strict=True)
            )
            path = os.path.join(directory, name)
            shards.append(Packed.of(Shard(path, places, job.compression)))
        described[split] = {
            **_describe(drafts),
            "shards": names,
            "shard_pieces": [len(draft.steps) for draft in drafts],
        }
    return shards, described


def _spread(pieces: Iterable[EncodedPiece], drafts: Sequence[_Draft]) -> None:
    sizes = [(0, i) for i in range(len(drafts))]  # a heap
    for piece in pieces:
        size, lightest = sizes[0]
        drafts[lightest].add(piece)
        heapq.heapreplace(sizes, (size + piece.length, lightest))


def _describe(drafts: Sequence[_Draft]) -> dict[str, Any]:
    """What the description says of a split, in the order of its records."""
    steps = [number for draft in drafts for number in draft.steps]
    losses, repairs = collections.Counter(), collections.Counter()
    for draft in drafts:
        losses.update(draft.losses)
        repairs.update(draft.repairs)
    return {
        "num_pieces": len(steps),
        "num_steps": sum(steps),
        "num_notes": sum(draft.num_notes for draft in drafts),
        "seconds": round(sum(s for draft in drafts for s in draft.seconds), 1),
        "num_bytes": sum(sum(draft.places[-1]) for draft in drafts),
        "max_steps": max(steps, default=0),
        "losses": dict(losses),
        "repairs": dict(repairs),
        "piece_steps": steps,
    }


def _sum(entries: Iterable[Entry], field: str) -> collections.Counter:
    """Adds up the counts in a field."""
    total = collections.Counter()
    for entry in entries:
        total.update(entry[field])
    return total


def describe_dataset(
    job: Job,
    number: int,
    representation: Entry,
    catalog: Catalog,
    splits: Mapping[str, Any],
    drops: Iterable[Entry],
    job_settings: Entry,
) -> DatasetInfo:
    """The description of an experiment's dataset.

    Raises:
        UserError: It has no pieces to train on.
    """
    info = DatasetInfo(
        representation=representation,
        preparation=job.experiments[number].preparation,
        source=job.source,
        split_fractions=job.fractions,
        splits=splits,
        dropped=dict(collections.Counter(d["reason"] for d in drops).most_common()),
        losses=dict(_sum(splits.values(), "losses")),
        repairs=dict(_sum(splits.values(), "repairs")),
        source_hash=catalog.hash_source(),
        pieces_hash=catalog.hash_pieces(number),
        num_files=catalog.num_files,
        compression=job.compression,
        filters=job.filters.to_dict(),
        job_settings=job_settings,
    )
    info.versions.update(software_versions())
    check_not_empty(info, drops)
    return info


def software_versions() -> dict[str, str]:
    """Versions of what has a say in the bytes of a dataset."""
    versions = {name: installed_version(name) for name in _PACKAGES}
    return {**versions, "python": platform.python_version()}


def write_drops(drops: Iterable[Entry], directory: str) -> None:
    """Writes a line for each piece that was dropped."""
    write_lines(
        os.path.join(directory, DROPPED_FILE),
        (
            json.dumps(
                {k: v for k, v in drop.items() if k != "experiment"}
                | {"kept_by": remedy(drop)}
            )
            for drop in drops
        ),
    )


def read_drops(directory: str) -> Iterator[dict[str, Any]]:
    """What `write_drops` wrote; nothing where it did not.

    Raises:
        UserError: It is damaged.
    """
    path = os.path.join(directory, DROPPED_FILE)
    if not exists(path):
        return
    needed = {"name", "stage", "reason", "detail"}
    for line in read_lines(path):
        try:
            drop = json.loads(line)
            if not isinstance(drop, dict) or not needed <= drop.keys():
                raise ValueError(f"a line has no {', '.join(sorted(needed))}")
        except ValueError as error:
            raise UserError(
                f"{path}: expected a line of JSON for each piece that was dropped, but "
                f"{error}; delete it to do without, or write the dataset again"
            ) from error
        yield drop


def check_not_empty(info: DatasetInfo, drops: Iterable[Entry]) -> None:
    """Makes sure that there is something to train on, and warns of empty splits.

    Raises:
        UserError: There is not; says what became of the files.
    """
    for split, fraction in zip(SPLITS, info.split_fractions, strict=True):
        if info.splits[split]["num_pieces"]:
            continue
        # Where the source decides, a split is emptied by what was dropped from it.
        causes = explain(drop for drop in drops if drop["split"] in ("", split))
        if split == "train":
            first = next(iter(drops), None)
            example = f"{first['name']}: {first['detail']}" if first else ""
            kept = sum(split["num_pieces"] for split in info.splits.values())
            raise UserError(
                f"--source={info.source}: expected pieces to train on, found none: "
                f"{info.num_files} files, {kept} pieces kept for validation and "
                f"testing, {sum(info.dropped.values())} dropped ({causes or 'none'})"
                + (f"; {example}" if example else "")
            )
        if fraction or any(drop["split"] == split for drop in drops):
            logging.warning(
                "the %s split has no pieces: there are too few%s",
                split,
                f"; dropped: {causes}" if causes else "",
            )


def explain(drops: Iterable[Entry]) -> str:
    """Reasons with their numbers, and the flags that would have kept the pieces."""
    counts = collections.Counter((drop["reason"], remedy(drop)) for drop in drops)
    return ", ".join(
        f"{count} {reason}" + (f" (see {flag})" if flag else "")
        for (reason, flag), count in counts.most_common()
    )
