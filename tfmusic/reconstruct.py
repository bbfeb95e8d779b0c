"""Encodes a piece by an exported autoencoder and decodes it, to hear what is kept.

Prints how much of the piece came back, measured on the MIDI file that is written.
"""

import sys

from absl import flags

from tfmusic import command_line

_MODEL_DIR = flags.DEFINE_string(
    "model_dir", None, "Autoencoder that tfmusic export wrote.", required=True
)
_INPUT = flags.DEFINE_string(
    "input", None, "MIDI, MusicXML or ABC file to read.", required=True
)
_OUTPUT = flags.DEFINE_string("output", None, "MIDI file to write.", required=True)


def main() -> None:
    """Reconstructs as the flags say."""
    from tfmusic.evaluation.reconstruction import ReconstructionTotal
    from tfmusic.notes.guarded import read_input
    from tfmusic.notes.reading import read_file
    from tfmusic.notes.writing import write_midi
    from tfmusic.serving.player import Player

    player = Player(_MODEL_DIR.value, num_threads=0)
    piece = read_input(_INPUT.value, "input")
    write_midi(player.reconstruct(piece), _OUTPUT.value)
    total = ReconstructionTotal()
    total.update(player.representation.canonicalize(piece), read_file(_OUTPUT.value))
    for name, value in total.result().items():
        sys.stdout.write(f"{name:28s} {value:.4f}\n")
    sys.stdout.write(f"written to {_OUTPUT.value}\n")


if __name__ == "__main__":
    command_line.run(main)
