import itertools

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.image import imread

from tests.contracts import make_sequence
from tfmusic.errors import UserError
from tfmusic.evaluation.pictures import draw_piano_rolls, piano_roll_image
from tfmusic.notes import NoteSequence

BLUE, VERMILION, GREEN, PINK = "#0072b2", "#d55e00", "#009e73", "#cc79a7"
GREY = "#a3a3ad"


def near(image, colour):
    """Where a picture has about a colour, [height, width]."""
    distance = np.abs(image.astype(float) - 255 * np.array(to_rgb(colour)))
    return distance.max(axis=-1) < 60


def test_picture_is_written_whole_and_wide_enough(chorales, tmp_path):
    path = tmp_path / "roll.png"
    path.write_bytes(b"old")
    draw_piano_rolls(str(path), [("one", chorales[0]), ("two", chorales[1])])
    assert imread(path).shape[1] == 1400
    assert [p.name for p in tmp_path.iterdir()] == ["roll.png"]


def test_array_has_the_size_asked_for(chorales):
    image = piano_roll_image([("one", chorales[0])], width=600)
    assert image.shape[1:] == (600, 3)
    shape = {"width": 600, "inches": 6, "panel_inches": 2}
    assert piano_roll_image([("one", chorales[0])], **shape).shape == (200, 600, 3)
    assert image.dtype == np.uint8


