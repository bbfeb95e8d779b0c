"""Every family, trained for as long on the same music, side by side.

    python -m benchmarks.families --source=piano_midi_de:DIR --output_dir=listen \
        [--minutes=60] [--family=NAME[:VARIANT] ...]

For each family's default config, or the variants that are named: records, a training
that fills the minutes, the score of the test split, an export, and four pieces with
pictures and statistics beside held-out music, in `output_dir/NAME/music`. At the end a
table tells the number of weights, how fast each learns and plays on this machine, and
its score. What an earlier call has finished stays, an interrupted training goes on.

Variants of `latent_wgan` learn from what an autoencoder makes of the music, which is
trained for as long first; those of equal latents share it.

A short trial measures the training's speed first, so that the learning rate can fall to
its end within the minutes; validation and the samples for TensorBoard take time beyond.
"""

import csv
import json
import math
import os
import time

from absl import app, flags

from benchmarks import registry
from tfmusic.config import load_config
from tfmusic.serving.player import Player
from tfmusic.serving.requests import request_music

_SOURCE = flags.DEFINE_string(
    "source", None, "Music, as pipelines.build_tfrecords takes it.", required=True
)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", None, "Gets a directory for each family.", required=True
)
_MINUTES = flags.DEFINE_float("minutes", 60.0, "How long each family trains.", 0.1)
_FAMILIES = flags.DEFINE_multi_string(
    "family", [], "NAME or NAME:VARIANT, this one alone; may be repeated."
)

FAMILIES = (
    *registry.STEP_BY_STEP,
    "latent_wgan",
    "latent_wgan:recurrent",
    "latent_wgan:recurrent_attention",
)
# By variant of `latent_wgan`, the autoencoder whose latents it takes.
AUTOENCODERS = {"reference": "set_autoencoder:reference"}
AUTOENCODER = "set_autoencoder:robust"
# Nobody knows how likely they find music.
WITHOUT_LIKELIHOOD = ("set_autoencoder", "latent_wgan")
NUM_EPOCHS = 10
TRIAL_STEPS = 12
# What a listener hears: two minutes or so of most families.
NUM_STEPS = 512
BATCH_SIZES = (1, 16)


def train(family: str, folder: str, name: str, steps_per_epoch: int, epochs: int):
    """Trains in `folder/name`; returns the rows of its `metrics.csv`."""
    workdir = os.path.join(folder, name)
    registry.run_module(
        "tfmusic.train",
        f"--config={registry.config_path(family)}",
        f"--data_dir={folder}/data",
        f"--workdir={workdir}",
        f"--config.train.num_epochs={epochs}",
        f"--config.train.steps_per_epoch={steps_per_epoch}",
        "--config.train.early_stopping_epochs=0",
        *(["--config.train.sample_every_epochs=0"] if name == "trial" else []),
    )
    with open(os.path.join(workdir, "metrics.csv"), encoding="utf-8") as file:
        return list(csv.DictReader(file))


def generation_speed(player: Player, batch_size: int) -> float:
    """Steps a second, of all pieces of a batch together."""
    request = request_music(
        player.card,
        player.representation,
        num_outputs=batch_size,
        num_steps=NUM_STEPS // 2,
        controls={"min_steps": NUM_STEPS} if "min_steps" in player.controls else {},
    )
    player.call(request.endpoint, request.inputs)  # traces and allocates
    start = time.perf_counter()
    made = player.call(request.endpoint, request.inputs)
    return float(made["num_steps"].sum()) / (time.perf_counter() - start)


def folder_of(family: str) -> str:
    """Where a family's files are."""
    return os.path.join(_OUTPUT_DIR.value, family.replace(":", "_"))


def autoencoder_of(family: str) -> str | None:
    """Whose latents a family learns from; None: it learns from music itself."""
    name, _, variant = family.partition(":")
    if name != "latent_wgan":
        return None
    return AUTOENCODERS.get(variant, AUTOENCODER)


