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
    data_dir, lengths, representation=ROLL, make_piece=roll_piece, **fields
):
    """Writes pieces of the given lengths, {split: [num_steps, ...]}, in two shards.

    `make_piece(num_steps, number)` gives the arrays of a piece.
    """
    os.makedirs(data_dir, exist_ok=True)
    splits = {}
    for split in SPLITS:
        steps = lengths.get(split, [])
        half = len(steps) // 2
        shards = []
        for shard, numbers in enumerate([range(half), range(half, len(steps))]):
            shards.append(f"{split}-{shard}")
            with tf.io.TFRecordWriter(os.path.join(data_dir, shards[-1])) as writer:
                for i in numbers:
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
