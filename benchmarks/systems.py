"""Each published system, from music to music, by the commands that a user types.

    python -m benchmarks.systems --piano=DIR --chorales=SOURCE --performances=SOURCE \
        --output_dir=systems [--only=S4,S5] [--steps=200]

For each: its dataset, a training of so many steps, the picture of its curves, an export
of the latest weights, and music from the primer that its source takes, in
`output_dir/S4/` and so on. An autoencoder gives a held-out piece back instead. At the
end a row for each that is done there: its training, its losses of the first and the
last epoch, the seconds that its steps took, and how long the music is and how many
notes it has, in the mean over its files, as pretty_midi reads them. A system whose row
is there is not run again; what a call that was stopped has finished stays, and its
training resumes.

Steps of an autoencoder are a hundredth as long as the others', so it gets 20 times as
many. Systems that learn from latents need its row first: `--only=S8,S9`.
"""

import csv
import dataclasses
import json
import pathlib

import pretty_midi
from absl import app, flags

from benchmarks import registry
from tfmusic.training.live_line import loss_of

_PIANO = flags.DEFINE_string(
    "piano", None, "Piano music on two staves, as tfmusic build takes it."
)
_CHORALES = flags.DEFINE_string("chorales", "bach_chorales", "Chorales, likewise.")
_PERFORMANCES = flags.DEFINE_string(
    "performances", None, "Piano as it was played, with pedals, likewise."
)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", None, "Gets a folder for each system.", required=True
)
_ONLY = flags.DEFINE_list("only", [], "Run these alone, such as S4,S5.")
_STEPS = flags.DEFINE_integer("steps", 200, "Steps of each training.", 1)

NUM_EPOCHS = 10  # points of a curve
AUTOENCODER_FACTOR = 20


@dataclasses.dataclass(frozen=True)
class System:
    """A published system, and how its source makes music.

    Attributes:
        config: The variant of an experiment that has its settings.
        music: Which of the flags its music is in.
        generate: Flags of its generation.
        primer: Split of the dataset whose first piece is `--primer`; empty: none.
        latents_of: The system whose autoencoder makes what it learns from.
    """

    config: str
    music: str
    generate: tuple[str, ...]
    primer: str = ""
    latents_of: str = ""


_FROM_ANYWHERE = "--primer=random"
_HANDS = ("--primer_steps=32", "--num_steps=96")
_NOTES = (_FROM_ANYWHERE, "--split=train", "--primer_steps=100", "--num_steps=500")
_CHORDS = ("--primer_steps=50", "--num_steps=300")
# By their numbers, in the order of docs/systems.md.
SYSTEMS = {
    "S1": System("two_hands_lstm:reference", "piano", _HANDS, "test"),
    "S2": System("two_hands_lstm:one_hand_reference", "piano", _HANDS, "test"),
    "S3": System(
        "biaxial_lstm:reference",
        "piano",
        (_FROM_ANYWHERE, "--primer_steps=1", "--num_steps=320", "--num_outputs=50"),
    ),
    "S4": System("skuldur_lstm:reference", "piano", _NOTES),
    "S4text": System("skuldur_lstm:reference_text", "piano", _NOTES),
    "S5": System(
        "next_frame_lstm:reference",
        "chorales",
        (_FROM_ANYWHERE, "--primer_steps=160", "--num_steps=480"),
    ),
    "S6": System(
        "frame_seq2seq:reference_experiment3",
        "chorales",
        (_FROM_ANYWHERE, "--primer_steps=160", "--num_steps=200"),
    ),
    "S7": System(
        "frame_seq2seq:reference",
        "chorales",
        (_FROM_ANYWHERE, "--primer_steps=128", "--num_steps=200"),
    ),
    "S8": System("set_autoencoder:reference", "performances", (), "test"),
    "S9": System("latent_wgan:reference", "", ("--num_steps=64",), latents_of="S8"),
    "S10robust": System("set_autoencoder:robust", "performances", (), "test"),
    "S10": System("latent_wgan:recurrent_attention", "", (), latents_of="S10robust"),
    "S11": System("chord_lstm:reference", "piano", _CHORDS, "test"),
    "S12": System("chord_lstm:reference_gru", "piano", _CHORDS, "test"),
}


def tfmusic(command: str, *arguments: str) -> None:
    """Runs a command of the package, and shows it."""
    print("$ tfmusic", command, *arguments, flush=True)
    registry.run_module("tfmusic", command, *arguments)


def is_autoencoder(system: System) -> bool:
    """Whether it gives music back, and makes none."""
    return system.config.startswith("set_autoencoder")


