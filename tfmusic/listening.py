"""Writes a page for a blind listening test; scores the answers.

tfmusic listening --real=DATASET_OR_MUSIC --generated=MUSIC --output_dir=DIR
tfmusic listening --output_dir=DIR --answers=anna.json --answers=ben.json

The first writes DIR/listening_test.html, which goes to listeners as it is, and
DIR/key.json, which says what is real and stays. Listeners save their answers from the
page; the second call says how often they found the real piece.
"""

import os
import sys

from absl import flags

from tfmusic import command_line
from tfmusic.compat import import_tensorflow
from tfmusic.errors import UserError

_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", None, "Folder of the page and its key.", required=True
)
_REAL = flags.DEFINE_string(
    "real",
    None,
    "Real music: a dataset (its test pieces, as its model hears music), or a folder or "
    "another --source of tfmusic build.",
)
_GENERATED = flags.DEFINE_string(
    "generated", None, "Generated music: a folder that tfmusic generate wrote."
)
_PAIRS = flags.DEFINE_integer("pairs", 12, "How many pairs.", lower_bound=1)
_SECONDS = flags.DEFINE_float(
    "seconds", 12.0, "How much of each piece is heard.", lower_bound=1.0
)
_SEED = flags.DEFINE_integer("seed", 0, "Decides which pieces, in which order.")
_ANSWERS = flags.DEFINE_multi_string(
    "answers", [], "File that a listener saved; repeatable. Scores, writes nothing."
)


def main() -> None:
    """Writes or scores a test, as the flags say."""
    from tfmusic.evaluation import listening

    folder = _OUTPUT_DIR.value
    if _ANSWERS.value:
        key = os.path.join(folder, listening.KEY)
        sys.stdout.write(f"{listening.score(key, _ANSWERS.value)}\n")
        return
    for flag in (_REAL, _GENERATED):
        if not flag.value:
            raise UserError(
                f"--{flag.name}: expected music for the test (or --answers to score)"
            )
    import_tensorflow()
    from tfmusic.notes.writing import check_local
    from tfmusic.pipelines.references import read_references

    num_pairs = listening.write_test(
        check_local(folder),
        real=read_references(_REAL.value).held_out,
        generated=read_references(_GENERATED.value).held_out,
        num_pairs=_PAIRS.value,
        seconds=_SECONDS.value,
        seed=_SEED.value,
    )
    as_many = ""
    if num_pairs < _PAIRS.value:
        as_many = f", not {_PAIRS.value}: each piece is heard once"
    sys.stdout.write(
        f"{os.path.join(folder, listening.PAGE)}: {num_pairs} pairs for listeners"
        f"{as_many}\n"
        f"{os.path.join(folder, listening.KEY)}: which are real; keep it\n"
    )


if __name__ == "__main__":
    command_line.run(main)
