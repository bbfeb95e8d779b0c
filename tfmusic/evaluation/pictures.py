"""Piano rolls as pictures: generated music beside real music on the same scale."""

import copy
import io
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font
from matplotlib.patches import Patch

from tfmusic.errors import UserError
from tfmusic.evaluation.note_arrays import NoteArrays
from tfmusic.evaluation.voices import voices_of
from tfmusic.files import write_file
from tfmusic.notes import NoteSequence
from tfmusic.notes.grid import BeatGrid, bar_positions

WIDTH_INCHES = 14.0
DOTS_PER_INCH = 100
_INCHES_PER_PITCH = 0.07
_SHORT_ROW = 0.05
_MARGIN_INCHES = 0.75  # of a panel: title, ticks
_MAX_PANEL_INCHES = 5.0
# Okabe and Ito's colours, which the colour-blind can tell apart as well.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#555555")
_GIVEN = "#a3a3ad"  # grey: what the model did not write
_BLACK_KEYS = (1, 3, 6, 8, 10)
_SHADE = "#f1f1f4"
_BAR_LINE = "#b9b9c4"
_BEAT_LINE = "#e4e4ea"
_EDGE_SHARE = 0.0015  # of the width: two pixels of 1,400
_HALF_ROW = 0.46
_NOTES_ORDER = 3  # above the lines, which are at 2
_MAX_NAME_LENGTH = 30
# Bar lines are found on this grid; it holds beats, triplets and 5/16 bars.
_BAR_GRID = BeatGrid(steps_per_quarter=24)
# Fewer semitones than this would make fat bars of a melody.
_MIN_PITCHES = 25
_MAX_BAR_NUMBERS = 24


def draw_piano_rolls(
    path: str,
    panels: Sequence[tuple[str, NoteSequence]],
    max_quarters: float = 96.0,
    in_seconds: bool = False,
    max_rows: int = 1,
    num_given: int = 0,
) -> None:
    """Writes a PNG of piano rolls above one another; 1,400 pixels wide.

    All panels share the range of pitches and the scale of time. Each part, instrument
    or hand has its colour, and so has each voice of four on one instrument; a notch at
    its left edge shows where a note is struck.

    Args:
        path: A file, replaced if it is there.
        panels: Title and music of each panel, from the top.
        max_quarters: How much of each piece is shown, from its beginning, in quarter
            notes; its title says so, in the unit of time of the picture, where that is
            not all. 0 shows everything.
        in_seconds: Whether time runs in seconds (for performances whose beat is not
            known) instead of quarter notes with bar lines.
        max_rows: Into how many rows of `max_quarters` a longer piece goes.
        num_given: So many of the first piece's notes, its first ones, were given to
            the model: they are grey, and the legend says so.

    Raises:
        UserError: There are no panels, or it cannot be written.
    """
    buffer = io.BytesIO()
    canvas = _draw(
        panels,
        max_quarters,
        in_seconds,
        DOTS_PER_INCH,
        max_rows=max_rows,
        num_given=num_given,
    )
    canvas.print_png(buffer)
    write_file(path, buffer.getvalue())


