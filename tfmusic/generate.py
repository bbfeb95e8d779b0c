"""Makes new music with an exported model: MIDI files, piano rolls, audio, scores.

Every control of the model is a flag: `--temperature=0.9`, `--top_k=20`. A name that the
model does not know is refused with the list of those it does. With `--beam_width=10` it
searches instead of drawing, with other controls; with `--interpolate_seeds=1,2` it goes
from the first piece of one seed to that of another.
"""

import sys

from absl import flags

from tfmusic import command_line
from tfmusic.errors import UserError

_MODEL_DIR = flags.DEFINE_string(
    "model_dir", None, "Directory that tfmusic.export wrote.", required=True
)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", None, "Gets piece_1.mid and so on.", required=True
)
_NUM_OUTPUTS = flags.DEFINE_integer("num_outputs", 4, "How many pieces.")
_NUM_STEPS = flags.DEFINE_integer(
    "num_steps", 256, "Their length at most, in frames or tokens of the model."
)
_SEED = flags.DEFINE_integer("seed", 0, "The same seed gives the same music.")
_PRIMER = flags.DEFINE_string("primer", None, "MIDI, MusicXML or ABC to go on from.")
_INCLUDE_PRIMER = flags.DEFINE_bool(
    "include_primer", True, "Whether the pieces begin with the primer."
)
_BEAM_WIDTH = flags.DEFINE_integer(
    "beam_width",
    0,
    "Beams of a search for the likeliest music, all written, best first; 0: draw.",
)
_INTERPOLATE_SEEDS = flags.DEFINE_list(
    "interpolate_seeds",
    None,
    "Two seeds: --num_outputs pieces on the way from one to the other, both included.",
)
_PICTURES = flags.DEFINE_bool("pictures", True, "Draw a piano roll of each piece.")
_AUDIO = flags.DEFINE_bool("audio", False, "Render a WAV preview of each piece.")
_SCORES = flags.DEFINE_bool("scores", False, "Write a MusicXML score of each piece.")
_COMPARE_WITH = flags.DEFINE_string(
    "compare_with",
    None,
    "Dataset to compare with: its test split stands beside the pieces in pictures and "
    "statistics, and passages copied from its training split are counted.",
)


def main() -> None:
    """Generates as the flags say."""
    from tfmusic.serving.gallery import check_folder, read_pieces, write_gallery
    from tfmusic.serving.player import Player

    player = Player(_MODEL_DIR.value)
    data_dir = _COMPARE_WITH.value
    references = read_pieces(data_dir, "test") if data_dir else []
    check_folder(_OUTPUT_DIR.value)
    pieces, how, remarks = _make(player)
    account = write_gallery(
        _OUTPUT_DIR.value,
        pieces,
        f"{player.card['name']} ({player.card['checkpoint']}), {how}",
        remarks=remarks,
        references=references,
        training=read_pieces(data_dir, "train") if data_dir else [],
        pictures=_PICTURES.value,
        audio=_AUDIO.value,
        scores=_SCORES.value,
        in_seconds=not player.representation.steps_per_quarter,
    )
    sys.stdout.write(account + "\n")


def _make(player) -> tuple[list, str, list[str]]:
    """The pieces, how they were made, and what is to be said of each."""
    from tfmusic.notes.reading import read_input

    settings = dict(num_steps=_NUM_STEPS.value, controls=command_line.extra_flags())
    if _INTERPOLATE_SEEDS.present:
        reason = "it leads from one new piece to another"
        _refuse(_INTERPOLATE_SEEDS, reason, _SEED, _PRIMER, _BEAM_WIDTH)
        seeds = _seeds(_INTERPOLATE_SEEDS.value)
        pieces = player.interpolate(_NUM_OUTPUTS.value, seeds=seeds, **settings)
        return pieces, f"from seed {seeds[0]} to {seeds[1]}", []
    settings |= dict(
        primer=read_input(_PRIMER.value, "primer") if _PRIMER.value else None,
        include_primer=_INCLUDE_PRIMER.value,
    )
    if _BEAM_WIDTH.value:
        reason = "it leaves nothing to chance and writes all beams"
        _refuse(_BEAM_WIDTH, reason, _NUM_OUTPUTS, _SEED)
        ranked = player.search(_BEAM_WIDTH.value, **settings)
        remarks = [f", log-likelihood {value:.2f} nats" for _, value in ranked]
        how = f"beam search of width {_BEAM_WIDTH.value}"
        return [piece for piece, _ in ranked], how, remarks
    pieces = player.generate(_NUM_OUTPUTS.value, seed=_SEED.value, **settings)
    how = f"seed {_SEED.value}"
    if player.guarded_steps:
        guards = [name for name in player.controls if name.startswith("max_")]
        how += f"; {', '.join(guards)} changed {player.guarded_steps} steps"
    return pieces, how, []


def _refuse(flag: flags.FlagHolder, reason: str, *others: flags.FlagHolder) -> None:
    for other in others:
        if other.present:
            raise UserError(
                f"--{other.name}: leave it out with --{flag.name}: {reason}"
            )


def _seeds(texts: list[str]) -> tuple[int, int]:
    try:
        first, last = map(int, texts)
    except ValueError:
        raise UserError(
            "--interpolate_seeds: expected two whole numbers, as in 1,2, got "
            f"{','.join(texts)!r}"
        ) from None
    return first, last


if __name__ == "__main__":
    command_line.run(main, takes_extra_flags=True)
