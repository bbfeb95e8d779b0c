"""The endpoint `step`: one step after another gives what whole sequences give."""

import numpy as np
import pytest
import tensorflow as tf

from tests.models.conftest import CASES, make_case
from tfmusic.models.steps import NEXT, STATE

# One of each kind of state; the other cases are slow.
FAST = ("chords", "tokens_bars", "tokens_keys_down", "next_frame_metre")
NO_STEP = ("tokens_transformer", "seq2seq", "seq2seq_reference", "seq2seq_metre")
NO_STEP += ("biaxial", "biaxial_play_only")
STEPS = [
    pytest.param(name, marks=[] if name in FAST else pytest.mark.slow)
    for name in CASES
    if name not in NO_STEP
]


@pytest.mark.parametrize("name", STEPS)
def test_steps_give_what_the_whole_sequence_gives(name):
    case = make_case(name)
    model, piece = case.model, case.pieces[0]
    endpoint = model.endpoints()["step"]
    num_steps = min(20, len(next(iter(piece.values()))) + 1)
    values = {
        spec.name: tf.constant(
            endpoint.defaults[spec.name], spec.dtype, [size or 1 for size in spec.shape]
        )
        for spec in endpoint.input_signature
    }
    frames = [n for n in values if not n.startswith(STATE)]
    step = tf.function(endpoint.fn, autograph=False)
    read, found = [], []
    for place in range(num_steps):
        outputs = step(*values.values())
        read.append({n: values[n] for n in frames})
        found += [outputs[n] for n in ("logits", "log_odds") if n in outputs]
        values = {
            n: outputs[f"{NEXT}{n}"] if n not in frames else piece[n][place : place + 1]
            for n in values
            if place + 1 < num_steps
        }
    inputs = {n: tf.stack([part[n] for part in read], axis=1) for n in frames}
    coming = next(iter(piece.values()))[np.newaxis, :num_steps]
    inputs |= model.places.after(model.places.before_piece(1), tf.constant(coming))
    if "keys" in inputs:
        inputs |= {"next_tokens": inputs["tokens"], "next_keys": inputs["keys"]}
    outputs = model(inputs if len(inputs) > 1 else inputs[frames[0]])
    if isinstance(outputs, dict):
        outputs = outputs["logits"]
    if "roll" in inputs:
        outputs, _ = model.frames.unpack(outputs)
    found = tf.stack(found, axis=1)
    np.testing.assert_allclose(found, outputs, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", NO_STEP[:2])
def test_a_state_that_grows_has_no_step(name):
    assert "step" not in make_case(name).model.endpoints()