def piano_roll_image(
    panels: Sequence[tuple[str, NoteSequence]],
    max_quarters: float = 96.0,
    in_seconds: bool = False,
    width: int = 1400,
    inches: float = WIDTH_INCHES,
    panel_inches: float = 0.0,
    pitches: Sequence[int] = (),
) -> np.ndarray:
    """The picture that `draw_piano_rolls` writes, as an array.

    Args:
        panels: As there.
        max_quarters: As there.
        in_seconds: As there.
        width: In pixels.
        inches: That they stand for: the fewer, the larger are letters and lines.
        panel_inches: Height of each panel; 0: as its range of pitches needs.
        pitches: What the range of pitches holds at least, for pictures to compare.

    Returns:
        RGB, uint8 `[height, width, 3]`.
    """
    canvas = _draw(
        panels, max_quarters, in_seconds, width / inches, inches, panel_inches, pitches
    )
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _draw(
    panels: Sequence[tuple[str, NoteSequence]],
    max_quarters: float,
    in_seconds: bool,
    dots_per_inch: float,
    inches: float = WIDTH_INCHES,
    panel_inches: float = 0.0,
    pitches: Sequence[int] = (),
    max_rows: int = 1,
    num_given: int = 0,
) -> FigureCanvasAgg:
    if not panels:
        raise UserError("expected at least one piece to draw")
    pieces = [
        row
        for number, (title, sequence) in enumerate(panels)
        for row in _rows(
            _Panel(title, sequence, max_quarters * max_rows, in_seconds),
            max_quarters,
            0 if number else num_given,
        )
    ]
    pitches = np.concatenate(
        [np.array(pitches, int), *(piece.notes.pitch[piece.shown] for piece in pieces)]
    )
    low, high = (pitches.min(), pitches.max()) if len(pitches) else (60, 60)
    margin = max(2, -(-(_MIN_PITCHES - int(high - low)) // 2))
    length = max(piece.end - piece.begin for piece in pieces)
    height = _MARGIN_INCHES + _INCHES_PER_PITCH * (high - low + 2 * margin + 1)
    height = panel_inches or min(height, _MAX_PANEL_INCHES)

    figure = Figure(
        figsize=(inches, height * len(pieces)),
        dpi=dots_per_inch,
        layout="constrained",
    )
    canvas = FigureCanvasAgg(figure)
    all_axes = figure.subplots(len(pieces), squeeze=False)[:, 0]
    for axes, piece in zip(all_axes, pieces, strict=True):
        axes.set_xlim(piece.begin, piece.begin + length)
        axes.set_ylim(low - margin - 0.5, high + margin + 0.5)
        _draw_keyboard(axes)
        piece.draw(axes)
    all_axes[-1].set_xlabel("seconds" if in_seconds else "bar")
    return canvas


def _rows(piece: "_Panel", quarters: float, num_given: int) -> "list[_Panel]":
    """A piece as the rows of a picture, of so many quarter notes each; 0: one row."""
    piece.is_given[:num_given] = True
    if not quarters:
        return [piece]
    num_rows = max(int(np.ceil(piece.quarters / quarters - 1e-6)), 1)
    rest = piece.quarters - (num_rows - 1) * quarters
    if num_rows > 1 and rest <= _SHORT_ROW * quarters:  # no row for a last upbeat
        num_rows -= 1
        quarters += rest / num_rows
    return [piece.part(i * quarters, (i + 1) * quarters) for i in range(num_rows)]


class _Panel:
    """One piece, cut to what is shown of it."""

    def __init__(
        self, title: str, sequence: NoteSequence, max_quarters: float, seconds: bool
    ):
        self.sequence = sequence
        self.in_seconds = seconds
        self.notes = notes = NoteArrays.of(sequence)
        limit = max_quarters or np.inf
        self.shown = notes.start_quarters < limit
        length = float(notes.tempo_map.to_quarters(notes.seconds))
        self.quarters = min(length, limit)
        if seconds:
            self.starts, self.ends = notes.start_seconds, notes.end_seconds
            self.end = float(notes.tempo_map.to_seconds(self.quarters))
            whole, unit = notes.seconds, "s"
        else:
            self.starts, self.ends = notes.start_quarters, notes.end_quarters
            self.end = self.quarters
            whole, unit = length, "quarter notes"
        self.title = title
        if length > limit:
            self.title += f" (the first {round(self.end, 1):g} of {whole:.0f} {unit})"
        # An empty piece still gets axes of some length.
        self.begin, self.end = 0.0, max(self.end, 1.0)
        self.voice, self.names = voices_of(notes)
        drums = [note.is_drum for note in sequence.notes]
        self.is_given = np.zeros(len(drums), bool)
        self._pitched = ~np.array(drums, bool)

    def part(self, begin: float, end: float) -> "_Panel":
        """The row from one moment to another, in quarter notes."""
        if end >= self.quarters and begin == 0:
            return self
        row = copy.copy(self)
        notes = self.notes
        row.shown = self.shown & (notes.start_quarters < end)
        row.shown &= notes.end_quarters > begin
        row.begin, row.end = begin, min(end, self.quarters)
        if self.in_seconds:
            places = notes.tempo_map.to_seconds(np.array([row.begin, row.end]))
            row.begin, row.end = map(float, places)
        if begin:
            row.title = ""
        return row

    def draw(self, axes: Axes) -> None:
        """Draws time lines, then notes, then the names of the voices."""
        title = _printable(self.title) if self.title else " "
        axes.set_title(title, loc="left", fontsize=11, parse_math=False)
        if self.in_seconds:
            axes.grid(axis="x", color=_BEAT_LINE, linewidth=0.6)
        else:
            self._draw_bars(axes)
        axes.set_axisbelow(True)
        for spine in ("top", "right"):
            axes.spines[spine].set_visible(False)

        voices, given = self.voice, self.is_given[self._pitched]
        colours = [
            _COLOURS[i % len(_COLOURS)] for i in range(voices.max(initial=0) + 1)
        ]
        for i, colour in enumerate(colours):
            self._draw_notes(axes, self.shown & (voices == i) & ~given, colour)
        self._draw_notes(axes, self.shown & given, _GIVEN)
        names = list(self.names) if len(colours) > 1 else [""]
        colours = colours[: len(_COLOURS)]
        if given.any():
            # Voices of which nothing is new need no name.
            new = [i for i in range(len(colours)) if np.any(~given & (voices == i))]
            names = [f"new: {names[i]}" if names[i] else "new" for i in new]
            colours = [*(colours[i] for i in new), _GIVEN]
            names.append("given")
        if len(colours) > 1 and self.begin == 0:
            self._draw_legend(axes, colours, names)

    def _draw_legend(self, axes: Axes, colours: list[str], names: list[str]) -> None:
        names = [_printable(name)[:_MAX_NAME_LENGTH] for name in names]
        legend = axes.legend(
            handles=[
                Patch(color=colour, label=name)
                for colour, name in zip(colours, names, strict=False)
            ],
            loc="lower right",
            bbox_to_anchor=(1.0, 1.0),
            ncols=len(colours),
            fontsize=9,
            frameon=False,
            handlelength=1.0,
            borderaxespad=0.2,
        )
        # Many long names would leave no room for the notes.
        legend.set_in_layout(False)
        for text in legend.get_texts():
            text.set_parse_math(False)

    def _draw_notes(self, axes: Axes, members: np.ndarray, colour: str) -> None:
        starts, ends = self.starts[members], self.ends[members]
        pitches = self.notes.pitch[members]
        edge = _EDGE_SHARE * (axes.get_xlim()[1] - axes.get_xlim()[0])
        # The shortest notes of an overview stay visible.
        ends = np.maximum(ends, starts + edge / 2)
        # The dark edge parts a note from the one before it on the same key. In a dense
        # picture it gets narrower than a note, or all notes would be dark.
        edges = np.minimum(edge, 0.3 * (ends - starts))
        dark = tuple(0.45 * part for part in to_rgb(colour))
        for rights, fill, alpha in ((ends, colour, 0.85), (starts + edges, dark, 1.0)):
            boxes = _boxes(starts, rights, pitches)
            # Snapped to whole pixels, the shortest notes would vanish.
            axes.add_collection(
                PolyCollection(
                    boxes,
                    facecolors=[fill],
                    linewidths=0,
                    alpha=alpha,
                    snap=False,
                    zorder=_NOTES_ORDER,
                )
            )

    def _draw_bars(self, axes: Axes) -> None:
        per_quarter = _BAR_GRID.steps_per_quarter
        num_steps = int(np.ceil(self.end * per_quarter)) + 1
        positions = bar_positions(self.sequence, _BAR_GRID, num_steps)
        bars = np.flatnonzero(positions == 0) / per_quarter
        # An upbeat is no bar.
        numbers = np.arange(1, len(bars) + 1)
        inside = (bars >= self.begin - 1e-6) & (bars <= self.end + 1e-6)
        bars, numbers = bars[inside], numbers[inside]
        beats = np.arange(self.begin, self.end)
        for times, colour, width in ((beats, _BEAT_LINE, 0.5), (bars, _BAR_LINE, 0.8)):
            axes.vlines(times, *axes.get_ylim(), colour, linewidth=width)
        # A last row may be shorter than a bar.
        shown = max(len(bars) / _MAX_BAR_NUMBERS, 1.0)
        every = 2 ** int(np.ceil(np.log2(shown)))
        axes.set_xticks(bars[::every], labels=numbers[::every])


def _boxes(lefts: np.ndarray, rights: np.ndarray, pitches: np.ndarray) -> np.ndarray:
    """Corners of rectangles on the rows of pitches, `[num_notes, 4, 2]`."""
    x = np.stack([lefts, rights, rights, lefts], axis=1)
    y = pitches[:, np.newaxis] + _HALF_ROW * np.array([-1, -1, 1, 1])
    return np.stack([x, y], axis=2)


def _draw_keyboard(axes: Axes) -> None:
    """Shades the rows of black keys and names the Cs."""
    low, high = (round(limit) for limit in axes.get_ylim())
    for pitch in range(low, high + 1):
        if pitch % 12 in _BLACK_KEYS:
            axes.axhspan(pitch - 0.5, pitch + 0.5, color=_SHADE, linewidth=0, zorder=0)
    names = [pitch for pitch in range(low, high + 1) if pitch % 12 == 0]
    axes.set_yticks(names, labels=[f"C{pitch // 12 - 1}" for pitch in names])


def _printable(name: str) -> str:
    """A name from a file, as far as the font has its letters."""
    glyphs = get_font(findfont("DejaVu Sans")).get_charmap()
    text = "".join(letter if ord(letter) in glyphs else "?" for letter in name)
    # The legend would pass over names with a leading underscore.
    return text.lstrip("_") or "?"
