"""NoteSequences into files: MIDI, MusicXML to print, WAV to hear.

Each file is written beside its place and renamed, so it is there whole or not at all,
and the same sequence gives the same bytes.
"""

import collections
import io
import itertools
import os
import pathlib
from collections.abc import Callable

import mido
import numpy as np

from tfmusic.errors import UserError
from tfmusic.notes import NoteSequence
from tfmusic.notes.grid import DEFAULT_TICKS_PER_QUARTER, TempoMap, round_steps

_DRUM_CHANNEL = 9
_CHANNELS = [channel for channel in range(16) if channel != _DRUM_CHANNEL]
_NUM_PORTS = 128
_TONICS = {
    NoteSequence.KeySignature.MAJOR: "C Db D Eb E F F# G Ab A Bb B",
    NoteSequence.KeySignature.MINOR: "Cm C#m Dm Ebm Em Fm F#m Gm G#m Am Bbm Bm",
}
_LONGEST_QUARTER = 2**24 - 1  # microseconds: three bytes in the file


def to_midi_bytes(sequence: NoteSequence) -> bytes:
    """The sequence as a standard MIDI file of type 1.

    A conductor track with tempos, time and key signatures, then a track for each
    instrument (and program of it) with its name, controls and pitch bends, drums on
    channel 10. Each has a channel of its own, and its pedals are there once; where the
    sixteen channels do not suffice, the others are on further ports. Every note is let
    go by a note-off of velocity 0, at least one tick after it is struck. MIDI cannot
    hold two notes on one key: the earlier one is cut where the later begins, and of two
    that begin together the longer stays.

    Args:
        sequence: Any sequence; `ticks_per_quarter` of 0 stands for 220. Velocities
            are held to 1..127, as 0 would be a note-off; metres that do not divide
            by a power of two and modes but major and minor are left out.
    """
    ticks_per_quarter = sequence.ticks_per_quarter or DEFAULT_TICKS_PER_QUARTER
    tempo_map = TempoMap.of(sequence)

    def to_ticks(seconds) -> np.ndarray:
        quarters = tempo_map.to_quarters(np.fromiter(seconds, np.float64))
        return np.maximum(round_steps(quarters * ticks_per_quarter), 0)

    file = mido.MidiFile(type=1, ticks_per_beat=ticks_per_quarter, charset="utf-8")
    file.tracks.append(_conductor_track(sequence, tempo_map, to_ticks))
    names = {info.instrument: info.name for info in sequence.instrument_infos}
    places = {
        is_drum: itertools.cycle(itertools.product(range(_NUM_PORTS), channels))
        for is_drum, channels in ((False, _CHANNELS), (True, [_DRUM_CHANNEL]))
    }
    for (instrument, program, is_drum), events in sorted(_by_part(sequence).items()):
        port, channel = next(places[is_drum])
        head = []
        if names.get(instrument):
            head.append(mido.MetaMessage("track_name", name=names[instrument]))
        if port:
            head.append(mido.MetaMessage("midi_port", port=port))
        head.append(mido.Message("program_change", channel=channel, program=program))
        timed = [(0, (0, 0), message) for message in head]
        timed += _messages(*events, channel, to_ticks)
        file.tracks.append(_track(timed))
    buffer = io.BytesIO()
    file.save(file=buffer)
    return buffer.getvalue()


def write_midi(sequence: NoteSequence, path: str | os.PathLike) -> None:
    """Writes a MIDI file; see `to_midi_bytes`."""
    data = to_midi_bytes(sequence)
    _write_beside(path, lambda beside: beside.write_bytes(data))


def write_musicxml(sequence: NoteSequence, path: str | os.PathLike) -> None:
    """Writes a score that notation programs open; see `tfmusic.notes.notation`."""
    # music21 takes a second to import, and who writes MIDI does not need it.
    from tfmusic.notes.notation import to_score

    score = to_score(sequence)
    _write_beside(path, lambda beside: score.write("musicxml", fp=beside))


def write_wav(
    sequence: NoteSequence, path: str | os.PathLike, sample_rate: int = 22050
) -> None:
    """Writes what the sequence sounds like; see `tfmusic.notes.synthesis`.

    Args:
        sequence: Any sequence with notes.
        path: The file, 16-bit PCM in one channel.
        sample_rate: Samples per second.
    """
    from tfmusic.notes.synthesis import synthesize, to_wav_bytes

    data = to_wav_bytes(synthesize(sequence, sample_rate), sample_rate)
    _write_beside(path, lambda beside: beside.write_bytes(data))


