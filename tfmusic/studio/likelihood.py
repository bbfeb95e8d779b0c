"""How likely a model holds each note of a piece."""

from typing import Any

import numpy as np

from tfmusic.errors import UserError
from tfmusic.notes import NoteSequence
from tfmusic.notes.transforms import transpose
from tfmusic.serving.primers import Primer, read_primer
from tfmusic.studio.pieces import to_page
from tfmusic.studio.shelf import Shelf


def likelihoods(shelf: Shelf, model: str, piece: NoteSequence) -> list[float | None]:
    """Log-likelihoods of the notes of a piece, in nats.

    Where a step of the model is a moment, that of the moment in which a note begins;
    where it is a token, that of all tokens which the note takes.

    Args:
        shelf: Has the model.
        model: Its name.
        piece: The music.

    Returns:
        By note of `to_page`, in its order; None for notes that the model does not read.

    Raises:
        UserError: The model has no likelihood, or not one of each note.
    """
    player = shelf.player(model)
    kind = player.representation
    values = player.score(piece)
    notes = to_page(piece)["notes"]
    starts = kind.grid.to_steps(piece, np.array([note[1] for note in notes]))
    if kind.step_seconds is not None:
        return [_rounded(values[s]) if s < len(values) else None for s in starts]
    primer = read_primer(player.card, kind, piece)
    found = _by_token(kind, primer, values)
    pitches = [note[0] + primer.semitones for note in notes]
    return [
        _rounded(found.get(key)) for key in zip(starts.tolist(), pitches, strict=True)
    ]


def _by_token(
    kind: Any, primer: Primer, values: np.ndarray
) -> dict[tuple[int, int], float]:
    """What notes take, by step and pitch as the model reads them."""
    tokens = primer.prompt["tokens"]
    ends = np.flatnonzero(kind.token_pitches()[tokens].any(axis=1))
    notes, _ = kind.read_notes(transpose(primer.sequence, primer.semitones))
    struck = kind.token_pitches()[tokens[ends]]
    if len(ends) != len(notes) or not struck[np.arange(len(ends)), notes.pitches].all():
        raise UserError(
            f"likelihood: {kind.name} writes this piece in tokens that are not one for "
            "each note; choose another model"
        )
    # What comes before a note (its place, its length) belongs to it.
    totals = np.add.reduceat(values[: ends[-1] + 1], [0, *(ends[:-1] + 1)])
    places = zip(notes.starts.tolist(), notes.pitches.tolist(), strict=True)
    return dict(zip(places, totals.tolist(), strict=True))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(float(value), 3)
