"""Files that arrive broken: copies of good ones, damaged as files get damaged."""

import struct

import numpy as np


def damage(data, rng):
    """A copy of a MIDI file in which something is wrong; may still be readable."""
    data = bytearray(data)
    kind = rng.integers(9)
    place = int(rng.integers(len(data)))
    if kind == 0:  # some bytes are others, by a little or by much
        mask = int(rng.choice([7, 255]))
        for i in rng.integers(len(data), size=rng.integers(1, 20)):
            data[i] ^= int(rng.integers(1, 256)) & mask
    elif kind == 1:  # the end is missing
        del data[place:]
    elif kind == 2:  # a piece is missing
        del data[place : place + int(rng.integers(1, 200))]
    elif kind == 3:  # something else is in between
        data[place:place] = rng.bytes(int(rng.integers(1, 500)))
    elif kind == 4:  # a forged header: type, number of tracks, division
        data[8:14] = rng.bytes(6)
    elif kind == 5:  # a track that says it is of another length
        at = data.find(b"MTrk", int(rng.integers(len(data))))
        at = at if at >= 0 else data.find(b"MTrk")
        data[at + 4 : at + 8] = rng.bytes(4)
    elif kind == 6:  # the longest wait there is, in the middle of the events
        data[place:place] = b"\xff\xff\xff\x7f" * int(rng.integers(1, 9))
    elif kind == 7:  # zeros, as after a crash of the machine
        data[place:] = bytes(len(data) - place)
    else:  # a part of itself once more
        end = place + int(rng.integers(1, 2000))
        data[place:place] = data[place:end] * int(rng.integers(1, 30))
    return bytes(data)


def midi_of(track, division=480):
    """A file of one track."""
    head = struct.pack(">4sIHHH", b"MThd", 6, 0, 1, division)
    track += b"\0\xff\x2f\0"
    return head + struct.pack(">4sI", b"MTrk", len(track)) + track


def running_status(num_bytes):
    """A track that is one note-on and then pairs of numbers, to the end."""
    notes = np.empty([num_bytes // 6, 6], np.uint8)
    # A sixteenth later another key goes down, then up: running status.
    notes[:] = [1, 60, 64, 1, 60, 0]
    notes[:, [1, 4]] += (np.arange(len(notes)) % 12).astype(np.uint8)[:, None]
    return midi_of(b"\0\x90\x40\x40" + notes.tobytes())


def far_away(num_waits=20):
    """A note that comes after waits of 2^28 ticks."""
    return midi_of(
        b"\xff\xff\xff\x7f\xb0\x01\x01" * num_waits + b"\0\x90\x3c\x40\1\x80\x3c\x40"
    )
