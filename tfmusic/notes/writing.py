"""NoteSequences into files: MIDI, MusicXML to print, WAV to hear.

Each file is written beside its place and renamed, so it is there whole or not at all,
and the same sequence gives the same bytes.
"""

import dataclasses
import io
import os
import pathlib
from collections.abc import Callable, Iterable

import mido
import numpy as np

from tfmusic.errors import UserError
from tfmusic.files import replacing
from tfmusic.notes import NoteSequence
from tfmusic.notes.checks import check_possible
from tfmusic.notes.grid import (
    DEFAULT_TICKS_PER_QUARTER,
    TempoMap,
    metres,
    round_steps,
)
from tfmusic.notes.limits import Limits, ReadError

_DEFAULT_LIMITS = Limits()
DRUM_CHANNEL = 9
_CHANNELS = [channel for channel in range(16) if channel != DRUM_CHANNEL]
_TONICS = {
    NoteSequence.KeySignature.MAJOR: "C Db D Eb E F F# G Ab A Bb B",
    NoteSequence.KeySignature.MINOR: "Cm C#m Dm Ebm Em Fm F#m Gm G#m Am Bbm Bm",
}
_LONGEST_QUARTER = 2**24 - 1  # microseconds: three bytes in the file
_MAX_PORTS = 128
_LAST_TICK = 2**28 - 1  # four groups of seven bits
_MOST_TICKS_PER_QUARTER = 2**15 - 1
_LONGEST_SOUND = Limits(max_seconds=2 * 3600.0)  # a gigabyte and more
_BANK_CONTROLS = (0, 32)
# What comes first at one tick; the pitch of a note is added.
_HEAD, _BANK, _PROGRAM, _NOTE_OFF, _CHANGE, _NOTE_ON = range(0, 6 * 128, 128)


@dataclasses.dataclass
class MidiPart:
    """What one track of a MIDI file plays.

    Attributes:
        instrument: Its number in the sequence.
        program: 0..127.
        is_drum: Whether it is on channel 10.
        port: Number of the device, each of which has 16 channels.
        channel: 0..15.
        messages: (tick, rank, message), to be played in order of tick and rank.
    """

    instrument: int
    program: int
    is_drum: bool
    port: int = 0
    channel: int = DRUM_CHANNEL
    messages: list[tuple[int, int, mido.Message]] = dataclasses.field(
        default_factory=list
    )


def to_midi_bytes(sequence: NoteSequence) -> bytes:
    """The sequence as a standard MIDI file of type 1.

    A conductor track with title, tempos, time and key signatures, then a track for each
    instrument (and program of it) with its name, controls and pitch bends. Each has a
    channel of its own, drums channel 10; where 15 channels are too few, every track
    says to which port (meta event 0x21) it belongs. Every note is let go by a note-off
    of velocity 0, at least one tick after it is struck. MIDI cannot hold two notes on
    one key: the earlier one is cut where the later begins, and of two that begin
    together the longer stays. All tracks end together, not before `total_time`.

    Args:
        sequence: Any sequence; `ticks_per_quarter` of 0 stands for 480. Velocities
            are held to 1..127, as 0 would be a note-off; metres that do not divide
            by a power of two and modes but major and minor are left out.

    Raises:
        UserError: There are more instruments than ports have channels for, or times
            are no numbers, or absurd.
    """
    check_writable(sequence)
    clock = MidiClock.of(sequence)
    parts = midi_parts(sequence, clock)
    names = {info.instrument: info.name for info in sequence.instrument_infos}
    num_ports = max([part.port + 1 for part in parts], default=1)
    tracks = [(0, sequence.sequence_metadata.title, _conductor(sequence, clock))]
    tracks += [(p.port, names.get(p.instrument), p.messages) for p in parts]
    last_ticks = [tick for _, _, messages in tracks for tick, _, _ in messages]
    end = max([*clock.ticks([sequence.total_time]).tolist(), *last_ticks])
    if end > _LAST_TICK or clock.ticks_per_quarter > _MOST_TICKS_PER_QUARTER:
        raise UserError(
            f"expected at most {_LAST_TICK} ticks, of {_MOST_TICKS_PER_QUARTER} in "
            f"a quarter note, which is what MIDI can write, found {end} and "
            f"{clock.ticks_per_quarter}; set ticks_per_quarter to 0, or cut the music"
        )
    file = mido.MidiFile(
        type=1, ticks_per_beat=clock.ticks_per_quarter, charset="utf-8"
    )
    for port, name, messages in tracks:
        head = [mido.MetaMessage("midi_port", port=port)] if num_ports > 1 else []
        if name:
            head.append(mido.MetaMessage("track_name", name=name))
        messages = [(0, _HEAD, message) for message in head] + messages
        file.tracks.append(_track(messages, end))
    buffer = io.BytesIO()
    file.save(file=buffer)
    return buffer.getvalue()


