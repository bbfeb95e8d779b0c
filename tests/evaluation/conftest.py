import importlib.util
import pathlib

import numpy as np
import pytest

from tests.contracts import make_sequence
from tfmusic.notes.reading import read_file


@pytest.fixture(scope="session")
def chorales():
    """Fifty four-part chorales, from the corpus that music21 carries."""
    (package,) = importlib.util.find_spec("music21").submodule_search_locations
    paths = sorted((pathlib.Path(package) / "corpus" / "bach").glob("bwv2*.mxl"))
    pieces = [read_file(path) for path in paths[:64]]
    return [piece for piece in pieces if len(piece.part_infos) == 4][:50]


@pytest.fixture(params=range(20))
def random_piece(request):
    """Thirty notes on a grid of eighths of a quarter: overlaps, unisons, rests."""
    return make_random_piece(request.param)


def make_random_piece(seed, num_notes=30, quarters=24):
    random = np.random.default_rng(seed)
    tracks = [[] for _ in range(1 + seed % 3)]
    for _ in range(num_notes):
        start = int(random.integers(8 * quarters)) / 8
        length = int(random.choice([1, 2, 4, 6, 8, 16, 40])) / 8
        track = tracks[random.integers(len(tracks))]
        track.append((int(random.integers(48, 72)), 80, start, start + length))
    return make_sequence(*tracks, qpm=float(random.choice([60, 96, 120])))
