"""Lists the models that come with tfmusic.

tfmusic models               a model and what it learned from, a line each
tfmusic show chorales        more about one: licence, scores, controls

tfmusic generate --model=chorales --output_dir=music
"""

import os
import sys

from tfmusic import command_line
from tfmusic.serving.catalogue import read_packed_card, shipped_models


def main() -> None:
    """Prints the list."""
    sys.stdout.write(overview())


def overview() -> str:
    """The models that are there, a line each."""
    rows = [
        ("model", "music", "trained on", "licence of the music", "size"),
        *(_row(name, path) for name, path in shipped_models().items()),
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True))
        for row in rows
    ]
    return "".join(f"{line.rstrip()}\n" for line in lines)


def _row(name: str, path: str) -> tuple[str, ...]:
    card = read_packed_card(path)
    data = card.get("data") or {}
    megabytes = os.path.getsize(path) / 1e6
    return (
        name,
        card["representation"]["name"],
        data.get("source", "unknown"),
        data.get("licence", "unknown"),
        f"{megabytes:.1f} MB",
    )


if __name__ == "__main__":
    command_line.run(main, only_prints=True)
