"""Listens to a phrase, lets a model answer, plays the answer; again and again."""

import contextlib
import dataclasses
import math
import queue
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from absl import logging

from tfmusic.errors import UserError
from tfmusic.live.phrases import Event, Metre, Phrase
from tfmusic.live.ports import Events, Output
from tfmusic.notes import NoteSequence

# In which an answer that is ready on the beat can still be sent in time.
_LEAD_SECONDS = 0.005
_SHORTEST_SECONDS = 0.02
_NO_SECONDS = 1e-3
_MOST_BARS = 64
MOST_SEEDS = 2**31 // _MOST_BARS
_LONGEST_WAIT_SECONDS = 1.0  # Windows hears Ctrl-C between two waits


@dataclasses.dataclass
class Session:
    """A model that answers.

    Attributes:
        answer: Makes music: a phrase and a seed to what follows it, bar by bar. A bar
            is made while the one before it is played.
        metre: The time that both keep.
        num_bars: How long a phrase is at most.
        events: What is played.
        outputs: Where answers are played.
        seed: Of the first answer; the next has the next.
        latencies: Of each answer, seconds from the end of the phrase to its first note.
    """

    answer: Callable[[NoteSequence, int], Iterator[NoteSequence]]
    metre: Metre
    num_bars: int
    events: Events
    outputs: Sequence[Output]
    seed: int = 0
    latencies: list[float] = dataclasses.field(default_factory=list)
    _sounding: set[tuple[int, bool]] = dataclasses.field(default_factory=set)

    def run(self, num_answers: int | None = None) -> None:
        """Answers phrases; None: until Ctrl-C. All notes are off at the end."""
        since = -math.inf
        try:
            while num_answers is None or len(self.latencies) < num_answers:
                since = self._answer(self._listen(since))
        finally:
            self._silence()

    def _listen(self, since: float) -> Phrase:
        """The next phrase; what was played before `since` is not of it."""
        phrase = Phrase(self.metre, self.num_bars)
        while (wait := phrase.end - time.monotonic()) > 0:
            with contextlib.suppress(queue.Empty):
                event = self.events.get(timeout=min(wait, _LONGEST_WAIT_SECONDS))
                if since <= event.at < phrase.end:
                    phrase.add(event)
        return phrase

    def _answer(self, phrase: Phrase) -> float:
        """Makes and plays an answer; gives the moment from which to listen again."""
        heard, begin = phrase.to_sequence(), time.monotonic()
        start, has_begun = -math.inf, False
        try:
            for piece, ready in _ahead(self.answer(heard, self.seed)):
                # A bar that is late waits for a beat.
                late = self.metre.next_beat(ready + _LEAD_SECONDS - phrase.begin)
                start = max(start, phrase.begin + late)
                messages = messages_of(piece)
                if messages and not has_begun:
                    has_begun = True
                    self._play(messages[:1], start)
                    self._tell(heard, time.monotonic() - phrase.end, ready - begin)
                    messages = messages[1:]
                self._play(messages, start)
                start += self.metre.bar_seconds
        except UserError as error:
            logging.warning("no answer: %s", error)
            return time.monotonic()
        self.seed = (self.seed + 1) % MOST_SEEDS
        if not has_begun:
            logging.info("no answer: the model has nothing to add")
            return time.monotonic()
        # Who comes in a little early is heard.
        return time.monotonic() - self.metre.beat_seconds

    def _tell(self, heard: NoteSequence, latency: float, making: float) -> None:
        self.latencies.append(latency)
        logging.info(
            "%d notes in %.0f bars: the answer begins %.2f s after the end of the "
            "phrase (%.2f s to make its first bar)",
            len(heard.notes),
            heard.total_time / self.metre.bar_seconds,
            latency,
            making,
        )

    def _play(self, messages: Sequence[tuple], start: float) -> None:
        for at, velocity, pitch, is_drum in messages:
            if (wait := start + at - time.monotonic()) > 0:
                time.sleep(wait)
            key = pitch, is_drum
            (self._sounding.add if velocity else self._sounding.discard)(key)
            for output in self.outputs:
                output.send(pitch, velocity, is_drum)

    def _silence(self) -> None:
        self._play([(0.0, 0, *key) for key in sorted(self._sounding)], 0.0)


def _ahead(bars: Iterator[NoteSequence]) -> Iterator[tuple[NoteSequence, float]]:
    """Bars and when each was ready; the next is made while one is played."""

    def make() -> tuple[NoteSequence | None, float]:
        return next(bars, None), time.monotonic()

    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(make)
        while (found := coming.result())[0] is not None:
            coming = thread.submit(make)
            yield found


def messages_of(piece: NoteSequence) -> list[tuple[float, int, int, bool]]:
    """(seconds, velocity, pitch, is_drum) in order; keys are let go, then pressed."""
    struck = {}
    for note in piece.notes:  # of voices in unison the longer one
        place = note.start_time, note.pitch, note.is_drum
        if place not in struck or struck[place].end_time < note.end_time:
            struck[place] = note
    messages = []
    ends: dict[tuple[int, bool], list] = {}
    for (start, *key), note in sorted(struck.items(), key=lambda item: item[0]):
        # A key that is pressed again is let go before.
        if tuple(key) in ends and ends[tuple(key)][0] > start:
            ends[tuple(key)][0] = start
        end = [max(note.end_time, start + _SHORTEST_SECONDS), 0, *key]
        ends[tuple(key)] = end
        messages += [[start, note.velocity or 80, *key], end]
    return sorted(map(tuple, messages))


def answering(
    player, num_bars: int, controls: Mapping[str, float]
) -> Callable[[NoteSequence, int], Iterator[NoteSequence]]:
    """What a model answers, as `Session` takes it.

    The first call takes seconds, so one is made.

    Args:
        player: A `tfmusic.serving.player.Player`.
        num_bars: Of an answer.
        controls: Of the model.

    Raises:
        UserError: The model cannot continue music, or does not know a control.
    """

    def answer(phrase: NoteSequence, seed: int) -> Iterator[NoteSequence]:
        bar_seconds = Metre.of(phrase).bar_seconds
        known = phrase
        for number in range(num_bars):
            (whole,) = player.generate(
                primer=known,
                bars=1,
                seed=seed * _MOST_BARS + number,
                controls=controls,
            )
            begin = phrase.total_time + number * bar_seconds
            bar = NoteSequence()
            # The end of a note from before, struck again, is none of this bar's.
            new = whole.notes[len(known.notes) :]
            bar.notes.extend(n for n in new if n.end_time > begin + _NO_SECONDS)
            for note in bar.notes:
                note.start_time = max(note.start_time - begin, 0.0)
                note.end_time -= begin
            yield bar
            known = whole
            known.total_time = begin + bar_seconds

    phrase = Phrase(Metre(qpm=120), 1)
    for event in (Event(0.0, 60, 80), Event(0.5, 60, 0), Event(0.5, 64, 80)):
        phrase.add(event)
    next(answer(phrase.to_sequence(), 0))
    return answer
