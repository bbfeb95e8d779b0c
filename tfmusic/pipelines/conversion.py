"""From the contents of a file to packed arrays, in a process that may be stopped.

Nothing here needs TensorFlow: see `tfmusic.pipelines.parsing`.
"""

import dataclasses
import functools
import posixpath
from collections.abc import Mapping
from typing import Any

from tfmusic.data.packing import pack
from tfmusic.data.splits import Content
from tfmusic.errors import DropError
from tfmusic.notes import NoteSequence, repairs, wire
from tfmusic.notes.beats import onto_beat
from tfmusic.notes.keys import transpose_to_c
from tfmusic.notes.reading import Limits
from tfmusic.notes.scores import remarks
from tfmusic.pipelines.elements import Converted, Drop, Encoded, Load, Recipe, Task
from tfmusic.pipelines.filters import Filters
from tfmusic.representations import Representation, make_representation


@dataclasses.dataclass(frozen=True)
class Converter:
    """Turns files into what the experiments ask for.

    Attributes:
        recipes: What they ask for.
        limits: What a file may hold.
        filters: What is kept of it.
        identifies: Whether the contents of pieces are hashed: once is enough.
        play_repeats: Whether the repeats of scores are played.
    """

    recipes: tuple[Recipe, ...]
    limits: Limits
    filters: Filters
    identifies: bool = True
    play_repeats: bool = True

    @functools.cached_property
    def _representations(self) -> list[Representation]:
        return [make_representation(recipe.representation) for recipe in self.recipes]

    def __call__(self, task: Load | Task) -> bytes | list[Converted | Drop]:
        """The contents of a file; or of these contents the pieces.

        Returns:
            Of a `Task` its pieces, and those that cannot be read or are not wanted.

        Raises:
            DropError: None can be read.
        """
        return task() if isinstance(task, Load) else self._convert_file(task)

    def _convert_file(self, task: Task) -> list[Converted | Drop]:
        with repairs.counted() as found, wire.columns_written() as written:
            sequences = task.parse(task.data, task.name, self.limits, self.play_repeats)
        converted = []
        for number, sequence in enumerate(sequences, 1):
            name = f"{task.name}#{number}" if len(sequences) > 1 else task.name
            if isinstance(sequence, DropError):
                converted.append(Drop.of(sequence, name, "read"))
                continue
            sequence.id = name
            sequence.filename = task.name
            metadata = {**describe(sequence), **task.metadata}
            _add_genre(sequence, metadata)
            try:
                sequence = self.filters.apply(sequence, metadata)
                with wire.columns_kept(sequence, written), repairs.counted() as moved:
                    converted.append(self._convert(sequence, name, metadata))
                converted[-1].repairs.update(moved)
            except DropError as error:
                converted.append(Drop.of(error, name, "filter"))
        for piece in converted:
            if isinstance(piece, Converted):
                piece.repairs.update(found)
                break
        return converted

    def _convert(
        self, sequence: NoteSequence, name: str, metadata: Mapping[str, Any]
    ) -> Converted:
        content = Content.of(sequence) if self.identifies else Content("")
        piece = Converted(name, content.hash, content.sketch, metadata)
        on_beat = functools.cache(functools.partial(onto_beat, sequence))
        for recipe, kind in zip(self.recipes, self._representations, strict=True):
            try:
                prepared = on_beat() if kind.steps_per_quarter else sequence
                if recipe.preparation["key"] == "C":
                    prepared = transpose_to_c(prepared)
                if recipe.counts:
                    piece.counts[recipe.number] = kind.count(prepared)
                else:
                    piece.encoded[recipe.number] = encode(
                        prepared, kind, recipe.preparation
                    )
            except DropError as error:
                piece.drops.append(
                    Drop.of(error, name, "encode", experiment=recipe.number)
                )
        return piece


def describe(sequence: NoteSequence) -> dict[str, str]:
    """What a file says of its piece, and the reader of what it made of it."""
    known = sequence.sequence_metadata
    found = {
        "title": known.title,
        "composer": ", ".join(known.composers) or known.artist,
        **{name.replace(" ", "_"): text for name, text in remarks(sequence).items()},
    }
    return {name: text for name, text in found.items() if text}


def _add_genre(sequence: NoteSequence, metadata: Mapping[str, Any]) -> None:
    """Names the kind of a piece where its file does not say it.

    That is the tag or the composer that the source gives, or the folder it is in.
    """
    known = sequence.sequence_metadata
    if not known.genre:
        folder = posixpath.basename(posixpath.dirname(sequence.filename))
        tag = metadata.get("tag") or metadata.get("composer") or folder
        known.genre.extend([tag] if tag else [])


def encode(
    sequence: NoteSequence, kind: Representation, preparation: Mapping[str, Any]
) -> Encoded:
    """Encodes a prepared piece.

    Raises:
        DropError: It cannot be, or is too short.
    """
    features, losses = kind.encode_with_losses(sequence)
    num_steps = len(next(iter(features.values())))
    if num_steps < preparation["min_steps"]:
        raise DropError(
            "too_short",
            f"expected at least {preparation['min_steps']} steps (data.min_steps), "
            f"found {num_steps}",
            num_steps,
        )
    return Encoded(
        arrays=pack(features, kind.feature_specs),
        num_steps=num_steps,
        num_notes=len(sequence.notes),
        seconds=sequence.total_time,
        losses=losses,
    )
