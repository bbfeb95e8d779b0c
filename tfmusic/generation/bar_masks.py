"""Which tokens of `BarEvents` agree with notes and bars that are given, in graph code.

Given are bars, with metre, tempo and where they are cut short, and notes. In between
others may be written, where it is open: between two pitches that are said for each
step, by voices that are open. A note comes after all that stand before it in the order
of place, voice and pitch, so no token may lead past the next given note.
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfmusic.generation.bar_given import (
    FAR,
    TOKEN_KINDS,
    TOKEN_VALUES,
    GivenMusic,
    of,
)
from tfmusic.generation.grammar import GrammarState
from tfmusic.representations.bar_lines import MAX_BAR_STEPS
from tfmusic.representations.bar_tokens import (
    BAR,
    CUT,
    DRUM,
    DRUMS,
    DURATION,
    INSTRUMENT,
    NUM_PITCHES,
    PITCH,
    POSITION,
    TEMPO,
    UPBEAT,
    VELOCITY,
    ids,
)
from tfmusic.representations.vocabulary import END

# So many tokens of a bar, then no more notes are written into it.
MOST_TOKENS = 256
_PITCHES = np.arange(NUM_PITCHES)
_FIRST = {kind: ids(kind)[0].item() for kind in (POSITION, INSTRUMENT, PITCH, DRUM)}


class Place(NamedTuple):
    """Where a particle stands after its newest token, `[row]` each.

    Attributes:
        bar: int32; -1 before the first.
        position: int32, in steps from the bar line.
        note: int32, how many given notes there have been.
        voice: int32, of the newest note at the position; -1: none yet.
        count: int32, tokens of the bar so far.
        is_done: bool, whether all is written.
    """

    bar: tf.Tensor
    position: tf.Tensor
    note: tf.Tensor
    voice: tf.Tensor
    count: tf.Tensor
    is_done: tf.Tensor


def begin(music: GivenMusic, num_read: tf.Tensor) -> Place:
    """Where all stand after so many of the given tokens, at least 1."""
    bar, position, note, voice = (x[:, num_read - 1] for x in music.running)
    newest = tf.maximum(note - 1, 0)
    is_here = note > 0
    is_here &= tf.gather(music.notes.bar, newest, batch_dims=1) == bar
    is_here &= tf.gather(music.notes.position, newest, batch_dims=1) == position
    voice = tf.where(is_here, voice, -1)
    nothing = tf.zeros_like(bar)
    return Place(bar, position, note, voice, nothing, tf.zeros_like(is_here))


class Agreement:
    """What agrees with what is given, for particles of pieces, a row each."""

    def __init__(self, music: GivenMusic, num_particles: tf.Tensor):
        """Makes it for so many particles of each piece."""
        self._music = music
        batch_size, self._size = tf.unstack(tf.shape(music.tokens))
        self._piece = tf.repeat(tf.range(batch_size), num_particles)
        self._stop = tf.gather(music.stop, self._piece)
        self._upbeat = tf.gather(music.upbeat, self._piece)
        self._num_bars = tf.gather(music.num_bars, self._piece)
        self._voices = tf.gather(music.voices, self._piece)

    def _at(self, table: tf.Tensor, index: tf.Tensor, default: int) -> tf.Tensor:
        """Entries of a table `[batch, ...]`, by rows' indices `[row]` or `[row, n]`."""
        size = tf.shape(table)[1]
        inside = (index >= 0) & (index < size)
        piece = self._piece if index.shape.rank == 1 else self._piece[:, tf.newaxis]
        place = piece * size + tf.clip_by_value(index, 0, size - 1)
        found = tf.gather(tf.reshape(table, [-1]), place)
        return tf.where(inside, found, tf.constant(default, found.dtype))

    def events(self, place: Place) -> tf.Tensor:
        """How many given bars and notes there have been, int32 `[row]`."""
        return place.bar + place.note

    def way(self, place: Place, grammar: GrammarState) -> tuple[tf.Tensor, tf.Tensor]:
        """The token that leads straight to the next given note.

        Returns:
            int32 `[row]`, and where there is a note in the bar, bool `[row]`.
        """
        wanted = _Next(self, place)
        is_drum = wanted.voice == DRUMS
        first = tf.where(is_drum, _FIRST[DRUM], _FIRST[PITCH])
        pitch = first + wanted.pitch
        is_long = is_drum | (grammar.level[:, 2] == wanted.duration)
        token = tf.where(is_long, pitch, wanted.duration)
        is_loud = grammar.level[:, 1] == wanted.velocity
        token = tf.where(is_loud, token, wanted.velocity)
        is_voice = is_drum | (_running_voice(grammar) == wanted.voice)
        token = tf.where(is_voice, token, _FIRST[INSTRUMENT] + wanted.voice)
        position = _FIRST[POSITION] - 1 + wanted.position
        return tf.where(wanted.is_here, token, position), wanted.is_in_bar

    def step_of(self, place: Place) -> tf.Tensor:
        """Which step of its piece each row stands at, int32 `[row]`."""
        return self._at(self._music.bars.line, place.bar, -1) + place.position

    def after(self, place: Place, grammar: GrammarState, token: tf.Tensor) -> Place:
        """The place after one more token; `grammar` is the state before that."""
        kind, value = of(TOKEN_KINDS, token), of(TOKEN_VALUES, token)
        is_bar, is_note = kind == BAR, (kind == PITCH) | (kind == DRUM)
        bar = place.bar + tf.cast(is_bar, tf.int32)
        is_upbeat = of(TOKEN_KINDS, grammar.last) == UPBEAT
        position = tf.where(is_bar & ~is_upbeat, 0, place.position)
        position = tf.where(is_bar & is_upbeat, self._upbeat, position)
        position = tf.where(kind == POSITION, value, position)
        voice = tf.where(kind == DRUM, DRUMS, _running_voice(grammar))
        wanted = _Next(self, place)
        is_given = wanted.is_here & (wanted.voice == voice) & (wanted.pitch == value)
        voice = tf.where(is_note, voice, place.voice)
        return Place(
            bar,
            position,
            place.note + tf.cast(is_note & is_given, tf.int32),
            tf.where(is_bar | (kind == POSITION), -1, voice),
            tf.where(is_bar, 0, place.count + 1),
            (token == END) | (is_bar & (bar == self._stop)),
        )

    def allowed(self, place: Place, grammar: GrammarState) -> tf.Tensor:
        """Which tokens may come, bool `[row, token]`; of those the grammar allows."""
        wanted = _Next(self, place)
        kind = of(TOKEN_KINDS, grammar.last)
        bars = self._music.bars
        cut, end, tempo = (
            self._at(table, place.bar, 0) for table in (bars.cut, bars.end, bars.tempo)
        )
        next_bar = self._at(bars.token, place.bar + 1, 0)
        is_over = ~wanted.is_in_bar
        must_tempo = (kind == BAR) & (tempo > 0)
        notes = self._notes(place, grammar, wanted, end, kind)
        is_cut = (kind == POSITION) & (cut > 0) & (place.position == cut) & is_over
        may_bar = is_over & (next_bar > 0) & ((cut == 0) | (kind == CUT))
        may_end = is_over & (place.bar + 1 == self._num_bars)
        tokens = tf.range(len(TOKEN_KINDS))
        # No token of what is said once, of bars and of tempos.
        others = tf.zeros([tf.shape(kind)[0], ids(POSITION)[0]], tf.bool)
        positions = self._positions(place, wanted, cut, end, kind)
        may = tf.concat([others, positions, *notes], axis=1)
        may |= is_cut[:, tf.newaxis] & (tokens == ids(CUT)[0])
        may |= may_bar[:, tf.newaxis] & (tokens == next_bar[:, tf.newaxis])
        may |= may_end[:, tf.newaxis] & (tokens == END)
        only = must_tempo[:, tf.newaxis]
        return tf.where(only, tokens == tempo[:, tf.newaxis], may)

    def _is_full(self, place: Place, kind: tf.Tensor) -> tf.Tensor:
        """Whether no more notes are begun in the bar, bool `[row]`."""
        is_between = (kind == PITCH) | (kind == DRUM) | (kind == BAR) | (kind == TEMPO)
        return is_between & (place.count >= MOST_TOKENS)

    def _positions(
        self,
        place: Place,
        wanted: "_Next",
        cut: tf.Tensor,
        end: tf.Tensor,
        kind: tf.Tensor,
    ) -> tf.Tensor:
        """Which places may come next, bool `[row, place]`."""
        positions = tf.range(1, MAX_BAR_STEPS)
        line = self._at(self._music.bars.line, place.bar, -FAR)[:, tf.newaxis]
        is_open = self._at(self._music.is_open, line + positions, False)
        is_open &= ~self._is_full(place, kind)[:, tf.newaxis]
        in_bar = wanted.is_in_bar[:, tf.newaxis]
        goal = tf.where(in_bar, wanted.position[:, tf.newaxis], end[:, tf.newaxis])
        may = is_open & (positions < goal)
        may |= in_bar & (positions == goal)
        may |= ~in_bar & (positions == cut[:, tf.newaxis])
        return may & ~wanted.is_here[:, tf.newaxis]

    def _notes(
        self,
        place: Place,
        grammar: GrammarState,
        wanted: "_Next",
        end: tf.Tensor,
        kind: tf.Tensor,
    ) -> list[tf.Tensor]:
        """Which tokens of a note may come, by kind, bool `[row, token]` each."""
        step = self.step_of(place)
        lowest = self._at(self._music.lowest, step, NUM_PITCHES)
        highest = self._at(self._music.highest, step, -1)
        is_open = (place.position < end) & ~self._is_full(place, kind)
        is_open &= lowest <= highest
        inside = (lowest[:, tf.newaxis] <= _PITCHES) & (
            highest[:, tf.newaxis] >= _PITCHES
        )
        inside &= is_open[:, tf.newaxis]
        is_lower = wanted.pitch[:, tf.newaxis] > _PITCHES
        here, last = wanted.is_here, wanted.voice
        voice = _running_voice(grammar)
        # Of the voice that is running, and that has come last.
        newest = grammar.order[:, 2, tf.newaxis] - 1
        is_before = ~here | (voice < last)
        is_own = here & (voice == last)
        free = is_before[:, tf.newaxis] | (is_own[:, tf.newaxis] & is_lower)
        free &= inside & (newest < _PITCHES) & self._opens(voice)[:, tf.newaxis]
        is_drum = here & (last == DRUMS)
        free_drums = ~here[:, tf.newaxis] | (is_drum[:, tf.newaxis] & is_lower)
        free_drums &= (is_open & self._voices[:, DRUMS])[:, tf.newaxis]
        free_drums &= grammar.order[:, 1, tf.newaxis] - DRUMS - 1 < _PITCHES
        any_pitch, any_drum = (tf.reduce_any(x, axis=1) for x in (free, free_drums))
        # What describes the given note.
        is_loud = grammar.level[:, 1] == wanted.velocity
        is_long = grammar.level[:, 2] == wanted.duration
        is_pitch = wanted.pitch[:, tf.newaxis] == _PITCHES
        pitch = free | ((is_own & is_loud & is_long)[:, tf.newaxis] & is_pitch)
        drum = free_drums | ((is_drum & is_loud)[:, tf.newaxis] & is_pitch)
        duration = _one(DURATION, wanted.duration, is_own & is_loud, any_pitch)
        velocity = _one(
            VELOCITY, wanted.velocity, is_own | is_drum, any_pitch | any_drum
        )
        # Voices below the given note's, that one too if something may come before it.
        voices = tf.range(NUM_PITCHES)
        some = tf.reduce_any(inside, axis=1)
        some_lower = tf.reduce_any(inside & is_lower, axis=1)
        is_first = ~here[:, tf.newaxis] | (voices < last[:, tf.newaxis])
        is_last = here[:, tf.newaxis] & (voices == last[:, tf.newaxis])
        instrument = is_first & some[:, tf.newaxis]
        instrument |= is_last & some_lower[:, tf.newaxis]
        instrument &= self._voices[:, :DRUMS]
        instrument |= is_last
        instrument &= voices > place.voice[:, tf.newaxis]
        return [instrument, velocity, duration, pitch, drum]

    def _opens(self, voice: tf.Tensor) -> tf.Tensor:
        return tf.gather(self._voices, voice, batch_dims=1)


class _Next:
    """The next given note of each row, `[row]` each.

    Attributes:
        is_in_bar: Whether it is in the bar.
        is_here: Whether it is at the position.
        position: Its own.
        voice: Its own.
        pitch: Its own.
        velocity: The token.
        duration: The token.
    """

    def __init__(self, agreement: Agreement, place: Place):
        notes = agreement._music.notes
        bar, self.position, self.voice, self.pitch, self.velocity, self.duration = (
            agreement._at(column, place.note, FAR) for column in notes
        )
        self.is_in_bar = bar == place.bar
        self.is_here = self.is_in_bar & (self.position == place.position)


def _running_voice(grammar: GrammarState) -> tf.Tensor:
    """The instrument that holds, int32 `[row]`; piano where there are none."""
    return of(TOKEN_VALUES, grammar.level[:, 0])


def _one(
    kind: int, token: tf.Tensor, is_one: tf.Tensor, is_any: tf.Tensor
) -> tf.Tensor:
    """All tokens of a kind, or one, or none, bool `[row, token]`."""
    tokens = tf.constant(ids(kind), tf.int32)
    chosen = is_one[:, tf.newaxis] & (tokens == token[:, tf.newaxis])
    return chosen | is_any[:, tf.newaxis]
