"""Makes new music with an exported model: MIDI files, piano rolls, audio, scores.

Every control of the model is a flag: `--temperature=0.9`, `--top_k=20`. A name that the
model does not know is refused with the list of those it does. With `--beam_width=10` it
searches instead of drawing, with other controls.
"""

import sys

from absl import flags

from tfmusic import command_line

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
    from tfmusic.errors import UserError
    from tfmusic.notes.reading import ReadError, read_file
    from tfmusic.serving.gallery import read_pieces, write_gallery
    from tfmusic.serving.player import Player

    player = Player(_MODEL_DIR.value)
    try:
        primer = read_file(_PRIMER.value) if _PRIMER.value else None
    except (OSError, ReadError) as error:
        raise UserError(
            f"primer {_PRIMER.value}: expected a readable MIDI, MusicXML or ABC file, "
            f"but {error}"
        ) from error
    settings = dict(
        num_steps=_NUM_STEPS.value,
        primer=primer,
        include_primer=_INCLUDE_PRIMER.value,
        controls=command_line.extra_flags(),
    )
    description = f"{player.card['name']} ({player.card['checkpoint']})"
    remarks = []
    if _BEAM_WIDTH.present:
        for flag in (_NUM_OUTPUTS, _SEED):
            if flag.present:
                raise UserError(
                    f"--{flag.name}: leave it out with --beam_width, which leaves "
                    "nothing to chance and writes all beams"
                )
        ranked = player.search(_BEAM_WIDTH.value, **settings)
        pieces = [piece for piece, _ in ranked]
        remarks = [f", log-likelihood {value:.2f} nats" for _, value in ranked]
        description += f", beam search of width {_BEAM_WIDTH.value}"
    else:
        pieces = player.generate(_NUM_OUTPUTS.value, seed=_SEED.value, **settings)
        description += f", seed {_SEED.value}"
        if player.guarded_steps:
            description += (
                "; but for the guards it would not have changed in "
                f"{player.guarded_steps} steps more (see max_repeats, max_silence)"
            )
    data_dir = _COMPARE_WITH.value
    account = write_gallery(
        _OUTPUT_DIR.value,
        pieces,
        description,
        remarks=remarks,
        references=read_pieces(data_dir, "test") if data_dir else [],
        training=read_pieces(data_dir, "train") if data_dir else [],
        pictures=_PICTURES.value,
        audio=_AUDIO.value,
        scores=_SCORES.value,
    )
    sys.stdout.write(account + "\n")


if __name__ == "__main__":
    command_line.run(main, takes_extra_flags=True)