def write_data(family: str, data: str) -> None:
    """Writes the records that a family learns from, unless they are there."""
    if os.path.isdir(data):
        return
    autoencoder = autoencoder_of(family)
    if not autoencoder:
        registry.run_module(
            "pipelines.build_tfrecords",
            f"--config={registry.config_path(family)}",
            f"--source={_SOURCE.value}",
            f"--output_dir={data}",
        )
        return
    folder = folder_of(autoencoder)
    registry.run_module(
        "pipelines.encode_latents",
        f"--data_dir={folder}/data",
        f"--model_dir={folder}/model",
        f"--output_dir={data}",
    )


def learn(family: str, folder: str, minutes: float) -> list[dict[str, str]]:
    """Trains, scores and exports a family; returns the rows of its `metrics.csv`."""
    data, run, model = (os.path.join(folder, name) for name in ("data", "run", "model"))
    if autoencoder := autoencoder_of(family):
        learn(autoencoder, folder_of(autoencoder), minutes)
    write_data(family, data)
    if not os.path.exists(f"{folder}/trial.json"):
        *_, row = train(family, folder, "trial", TRIAL_STEPS, 2)  # not the traced one
        with open(f"{folder}/trial.json", "w", encoding="utf-8") as file:
            json.dump(row, file)
    with open(f"{folder}/trial.json", encoding="utf-8") as file:
        steps_per_second = float(json.load(file)["steps_per_second"])
    steps_per_epoch = max(1, round(60 * minutes * steps_per_second / NUM_EPOCHS))
    rows = train(family, folder, "run", steps_per_epoch, NUM_EPOCHS)
    if not os.path.isdir(model):
        if family.partition(":")[0] not in WITHOUT_LIKELIHOOD:
            scores = f"--json={folder}/scores.json"
            registry.run_module(
                "tfmusic.evaluate", f"--workdir={run}", f"--data_dir={data}", scores
            )
        registry.run_module(
            "tfmusic.export", f"--workdir={run}", f"--export_dir={model}"
        )
    return rows


def play(family: str, folder: str, rows: list[dict[str, str]]) -> dict[str, float]:
    """Makes music with a family; the figures of its row."""
    model = os.path.join(folder, "model")
    # Latents are no music; what they were made of is.
    music = folder_of(autoencoder_of(family) or family)
    registry.run_module(
        "tfmusic.generate",
        f"--model_dir={model}",
        f"--output_dir={folder}/music",
        f"--num_steps={NUM_STEPS}",
        "--seed=1",
        f"--compare_with={music}/data",
    )
    scores = {}
    if family.partition(":")[0] not in WITHOUT_LIKELIHOOD:
        with open(f"{folder}/scores.json", encoding="utf-8") as file:
            scores = json.load(file)
    player = Player(model)
    batch_size = load_config(registry.config_path(family)).train.batch_size
    speeds = [float(row["steps_per_second"]) for row in rows]
    return {
        "weights": player.card["num_parameters"],
        "windows/s": batch_size * max(speeds),
        **{f"steps/s, {n}": generation_speed(player, n) for n in BATCH_SIZES},
        "first loss": float(rows[0]["loss"]),
        "last loss": float(rows[-1]["loss"]),
        "nats a step": scores.get("log_likelihood_per_step", math.nan),
        "nats a second": scores.get("log_likelihood_per_second", math.nan),
    }


def main(argv: list[str]) -> None:
    """Trains each, then prints the table."""
    del argv
    table = {}
    for family in _FAMILIES.value or FAMILIES:
        folder = folder_of(family)
        table[family] = play(family, folder, learn(family, folder, _MINUTES.value))
    print(f"\n{'':32}" + "".join(f"{name:>15}" for name in next(iter(table.values()))))
    for family, row in table.items():
        cells = (
            f"{value:,.0f}" if value > 99 else f"{value:.3g}" for value in row.values()
        )
        print(f"{family:32}" + "".join(f"{cell:>15}" for cell in cells))


if __name__ == "__main__":
    app.run(main)