def midi_parts(sequence: NoteSequence, clock: "MidiClock") -> list[MidiPart]:
    """The tracks of a sequence's MIDI file, by instrument, program and drums.

    Raises:
        UserError: There are more instruments than ports have channels for.
    """
    parts, num_melodic, sent = [], 0, {}
    groups = sorted(_by_part(sequence).items())
    # Kits of drums, too, are programs of which a channel has one.
    kits = sorted({program for (_, program, is_drum), _ in groups if is_drum})
    for key, (notes, controls, bends) in groups:
        part = MidiPart(*key)
        if part.is_drum:
            part.port = kits.index(part.program)
        else:
            part.port, index = divmod(num_melodic, len(_CHANNELS))
            part.channel = _CHANNELS[index]
            num_melodic += 1
        if part.port >= _MAX_PORTS:
            raise UserError(
                f"expected at most {_MAX_PORTS * len(_CHANNELS)} instruments in a MIDI "
                "file, found more; merge some"
            )
        program = mido.Message(
            "program_change", channel=part.channel, program=part.program
        )
        part.messages.append((0, _PROGRAM, program))
        part.messages += _note_messages(notes, part.channel, clock)
        changes = _change_messages(controls, bends, part.channel, clock)
        # Parts that share a channel may each have a copy of its pedal.
        others = sent.setdefault((part.port, part.channel), set())
        part.messages += [
            change for change in changes if _identity(change) not in others
        ]
        others.update(map(_identity, changes))
        parts.append(part)
    return parts


@dataclasses.dataclass(frozen=True)
class MidiClock:
    """Seconds of a sequence to ticks of its MIDI file, and back.

    Attributes:
        tempo_map: That of the sequence.
        ticks_per_quarter: Of the file.
    """

    tempo_map: TempoMap
    ticks_per_quarter: int

    @classmethod
    def of(cls, sequence: NoteSequence) -> "MidiClock":
        """The clock of a sequence."""
        ticks_per_quarter = sequence.ticks_per_quarter or DEFAULT_TICKS_PER_QUARTER
        return cls(TempoMap.of(sequence), ticks_per_quarter)

    def ticks(self, seconds: Iterable[float]) -> np.ndarray:
        """The nearest ticks, int64 [n], none before 0."""
        quarters = self.tempo_map.to_quarters(np.fromiter(seconds, np.float64))
        return np.maximum(round_steps(quarters * self.ticks_per_quarter), 0)

    def seconds(self, ticks: Iterable[int]) -> np.ndarray:
        """When ticks are played, float64 [n]."""
        ticks = np.fromiter(ticks, np.float64)
        return self.tempo_map.to_seconds(ticks / self.ticks_per_quarter)


def write_midi(sequence: NoteSequence, path: str | os.PathLike) -> None:
    """Writes a MIDI file; see `to_midi_bytes`."""
    data = to_midi_bytes(sequence)
    _write_beside(path, lambda beside: beside.write_bytes(data))


def write_musicxml(sequence: NoteSequence, path: str | os.PathLike) -> None:
    """Writes a score that notation programs open; see `tfmusic.notes.notation`.

    Its title is that of the sequence's metadata, or the stem of the file that the
    sequence comes from, or of this file.

    Raises:
        UserError: The sequence has no notes, or follows no beat, as performances do.
    """
    # music21 takes a second to import, and who writes MIDI does not need it.
    from tfmusic.notes.notation import to_musicxml

    check_local(path)
    check_writable(sequence)
    data = to_musicxml(sequence, pathlib.PurePath(sequence.filename or path).stem)
    _write_beside(path, lambda beside: beside.write_bytes(data))


def write_wav(
    sequence: NoteSequence,
    path: str | os.PathLike,
    soundfont: str | os.PathLike | None = None,
    sample_rate: int = 44100,
) -> None:
    """Writes what the sequence sounds like; see `tfmusic.notes.synthesis`.

    Args:
        sequence: Any sequence.
        path: The file, 16-bit PCM: in stereo by the instruments of a SoundFont, or,
            where tinysoundfont is not installed, in one channel by simple tones.
        soundfont: A SoundFont (.sf2) instead of the one that comes with pretty_midi.
        sample_rate: Samples per second.

    Raises:
        UserError: The SoundFont is none, or there is nothing to play it.
    """
    # Whoever writes no audio needs no synthesizer.
    from tfmusic.notes import synthesis

    check_local(path)
    check_writable(sequence, _LONGEST_SOUND)
    if found := synthesis.find_soundfont(soundfont):
        samples = synthesis.render(sequence, found, sample_rate)
    else:
        samples = synthesis.synthesize(sequence, sample_rate)
    data = synthesis.to_wav_bytes(samples, sample_rate)
    _write_beside(path, lambda beside: beside.write_bytes(data))