def build(system: System, folder: pathlib.Path) -> None:
    """Writes the dataset that a system learns from, unless it is there."""
    data = folder / "data"
    if data.exists():
        return
    output = f"--output_dir={data}"
    if system.latents_of:
        autoencoder = folder.parent / system.latents_of
        if not (autoencoder / "row.json").exists():
            raise app.UsageError(
                f"{system.config} learns from what {system.latents_of} makes of music: "
                f"expected its row in {autoencoder}; run --only={system.latents_of}"
            )
        models = (f"--data_dir={autoencoder}/data", f"--model_dir={autoencoder}/model")
        tfmusic("encode_latents", *models, output)
        return
    source = flags.FLAGS[system.music].value
    if not source:
        raise app.UsageError(f"{system.config} learns from music of --{system.music}")
    tfmusic("build", f"--config={system.config}", f"--source={source}", output)


def train(system: System, folder: pathlib.Path) -> list[dict[str, str]]:
    """Trains, or resumes; returns the rows of the run's `metrics.csv`."""
    factor = AUTOENCODER_FACTOR if is_autoencoder(system) else 1
    tfmusic(
        "train",
        f"--config={system.config}",
        f"--data_dir={folder}/data",
        f"--workdir={folder}/run",
        f"--config.train.num_epochs={NUM_EPOCHS}",
        f"--config.train.steps_per_epoch={max(factor * _STEPS.value // NUM_EPOCHS, 1)}",
        "--config.train.sample_every_epochs=0",
    )
    with (folder / "run" / "metrics.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def make_music(system: System, folder: pathlib.Path) -> None:
    """Exports the latest weights and makes music, as the source does."""
    if not (folder / "model").exists():
        run, model = f"--workdir={folder}/run", f"--export_dir={folder}/model"
        tfmusic("export", run, "--checkpoint=latest", model)
    flags_of_music, piece = list(system.generate), folder / "primer.mid"
    if system.primer:
        split = ("--piece=0", f"--split={system.primer}")
        tfmusic("inspect", f"--data_dir={folder}/data", *split, f"--output={piece}")
        flags_of_music += [f"--primer={piece}"]
    elif _FROM_ANYWHERE in system.generate:
        flags_of_music += [f"--data_dir={folder}/data"]
    model, music = f"--model_dir={folder}/model", folder / "music"
    if is_autoencoder(system):
        music.mkdir(exist_ok=True)
        output = f"--output={music}/piece_1.mid"
        tfmusic("reconstruct", model, f"--input={piece}", output)
        return
    tfmusic("generate", model, f"--output_dir={music}", "--seed=1", *flags_of_music)


def row_of(system: System, folder: pathlib.Path) -> dict[str, object]:
    """Runs what is missing of a system; returns its row."""
    path = folder / "row.json"
    if path.exists():
        return json.loads(path.read_text(encoding="utf-8"))
    build(system, folder)
    epochs = train(system, folder)
    # Of the steps alone, so that a resumed run has all of them.
    starts = [0, *(int(epoch["step"]) for epoch in epochs)]
    seconds = sum(
        (int(epoch["step"]) - start) / float(epoch["steps_per_second"])
        for start, epoch in zip(starts, epochs, strict=False)
    )
    tfmusic("curves", f"{folder}/run", f"--output={folder}/curves.png")
    make_music(system, folder)
    info = json.loads((folder / "data" / "dataset_info.json").read_text("utf-8"))
    files = sorted((folder / "music").glob("*.mid"))
    pieces = [pretty_midi.PrettyMIDI(str(file)) for file in files]
    notes = [sum(len(part.notes) for part in piece.instruments) for piece in pieces]
    row = {
        "config": system.config,
        "files": info["splits"]["train"]["num_pieces"],
        "steps": int(epochs[-1]["step"]),
        "first loss": loss_of(epochs[0]),
        "last loss": loss_of(epochs[-1]),
        "first val": loss_of(epochs[0], "val_"),
        "last val": loss_of(epochs[-1], "val_"),
        "seconds": seconds,
        "pieces": len(pieces),
        "MIDI s": sum(piece.get_end_time() for piece in pieces) / len(pieces),
        "notes": sum(notes) / len(pieces),
    }
    path.write_text(json.dumps(row, indent=1), encoding="utf-8")
    return row


def main(argv: list[str]) -> None:
    """Runs each, then prints the table of all that are done."""
    del argv
    if unknown := set(_ONLY.value) - set(SYSTEMS):
        raise app.UsageError(f"--only: expected some of {list(SYSTEMS)}, got {unknown}")
    output = pathlib.Path(_OUTPUT_DIR.value)
    for name in _ONLY.value or SYSTEMS:
        (output / name).mkdir(parents=True, exist_ok=True)
        row_of(SYSTEMS[name], output / name)
    print()
    for name, system in SYSTEMS.items():
        if not (output / name / "row.json").exists():
            continue
        row = row_of(system, output / name)
        cells = (
            f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"
            for key, value in row.items()
        )
        print(f"{name:10}" + "  ".join(cells))


if __name__ == "__main__":
    app.run(main)
