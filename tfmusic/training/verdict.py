"""What a run came to, in words, and what to do next."""

import os
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from tfmusic.evaluation.curves import best_epoch
from tfmusic.training.live_line import duration, loss_in_words, loss_of

# Below that much music nothing general is learned, nor is validation worth much.
_FEW_SECONDS = 1800
_FEW_PIECES = 10
# Fractions of the loss: still falling; training well below validation.
_FALLING = 0.01
_APART = 0.15


def judge(
    rows: Sequence[Mapping[str, Any]],
    splits: Mapping[str, Mapping[str, Any]],
    takes: str = "best",
) -> str:
    """A verdict in a sentence or two: what is the matter, its figures, what helps.

    Args:
        rows: The metrics of each epoch; numbers, or as a table has them.
        splits: What the run learned from: `num_pieces` and `seconds` of each split.
        takes: The setting `export_checkpoint`. "latest": the run is to learn its music
            by heart, and a validation loss that rises is nothing to be mended.
    """
    losses = [loss_of(row) for row in rows]
    found = [loss_of(row, "val_") for row in rows]
    num_epochs = len(found)
    best = best_epoch(rows)
    figures = f"training {losses[best]:.2f}, validation {found[best]:.2f}"
    if num_epochs < 3:
        return (
            f"too short to tell, after {_epochs(num_epochs)}; the same command with "
            "a larger --config.train.num_epochs goes on"
        )
    before = max(num_epochs // 5, 1)
    fall = found[-1 - before] - found[-1]
    if best == num_epochs - 1 and fall > _FALLING * abs(found[-1]):
        was = f"fell by {fall:.2f} in the last {_epochs(before)}"
        return (
            f"under-fitted: validation {was}, to {found[-1]:.2f}, and was still "
            "falling; the same command with "
            f"--config.train.num_epochs={2 * num_epochs} goes on"
        )
    if takes == "latest":
        return (
            f"meant to be learned by heart: from epoch 1 to {num_epochs} training went "
            f"from {losses[0]:.2f} to {losses[-1]:.2f}, validation from {found[0]:.2f} "
            f"to {found[-1]:.2f}"
        )
    train = splits["train"]
    if train["num_pieces"] < _FEW_PIECES or train["seconds"] < _FEW_SECONDS:
        return (
            f"too little data: {train['num_pieces']} pieces, "
            f"{duration(train['seconds'])} to learn from ({figures}); add music, or "
            "begin with a trained model by --init_from"
        )
    if found[best] - losses[best] > _APART * abs(found[best]):
        return (
            f"over-fitted: in epoch {best + 1} {figures}, for it learns these "
            "pieces by heart; what helps is more music, transposition "
            "(--config.data.transpose_semitones), more dropout or a smaller network "
            "(--config.model), or a trained model to begin with (--init_from)"
        )
    rest = num_epochs - 1 - best
    since = f"no lower in {_epochs(rest)} since" if rest else "no longer falling"
    return f"fine: in epoch {best + 1} {figures}, {since}"


def describe_epochs(rows: Sequence[Mapping[str, Any]], unit: str = "") -> list[str]:
    """The values of the best epoch and of the last one, a line each.

    Args:
        rows: As for `judge`.
        unit: Of the loss.
    """
    best, last = best_epoch(rows), len(rows) - 1
    lines = [f"best epoch: {_epoch(rows, best, unit)}; its weights are kept"]
    if best == last:
        return [lines[0].replace("best", "best and last")]
    return [*lines, f"last epoch: {_epoch(rows, last, unit)}"]


def _epoch(rows: Sequence[Mapping[str, Any]], number: int, unit: str) -> str:
    learned, found = (
        loss_in_words(loss_of(rows[number], prefix), unit) for prefix in ("", "val_")
    )
    return (
        f"{number + 1} of {len(rows)}, loss {learned} in training, {found} in "
        "validation"
    )


def next_commands(
    workdir: str, data_dir: str, has_test: bool, makes_music: bool = True
) -> list[str]:
    """The commands that follow a run, with its own directories.

    Args:
        workdir: The run's.
        data_dir: What it learned from.
        has_test: Whether that has a test split.
        makes_music: False: it is an autoencoder, which gives music back.
    """
    base = os.path.normpath(workdir) if "://" not in workdir else workdir.rstrip("/")
    names = (base, f"{base}_model", f"{base}_music", f"{base}_latents", data_dir)
    run, model, music, latents, data = map(shlex.quote, names)
    lines = []
    if has_test:
        lines.append(f"tfmusic evaluate --workdir={run} --data_dir={data} --split=test")
    lines.append(f"tfmusic export --workdir={run} --export_dir={model}")
    if makes_music:
        output = f"--output_dir={music} --num_outputs=4"
        return [*lines, f"tfmusic generate --model_dir={model} {output}"]
    return [
        *lines,
        f"tfmusic reconstruct --model_dir={model} --input=piece.mid --output=back.mid",
        f"tfmusic encode_latents --data_dir={data} --model_dir={model} "
        f"--output_dir={latents}",
    ]


def _epochs(number: int) -> str:
    return f"{number} epoch{'s' if number > 1 else ''}"
