import numpy as np
import pytest

from tfmusic.notes import NoteSequence
from tfmusic.notes.writing import to_midi_bytes

CONFIG = """
import ml_collections

def get_config(variant=""):
    config = ml_collections.ConfigDict()
    config.name = "tokens" if variant.startswith("tokens") else "roll"
    if config.name == "tokens":
        config.representation = dict(name="chord_frames", steps_per_quarter=2)
    else:
        config.representation = dict(name="binary_roll", onsets=True)
    if variant == "fine":
        config.representation.steps_per_quarter = 8
    config.data = dict(key="C" if variant == "tokens_in_c" else "original", min_steps=4)
    return config
"""


def make_piece(number, num_notes=16):
    """A melody in even notes, another one for every number."""
    rng = np.random.default_rng(number)
    sequence = NoteSequence(ticks_per_quarter=220)
    sequence.tempos.add(qpm=120)
    for i, pitch in enumerate(rng.choice([60, 62, 64, 65, 67, 69, 71], num_notes)):
        sequence.notes.add(
            pitch=int(pitch), velocity=80, start_time=i / 4, end_time=(i + 1) / 4
        )
    sequence.total_time = num_notes / 4
    return sequence


@pytest.fixture(scope="session")
def config(tmp_path_factory):
    path = tmp_path_factory.mktemp("configs") / "experiment.py"
    path.write_text(CONFIG)
    return str(path)


@pytest.fixture(scope="session")
def music(tmp_path_factory):
    """A folder of twelve good files, in two folders, and of five that are not."""
    folder = tmp_path_factory.mktemp("music")
    for i in range(12):
        path = folder / f"book{i % 2}" / f"piece{i}.mid"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(to_midi_bytes(make_piece(i)))
    (folder / "empty.mid").write_bytes(b"")
    (folder / "junk.mid").write_bytes(b"this is no music at all")
    (folder / "short.mid").write_bytes(to_midi_bytes(make_piece(99, num_notes=1)))
    (folder / "silent.mid").write_bytes(to_midi_bytes(NoteSequence()))
    (folder / ".hidden.mid").write_bytes(b"left by a file manager")
    (folder / "readme.txt").write_text("about the music")
    return folder
