"""The checksum of TFRecord files, CRC-32C, for processes without TensorFlow."""

import functools

import numpy as np

_POLYNOMIAL = 0x82F63B78  # of Castagnoli, its bits reversed
_MASK_DELTA = 0xA282EAD8


def masked_crc32c(data: bytes) -> int:
    """The checksum of some bytes as TFRecord files store it."""
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF


def crc32c(data: bytes) -> int:
    """The CRC-32C of some bytes.

    Python is slow at bytes one by one, so many stretches of the same length are gone
    through side by side. What comes before a stretch adds what it would become if as
    many zeros followed; that is linear, and so looked up by its four bytes.
    """
    table = _table()
    if len(data) < 4:
        crc = 0xFFFFFFFF
        for byte in data:
            crc = int(table[(crc ^ byte) & 255]) ^ crc >> 8
        return crc ^ 0xFFFFFFFF
    width = int(len(data) ** 0.5)
    stretches = -(-len(data) // width)
    # A state of 0 stays so over the zeros in front; to start with ones is the same as
    # to invert the first four bytes.
    padded = np.zeros(stretches * width, np.uint8)
    begin = len(padded) - len(data)
    padded[begin:] = np.frombuffer(data, np.uint8)
    padded[begin : begin + 4] ^= 0xFF
    lanes = padded.reshape(stretches, width)
    digits = np.arange(256, dtype=np.uint32) << np.arange(0, 32, 8, np.uint32)[:, None]
    states = np.append(np.zeros(stretches, np.uint32), digits.reshape(-1))
    for i in range(width):
        states[:stretches] ^= lanes[:, i]
        states = table[states & 255] ^ states >> 8
    zeros = states[stretches:].tolist()
    crc = 0
    for state in states[:stretches].tolist():
        crc = (
            zeros[crc & 255]
            ^ zeros[256 + (crc >> 8 & 255)]
            ^ zeros[512 + (crc >> 16 & 255)]
            ^ zeros[768 + (crc >> 24)]
            ^ state
        )
    return crc ^ 0xFFFFFFFF


@functools.cache
def _table() -> np.ndarray:
    """What each byte does to a state; uint32 [256]."""
    states = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        states = states >> 1 ^ np.uint32(_POLYNOMIAL) * (states & 1)
    return states
