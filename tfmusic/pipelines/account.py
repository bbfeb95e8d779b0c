"""What became of every file: the description of a dataset, and what was dropped."""

import collections
import hashlib
import heapq
import json
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from absl import logging

from tfmusic.compat import installed_version
from tfmusic.data.dataset_info import SPLITS, DatasetInfo
from tfmusic.data.splits import Content, assign_splits, find_leaks
from tfmusic.errors import UserError
from tfmusic.files import exists, read_bytes, write_file
from tfmusic.pipelines.elements import Job, Place, Shard, data_path

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


def hash_source(hashes: Mapping[str, str]) -> str:
    """SHA-256 over the names and the contents of all files.

    Args:
        hashes: SHA-256 of the contents of each, by name.
    """
    # Lists, as JSON has no other: it was so before.
    files = sorted([name, found] for name, found in hashes.items())
    return hashlib.sha256(json.dumps(files).encode()).hexdigest()


def file_hashes(indexes: Mapping[str, Entry]) -> dict[str, str]:
    """SHA-256 of the contents of each file, by name."""
    return {
        name: found
        for index in indexes.values()
        for name, found in index["files"].items()
    }


def hash_pieces(
    indexes: Mapping[str, Entry], splits: Mapping[str, str], number: int
) -> str:
    """SHA-256 over the arrays of all pieces of an experiment, and their splits."""
    contents = sorted(
        [splits[piece["name"]], found["hash"]]
        for index in indexes.values()
        for piece in index["pieces"]
        if (found := piece["encoded"].get(str(number)))
    )
    return hashlib.sha256(json.dumps(contents).encode()).hexdigest()


def split_pieces(
    indexes: Mapping[str, Any], fractions: Sequence[float]
) -> dict[str, str]:
    """The split of every piece, by name: as the source has it, or by content."""
    pieces = [piece for index in indexes.values() for piece in index["pieces"]]
    contents = [Content(p["content"], p["sketch"], p["split"]) for p in pieces]
    by_content = assign_splits(contents, fractions)
    if leaks := find_leaks(contents, by_content):
        names = [
            f"{pieces[one]['name']} ({pieces[other]['name']})"
            for one, other in leaks.items()
        ]
        logging.warning(
            "%d pieces that the source has for training are (nearly) the same as "
            "others that it has for validation or testing; they stay there: %s%s",
            len(leaks),
            ", ".join(names[:_NUM_NAMED]),
            " ..." if len(names) > _NUM_NAMED else "",
        )
    return {
        piece["name"]: piece["split"] or by_content[piece["content"]]
        for piece in pieces
    }


