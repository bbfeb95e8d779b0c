"""Single steps of models of tokens, without what only rules and controls look at."""

from typing import TYPE_CHECKING

import tensorflow as tf

from tfmusic.models.base import Tensors
from tfmusic.models.token_layers import TokenState

if TYPE_CHECKING:
    from tfmusic.models.tokens import TokenModel


def first_state(model: "TokenModel", batch_size: int) -> Tensors | None:
    """What a recurrent network's logits depend on before a piece; None: another one."""
    if not model.network.is_recurrent:
        return None
    return _parts(model, model.initial_state(batch_size, 1))


def read_step(
    model: "TokenModel", frame: Tensors, state: Tensors
) -> tuple[Tensors, Tensors]:
    """The logits after a frame, and the new state.

    Args:
        model: Of a recurrent network.
        frame: The representation's arrays, `[batch, ...]`.
        state: As `first_state` or this gave it.
    """
    frame = model._frames(frame)
    full = model.initial_state(tf.shape(model.token(frame))[0], 1)
    names = map(str, range(len(tf.nest.flatten(full.network))))
    network = [state[name] for name in names]
    full = full._replace(
        network=tf.nest.pack_sequence_as(full.network, network),
        place={name: state[name] for name in full.place},
    )
    if model.pitch_context:
        heard = {name: state[name] for name in full.heard._fields}
        full = full._replace(heard=full.heard._replace(**heard))
    if model.lookback:
        bars = {name: state[f"bars_{name}"] for name in full.bars._fields}
        full = full._replace(bars=full.bars._replace(**bars))
    if model.settings.keys_down:
        grammar = full.rules.grammar._replace(left=state["left"])
        full = full._replace(rules=full.rules._replace(grammar=grammar))
    hidden, full = model.advance(frame, full)
    return {"logits": model.step_logits(hidden)}, _parts(model, full)


def _parts(model: "TokenModel", state: TokenState) -> Tensors:
    """By name, what of a state the logits depend on."""
    network = tf.nest.flatten(state.network)
    parts = {str(i): part for i, part in enumerate(network)} | state.place
    if model.pitch_context:
        parts |= state.heard._asdict()
    if model.lookback:
        parts |= {f"bars_{name}": part for name, part in state.bars._asdict().items()}
    if model.settings.keys_down:
        parts["left"] = state.rules.grammar.left
    return parts
