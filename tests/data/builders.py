"""Small datasets for tests, written without the job."""

import os

import numpy as np
import tensorflow as tf

from tfmusic.data.dataset_info import SPLITS, DatasetInfo
from tfmusic.data.features import make_record
from tfmusic.representations import make_representation

ROLL = make_representation({"name": "binary_roll", "onsets": False})


def roll_piece(num_steps, value=0):
    """A roll whose every step says which piece and which step it is."""
    bits = np.zeros([num_steps, 88, 1], bool)
    steps = np.arange(num_steps)
    for i in range(16):
        bits[:, i, 0] = steps >> i & 1
        bits[:, 16 + i, 0] = value >> i & 1
    bits[:, 87, 0] = True  # no step is like the padding
    return {"roll": bits}


def write_dataset(
    data_dir,
    lengths,
    representation=ROLL,
    make_piece=roll_piece,
    num_shards=2,
    **fields,
):
    """Writes pieces of the given lengths, {split: [num_steps, ...]}, in some shards.

    `make_piece(num_steps, number)` gives the arrays of a piece.
    """
    os.makedirs(data_dir, exist_ok=True)
    splits = {}
    for split in SPLITS:
        steps = lengths.get(split, [])
        shards = [f"{split}-{shard}" for shard in range(num_shards)]
        ends = [len(steps) * (i + 1) // num_shards for i in range(num_shards)]
        for shard, begin, end in zip(shards, [0, *ends], ends, strict=False):
            with tf.io.TFRecordWriter(os.path.join(data_dir, shard)) as writer:
                for i in range(begin, end):
                    writer.write(
                        make_record(
                            make_piece(steps[i], i),
                            representation.feature_specs,
                            f"{split}-piece-{i}",
                        )
                    )
        splits[split] = {
            "num_pieces": len(steps),
            "num_steps": sum(steps),
            "max_steps": max(steps, default=0),
            "num_notes": 0,
            "seconds": 0.0,
            "shards": shards,
            "shard_pieces": np.diff([0, *ends]).tolist(),
            "piece_steps": list(steps),
        }
    info = DatasetInfo(
        representation=representation.to_config(),
        preparation={"key": "original", "min_steps": 1},
        source="test",
        splits=splits,
        **fields,
    )
    info.save(str(data_dir))
    return info
