"""Where notes come from and go to: MIDI ports, and OSC over UDP."""

import contextlib
import queue
import threading
import time
from collections.abc import Iterator
from typing import Protocol

from tfmusic.errors import UserError
from tfmusic.live.phrases import Event

HOW_TO_INSTALL = 'pip install "tfmusic[live]"'
ADDRESS = "/note"  # of OSC messages: pitch, velocity; a velocity of 0 lets go
_DRUM_CHANNEL = 9
_ALL_NOTES_OFF = 123
Events = queue.SimpleQueue  # of Event


class Output(Protocol):
    """Sounds notes."""

    def send(self, pitch: int, velocity: int, is_drum: bool = False) -> None:
        """Presses a key, or lets it go with a velocity of 0."""

    def close(self) -> None:
        """Gives the port back."""


@contextlib.contextmanager
def midi_input(name: str, events: Events) -> Iterator[None]:
    """Puts what comes in at a MIDI port, but drums, into a queue.

    Raises:
        UserError: There is no such port, or no MIDI here.
    """

    def take(message) -> None:
        if message.type not in ("note_on", "note_off"):
            return
        if message.channel != _DRUM_CHANNEL:
            velocity = message.velocity if message.type == "note_on" else 0
            events.put(Event(time.monotonic(), message.note, velocity))

    mido = _mido()
    found = _find("input", name, _names(mido.get_input_names))
    with mido.open_input(found, callback=take):
        yield


class MidiOutput:
    """A MIDI port that plays: channel 1, drums channel 10."""

    def __init__(self, name: str):
        """Opens the port.

        Raises:
            UserError: There is no such port, or no MIDI here.
        """
        mido = _mido()
        found = _find("output", name, _names(mido.get_output_names))
        self._port = mido.open_output(found)
        self._message = mido.Message

    def send(self, pitch: int, velocity: int, is_drum: bool = False) -> None:
        """Presses a key, or lets it go with a velocity of 0."""
        channel = _DRUM_CHANNEL if is_drum else 0
        kind = "note_on" if velocity else "note_off"
        self._port.send(
            self._message(kind, note=pitch, velocity=velocity, channel=channel)
        )

    def close(self) -> None:
        """Lets everything go, and gives the port back."""
        for channel in (0, _DRUM_CHANNEL):
            self._port.send(
                self._message("control_change", control=_ALL_NOTES_OFF, channel=channel)
            )
        self._port.close()


@contextlib.contextmanager
def osc_input(port: int, events: Events) -> Iterator[int]:
    """Puts the notes that are sent to a UDP port of this machine into a queue.

    Args:
        port: 0 takes a free one.
        events: The queue.

    Yields:
        The port.

    Raises:
        UserError: It is taken, or the package is not installed.
    """
    try:
        from pythonosc.dispatcher import Dispatcher
        from pythonosc.osc_server import BlockingOSCUDPServer
    except ImportError as error:
        raise _not_installed("--osc_port", error) from error

    def take(address: str, *values) -> None:
        # Others may send anything.
        if len(values) == 2 and all(isinstance(v, int | float) for v in values):
            pitch, velocity = values
            if 0 <= pitch <= 127 and 0 <= velocity <= 127:
                events.put(Event(time.monotonic(), int(pitch), int(velocity)))

    dispatcher = Dispatcher()
    dispatcher.map(ADDRESS, take)
    try:
        server = BlockingOSCUDPServer(("127.0.0.1", port), dispatcher)
    except (OSError, OverflowError) as error:
        raise UserError(
            f"--osc_port={port}: cannot be bound ({error}); choose another, or 0 for a "
            "free one"
        ) from error
    with server:
        thread = threading.Thread(target=server.serve_forever, args=(0.1,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


class OscOutput:
    """Sends notes by OSC."""

    def __init__(self, reply: str):
        """Makes a socket.

        Args:
            reply: A port of this machine, or HOST:PORT.

        Raises:
            UserError: It is neither, or the package is not installed.
        """
        try:
            from pythonosc.udp_client import SimpleUDPClient
        except ImportError as error:
            raise _not_installed("--osc_reply", error) from error
        host, _, port = reply.rpartition(":")
        if not (port.isdigit() and 0 < int(port) < 2**16):
            raise UserError(
                f"--osc_reply: expected PORT or HOST:PORT, as in 9001, got {reply!r}"
            )
        try:
            self._client = SimpleUDPClient(host or "127.0.0.1", int(port))
        except OSError as error:
            raise UserError(
                f"--osc_reply={reply}: there is no host {host} ({error})"
            ) from error

    def send(self, pitch: int, velocity: int, is_drum: bool = False) -> None:
        """Presses a key, or lets it go with a velocity of 0; drums are left out."""
        if not is_drum:
            self._client.send_message(ADDRESS, [pitch, velocity])

    def close(self) -> None:
        """Closes the socket."""
        self._client.close()


def describe_ports() -> str:
    """The MIDI ports that are here, in words.

    Raises:
        UserError: There is no MIDI here.
    """
    mido = _mido()
    inputs, outputs = _names(mido.get_input_names), _names(mido.get_output_names)
    return f"inputs: {_listed(inputs)}; outputs: {_listed(outputs)}"


def _mido():
    """Mido with the library that opens ports."""
    import mido

    try:
        mido.backend.load()
    except ImportError as error:
        raise _not_installed("MIDI", error) from error
    return mido


def _names(get_names) -> list[str]:
    try:
        return get_names()
    except Exception as error:  # each backend has its own
        raise UserError(
            f"this machine has no MIDI ports that can be opened ({error}); --osc_port "
            "and --osc_reply need none"
        ) from error


def _find(what: str, name: str, names: list[str]) -> str:
    """The port that a name, or a part of it in any case, stands for."""
    if name in names:
        return name
    found = [full for full in names if name.casefold() in full.casefold()]
    if len(found) == 1:
        return found[0]
    number = len(found) if found else "none"
    raise UserError(
        f"--{what}={name}: expected the name of one MIDI port, or a part of it; "
        f"{number} of the {what}s have it: {_listed(names)}"
    )


def _listed(names: list[str]) -> str:
    return ", ".join(map(repr, dict.fromkeys(names))) or "none"


def _not_installed(what: str, error: ImportError) -> UserError:
    return UserError(f"{what} needs {error.name}: {HOW_TO_INSTALL}")