def check_writable(sequence: NoteSequence, limits: Limits = _DEFAULT_LIMITS) -> None:
    """Refuses music of which no file could be made, or only one that fills the disk.

    Raises:
        UserError: It has notes or times that nobody could play.
    """
    try:
        check_possible(sequence, limits)
    except ReadError as error:
        raise UserError(f"this music cannot be written: {error.detail}") from error


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
    with replacing(check_local(path)) as partial:
        beside = pathlib.Path(partial)
        beside.parent.mkdir(parents=True, exist_ok=True)
        write(beside)


def _by_part(sequence: NoteSequence) -> dict[tuple, tuple[list, list, list]]:
    """Notes, controls and pitch bends of each (instrument, program, is_drum).

    Controls and bends without notes of just their program are those of the instrument.
    """
    parts: dict[tuple, tuple[list, list, list]] = {}
    for note in sequence.notes:
        key = note.instrument, note.program, note.is_drum
        parts.setdefault(key, ([], [], []))[0].append(note)
    keys_of = {}
    for key in parts:
        keys_of.setdefault(key[0], []).append(key)
    for i, events in enumerate((sequence.control_changes, sequence.pitch_bends), 1):
        for event in events:
            key = event.instrument, event.program, event.is_drum
            keys = [key] if key in parts else keys_of.get(event.instrument, [key])
            for key in keys:
                parts.setdefault(key, ([], [], []))[i].append(event)
    return parts


def _note_messages(notes: list, channel: int, clock: MidiClock) -> list[tuple]:
    starts = clock.ticks(note.start_time for note in notes)
    ends = np.maximum(clock.ticks(note.end_time for note in notes), starts + 1)
    struck, sounding = [], {}
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
        timed.append((int(starts[i]), _NOTE_ON + pitch, on))
        timed.append((int(ends[i]), _NOTE_OFF + pitch, off))
    return timed


def _change_messages(
    controls: list, bends: list, channel: int, clock: MidiClock
) -> list[tuple]:
    timed = []
    ticks = clock.ticks(control.time for control in controls).tolist()
    for tick, event in zip(ticks, controls, strict=True):
        message = mido.Message(
            "control_change",
            channel=channel,
            control=event.control_number,
            value=event.control_value,
        )
        # A bank is that of the next program change.
        is_bank = tick == 0 and event.control_number in _BANK_CONTROLS
        timed.append((tick, _BANK if is_bank else _CHANGE, message))
    ticks = clock.ticks(bend.time for bend in bends).tolist()
    for tick, event in zip(ticks, bends, strict=True):
        message = mido.Message("pitchwheel", channel=channel, pitch=event.bend)
        timed.append((tick, _CHANGE, message))
    return timed


def _identity(timed: tuple) -> tuple[int, bytes]:
    tick, _, message = timed
    return tick, bytes(message.bytes())


def _conductor(sequence: NoteSequence, clock: MidiClock) -> list[tuple]:
    """Tempos, time and key signatures: (tick, rank, message)."""
    timed = []
    tempos = clock.tempo_map
    ticks = clock.ticks(tempos.seconds).tolist()
    for tick, qpm in zip(ticks, tempos.qpm, strict=True):
        microseconds = min(max(round(6e7 / qpm), 1), _LONGEST_QUARTER)
        message = mido.MetaMessage("set_tempo", tempo=microseconds)
        timed.append((tick, _CHANGE, message))
    for signature in sequence.time_signatures:
        size = signature.denominator
        if signature.numerator in range(1, 256) and size in (1, 2, 4, 8, 16, 32, 64):
            message = mido.MetaMessage(
                "time_signature", numerator=signature.numerator, denominator=size
            )
            timed.append((int(clock.ticks([signature.time])[0]), _CHANGE, message))
    timed += _upbeat(sequence, tempos)
    for signature in sequence.key_signatures:
        if signature.mode in _TONICS:
            name = _TONICS[signature.mode].split()[signature.key % 12]
            message = mido.MetaMessage("key_signature", key=name)
            timed.append((int(clock.ticks([signature.time])[0]), _CHANGE, message))
    return timed


def _upbeat(sequence: NoteSequence, tempo_map: TempoMap) -> list[tuple]:
    """An upbeat's own time signature, such as 1/4, for programs that draw bar lines."""
    start, numerator, denominator = metres(sequence, tempo_map)[0]
    if start >= 0 or any(s.time <= 0 for s in sequence.time_signatures):
        return []
    quarters = start + 4 * numerator / denominator
    for size in (4, 8, 16, 32, 64):
        count = quarters * size / 4
        if abs(count - round(count)) < 1e-6 and 0 < count < 256:
            message = mido.MetaMessage(
                "time_signature", numerator=round(count), denominator=size
            )
            return [(0, _CHANGE, message)]
    return []


def _track(timed: list[tuple], end: int) -> mido.MidiTrack:
    """A track of (tick, rank, message), in that order; equal ones stay as they are."""
    track, last = mido.MidiTrack(), 0
    for tick, _, message in sorted(timed, key=lambda item: item[:2]):
        track.append(message.copy(time=tick - last))
        last = tick
    track.append(mido.MetaMessage("end_of_track", time=end - last))
    return track
