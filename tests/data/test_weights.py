import numpy as np

from tfmusic.data.weights import fingerprint
from tfmusic.representations import make_representation

CHUNKS = {"name": "event_chunks", "duration_lognormal": (1.1, 84.0)}


def test_a_fingerprint_stands_for_weights_their_shapes_and_what_they_read():
    kind = make_representation(CHUNKS)
    weights = [np.arange(6, dtype=np.float32).reshape(2, 3), np.ones(2, np.float32)]
    known = fingerprint(weights, kind)
    assert len(known) == 16
    assert fingerprint([array.copy() for array in weights], kind) == known
    others = [
        ([weights[0] + 1, weights[1]], kind),
        ([weights[0].reshape(3, 2), weights[1]], kind),
        ([weights[0].view(np.int32), weights[1]], kind),
        (weights[::-1], kind),
        (weights[:1], kind),
        (weights, make_representation({**CHUNKS, "pedal_bins": 2})),
    ]
    found = {fingerprint(array, read) for array, read in others}
    assert len(found) == len(others)
    assert known not in found
