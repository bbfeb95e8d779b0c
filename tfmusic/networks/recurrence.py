"""An LSTM layer whose training is made of few and large matrix products."""

import contextlib
from collections.abc import Callable, Iterator, Sequence

import keras
import tensorflow as tf

from tfmusic.networks import fused

State = tuple[tf.Tensor, ...]
# `(inputs, state) -> (output, state)`, as Keras' cells.
Step = Callable[[tf.Tensor, Sequence[tf.Tensor]], tuple[tf.Tensor, Sequence[tf.Tensor]]]
# Widths that are no multiple of this are slow as the last axis of a bfloat16 product.
_EVEN = 128
# Layers whose units are no multiple of this take longer for several products of a step
# than for one; the others take up to a third less.
_BLOCK = 64


class LSTM(keras.layers.LSTM):
    """`keras.layers.LSTM` with the same weights and results, faster on a CPU.

    The inputs of all time steps go through one matrix product, or one for each gate,
    and so do the gradients of the weights; the loop over time is left with the
    recurrent product and the gates. In training that loop is compiled where `fused` has
    it; exports never hold its operations.
    Under mixed precision the products are in bfloat16 and the weights are cast once a
    sequence; gates and the cell's state stay in float32.

    On a GPU, and for what this does not cover (masks, dropout of the inputs, other
    activations, sequences read backwards), it is Keras' own layer.
    """

    @property
    def is_fast(self) -> bool:
        """Whether the fast loop is used for sequences without a mask."""
        return (
            not tf.config.list_logical_devices("GPU")
            and self.activation is keras.activations.tanh
            and self.recurrent_activation is keras.activations.sigmoid
            and self.use_bias
            and not (self.dropout or self.go_backwards or self.unroll)
        )

    def inner_loop(self, sequences, initial_state, mask, training=False):
        """The last output, all outputs and the last state of sequences.

        Args:
            sequences: `[batch, time, feature]`.
            initial_state: Outputs and cell states, `[batch, units]` each.
            mask: Which steps count; None: all.
            training: Whether dropout is on.
        """
        if mask is not None or not self.is_fast:
            return super().inner_loop(sequences, initial_state, mask, training)
        masks = ()
        if training and self.recurrent_dropout:
            masks = self.cell.get_recurrent_dropout_mask(initial_state[0])
        outputs, cell = lstm(
            tf.transpose(sequences, [1, 0, 2]),
            *_weights(self),
            initial_state[0],
            tf.cast(initial_state[1], tf.float32),
            masks,
            # Exported graphs do not train, and cannot hold gradients of this kind.
            own_gradient=training,
        )
        last = outputs[-1]
        return last, tf.transpose(outputs, [1, 0, 2]), [last, cell]


def recurrent_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """The LSTM and GRU layers of a model, however deep they lie."""
    return [
        layer
        for layer in model._flatten_layers(include_self=False)
        if isinstance(layer, keras.layers.LSTM | keras.layers.GRU)
    ]


@contextlib.contextmanager
def without_cudnn(model: keras.Model) -> Iterator[None]:
    """Traces a model's recurrent layers as loops, which run on every device.

    Where there is a GPU Keras traces cuDNN's kernels, and no other machine has those.
    """
    layers = recurrent_layers(model)
    settings = [layer.use_cudnn for layer in layers]
    try:
        for layer in layers:
            layer.use_cudnn = False
        yield
    finally:
        for layer, setting in zip(layers, settings, strict=True):
            layer.use_cudnn = setting


def make_step(layer: keras.layers.Layer) -> Step:
    """A layer's step for a loop in training: weights are cast before it begins.

    Keras' cells cast them at every step, which takes longer than the step.

    Args:
        layer: An LSTM or GRU layer, built.

    Returns:
        A function of inputs `[batch, feature]` and states `[batch, units]` that gives
        the output, `[batch, units]`, and the new states, in the types of the old ones.
        Layers whose sequences are Keras' own (see `LSTM`) give their cell.
    """
    if not (isinstance(layer, LSTM) and layer.is_fast):
        return layer.cell
    kernel, recurrent_kernel, bias = (
        tf.cast(weight, layer.compute_dtype) for weight in _weights(layer)
    )

    def step(inputs, state):
        output, cell = state
        sums = tf.matmul(inputs, kernel) + tf.matmul(output, recurrent_kernel) + bias
        sums = tf.split(tf.cast(sums, tf.float32), 4, axis=1)
        new_output, new_cell, _ = apply_gates(sums, tf.cast(cell, tf.float32))
        new_output = tf.cast(new_output, output.dtype)
        return new_output, [new_output, tf.cast(new_cell, cell.dtype)]

    return step


