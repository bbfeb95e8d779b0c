"""Primers by chance: a random piece of a dataset from a random measure on."""

import bisect
import functools
from collections.abc import Iterator, Mapping

import numpy as np

from tfmusic.data.dataset import Dataset
from tfmusic.errors import UserError
from tfmusic.notes import NoteSequence
from tfmusic.notes.grid import TempoMap
from tfmusic.notes.measures import QUARTER, each_measure
from tfmusic.notes.transforms import crop
from tfmusic.representations import Representation
from tfmusic.serving.beginnings import cut_primer

# Without a length; phrases are often as long.
_DEFAULT_BARS, _DEFAULT_SECONDS = 4.0, 8.0
# Of a dataset, until one is found that is long enough.
_MOST_PIECES, _MOST_STARTS = 50, 8


def draw_primer(
    representation: Representation,
    data_dir: str,
    split: str = "test",
    seed: int = 0,
    **length: float | None,
) -> NoteSequence:
    """A part of a random piece of a dataset that begins with a random measure.

    Of music without a beat it begins with a note.

    Args:
        representation: How the model's arrays encode music; the dataset's may be
            another.
        data_dir: The dataset.
        split: `"train"`, `"validation"` or `"test"`.
        seed: Decides the piece and the measure.
        **length: As for `cut_primer`; 4 bars, or 8 seconds of music without a beat, if
            none is given.

    Raises:
        UserError: There is no such dataset or split, or no piece as long as that.
    """
    dataset = Dataset.open(data_dir)
    dataset.check_records(split)
    has_beat = dataset.representation.steps_per_quarter > 0
    if not has_beat and length.get("bars") is not None:
        raise UserError(
            f"primer_bars: the music of {data_dir} has no beat; give primer_steps or "
            "primer_seconds"
        )
    length = {name: value for name, value in length.items() if value is not None}
    if not length:
        length = {"bars": _DEFAULT_BARS} if has_beat else {"seconds": _DEFAULT_SECONDS}
    random = np.random.default_rng(abs(seed))
    numbers = random.permutation(int(dataset.info.splits[split]["num_pieces"]))
    for number in numbers[:_MOST_PIECES].tolist():
        piece = _read(dataset, split, number)
        take = functools.partial(_part, representation, piece, length)
        starts = list(_starts(piece, has_beat))
        # The later a start, the less there is from there on.
        fitting = bisect.bisect(starts, False, key=lambda s, take=take: take(s) is None)
        for start in random.permutation(starts[:fitting])[:_MOST_STARTS].tolist():
            part = take(start)
            if part.notes:
                part.filename = f"{piece.filename} from {start:.1f} s"
                return part
    wanted = " ".join(f"{value:g} {name}" for name, value in length.items())
    raise UserError(
        f"primer: found no {wanted} from a bar line on in {len(numbers)} pieces of the "
        f"{split} split of {data_dir}; give a shorter length, or a file"
    )


def _part(
    representation: Representation,
    piece: NoteSequence,
    length: Mapping[str, float],
    start: float,
) -> NoteSequence | None:
    """As much as is wanted from a place on; None where the piece has no more."""
    rest = crop(piece, start, piece.total_time)
    part = cut_primer(representation, rest, **length)
    return part if part.total_time < rest.total_time else None


def _read(dataset: Dataset, split: str, number: int) -> NoteSequence:
    """A piece as music, in the key that it is known to be in."""
    record = dataset.piece(split, number)
    kind = dataset.representation
    piece = kind.decode_as_read({name: record[name] for name in kind.feature_specs})
    piece.filename = record["id"]
    if dataset.info.preparation.get("key") == "C" and not piece.key_signatures:
        # Or C major, which is written alike; but that says nothing in a file.
        piece.key_signatures.add(key=9, mode=NoteSequence.KeySignature.MINOR)
    return piece


def _starts(piece: NoteSequence, has_beat: bool) -> Iterator[float]:
    """Seconds at which a part of a piece may begin."""
    starts = sorted({note.start_time for note in piece.notes})
    if not has_beat:
        yield from starts
        return
    tempo_map = TempoMap.of(piece)
    end = round(float(tempo_map.to_quarters(piece.total_time)) * QUARTER)
    for measure in each_measure(piece, tempo_map, end):
        if not measure.is_upbeat:
            yield float(tempo_map.to_seconds(measure.start / QUARTER))
