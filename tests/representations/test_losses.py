import pathlib
import re

from tfmusic.representations import losses


def test_losses_are_told_in_words_and_per_cent():
    found = {"drums": 1, "merged_restrikes": 12, "substituted_chords": 3}
    found["respelled_bars"] = 2  # nobody knows of how many
    assert losses.describe_losses(found, num_notes=59, num_steps=400) == [
        "12 of 59 notes (20 %): repeated notes become one long note",
        "3 of 400 steps (under 1 %): unknown chords become the nearest known ones",
        "2 bars: of rare metres, written as bars of other metres",
        "1 of 59 notes (2 %): drums are left out",
    ]


def test_every_loss_that_is_counted_has_words():
    folder = pathlib.Path(losses.__file__).parent
    text = "".join(path.read_text(encoding="utf-8") for path in folder.glob("*.py"))
    counted = set(re.findall(r'losses\["(\w+)"\]', text))
    counted |= set(re.findall(r"[(,]\s*(\w+)=[^=]*?\.item\(\)", text))
    counted |= set(re.findall(r"Counter\(\s*(\w+)=", text))
    assert {"cut_notes", "unisons", "overflows", "merged_restrikes"} <= counted
    assert counted - {""} <= set(losses.WORDS)
