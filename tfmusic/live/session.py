"""Listens to a phrase, lets a model answer, plays the answer; again and again."""

import contextlib
import dataclasses
import math
import queue
import time
from collections.abc import Callable, Mapping, Sequence

from absl import logging

from tfmusic.errors import UserError
from tfmusic.live.phrases import Event, Metre, Phrase
from tfmusic.live.ports import Events, Output
from tfmusic.notes import NoteSequence

# In which an answer that is ready on the beat can still be sent in time.
_LEAD_SECONDS = 0.005
_SHORTEST_SECONDS = 0.02
_LONGEST_WAIT_SECONDS = 1.0  # Windows hears Ctrl-C between two waits


@dataclasses.dataclass
class Session:
    """A model that answers.

    Attributes:
        answer: Makes music: a phrase and a seed to what follows it.
        metre: The time that both keep.
        num_bars: How long a phrase is at most.
        events: What is played.
        outputs: Where answers are played.
        seed: Of the first answer; the next has the next.
        latencies: Of each answer, seconds from the end of the phrase to its first note.
    """

    answer: Callable[[NoteSequence, int], NoteSequence]
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
        heard = phrase.to_sequence()
        end, begin = phrase.end, time.monotonic()
        try:
            piece = self.answer(heard, self.seed)
        except UserError as error:
            logging.warning("no answer: %s", error)
            return time.monotonic()
        self.seed = (self.seed + 1) % 2**31
        if not piece.notes:
            logging.info("no answer: the model has nothing to add")
            return time.monotonic()
        made = time.monotonic()
        start = phrase.begin + self.metre.next_beat(made + _LEAD_SECONDS - phrase.begin)
        messages = _messages(piece)
        self._play(messages[:1], start)
        self.latencies.append(time.monotonic() - end)
        logging.info(
            "%d notes in %.0f bars are answered by %d notes, the first %.2f s after "
            "the end of the phrase (%.2f s to make them)",
            len(heard.notes),
            heard.total_time / self.metre.bar_seconds,
            len(piece.notes),
            self.latencies[-1],
            made - begin,
        )
        self._play(messages[1:], start)
        # Who comes in a little early is heard.
        return time.monotonic() - self.metre.beat_seconds

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


def _messages(piece: NoteSequence) -> list[tuple[float, int, int, bool]]:
    """(seconds, velocity, pitch, is_drum) in order; keys are let go, then pressed."""
    messages = []
    ends: dict[tuple[int, bool], list] = {}
    for note in sorted(piece.notes, key=lambda note: note.start_time):
        key = note.pitch, note.is_drum
        # A key that is pressed again is let go before.
        if key in ends and ends[key][0] > note.start_time:
            ends[key][0] = note.start_time
        end = max(note.end_time, note.start_time + _SHORTEST_SECONDS)
        ends[key] = [end, 0, *key]
        messages += [[note.start_time, note.velocity or 80, *key], ends[key]]
    return sorted(map(tuple, messages))


def answering(
    player, num_bars: int, controls: Mapping[str, float]
) -> Callable[[NoteSequence, int], NoteSequence]:
    """What a model answers, as `Session` takes it.

    The first call takes seconds, so one is made.

    Args:
        player: A `tfmusic.serving.player.Player`.
        num_bars: Of an answer.
        controls: Of the model.

    Raises:
        UserError: The model cannot continue music, or does not know a control.
    """

    def answer(phrase: NoteSequence, seed: int) -> NoteSequence:
        (piece,) = player.generate(
            primer=phrase,
            bars=num_bars,
            seed=seed,
            controls=controls,
            include_primer=False,
        )
        return piece

    phrase = Phrase(Metre(qpm=120), 1)
    for event in (Event(0.0, 60, 80), Event(0.5, 60, 0), Event(0.5, 64, 80)):
        phrase.add(event)
    answer(phrase.to_sequence(), 0)
    return answer