def _weights(layer: LSTM) -> list[tf.Tensor]:
    """Those of the inputs, of the outputs before, and the bias."""
    cell = layer.cell
    weights = (cell.kernel, cell.recurrent_kernel, cell.bias)
    return [tf.convert_to_tensor(weight) for weight in weights]


def lstm(
    inputs: tf.Tensor,
    kernel: tf.Tensor,
    recurrent_kernel: tf.Tensor,
    bias: tf.Tensor,
    output: tf.Tensor,
    cell: tf.Tensor,
    masks: Sequence[tf.Tensor] = (),
    own_gradient: bool = True,
) -> State:
    """Long short-term memory over whole sequences, with a gradient written by hand.

    All arguments but `cell` are of one type, float32 or bfloat16, in which products are
    computed.

    Args:
        inputs: `[time, batch, feature]`.
        kernel: `[feature, 4 * units]`, for the input, forget, cell and output gates.
        recurrent_kernel: `[units, 4 * units]`.
        bias: `[4 * units]`.
        output: The output before the first step, `[batch, units]`.
        cell: The cell's state before the first step, float32 `[batch, units]`.
        masks: What the outputs are multiplied with before they enter each of the four
            gates (recurrent dropout), `[batch, units]`; none: 1.
        own_gradient: Whether the gradient is ours, which has no gradient itself, rather
            than TensorFlow's.

    Returns:
        The outputs `[time, batch, units]` and the last state of the cell, float32
        `[batch, units]`.

    Source: Hochreiter and Schmidhuber, 1997; gradient by back-propagation through time.
    """
    masks = tuple(masks)
    if not own_gradient:
        recurrence = _Recurrence(recurrent_kernel, masks)
        outputs, last, _ = _forward(
            inputs, kernel, bias, recurrence, output, cell, keep=False
        )
        return outputs, last

    is_fused = fused.is_used()

    @tf.custom_gradient
    def run(inputs, kernel, recurrent_kernel, bias, output, cell):
        recurrence = _Recurrence(recurrent_kernel, masks)
        if is_fused:
            outputs, last, saved = fused.forward(
                _project(inputs, kernel, bias), recurrent_kernel, output, cell, masks
            )
        else:
            outputs, last, saved = _forward(
                inputs, kernel, bias, recurrence, output, cell
            )

        def gradient(outputs_gradient, cell_gradient):
            if is_fused:
                errors, output_gradient, cell_gradient = fused.backward(
                    outputs_gradient, cell_gradient, saved
                )
            else:
                errors, output_gradient, cell_gradient = _backward(
                    outputs_gradient, cell_gradient, recurrence, saved
                )
            earlier = tf.concat([output[tf.newaxis], outputs[:-1]], axis=0)
            ones = tf.ones_like(inputs[..., :1])
            # Its shape is known: the check keeps TensorFlow from making one product of
            # both, which takes a third longer in float32.
            turned = tf.ensure_shape(tf.transpose(kernel), kernel.shape[::-1])
            return (
                _project(errors, turned),
                _weights_gradient(inputs, errors),
                recurrence.gradient(earlier, errors),
                # A product sums up in float32, whatever the type.
                _weights_gradient(ones, errors)[0],
                tf.cast(output_gradient, output.dtype),
                cell_gradient,
            )

        return (outputs, last), gradient

    return run(inputs, kernel, recurrent_kernel, bias, output, cell)


