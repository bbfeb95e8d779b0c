"""Scores a trained model on held-out music: exact log-likelihood and other metrics.

It takes the weights with the lowest validation loss, or those that --checkpoint names.
With --pieces=64 it also makes so
many pieces and prints what they are like beside held-out music: metre, harmony, voice
leading, repetition, key and more. Controls such as --temperature=0.9 steer them, and
so do --key, --metre, --bars, --seconds, --qpm and --program as in tfmusic generate.
"""

import sys
import tempfile
from collections.abc import Callable
from typing import Any

from absl import flags

from tfmusic import command_line
from tfmusic.compat import import_tensorflow
from tfmusic.errors import UserError, closest

_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Folder of a run of tfmusic train.", required=True
)
_DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "Dataset that tfmusic build wrote.", required=True
)
_SPLIT = flags.DEFINE_enum(
    "split", "test", ["train", "validation", "test"], "The pieces to score."
)
_CHECKPOINT = flags.DEFINE_string(
    "checkpoint",
    None,
    "Which weights of the run: best (lowest validation loss), latest, or a step such "
    "as 500; as the run's train.export_checkpoint says unless given.",
)
_JSON = flags.DEFINE_string("json", None, "Also write the result to this file.")
_PIECES = flags.DEFINE_integer(
    "pieces",
    0,
    "Also make so many pieces and compare them with the split's; 64 tell enough.",
    lower_bound=0,
)
_NUM_STEPS = flags.DEFINE_integer(
    "num_steps",
    0,
    "Longest length of these pieces, in steps of the model; 0: that of the split's "
    "longest piece, but no more than 1024.",
    lower_bound=0,
)
_SEED = flags.DEFINE_integer("seed", 0, "The same seed makes the same pieces.")

# Longer pieces take long to make, and tell little more.
_MOST_STEPS = 1024


def main() -> None:
    """Evaluates as the flags say."""
    controls = command_line.extra_flags()
    if controls and not _PIECES.value:
        name = next(iter(controls))
        close = closest(name, command_line.flag_names())
        hint = f"is --{close} meant? If" if close else "if"
        raise UserError(f"--{name}: unknown; {hint} it steers music, add --pieces=64")
    import_tensorflow()
    from tfmusic.training.scoring import evaluate_run

    # First: a mistake in a control is told before the scoring, which may take long.
    compare = _make_pieces(controls) if _PIECES.value else dict
    evaluate_run(
        _WORKDIR.value,
        _DATA_DIR.value,
        _SPLIT.value,
        _JSON.value,
        compare,
        checkpoint=_CHECKPOINT.value or "",
    )


def _make_pieces(controls: dict[str, str]) -> Callable[[], dict[str, Any]]:
    """Makes pieces; gives a function that prints the table, and the same as a dict."""
    from tfmusic.data.dataset_info import DatasetInfo
    from tfmusic.evaluation.comparison import compare
    from tfmusic.pipelines.references import read_references
    from tfmusic.serving.player import Player
    from tfmusic.serving.saved_model import export_version

    found = read_references(_DATA_DIR.value, _SPLIT.value)
    lengths = DatasetInfo.load(_DATA_DIR.value).splits[_SPLIT.value]["piece_steps"]
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = _CHECKPOINT.value or ""
        player = Player(export_version(_WORKDIR.value, folder, checkpoint).path)
        player.announce = command_line.say_meanwhile
        steps = _NUM_STEPS.value or min(max(lengths, default=1), _MOST_STEPS)
        in_time = "bars" in controls or "seconds" in controls
        pieces = player.generate(
            num_outputs=_PIECES.value,
            num_steps=None if in_time else steps,
            seed=_SEED.value,
            controls=controls,
        )

    def print_table() -> dict[str, Any]:
        has_beat = None if player.representation.steps_per_quarter else False
        comparison = compare(
            pieces, found.held_out, found.training, found.as_written, has_beat
        )
        sys.stdout.write(f"\n{comparison.table()}")
        return {"music": comparison.to_dict()}

    return print_table


if __name__ == "__main__":
    command_line.run(main, takes_extra_flags=True)
