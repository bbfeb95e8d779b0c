"""What a model makes of gaps in held-out chorales, beside what stood there.

    python -m benchmarks.infilling --model_dir=DIR --data_dir=DIR [--quick]

What is below is written to the sopranos of 30 held-out pieces, and bars 3 and 4 of 64
anew in all voices. The first table sets the harmonised pieces beside the pieces
themselves, the second the new bars beside the old ones. Controls, such as
--gibbs_steps, are flags.
"""

from absl import flags

from benchmarks.gaps import fill_bars, harmonise
from tfmusic import command_line
from tfmusic.serving.gallery import read_pieces
from tfmusic.serving.player import Player

_MODEL_DIR = flags.DEFINE_string("model_dir", None, "An export.", required=True)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Its dataset.", required=True)
_QUICK = flags.DEFINE_bool("quick", False, "A fifth of the pieces.")
_FERMATAS = flags.DEFINE_bool("fermatas", True, "Tell where the phrases end.")
_BEST_OF = flags.DEFINE_integer("best_of", 1, "As for tfmusic generate.")

_HARMONISED, _FILLED = 30, 64


def main() -> None:
    """Measures and prints."""
    player = Player(_MODEL_DIR.value)
    controls = command_line.extra_flags()
    part = 5 if _QUICK.value else 1
    pieces = read_pieces(_DATA_DIR.value, "test")
    claims = harmonise(
        player,
        pieces[: _HARMONISED // part],
        controls,
        best_of=_BEST_OF.value,
        fermatas=_FERMATAS.value,
    )
    claims |= fill_bars(player, pieces[: _FILLED // part], controls)
    for name, value in claims.items():
        print(f"infilling.{name} = {value:.3f}")


if __name__ == "__main__":
    command_line.run(main, takes_extra_flags=True)