def apply_gates(
    sums: Sequence[tf.Tensor], cell: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, State]:
    """One step of a cell, from what its gates have summed up.

    Args:
        sums: Of the input, forget, cell and output gates, `[batch, units]` each.
        cell: The state before, `[batch, units]`.

    Returns:
        The output, the new state, and the values of the gates, in their order, and of
        the state as the last one sees it.
    """
    into, stay, new, out = sums
    into, stay, out = tf.sigmoid(into), tf.sigmoid(stay), tf.sigmoid(out)
    new = tf.tanh(new)
    cell = stay * cell + into * new
    shown = tf.tanh(cell)
    return out * shown, cell, (into, stay, new, out, shown)


class _Recurrence:
    """The product of the outputs with their weights, masked for each gate.

    It is one product for all gates, or one for each, which the cores share better.
    `join` and `split` go from the gates to the products and back.
    """

    def __init__(self, kernel: tf.Tensor, masks: tuple[tf.Tensor, ...]):
        is_odd = kernel.shape[0] % _BLOCK > 0
        self.num_products = 1 if is_odd and not masks else 4
        self._masks = masks
        self._parts = self.cut(kernel)
        # For the way back, turned over once: a product of few rows of float32 with
        # weights that lie the other way takes up to four times as long.
        self._turned = [tf.transpose(part) for part in self._parts]

    def cut(self, weights: tf.Tensor) -> list[tf.Tensor]:
        """Weights `[..., 4 * units]` for each of the products."""
        return tf.split(weights, self.num_products, axis=-1)

    def split(self, products: list[tf.Tensor]) -> list[tf.Tensor]:
        """`[batch, units]` for each gate."""
        return tf.split(*products, 4, axis=1) if len(products) == 1 else products

    def join(self, gates: list[tf.Tensor]) -> list[tf.Tensor]:
        """The other way."""
        return [tf.concat(gates, axis=1)] if self.num_products == 1 else gates

    def __call__(self, output: tf.Tensor) -> list[tf.Tensor]:
        """The products."""
        outputs = self._masked(output)
        return [tf.matmul(*pair) for pair in zip(outputs, self._parts, strict=True)]

    def output_gradient(self, errors: list[tf.Tensor]) -> tf.Tensor:
        """Gradient of the output, given those of the products."""
        pairs = zip(errors, self._turned, strict=True)
        gradients = [tf.matmul(error, part) for error, part in pairs]
        if self._masks:
            pairs = zip(gradients, self._masks, strict=True)
            gradients = [gradient * mask for gradient, mask in pairs]
        return tf.add_n(gradients)

    def gradient(self, outputs: tf.Tensor, errors: tf.Tensor) -> tf.Tensor:
        """Gradient of the weights, from all steps; errors `[..., 4 * units]`."""
        if not self._masks:
            return _weights_gradient(outputs, errors)
        pairs = zip(self._masked(outputs), self.cut(errors), strict=True)
        return tf.concat([_weights_gradient(*pair) for pair in pairs], axis=1)

    def _masked(self, output: tf.Tensor) -> list[tf.Tensor]:
        """What enters each product."""
        if self._masks:
            return [output * mask for mask in self._masks]
        return [output] * self.num_products


def _forward(
    inputs: tf.Tensor,
    kernel: tf.Tensor,
    bias: tf.Tensor,
    recurrence: _Recurrence,
    output: tf.Tensor,
    cell: tf.Tensor,
    keep: bool = True,
) -> tuple[tf.Tensor, tf.Tensor, list[tf.TensorArray]]:
    """All outputs, the last cell state, and if asked what the way back needs."""
    num_steps = tf.shape(inputs)[0]
    weights = zip(recurrence.cut(kernel), recurrence.cut(bias), strict=True)
    projected = [_project(inputs, *pair) for pair in weights]

    def array(dtype, length=num_steps):
        return tf.TensorArray(
            dtype, length, element_shape=cell.shape, clear_after_read=False
        )

    saved = []
    if keep:
        # The states go from the one before the first step to the last.
        cells = array(tf.float32, num_steps + 1).write(0, cell)
        saved = [cells, *(array(tf.float32) for _ in range(5))]

    def body(step, output, cell, outputs, saved):
        pairs = zip(projected, recurrence(output), strict=True)
        sums = [tf.cast(part[step] + own, tf.float32) for part, own in pairs]
        new_output, cell, gates = apply_gates(recurrence.split(sums), cell)
        output = tf.cast(new_output, output.dtype)
        if saved:
            cells, *others = saved
            saved = [cells.write(step + 1, cell)]
            saved += [a.write(step, g) for a, g in zip(others, gates, strict=True)]
        return step + 1, output, cell, outputs.write(step, output), saved

    _, _, cell, outputs, saved = tf.while_loop(
        lambda step, *_: step < num_steps,
        body,
        (0, output, cell, array(output.dtype), saved),
        maximum_iterations=num_steps,
    )
    return outputs.stack(), cell, saved


