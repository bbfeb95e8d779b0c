"""The tag of a piece: its genre, its composer, or the folder that it was in."""

from collections.abc import Mapping

from tfmusic.notes import NoteSequence

MAX_TAGS = 32


def tag_of(sequence: NoteSequence) -> str:
    """The first genre that a piece is said to be of; empty without any."""
    genres = sequence.sequence_metadata.genre
    return genres[0].strip().lower() if genres else ""


def number_of(sequence: NoteSequence, tags: tuple[str, ...]) -> int:
    """Which of the tags a piece has, from 1 on; 0: none of them."""
    tag = tag_of(sequence)
    return tags.index(tag) + 1 if tag in tags else 0


def add_tag(sequence: NoteSequence, number: int, tags: tuple[str, ...]) -> None:
    """Writes a piece's tag into it, by its number."""
    if 0 < number <= len(tags):
        sequence.sequence_metadata.genre.append(tags[number - 1])


def most_common(counts: Mapping[str, int]) -> tuple[str, ...]:
    """The tags that most pieces have, of those that several have, at most 32.

    Args:
        counts: How many pieces have each tag.
    """
    several = {tag: number for tag, number in counts.items() if number > 1}
    return tuple(sorted(several, key=lambda tag: (-several[tag], tag))[:MAX_TAGS])
