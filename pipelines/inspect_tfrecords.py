"""Shows what a dataset holds, and plays a piece of it back as MIDI.

python -m pipelines.inspect_tfrecords --data_dir=DIR
python -m pipelines.inspect_tfrecords --data_dir=DIR --piece=0 --output=x.mid
"""

import json
import os
import sys

from absl import flags

from tfmusic import command_line
from tfmusic.errors import UserError

_DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "Dataset that pipelines.build_tfrecords wrote.", required=True
)
_SPLIT = flags.DEFINE_enum(
    "split", "train", ["train", "validation", "test"], "Where to look for the piece."
)
_PIECE = flags.DEFINE_integer("piece", None, "Number of a piece in its split, from 0.")
_OUTPUT = flags.DEFINE_string("output", None, "MIDI file to write the piece to.")


def main() -> None:
    """Prints the description, or one piece's."""
    if _PIECE.value is not None:
        show_piece(_DATA_DIR.value, _SPLIT.value, _PIECE.value, _OUTPUT.value)
        return
    if _OUTPUT.value:
        raise UserError("--output: say which piece to write with --piece=N")
    show_dataset(_DATA_DIR.value)


def show_dataset(data_dir: str) -> None:
    """Prints the description of a dataset."""
    from pipelines.account import read_drops
    from pipelines.report import format_info
    from tfmusic.data.dataset_info import DatasetInfo

    info = DatasetInfo.load(data_dir)
    sys.stdout.write(format_info(info, read_drops(data_dir)))
    sys.stdout.write(f"\nwhich and why: {os.path.join(data_dir, 'dropped.jsonl')}\n")


def show_piece(data_dir: str, split: str, number: int, output: str | None) -> None:
    """Prints what is known of a piece and writes what was kept of it as MIDI.

    Raises:
        UserError: There is no such piece.
    """
    from tfmusic.data.dataset_info import DatasetInfo
    from tfmusic.data.datasets import read_piece
    from tfmusic.notes.writing import write_midi

    info = DatasetInfo.load(data_dir)
    piece = read_piece(data_dir, split, number)
    representation = info.make_representation()
    features = {name: piece[name] for name in representation.feature_specs}
    sequence = representation.decode(features)
    sys.stdout.write(f"{split} piece {number}: {piece['id']}\n")
    for name, value in json.loads(piece["metadata"]).items():
        sys.stdout.write(f"  {name}: {value}\n")
    for name, array in features.items():
        sys.stdout.write(f"  {name}: {array.dtype} {list(array.shape)}\n")
    sys.stdout.write(f"  {len(sequence.notes)} notes, {sequence.total_time:.1f} s\n")
    if output:
        write_midi(sequence, output)
        sys.stdout.write(f"  written to {output}\n")


if __name__ == "__main__":
    command_line.run(main)