def test_pictures_are_reproducible(chorales):
    first, second = (piano_roll_image([("one", chorales[0])]) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_higher_is_above_and_later_is_to_the_right():
    low_then_high = make_sequence([(48, 80, 0, 4), (72, 80, 4, 8)])
    rows, columns = np.nonzero(near(piano_roll_image([("", low_then_high)]), BLUE))
    middle = 700
    assert rows[columns < middle - 50].min() > rows[columns > middle + 50].max()


def test_hands_have_their_own_colours():
    hands = make_sequence([(72, 80, 0, 8)], [(48, 80, 0, 8)])
    image = piano_roll_image([("", hands)])[40:]  # below the legend
    right = np.nonzero(near(image, BLUE))[0]
    left = np.nonzero(near(image, VERMILION))[0]
    assert right.max() < left.min()


def test_a_note_struck_again_looks_unlike_one_held():
    def num_edges(notes):
        image = piano_roll_image([("", make_sequence(notes))])[40:-40, 60:]
        dark = near(image, "#00334f").any(axis=0)
        return np.diff(dark.astype(int)).clip(0).sum()

    assert num_edges([(60, 80, 0, 8)]) == 0
    assert num_edges([(60, 80, i, i + 1) for i in range(8)]) == 7


def test_panels_share_their_scales():
    short = make_sequence([(60, 80, 0, 4)])
    long = make_sequence([(60, 80, 0, 4), (84, 80, 4, 16)])
    image = piano_roll_image([("", short), ("", long)])
    upper, lower = np.array_split(near(image, BLUE), 2)
    first_note = lower[:, :400]
    assert upper.any(axis=0).sum() == pytest.approx(
        first_note.any(axis=0).sum(), abs=40
    )


def test_pictures_that_show_the_same_pitches_have_a_note_in_one_place():
    notes = [(60, 80, 0, 4)]
    alone, among_others = (
        near(
            piano_roll_image([("", make_sequence(notes + more))], pitches=(40, 90)),
            BLUE,
        )
        for more in ([], [(84, 80, 2, 4)])
    )
    assert among_others[alone].all()


def test_every_short_note_of_an_overview_is_seen():
    starts = [10 * i for i in range(60)]
    piece = make_sequence([(60, 80, s, s + 0.05) for s in starts])
    image = piano_roll_image([("", piece)], max_quarters=0)
    coloured = (image.max(axis=-1).astype(int) - image.min(axis=-1) > 40).any(axis=0)
    assert np.diff(coloured.astype(int)).clip(0).sum() + coloured[0] >= len(starts)


@pytest.mark.parametrize(
    ("in_seconds", "how_much"),
    [(False, "the first 6.4 of 40 quarter notes"), (True, "the first 3.2 of 20 s")],
)
def test_title_says_in_the_unit_of_the_picture_how_much_is_shown(in_seconds, how_much):
    first, later = (60, 80, 0, 6.4), (62, 80, 7, 40)  # in quarters, at 120 qpm
    shown = piano_roll_image(
        [("a piece", make_sequence([first, later]))], 6.4, in_seconds
    )
    alone = [(f"a piece ({how_much})", make_sequence([first]))]
    np.testing.assert_array_equal(shown, piano_roll_image(alone, 6.4, in_seconds))


@pytest.mark.parametrize("in_seconds", [False, True])
def test_odd_pieces_are_drawn(in_seconds):
    odd_metre = make_sequence([(0, 80, 0, 1), (127, 80, 300, 301)], qpm=400)
    odd_metre.time_signatures.add(time=0, numerator=5, denominator=16)
    panels = [
        ("empty", NoteSequence()),
        ("odd $metre_^$ \n\u97f3\u697d", odd_metre),
        (
            "many",
            make_sequence(
                *[[(60 + i, 80, 0, 1)] for i in range(9)],
                names=("_hidden", "$x^$", "\u97f3\u697d", "\x01", "long " * 40),
            ),
        ),
    ]
    for max_quarters in (0, 7.5):
        image = piano_roll_image(panels, max_quarters, in_seconds)
        assert image.std() > 0


def rows_of(image, colour):
    """The rows in which notes of a colour lie."""
    seen = 0.85 * 255 * np.array(to_rgb(colour)) + 0.15 * 255  # as notes let light in
    distance = np.abs(image[40:-40, 60:].astype(float) - seen).max(axis=-1)
    return np.nonzero((distance < 20).sum(axis=1) > 99)[0]


def test_four_voices_of_one_instrument_have_their_own_colours():
    chords = [(72, 67, 60, 48), (74, 65, 59, 50)]
    notes = [(p, 80, 4 * i, 4 * i + 4) for i, c in enumerate(chords) for p in c]
    image = piano_roll_image([("", make_sequence(notes))])
    voices = [rows_of(image, colour) for colour in (BLUE, VERMILION, GREEN, PINK)]
    for higher, lower in itertools.pairwise(voices):
        assert 0 < higher.max() < lower.min()
    # Four notes at a time that no choir has are a piano's.
    wide = [(p + 20 * (p > 70), v, a, b) for p, v, a, b in notes]
    image = piano_roll_image([("", make_sequence(wide))])
    assert len(rows_of(image, BLUE)) and not len(rows_of(image, PINK))


def test_what_was_given_is_grey_and_what_is_new_is_not(tmp_path):
    piece = make_sequence([(60, 80, 0, 8), (72, 80, 8, 16)])
    path = str(tmp_path / "piece.png")
    draw_piano_rolls(path, [("", piece)], num_given=1)
    image = imread(path)[..., :3] * 255
    assert 0 < rows_of(image, BLUE).max() < rows_of(image, GREY).min()
    draw_piano_rolls(path, [("", piece)])
    assert not len(rows_of(imread(path)[..., :3] * 255, GREY))


def test_a_long_piece_goes_on_in_further_rows(tmp_path):
    notes = [(60, 80, 0, 8), (64, 80, 30, 40), (72, 80, 46, 48)]
    path = str(tmp_path / "piece.png")
    sizes = []
    for max_rows in (1, 3):
        draw_piano_rolls(path, [("", make_sequence(notes))], 16, max_rows=max_rows)
        image = imread(path)[..., :3] * 255
        sizes.append(len(image))
    assert sizes[1] == 3 * sizes[0]
    rows = [near(part, BLUE).any(axis=0) for part in np.array_split(image, 3)]
    # A note that lasts from one row into the next is in both.
    middle = image.shape[1] // 2
    assert rows[0][:middle].any() and not rows[0][-200:-20].any()
    assert rows[1][-200:].any() and rows[2][:middle].any() and rows[2][-200:].any()


def test_a_last_row_may_be_without_a_bar_line(tmp_path):
    notes = [(60, 80, i, i + 1) for i in range(7)]
    sequence = make_sequence(notes, time_signature=(4, 4))
    path = str(tmp_path / "roll.png")
    draw_piano_rolls(path, [("one", sequence)], max_quarters=5, max_rows=2)
    assert near(imread(path)[..., :3] * 255, BLUE).any()


def test_a_little_more_than_a_row_is_one_row(tmp_path):
    heights = []
    for length in (40, 41, 43):
        notes = [(60, 80, i, i + 1) for i in range(length)]
        path = str(tmp_path / f"{length}.png")
        panels = [("one", make_sequence(notes))]
        draw_piano_rolls(path, panels, max_quarters=40, max_rows=2)
        heights.append(imread(path).shape[0])
    assert heights[0] == heights[1] < heights[2]


def test_no_panels_are_refused():
    with pytest.raises(UserError, match="at least one piece"):
        piano_roll_image([])
