"""ABC tunebooks: each of their tunes into a NoteSequence."""

import re

from tfmusic.notes import NoteSequence
from tfmusic.notes.limits import Limits, ReadError
from tfmusic.notes.scores.playing import play
from tfmusic.notes.scores.tunes import Tune


def abc_to_sequences(
    data: bytes, limits: Limits, play_repeats: bool = True
) -> list[NoteSequence | ReadError]:
    """Reads the tunes of an ABC tunebook, in the book's order.

    A tune reaches from its reference number (`X:`) to the next empty line; what stands
    before the first tune holds for all.

    Returns:
        Of each tune the music, or why it cannot be read: `bad_abc`, and what
        `playing.play` raises.

    Raises:
        ReadError: No tune can be read: why the first cannot, or `bad_abc`.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    text = "\n".join(line.strip() for line in text.splitlines())
    tunes = re.findall(r"^X:.*(?:\n(?!X:).+)*", text, re.M)
    if not tunes:
        raise ReadError("bad_abc", "expected a tune that begins with X:, found none")
    before = re.split("^X:", text, maxsplit=1, flags=re.M)[0]
    header = re.findall(r"^(?:[A-Za-z]:|%%).*", before, re.M)
    found = []
    for tune in tunes:
        try:
            found.append(_read_tune([*header, *tune.split("\n")], limits, play_repeats))
        except ReadError as error:
            found.append(error)
    if all(isinstance(tune, ReadError) for tune in found):
        raise found[0]
    return found


def _read_tune(lines: list[str], limits: Limits, play_repeats: bool) -> NoteSequence:
    tune = Tune()
    for line in lines:
        tune.read(line)
    sequence = play(tune.finish(), limits, play_repeats)
    sequence.source_info.encoding_type = NoteSequence.SourceInfo.ABC
    sequence.reference_number = tune.number
    return sequence
