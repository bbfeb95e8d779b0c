"""The command `tfmusic`: one name for all commands."""

import runpy
import sys

import tfmusic
from tfmusic import command_line
from tfmusic.errors import choose

COMMANDS = {
    "build": "Write a dataset from your music or a published collection.",
    "inspect": "Show what a dataset holds; write a piece of it as MIDI.",
    "train": "Train a model; called again, it resumes.",
    "evaluate": "Score a trained model on held-out music.",
    "curves": "Draw the losses of runs; print best and last epochs.",
    "export": "Write a trained model as a SavedModel that generates music.",
    "generate": "Make new music with a model.",
    "studio": "Open a page to make, hear and change music.",
    "play": "Open a page that plays a music file.",
    "live": "Answer what is played on a MIDI keyboard, or sent by OSC.",
    "serve": "Serve models to other programs, as TensorFlow Serving does.",
    "models": "List the models that come with tfmusic.",
    "reconstruct": "Encode a piece by an autoencoder, and decode it.",
    "encode_latents": "Write a dataset of latents with an autoencoder.",
    "listening": "Write a page for a blind listening test; score answers.",
    "show": "List the experiments; show one, or a model and its controls.",
    "doctor": "Say what is installed, what is missing, and how to get it.",
}


def overview() -> str:
    """What `tfmusic --help` prints."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {text}" for name, text in COMMANDS.items()]
    return "\n".join(
        [
            f"tfmusic {tfmusic.__version__}: symbolic music generation",
            "usage: tfmusic COMMAND --FLAG=VALUE ...   (COMMAND --help: its flags)",
            *lines,
            "Music at once:  tfmusic generate --model=chorales --output_dir=music",
            "Own files:  tfmusic build    --config=bar_lstm --source=FOLDER "
            "--output_dir=data",
            "            tfmusic train    --config=bar_lstm --data_dir=data "
            "--workdir=run",
            "            tfmusic export   --workdir=run --export_dir=model",
            "            tfmusic generate --model_dir=model --output_dir=music",
            "",
        ]
    )


def module_of(name: str) -> str:
    """The module of a command: of its name, unless a package has that name."""
    return "tfmusic." + {"models": "list_models"}.get(name, name)


def main() -> None:
    """Runs the command that the first argument names."""
    arguments = sys.argv[1:]
    with command_line.ends_well(only_prints=True):
        if not arguments or arguments[0] in command_line.HELP_FLAGS:
            sys.stdout.write(overview())
            return
        if arguments[0] == "--version":
            sys.stdout.write(f"tfmusic {tfmusic.__version__}\n")
            return
        name = choose("command", arguments[0], COMMANDS)
    sys.argv = [f"tfmusic {name}", *arguments[1:]]
    with command_line.ends_well():  # Ctrl-C while the command is imported
        runpy.run_module(module_of(name), run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
