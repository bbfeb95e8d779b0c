"""Bars and notes that are given, as tables: what `bar_masks` holds particles to."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfmusic.representations.bar_lines import METRE_STEPS, METRES
from tfmusic.representations.bar_tokens import (
    BAR,
    CUT,
    DRUM,
    DRUMS,
    DURATION,
    ENDING,
    INSTRUMENT,
    KINDS,
    PIANO,
    PITCH,
    POSITION,
    TEMPO,
    UPBEAT,
    VALUES,
    VELOCITY,
)
from tfmusic.representations.vocabulary import END

# What tokens are and their values, see `bar_tokens`.
TOKEN_KINDS = np.where(np.arange(len(KINDS)) == END, ENDING, KINDS).astype(np.int32)
TOKEN_VALUES = VALUES.astype(np.int32)
FAR = 1 << 24  # a bar or a place after all others


def of(table: np.ndarray, tokens: tf.Tensor) -> tf.Tensor:
    """The entries of a table by token."""
    return tf.gather(tf.constant(table), tokens)


class Notes(NamedTuple):
    """Given notes in their order, int32 `[batch, time]`; behind the last one `FAR`."""

    bar: tf.Tensor
    position: tf.Tensor
    voice: tf.Tensor
    pitch: tf.Tensor
    velocity: tf.Tensor  # the token; 0: none
    duration: tf.Tensor  # the token; of drums that of the note before


class GivenBars(NamedTuple):
    """Given bars, int32 `[batch, time]`.

    Attributes:
        token: What begins each; 0: there is none.
        tempo: The token; 0: as before.
        cut: Where the next one comes early; 0: nowhere.
        end: Its length in steps, from its bar line.
        line: Which step of the piece that is; below 0 of an upbeat's bar.
        index: Which token of what is given begins it.
    """

    token: tf.Tensor
    tempo: tf.Tensor
    cut: tf.Tensor
    end: tf.Tensor
    line: tf.Tensor
    index: tf.Tensor


class GivenMusic:
    """What is given of pieces, and what may be written.

    Attributes:
        tokens: Those of the bars and the given notes, int32 `[batch, time]`.
        lowest: The lowest pitch that may be written at each step, `[batch, step]`.
        highest: The highest.
        voices: Which may be written, bool `[batch, voice]`.
        is_open: Where something may be, bool `[batch, step]`.
        bars: The bars.
        notes: The notes.
        num_bars: Of each piece, int32 `[batch]`.
        upbeat: Where the first bar begins, likewise.
        running: At each token the bar, the position, how many notes there have been
            and the voice, int32 `[batch, time]` each.
        first_open: The first bar into which something may be written, int32 `[batch]`.
        last_open: The last one.
        stop: The bar with whose token a particle is done; `FAR`: with the end.
    """

    def __init__(
        self,
        tokens: tf.Tensor,
        lowest: tf.Tensor,
        highest: tf.Tensor,
        voices: tf.Tensor,
        bars_after: int,
    ):
        """Reads what is given.

        Args:
            tokens: Of the bars and the given notes alone, int32 `[batch, time]`.
            lowest: The lowest pitch that may be written at each step of the piece,
                int32 `[batch, step]`.
            highest: The highest; nothing where that is below `lowest`.
            voices: Which may be written, bool `[batch, voice]`.
            bars_after: How many bars are weighed after the last open one.
        """
        self.tokens, self._size = tokens, tf.shape(tokens)
        self.lowest, self.highest, self.voices = lowest, highest, voices
        has_voice = tf.reduce_any(voices, axis=1, keepdims=True)
        self.is_open = (lowest <= highest) & has_voice
        self._read(tokens)
        steps = tf.range(tf.shape(self.is_open)[1])
        first = tf.reduce_min(tf.where(self.is_open, steps, FAR), axis=1)
        last = tf.reduce_max(tf.where(self.is_open, steps, 0), axis=1)
        self.first_open, self.last_open = map(self._bar_of, (first, last))
        self._find_stop(bars_after)

    def _read(self, tokens: tf.Tensor) -> None:
        kinds, values = of(TOKEN_KINDS, tokens), of(TOKEN_VALUES, tokens)
        is_bar, is_note = kinds == BAR, (kinds == PITCH) | (kinds == DRUM)
        bar = tf.cumsum(tf.cast(is_bar, tf.int32), axis=1) - 1
        upbeat = tf.reduce_max(tf.where(kinds == UPBEAT, values, 0), axis=1)
        self.upbeat = upbeat
        begins = tf.where(bar > 0, 0, upbeat[:, tf.newaxis])
        places = tf.where(kinds == POSITION, values, begins)
        position = _latest(is_bar | (kinds == POSITION), places, 0)
        voice = _latest(kinds == INSTRUMENT, values, PIANO)
        self.running = (
            bar,
            position,
            tf.cumsum(tf.cast(is_note, tf.int32), axis=1),
            tf.where(kinds == DRUM, DRUMS, voice),
        )
        note = tf.where(is_note, self.running[2] - 1, FAR)
        columns = (
            bar,
            position,
            self.running[3],
            values,
            _latest(kinds == VELOCITY, tokens, 0),
            _latest(kinds == DURATION, tokens, 0),
        )
        self.notes = Notes(*(_by(note, column, FAR) for column in columns))
        number = tf.where(is_bar, bar, FAR)
        of_tempo = tf.where(kinds == TEMPO, bar, FAR)
        cut = _by(tf.where(kinds == CUT, bar, FAR), position, 0)
        token = _by(number, tokens, 0)
        metre = of(TOKEN_VALUES, token) % len(METRES)
        end = tf.where(cut > 0, cut, of(METRE_STEPS.astype(np.int32), metre))
        end = tf.where(token > 0, end, 0)
        is_first = tf.range(self._size[1]) == 0
        spans = end - tf.where(is_first, upbeat[:, tf.newaxis], 0)
        line = tf.cumsum(spans, axis=1, exclusive=True)
        line -= tf.where(is_first, upbeat[:, tf.newaxis], 0)
        index = _by(number, tf.broadcast_to(tf.range(self._size[1]), self._size), 0)
        tempo = _by(of_tempo, tokens, 0)
        self.bars = GivenBars(token, tempo, cut, end, line, index)
        self.num_bars = tf.reduce_sum(tf.cast(is_bar, tf.int32), axis=1)
        is_pitched = tf.cast(kinds == PITCH, tf.int32)
        before = tf.cumsum(is_pitched, axis=1, exclusive=True)
        self._pitched_before = _by(number, before, 0)

    def _bar_of(self, step: tf.Tensor) -> tf.Tensor:
        """The bar in which a step lies, int32 `[batch]`."""
        has_begun = (self.bars.token > 0) & (self.bars.line <= step[:, tf.newaxis])
        return tf.maximum(tf.reduce_sum(tf.cast(has_begun, tf.int32), axis=1) - 1, 0)

    def _find_stop(self, bars_after: int) -> None:
        """Finds where all that is to come is given, and is written as it is given.

        Which tokens describe a note depends on the one before it; so there has to be a
        given note in between.
        """
        number = tf.range(self._size[1])
        next_bar = tf.minimum(self.last_open + 1, self._size[1] - 1)
        until = tf.gather(self._pitched_before, next_bar, batch_dims=1)
        is_later = number >= (self.last_open + 1 + bars_after)[:, tf.newaxis]
        is_told = self._pitched_before > until[:, tf.newaxis]
        may = is_later & is_told & (self.bars.token > 0)
        self.stop = tf.reduce_min(tf.where(may, number, FAR), axis=1)


def _latest(chosen: tf.Tensor, values: tf.Tensor, default: int) -> tf.Tensor:
    """The value at the newest chosen token up to each, int32 `[batch, time]`."""
    order = tf.argsort(tf.cast(~chosen, tf.int32), axis=1, stable=True)
    count = tf.cumsum(tf.cast(chosen, tf.int32), axis=1)
    newest = tf.gather(order, tf.maximum(count - 1, 0), batch_dims=1)
    found = tf.gather(values, newest, batch_dims=1)
    return tf.where(count > 0, found, default)


def _by(number: tf.Tensor, values: tf.Tensor, default: int) -> tf.Tensor:
    """Values that belong to numbers, by number, int32 `[batch, time]`.

    Args:
        number: Below the number of tokens each at most once; others do not count.
        values: int32 `[batch, time]`.
        default: Of numbers that there are not.
    """
    batch_size, size = tf.unstack(tf.shape(number))
    row = tf.range(batch_size)[:, tf.newaxis] * size
    inside = (number >= 0) & (number < size)
    index = tf.where(inside, row + number, batch_size * size)
    flat = tf.math.unsorted_segment_max(
        tf.reshape(values, [-1]), tf.reshape(index, [-1]), batch_size * size + 1
    )[:-1]
    flat = tf.where(flat == tf.int32.min, default, flat)
    return tf.reshape(flat, [batch_size, size])