def _backward(
    outputs_gradient: tf.Tensor,
    cell_gradient: tf.Tensor,
    recurrence: _Recurrence,
    saved: list[tf.TensorArray],
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Gradients of the gates' sums, `[time, batch, 4 * units]`, and of the state."""
    num_steps = tf.shape(outputs_gradient)[0]
    dtype = outputs_gradient.dtype
    cells, *gates = saved
    width = 4 * cell_gradient.shape[1] // recurrence.num_products
    errors = [
        tf.TensorArray(dtype, num_steps, element_shape=[None, width])
        for _ in range(recurrence.num_products)
    ]

    # `gradient * y * (1 - y)` and `gradient * (1 - y * y)` in one pass each.
    sigmoid_gradient, tanh_gradient = tf.raw_ops.SigmoidGrad, tf.raw_ops.TanhGrad

    def body(step, output_gradient, cell_gradient, errors):
        into, stay, new, out, shown = (gate.read(step) for gate in gates)
        before = cells.read(step)
        output_gradient += tf.cast(outputs_gradient[step], tf.float32)
        cell_gradient += tanh_gradient(y=shown, dy=output_gradient * out)
        parts = [
            sigmoid_gradient(y=into, dy=cell_gradient * new),
            sigmoid_gradient(y=stay, dy=cell_gradient * before),
            tanh_gradient(y=new, dy=cell_gradient * into),
            sigmoid_gradient(y=out, dy=output_gradient * shown),
        ]
        parts = [tf.cast(part, dtype) for part in recurrence.join(parts)]
        output_gradient = tf.cast(recurrence.output_gradient(parts), tf.float32)
        errors = [a.write(step, part) for a, part in zip(errors, parts, strict=True)]
        return step - 1, output_gradient, cell_gradient * stay, errors

    *_, output_gradient, cell_gradient, errors = tf.while_loop(
        lambda step, *_: step >= 0,
        body,
        (num_steps - 1, tf.zeros_like(cell_gradient), cell_gradient, errors),
        maximum_iterations=num_steps,
    )
    errors = tf.concat([part.stack() for part in errors], axis=2)
    return errors, output_gradient, cell_gradient


def _project(
    rows: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor | None = None
) -> tf.Tensor:
    """The product of `[time, batch, k]` with weights `[k, n]`, as one."""
    shape = tf.concat([tf.shape(rows)[:2], tf.shape(kernel)[1:]], axis=0)
    product = tf.matmul(_fold(rows), kernel)
    if bias is not None:
        product = tf.nn.bias_add(product, bias)
    product = tf.reshape(product, shape)
    return tf.ensure_shape(product, [None, None, kernel.shape[1]])


def _weights_gradient(inputs: tf.Tensor, errors: tf.Tensor) -> tf.Tensor:
    """The sum over time and batch of `inputs` times `errors`, `[k, n]`."""
    inputs, errors = _fold(inputs), _fold(errors)
    if inputs.dtype == tf.bfloat16 and errors.shape[1] % _EVEN:
        # The same product: processors that multiply these numbers themselves take two
        # thirds of the time for it (k = 300, n = 1200, 50,000 rows).
        return tf.transpose(tf.matmul(errors, inputs, transpose_a=True))
    return tf.matmul(inputs, errors, transpose_a=True)


def _fold(tensor: tf.Tensor) -> tf.Tensor:
    """`[time, batch, k]` as `[time * batch, k]`."""
    return tf.reshape(tensor, [-1, tensor.shape[-1]])
