"""Shows what a dataset holds; gives a piece of it back as MIDI and as a picture.

tfmusic inspect --data_dir=DIR
tfmusic inspect --data_dir=DIR --dropped
tfmusic inspect --data_dir=DIR --piece=0 --output=x.mid
tfmusic inspect --data_dir=DIR --piece=0 --picture=x.png
"""

import json
import os
import sys

from absl import flags

from tfmusic import command_line
from tfmusic.compat import import_tensorflow
from tfmusic.errors import UserError

_DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "Dataset that tfmusic build wrote.", required=True
)
_SPLIT = flags.DEFINE_enum(
    "split", "train", ["train", "validation", "test"], "The split that the piece is in."
)
_PIECE = flags.DEFINE_integer(
    "piece", None, "Show this piece of the split, counted from 0."
)
_OUTPUT = flags.DEFINE_string("output", None, "MIDI file to write the piece to.")
_PICTURE = flags.DEFINE_string("picture", None, "PNG file to draw the piece into.")
_DROPPED = flags.DEFINE_bool(
    "dropped", False, "List every file that was dropped, and why."
)


def main() -> None:
    """Prints the description, or one piece's."""
    command_line.check_ending(_OUTPUT, ".mid", ".midi")
    command_line.check_ending(_PICTURE, ".png")
    if _PIECE.value is not None:
        show_piece(
            _DATA_DIR.value, _SPLIT.value, _PIECE.value, _OUTPUT.value, _PICTURE.value
        )
        return
    for flag in (_OUTPUT, _PICTURE):
        if flag.value:
            raise UserError(f"--{flag.name}: say which piece to write with --piece=N")
    show_dataset(_DATA_DIR.value, _DROPPED.value)


def show_dataset(data_dir: str, dropped: bool = False) -> None:
    """Prints the description of a dataset, and what was dropped file by file."""
    from tfmusic.data.dataset_info import DatasetInfo
    from tfmusic.pipelines.account import DROPPED_FILE, read_drops
    from tfmusic.pipelines.summary import format_info

    info = DatasetInfo.load(data_dir)
    sys.stdout.write(format_info(info, read_drops(data_dir)))
    if not dropped:
        path = os.path.join(data_dir, DROPPED_FILE)
        sys.stdout.write(f"\nwhich and why: {path}\n")
        return
    sys.stdout.write("\n")
    for drop in read_drops(data_dir):
        kept_by = f"; kept by {drop['kept_by']}" if drop["kept_by"] else ""
        sys.stdout.write(
            f"{drop['name']}: {drop['stage']}: {drop['reason']}: {drop['detail']}"
            f"{kept_by}\n"
        )


def show_piece(
    data_dir: str, split: str, number: int, output: str | None, picture: str | None
) -> None:
    """Prints what is known of a piece; writes and draws what was kept of it.

    Raises:
        UserError: There is no such piece.
    """
    import_tensorflow()
    from tfmusic.data.dataset import Dataset
    from tfmusic.notes.writing import write_midi

    dataset = Dataset.open(data_dir)
    piece = dataset.piece(split, number)
    representation = dataset.representation
    features = {name: piece[name] for name in representation.feature_specs}
    sequence = representation.decode_as_read(features)
    sys.stdout.write(f"{split} piece {number}: {piece['id']}\n")
    for name, value in json.loads(piece["metadata"]).items():
        sys.stdout.write(f"  {name}: {value}\n")
    for name, array in features.items():
        sys.stdout.write(f"  {name}: {array.dtype} {list(array.shape)}\n")
    sys.stdout.write(f"  {len(sequence.notes)} notes, {sequence.total_time:.1f} s\n")
    if output:
        write_midi(sequence, output)
        sys.stdout.write(f"  written to {output}\n")
    if picture:
        from tfmusic.evaluation.pictures import draw_piano_rolls

        in_seconds = not representation.steps_per_quarter
        draw_piano_rolls(picture, [(piece["id"], sequence)], in_seconds=in_seconds)
        sys.stdout.write(f"  drawn in {picture}\n")


if __name__ == "__main__":
    command_line.run(main, only_prints=True)
