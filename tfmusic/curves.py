"""Lays the curves of several runs over each other in one picture.

tfmusic curves run                  training and validation loss of each epoch
tfmusic curves run_1 run_2 run_3    several runs in one picture, and their table

A run's own curves are in its folder, as metrics.png.
"""

import os
import sys

from absl import flags

from tfmusic import command_line
from tfmusic.errors import UserError

_OUTPUT = flags.DEFINE_string("output", "curves.png", "Picture (PNG) to write.")


def main() -> None:
    """Draws the runs that the arguments name."""
    from tfmusic.evaluation.curves import curves_table, draw_curves, read_run
    from tfmusic.files import write_file

    command_line.check_ending(_OUTPUT, ".png")
    folders = list(dict.fromkeys(map(os.path.normpath, command_line.arguments())))
    if not folders:
        raise UserError("curves: expected folders of runs, as in tfmusic curves run")
    runs = {folder: read_run(folder) for folder in folders}
    write_file(_OUTPUT.value, draw_curves(runs))
    sys.stdout.write(f"{curves_table(runs)}drawn in {_OUTPUT.value}\n")


if __name__ == "__main__":
    command_line.run(main, takes_arguments=True)