def check_local(path: str | os.PathLike) -> str:
    """The path of a file or directory that music is written to.

    Raises:
        UserError: It is in a bucket.
    """
    path = os.fspath(path)
    if "://" in path:
        raise UserError(
            f"{path}: expected a path on this machine; music is written here, and "
            "copied to a bucket with the tools of its provider"
        )
    return path


def _write_beside(
    path: str | os.PathLike, write: Callable[[pathlib.Path], object]
) -> None:
    path = pathlib.Path(check_local(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    # The ending stays last: some writers choose the format by it.
    beside = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        write(beside)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _by_part(sequence: NoteSequence) -> dict[tuple, tuple[list, list, list]]:
    """Notes, controls and pitch bends of each (instrument, program, is_drum).

    Controls and pitch bends are for all that their instrument plays, whatever program
    they name.
    """
    parts: dict[tuple, tuple[list, list, list]] = {}
    for note in sequence.notes:
        key = note.instrument, note.program, note.is_drum
        parts.setdefault(key, ([], [], []))[0].append(note)
    of_instrument = collections.defaultdict(list)
    for key, part in parts.items():
        of_instrument[key[0]].append(part)
    for i, events in ((1, sequence.control_changes), (2, sequence.pitch_bends)):
        for event in events:
            if event.instrument not in of_instrument:
                key = event.instrument, event.program, event.is_drum
                parts[key] = ([], [], [])
                of_instrument[event.instrument].append(parts[key])
            for part in of_instrument[event.instrument]:
                part[i].append(event)
    return parts


def _messages(notes, controls, bends, channel: int, to_ticks) -> list[tuple]:
    """(tick, rank, message): what ends comes before what changes, before notes."""
    struck = []
    starts = to_ticks(note.start_time for note in notes)
    ends = np.maximum(to_ticks(note.end_time for note in notes), starts + 1)
    sounding = {}
    for i in np.lexsort((-ends, starts)).tolist():
        pitch = notes[i].pitch
        before = sounding.get(pitch)
        if before is not None and starts[before] == starts[i]:
            continue
        if before is not None:
            ends[before] = min(ends[before], starts[i])
        sounding[pitch] = i
        struck.append((i, pitch, min(max(notes[i].velocity, 1), 127)))
    timed = []
    for i, pitch, velocity in struck:
        on = mido.Message("note_on", channel=channel, note=pitch, velocity=velocity)
        off = mido.Message("note_off", channel=channel, note=pitch, velocity=0)
        timed.append((int(starts[i]), (2, pitch), on))
        timed.append((int(ends[i]), (0, pitch), off))
    for tick, event in zip(to_ticks(c.time for c in controls), controls, strict=True):
        message = mido.Message(
            "control_change",
            channel=channel,
            control=event.control_number,
            value=event.control_value,
        )
        timed.append((int(tick), (1, 0), message))
    for tick, event in zip(to_ticks(b.time for b in bends), bends, strict=True):
        message = mido.Message("pitchwheel", channel=channel, pitch=event.bend)
        timed.append((int(tick), (1, 0), message))
    return timed


def _conductor_track(
    sequence: NoteSequence, tempo_map: TempoMap, to_ticks
) -> mido.MidiTrack:
    timed = []
    for tick, qpm in zip(to_ticks(tempo_map.seconds), tempo_map.qpm, strict=True):
        microseconds = min(max(round(6e7 / qpm), 1), _LONGEST_QUARTER)
        message = mido.MetaMessage("set_tempo", tempo=microseconds)
        timed.append((int(tick), (0, 0), message))
    for signature in sequence.time_signatures:
        size = signature.denominator
        if signature.numerator in range(1, 256) and size in (1, 2, 4, 8, 16, 32, 64):
            message = mido.MetaMessage(
                "time_signature", numerator=signature.numerator, denominator=size
            )
            timed.append((int(to_ticks([signature.time])[0]), (0, 0), message))
    for signature in sequence.key_signatures:
        if signature.mode in _TONICS:
            name = _TONICS[signature.mode].split()[signature.key % 12]
            message = mido.MetaMessage("key_signature", key=name)
            timed.append((int(to_ticks([signature.time])[0]), (0, 0), message))
    return _track(timed)


def _track(timed: list[tuple]) -> mido.MidiTrack:
    """A track of (tick, rank, message), in that order; equal ones stay as they are."""
    track, last = mido.MidiTrack(), 0
    for tick, _, message in sorted(timed, key=lambda item: item[:2]):
        track.append(message.copy(time=tick - last))
        last = tick
    track.append(mido.MetaMessage("end_of_track"))
    return track
