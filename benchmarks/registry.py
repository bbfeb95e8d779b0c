"""The families that benchmarks measure: a new one is a line here."""

import itertools
import subprocess
import sys

from tfmusic.representations import Representation
from tfmusic.representations.chords import chord_name
from tfmusic.representations.note_chord_tokens import NoteChordTokens

# Those that make music step by step, by the file of their experiments in `configs/`.
STEP_BY_STEP = (
    "chord_lstm",
    "skuldur_lstm",
    "performance_lstm",
    "two_hands_lstm",
    "roll_lstm",
    "next_frame_lstm",
    "frame_seq2seq",
    "biaxial_lstm",
)
FAMILIES = (*STEP_BY_STEP, "set_autoencoder", "latent_wgan")


def config_path(family: str) -> str:
    """The experiment of `NAME` or `NAME:VARIANT`."""
    name, *variant = family.split(":")
    return ":".join([f"configs/{name}.py", *filter(None, variant)])


def run_module(*arguments: str) -> None:
    """Runs one of the project's own commands; where it fails it has said why."""
    result = subprocess.run([sys.executable, "-m", *arguments], check=False)
    if result.returncode:
        sys.exit(result.returncode)


def fit_vocabulary(representation: Representation, size: int) -> Representation:
    """A vocabulary of about so many made-up chords, where one is needed."""
    if not hasattr(representation, "fit_counts"):
        return representation
    chords = itertools.islice(itertools.combinations(range(36, 84), 3), size)
    by_name = isinstance(representation, NoteChordTokens)
    names = (chord_name(c) if by_name else ".".join(map(str, c)) for c in chords)
    # Often enough for any `min_count`.
    return representation.fit_counts(dict.fromkeys(names, 1_000))