def lay_out(
    job: Job,
    number: int,
    directory: str,
    indexes: Mapping[str, Entry],
    splits: Mapping[str, str],
) -> tuple[list[Shard], dict[str, Any]]:
    """Spreads the pieces of an experiment over shards.

    In a random order that the seed decides, each piece goes to the shard that holds the
    fewest bytes so far.

    Args:
        job: The job.
        number: Of the experiment.
        directory: Where the shards are to be written.
        indexes: Of all batches, by the batch's name.
        splits: Of all pieces, by name.

    Returns:
        The shards, and what the description says of each split.
    """
    places = collections.defaultdict(list)
    for batch, index in indexes.items():
        path = data_path(os.path.join(job.work_dir, batch))
        for piece in index["pieces"]:
            if found := piece["encoded"].get(str(number)):
                name = piece["name"]
                order = hashlib.sha256(f"{job.seed}:{name}".encode()).hexdigest()
                places[splits[name]].append((order, path, found))
    shards, described = [], {}
    for split in SPLITS:
        pieces = sorted(places[split], key=lambda place: place[0])
        wanted = job.num_shards or -(-len(pieces) // _PIECES_PER_SHARD)
        contents = _spread(pieces, min(wanted, len(pieces)))
        names = [
            f"{split}-{i:05d}-of-{len(contents):05d}.tfrecord"
            for i in range(len(contents))
        ]
        for name, content in zip(names, contents, strict=True):
            shards.append(
                Shard(
                    os.path.join(directory, name),
                    tuple(Place(p, f["offset"], f["length"]) for _, p, f in content),
                    job.compression,
                )
            )
        pieces = [f for content in contents for _, _, f in content]
        described[split] = {
            **_describe(pieces),
            "shards": names,
            "shard_pieces": [len(content) for content in contents],
        }
    return shards, described


def _spread(pieces: Sequence[tuple], num_shards: int) -> list[list[tuple]]:
    contents = [[] for _ in range(num_shards)]
    sizes = [(0, i) for i in range(num_shards)]  # a heap
    for piece in pieces:
        size, lightest = sizes[0]
        contents[lightest].append(piece)
        heapq.heapreplace(sizes, (size + piece[-1]["length"], lightest))
    return contents


def _describe(pieces: Sequence[Entry]) -> dict[str, Any]:
    """What the description says of a split, in the order of its records."""
    steps = [piece["num_steps"] for piece in pieces]
    return {
        "num_pieces": len(pieces),
        "num_steps": sum(steps),
        "num_notes": sum(piece["num_notes"] for piece in pieces),
        "seconds": round(sum(piece["seconds"] for piece in pieces), 1),
        "num_bytes": sum(piece["length"] for piece in pieces),
        "max_steps": max(steps, default=0),
        "losses": dict(_sum(pieces, "losses")),
        "repairs": dict(_sum(pieces, "repairs")),
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
    indexes: Mapping[str, Entry],
    splits: Mapping[str, Any],
    drops: Sequence[Entry],
    pieces_hash: str,
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
        source_hash=hash_source(file_hashes(indexes)),
        pieces_hash=pieces_hash,
        num_files=len(file_hashes(indexes)),
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


def select_drops(
    indexes: Mapping[str, Entry], number: int, again: Mapping[str, Entry] | None = None
) -> list[dict[str, Any]]:
    """What an experiment could not use, each piece once, in a fixed order.

    Args:
        indexes: Of the first reading, in which all experiments share.
        number: Of the experiment.
        again: Of the second reading, where its vocabulary was fitted first.
    """
    pieces = collections.defaultdict(list)
    drops = {}
    for index in indexes.values():
        for piece in index["pieces"]:
            pieces[piece["file"]].append(piece["name"])
        for drop in index["drops"]:
            # What fails in counting may not fail in encoding, which then says so.
            if drop["experiment"] == -1 or (not again and drop["experiment"] == number):
                drops.setdefault(drop["name"], drop)
    for index in (again or {}).values():
        for drop in index["drops"]:
            # Of a file that was read before, each piece is dropped by its name.
            for name in pieces.get(drop["name"]) or [drop["name"]]:
                if drop["experiment"] in (-1, number):
                    drops.setdefault(name, {**drop, "name": name})
    return [drops[name] for name in sorted(drops)]


def write_drops(drops: Sequence[Entry], directory: str) -> None:
    """Writes a line for each piece that was dropped."""
    lines = []
    for drop in drops:
        line = {k: v for k, v in drop.items() if k != "experiment"}
        lines.append(json.dumps({**line, "kept_by": remedy(drop)}) + "\n")
    write_file(os.path.join(directory, DROPPED_FILE), "".join(lines))


def read_drops(directory: str) -> list[dict[str, Any]]:
    """What `write_drops` wrote; nothing where it did not.

    Raises:
        UserError: It is damaged.
    """
    path = os.path.join(directory, DROPPED_FILE)
    if not exists(path):
        return []
    lines = read_bytes(path).splitlines()
    try:
        drops = [json.loads(line) for line in lines]
        needed = {"name", "stage", "reason", "detail"}
        if not all(isinstance(drop, dict) and needed <= drop.keys() for drop in drops):
            raise ValueError(f"a line has no {', '.join(sorted(needed))}")
    except ValueError as error:
        raise UserError(
            f"{path}: expected a line of JSON for each piece that was dropped, but "
            f"{error}; delete it to do without, or write the dataset again"
        ) from error
    return drops


def check_not_empty(info: DatasetInfo, drops: Sequence[Entry]) -> None:
    """Makes sure that there is something to train on, and warns of empty splits.

    Raises:
        UserError: There is not; says what became of the files.
    """
    for split, fraction in zip(SPLITS, info.split_fractions, strict=True):
        if info.splits[split]["num_pieces"]:
            continue
        # Where the source decides, a split is emptied by what was dropped from it.
        culprits = [drop for drop in drops if drop["split"] in ("", split)]
        causes = explain(culprits)
        if split == "train":
            example = drops[0]["name"] + ": " + drops[0]["detail"] if drops else ""
            kept = sum(split["num_pieces"] for split in info.splits.values())
            raise UserError(
                f"--source={info.source}: expected pieces to train on, found none: "
                f"{info.num_files} files, {kept} pieces kept for validation and "
                f"testing, {len(drops)} dropped ({causes or 'none'})"
                + (f"; {example}" if example else "")
            )
        if fraction or any(drop["split"] == split for drop in culprits):
            logging.warning(
                "the %s split has no pieces: there are too few%s",
                split,
                f"; dropped: {causes}" if causes else "",
            )


def explain(drops: Sequence[Entry]) -> str:
    """Reasons with their numbers, and the flags that would have kept the pieces."""
    counts = collections.Counter((drop["reason"], remedy(drop)) for drop in drops)
    return ", ".join(
        f"{count} {reason}" + (f" (see {flag})" if flag else "")
        for (reason, flag), count in counts.most_common()
    )
