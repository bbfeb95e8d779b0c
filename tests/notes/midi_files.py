"""MIDI files byte by byte, so that tests can hold what no writer would write."""

import struct


def midi_file(*tracks: bytes, division: int = 480, kind: int = 1) -> bytes:
    """A file of tracks, each from `track`."""
    return struct.pack(">4sIHHH", b"MThd", 6, kind, len(tracks), division) + b"".join(
        tracks
    )


def track(*events: tuple[int, bytes]) -> bytes:
    """A track chunk of (ticks since the event before, bytes of the event)."""
    body = b"".join(_variable(delta) + event for delta, event in events)
    return chunk(body + b"\x00\xff\x2f\x00")


def chunk(body: bytes) -> bytes:
    """A track chunk of whatever bytes."""
    return struct.pack(">4sI", b"MTrk", len(body)) + body


def on(pitch: int, velocity: int = 80, channel: int = 0) -> bytes:
    return bytes([0x90 | channel, pitch, velocity])


def off(pitch: int, channel: int = 0) -> bytes:
    return bytes([0x80 | channel, pitch, 0])


def program(number: int, channel: int = 0) -> bytes:
    return bytes([0xC0 | channel, number])


def control(number: int, value: int, channel: int = 0) -> bytes:
    return bytes([0xB0 | channel, number, value])


def bend(value: int, channel: int = 0) -> bytes:
    return bytes([0xE0 | channel, (value + 8192) & 127, (value + 8192) >> 7])


def meta(kind: int, contents: bytes) -> bytes:
    return bytes([0xFF, kind]) + _variable(len(contents)) + contents


def name(text: str) -> bytes:
    return meta(0x03, text.encode())


def port(number: int) -> bytes:
    return meta(0x21, bytes([number]))


def tempo(microseconds: int) -> bytes:
    return meta(0x51, microseconds.to_bytes(3, "big"))


def time_signature(numerator: int, power_of_two: int) -> bytes:
    return meta(0x58, bytes([numerator, power_of_two, 24, 8]))


def key_signature(sharps: int, minor: int) -> bytes:
    return meta(0x59, struct.pack("b", sharps) + bytes([minor]))


def _variable(number: int) -> bytes:
    groups = [number & 127]
    while number := number >> 7:
        groups.append(number & 127 | 128)
    return bytes(reversed(groups))
