"""What the music of the shipped models is like, beside held-out music.

    python -m benchmarks.music [--quick] [--model=chorales] [--files=FOLDER]
        [--music=piano=piano_midi_de:FOLDER]

For each model: builds its dataset, lets it make 64 pieces with its defaults (16 with
--quick), and prints the table of `tfmusic evaluate --pieces` and one line a claim. A
model that fills gaps also harmonises the sopranos of 30 held-out pieces and writes two
bars of 64 anew (6 and 12 with --quick).
With --files it also does what a musician does: trains `bar_lstm` on a folder of files
of her own (forty are enough, about forty minutes on two idle cores) and compares.
"""

import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping

import numpy as np
from absl import app, flags

from benchmarks.gaps import fill_bars, harmonise
from pretrained.make import RECIPES
from tfmusic.data.dataset_info import DatasetInfo
from tfmusic.evaluation.comparison import Comparison, compare
from tfmusic.evaluation.tables import aggregate
from tfmusic.pipelines.references import read_references
from tfmusic.serving.catalogue import shipped_models
from tfmusic.serving.player import Player

_QUICK = flags.DEFINE_bool("quick", False, "16 pieces of each model instead of 64.")
_MODELS = flags.DEFINE_list("model", None, "Only these of the shipped models.")
_MUSIC = flags.DEFINE_list(
    "music",
    [],
    "NAME=SOURCE of models whose music no package carries, such as "
    "piano=piano_midi_de:FOLDER.",
)
_FILES = flags.DEFINE_string("files", None, "A folder of music to learn from.")
_SPLIT = "test"

# Rows of the table by the names that claims give them.
_ROWS = {
    "on_the_beat": "3 or more voices move on the beat, %",
    "without_a_beat": "stretches of 8 quarters without a clear beat, %",
    "parallel_fifths": "parallel fifths, per 100 chord changes",
    "parallel_octaves": "parallel octaves, per 100 chord changes",
    "root_endings": "ends on a root-position triad, %",
    "tonic_endings": "ends on the tonic, %",
    "dominant_tonic": "last two chords V-I, %",
    "held_chords": "chords held 1.5 quarters or more, per 16 bars",
    "returning": "pieces in which 2 bars of melody return, %",
    "repeated_runs": "runs of 4 melody notes that come again, %",
    "home_key": "windows of 16 quarters in the home key, %",
}
_COPIED = "in copied passages"
# Claims about gaps do without a name where they are of the model made for gaps.
_OF_GAPS, _FOR_GAPS = ("harmonise_", "infill_"), "harmony"


def main(_: list[str]) -> None:
    """Measures every model that is there."""
    claims: dict[str, float] = {}
    given = dict(pair.split("=", 1) for pair in _MUSIC.value)
    with tempfile.TemporaryDirectory() as folder:
        for name in _MODELS.value or shipped_models():
            data_dir = f"{folder}/{name}"
            recipe = RECIPES[name]
            source = given.get(name, recipe.source)
            if not source:
                print(
                    f"{name}: left out; --music={name}=SOURCE says where its music is"
                )
                continue
            _call(
                "build",
                f"--config={recipe.config}",
                f"--source={source}",
                f"--output_dir={data_dir}",
            )
            for claim, value in _measure(Player(name), data_dir):
                is_plain = name == _FOR_GAPS and claim.startswith(_OF_GAPS)
                claims[claim if is_plain else f"{name}_{claim}"] = value
        if _FILES.value:
            for claim, value in _own_files(_FILES.value, folder):
                claims[f"files_{claim}"] = value
    for claim, value in claims.items():
        print(f"music.{claim} = {value:.4g}")


def _measure(player: Player, data_dir: str) -> Iterator[tuple[str, float]]:
    """The claims about a model, after the table."""
    info = DatasetInfo.load(data_dir)
    references = read_references(data_dir, _SPLIT)
    longest = max(info.splits[_SPLIT]["piece_steps"])
    pieces = player.generate(16 if _QUICK.value else 64, min(longest, 1024))
    comparison = compare(
        pieces, references.held_out, references.training, references.as_written
    )
    print(f"\n{player.card['name']}, {len(pieces)} pieces\n{comparison.table()}")
    yield from _claims(comparison)
    yield from _nats(player, references.held_out)
    # Models of bars have other gaps: benchmarks.bar_gaps.
    if "soprano" in player.representation.keep_names:
        part = 5 if _QUICK.value else 1
        held_out = references.held_out
        harmonised = harmonise(player, held_out[: 30 // part])
        filled = fill_bars(player, held_out[: 64 // part])
        yield from (
            (f"harmonise_{claim}", value) for claim, value in harmonised.items()
        )
        yield from ((f"infill_{claim}", value) for claim, value in filled.items())
    encoded = info.splits[_SPLIT]
    losses = encoded.get("losses", {})
    yield (
        "frames_replaced_percent",
        _percent(losses.get("substituted_chords", 0), encoded["num_steps"]),
    )
    yield (
        "onsets_lost_percent",
        _percent(losses.get("merged_restrikes", 0), encoded["num_notes"]),
    )


def _claims(comparison: Comparison) -> Iterator[tuple[str, float]]:
    """Rows of the table, generated and held out, and how near the two are."""
    sets = {
        "": aggregate(comparison.groups["generated"]),
        "held_out_": aggregate(comparison.groups["held-out"]),
    }
    for prefix, values in sets.items():
        for claim, label in _ROWS.items():
            if label in values:
                yield prefix + claim, values[label].mean
        yield from _copied(prefix, values)
    if comparison.mean_overlap:
        yield "mean_overlap", comparison.mean_overlap.mean


def _copied(prefix: str, values: Mapping) -> Iterator[tuple[str, float]]:
    for label, value in values.items():
        if label.startswith(_COPIED):
            yield f"{prefix}copied_percent", value.mean


def _nats(player: Player, held_out) -> Iterator[tuple[str, float]]:
    """The mean log-likelihood of a step of held-out music."""
    scores = [player.score(piece) for piece in held_out]
    yield "log_likelihood", float(np.mean(np.concatenate(scores)))


def _percent(part: float, whole: float) -> float:
    return 100.0 * part / max(whole, 1)


def _own_files(folder: str, work: str) -> Iterator[tuple[str, float]]:
    """Trains on a folder as the README has it, and measures what comes of it."""
    config = "--config=bar_lstm"
    data, run, model = (f"{work}/files_{part}" for part in ("data", "run", "model"))
    source = f"--source={pathlib.Path(folder).resolve()}"
    _call("build", config, source, f"--output_dir={data}", "--test_fraction=0.15")
    _call("train", config, f"--data_dir={data}", f"--workdir={run}")
    _call("export", f"--workdir={run}", f"--export_dir={model}")
    yield from _measure(Player(model), data)


def _call(command: str, *arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "tfmusic", command, *arguments], check=True)


if __name__ == "__main__":
    app.run(main)
