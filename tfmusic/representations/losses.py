"""What music loses when it is encoded, in words.

Representations count losses under short names (see `Representation.read_notes`); here
is what each means to a musician.
"""

from collections.abc import Mapping

# What is counted, notes where nothing is said; and what becomes of it.
WORDS = {
    "drums": ("notes", "drums are left out"),
    "other_instruments": ("notes", "all instruments but the first are left out"),
    "outside_range": ("notes", "notes outside the model's keyboard are left out"),
    "unisons": ("notes", "of two notes on one key at once the longer is kept"),
    "cut_notes": ("notes", "notes end where their key is struck again"),
    "merged_restrikes": ("notes", "repeated notes become one long note"),
    "clamped_durations": ("notes", "notes longer than the longest known are cut"),
    "rounded_durations": ("notes", "lengths between known ones become shorter"),
    "respelled_bars": ("bars", "of rare metres, written as bars of other metres"),
    "substituted_chords": ("steps", "unknown chords become the nearest known ones"),
    "split_notes": ("notes", "held notes are struck again with their chord"),
    "voice_chords": ("notes", "of a chord in one voice the highest note is kept"),
    "voice_overlaps": ("notes", "notes end where their voice goes on"),
    "inner_notes": ("notes", "more notes at once than voices: inner ones are left out"),
    "overflows": ("notes", "more notes at once than fit: the shortest are left out"),
}


def describe_losses(
    losses: Mapping[str, int], num_notes: int, num_steps: int = 0
) -> list[str]:
    """Losses in words, the largest first.

    Args:
        losses: Counts by name.
        num_notes: Of the music before it was encoded.
        num_steps: Of the encoded music, of which chords are a fraction.

    Returns:
        A line for each, such as "12 of 59 notes (20 %): repeated notes become one long
        note".
    """
    lines = []
    for name, count in sorted(losses.items(), key=lambda item: -item[1]):
        unit, text = WORDS[name]
        total = {"notes": num_notes, "steps": num_steps}.get(unit, 0)
        part = f" of {total:,d} {unit} ({percent(count, total)})" if total else ""
        lines.append(f"{count:,d}{part or f' {unit}'}: {text}")
    return lines


def percent(count: int, total: int) -> str:
    """A fraction in whole per cent, or as "under 1 %"."""
    value = 100 * count / total
    return "under 1 %" if 0 < value < 1 else f"{value:.0f} %"
