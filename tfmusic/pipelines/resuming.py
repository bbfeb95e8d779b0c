"""What an earlier call of the job left behind, and whether its files have changed.

A file is the same if its size and time are, or else its contents. What was made of
others is thrown away, and so is what was made of all files together.
"""

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf
from absl import logging

from tfmusic.errors import DropError
from tfmusic.files import file_stamp, is_remote, read_json, write_file, writing
from tfmusic.pipelines import account
from tfmusic.pipelines.elements import (
    Batch,
    Job,
    Load,
    Packed,
    counts_path,
    index_path,
)
from tfmusic.pipelines.sources import SourceItem
from tfmusic.sandbox import Sandbox


def take_over(
    job: Job, batches: Sequence[Packed], partial_dir: str, overwrite: bool
) -> None:
    """Makes the directory that the job works in, or finds it as a killed job left it.

    Args:
        job: The job.
        batches: The files of its source, as they are read first.
        partial_dir: The directory.
        overwrite: Whether what is there is thrown away.
    """
    key = _key(job, batches)
    key_path = os.path.join(partial_dir, "job.json")
    if tf.io.gfile.exists(partial_dir):
        if not overwrite and _read(key_path) == key:
            logging.info("continuing what %s holds", partial_dir)
            _forget_changed(job, batches, partial_dir)
            return
        tf.io.gfile.rmtree(partial_dir)
    with writing(partial_dir):
        tf.io.gfile.makedirs(job.work_dir)
    write_file(key_path, json.dumps(key))


def _key(job: Job, batches: Sequence[Packed]) -> str:
    """What is another for another job, software or list of files."""
    # The JSON of all three, of which only one file is in memory at a time.
    text = json.dumps([dataclasses.asdict(job), account.software_versions(), []])
    key = hashlib.sha256(text[:-2].encode())
    separator = ""
    for packed in batches:
        for item in packed.unpack().items:
            file = [item.name, item.split, dict(item.metadata)]
            key.update((separator + json.dumps(file)).encode())
            separator = ", "
    key.update(text[-2:].encode())
    return key.hexdigest()


def _forget_changed(job: Job, batches: Sequence[Packed], partial_dir: str) -> None:
    """Throws away what was made of files that have changed since they were read."""
    changed = []
    for batch in map(Packed.unpack, batches):
        path = os.path.join(job.work_dir, batch.name)
        index = _read(index_path(path))
        if index is None:
            continue
        names = _find_changed(job, batch, index)
        if names or _read(counts_path(path)) is None:
            changed += names
            tf.io.gfile.remove(index_path(path))
    encoded = [
        os.path.join(job.work_dir, name)
        for name in tf.io.gfile.listdir(job.work_dir)
        if name.startswith("encode-")
    ]
    for path in encoded:
        if path.endswith(".json"):
            _read(path)
    if not changed:
        return
    logging.warning(
        "%d files have changed since an earlier call read them, %s for example; they "
        "are read again",
        len(changed),
        changed[0],
    )
    # Vocabularies and splits may be others now.
    for path in encoded:
        if tf.io.gfile.exists(path):
            tf.io.gfile.remove(path)
    if tf.io.gfile.exists(os.path.join(partial_dir, "data")):
        tf.io.gfile.rmtree(os.path.join(partial_dir, "data"))


def _read(path: str) -> Any:
    """What an earlier call wrote as JSON; None if it did not, or it was damaged since.

    What is damaged is removed, and so made again.
    """
    if not tf.io.gfile.exists(path):
        return None
    try:
        return read_json(path)
    except ValueError:
        logging.warning("%s is damaged; what it tells of is done again", path)
        tf.io.gfile.remove(path)
        return None


def _find_changed(job: Job, batch: Batch, index: Mapping[str, Any]) -> list[str]:
    """The names of files of a batch that are no longer as they were read."""
    # Who may read a file says neither its size nor its time.
    unread = {drop["name"] for drop in index["drops"] if drop["stage"] == "load"}
    doubtful = [
        item
        for item in batch.items
        if item.name in unread
        or not (stamp := file_stamp(item.path))
        or stamp != index["stamps"][item.name]
    ]
    limits = job.limits.max_bytes, job.file_seconds, job.file_megabytes
    hashes = hash_items(doubtful, *limits)
    return [name for name, found in hashes if found != index["files"][name]]


def hash_items(
    items: Iterable[SourceItem], max_bytes: int, seconds: float, megabytes: int
) -> Iterator[tuple[str, str]]:
    """Names of files and SHA-256 of their contents; of no bytes if they cannot be had.

    Args:
        items: The files.
        max_bytes: What one may hold; as in the job, for larger ones are cut off.
        seconds: How long one may take.
        megabytes: How much memory.
    """
    sandbox = Sandbox(_load, seconds, megabytes)
    try:
        for item in items:
            try:
                data = fetch(item, max_bytes, sandbox)
            except DropError:
                data = b""
            yield item.name, hash_contents(data)
    finally:
        sandbox.close()


def fetch(item: SourceItem, max_bytes: int, sandbox: Sandbox) -> bytes:
    """The contents of a file: fetched by a process that may be stopped.

    Those in buckets are fetched in this one, which has TensorFlow.

    Raises:
        DropError: They cannot be had.
    """
    load = Load(item.load, max_bytes)
    return load() if is_remote(item.path) else sandbox(load)


def hash_contents(data: bytes) -> str:
    """SHA-256, in hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def _load(task: Load) -> bytes:
    return task()
