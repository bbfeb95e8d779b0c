"""A set autoencoder: the events of a chunk of time as one vector, whatever their order.

Source: Kortvelesy, Morad and Prorok, "Permutation-Invariant Set Autoencoders with
Fixed-Size Embeddings for Multi-Agent Learning", 2023, as "TimeStepMusic" applies it to
music.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import keras
import tensorflow as tf

from tfmusic.models.base import Endpoint, MusicModel, Tensors, step_is_target
from tfmusic.models.event_encoding import DURATIONS, EventEncoding
from tfmusic.models.set_layers import Perceptron, SlotKeys, noise_like
from tfmusic.networks.losses import mean_loss
from tfmusic.representations import EventChunks
from tfmusic.representations.event_vectors import ENCODINGS, NUM_CONTINUOUS
from tfmusic.representations.events import NUM_COLUMNS
from tfmusic.settings import Settings, setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class AutoencoderSettings(Settings):
    """Sizes of the autoencoder, and what it learns.

    Attributes:
        latent_size: Numbers that stand for a set.
        encoding: How the network reads and says events; see `event_vectors.to_vectors`.
        durations: How it reads and says how long events last: "share", as published, or
            "logarithm", which suits long pedals; see `EventEncoding`.
        value_units: Hidden layers from an event to its value.
        key_units: Hidden layers from a rank to its key.
        size_units: Hidden layers from the latent vector to the set's size.
        event_units: Hidden layers from what a key unlocks to an event.
        activation: Of all hidden layers.
        normalize: Whether hidden layers are normalised, but not those that end in
            events.
        residual: Whether hidden layers add to what they get.
        keys_by_size: Whether keys know of the set's size beside the rank: a small set
            then has more room for each of its events.
        normalize_keys: Whether keys keep their length; see `SlotKeys`.
        learn_order: Whether the score that ranks events also scales their values, and
            so can be learned. It cannot as published: it stays as it began.
        size_output: "classes": a logit for each size, 0 to the largest; "number".
        continuous_coefficient: Weighs the squared error of start, duration and
            intensity against what says which key or pedal it is.
        size_coefficient: Weighs the size's loss against that of all events.
        latent_noise: Standard deviation of the noise that training adds to latent
            vectors, as a fraction of each number's own. What is then decoded from a
            vector bears small errors, such as those of a generator.
    """

    SECTION: ClassVar[str] = "model"

    latent_size: int = setting(75, at_least=1, at_most=65_536)
    encoding: str = setting("ponOHE", choices=tuple(ENCODINGS))
    durations: str = setting("share", choices=tuple(DURATIONS))
    value_units: tuple[int, ...] = setting((256, 256), at_least=1, at_most=65_536)
    key_units: tuple[int, ...] = setting((64,), at_least=1, at_most=65_536)
    size_units: tuple[int, ...] = setting((128,), at_least=1, at_most=65_536)
    event_units: tuple[int, ...] = setting((256, 256), at_least=1, at_most=65_536)
    activation: str = "relu"
    normalize: bool = False
    residual: bool = True
    keys_by_size: bool = True
    normalize_keys: bool = True
    learn_order: bool = True
    size_output: str = setting("classes", choices=("classes", "number"))
    continuous_coefficient: float = setting(10.0, at_least=0.0)
    size_coefficient: float = setting(1.0, at_least=0.0)
    latent_noise: float = setting(0.0, at_least=0.0)

    @classmethod
    def from_config(cls, section: Mapping[str, Any]) -> Self:
        """Reads a section of a config; see `Settings.from_config`."""
        # Events once could also be matched with slots by optimal assignment.
        kept = {k: v for k, v in section.items() if (k, v) != ("matching", "order")}
        return super().from_config(kept)


class SetAutoencoder(MusicModel):
    """Sets of events to vectors of fixed size and back.

    A set's events are ranked by a learned linear score. The value of each, from a
    perceptron, is multiplied with the key of its rank, and all are summed; so order
    cannot matter. From the sum a decoder predicts the set's size, and from its product
    with the key of each rank that rank's event.

    As published but for what the default settings add: keys of equal length, which know
    of the set's size, and an order that can be learned. To sum in 256 dimensions, with
    perceptrons from there to the latent vector and back, learned more slowly.
    """

    SCORED_BY = "reconstruction"
    LOSS_MEANING = "how far what comes back is from what was encoded"

    TAKES = EventChunks
    Settings = AutoencoderSettings

    def __init__(self, representation: EventChunks, settings: AutoencoderSettings):
        """Makes the layers; see `AutoencoderSettings`."""
        super().__init__(representation)
        self.settings = settings
        self.latent_size, self.max_size = (
            settings.latent_size,
            representation.max_events,
        )
        self.encoding = EventEncoding(
            representation, settings.encoding, settings.durations
        )

        plain = functools.partial(
            Perceptron, activation=settings.activation, residual=settings.residual
        )
        perceptron = functools.partial(plain, normalize=settings.normalize)
        keys = functools.partial(
            SlotKeys, self.max_size, settings.keys_by_size, settings.normalize_keys
        )
        self.order = keras.layers.Dense(1, dtype="float32")
        self.values = perceptron(settings.value_units, self.latent_size)
        self.value_keys = keys(perceptron(settings.key_units, self.latent_size))
        self.of_size = keras.layers.Dense(self.latent_size)
        num_sizes = self.max_size + 1 if settings.size_output == "classes" else 1
        self.sizes = perceptron(settings.size_units, num_sizes, dtype="float32")
        self.event_keys = keys(perceptron(settings.key_units, self.latent_size))
        self.events = plain(settings.event_units, self.encoding.size, dtype="float32")
        self.order.trainable = settings.learn_order
        self._means = {
            name: keras.metrics.Mean(name=name)
            for name in ("which_loss", "continuous_loss", "size_loss", "key_accuracy")
        }

    def example_fn(self, features: Tensors, seed: tf.Tensor):
        """The chunks of a window, and which of them are in the piece."""
        chunks = {
            name: features[name][1:] for name in self.representation.feature_specs
        }
        weight = step_is_target(features["step"][1:], features["num_steps"])
        if self.settings.latent_noise:
            chunks["seed"] = seed
        return chunks, {}, weight

    def build_model(self) -> None:
        """Makes all weights."""
        self(
            {
                "events": tf.zeros([1, 1, self.max_size, NUM_COLUMNS], tf.int32),
                "num_events": tf.ones([1, 1], tf.int32),
            }
        )

    def compile_for_training(self, optimizer: keras.optimizers.Optimizer) -> None:
        """Compiles with the losses of events and sizes."""
        # How many events there are differs from batch to batch, which XLA cannot do.
        self.compile(optimizer=optimizer, loss=None, jit_compile=False)

    # ---- From sets to vectors and back, for any number of sets.

    def encode(self, events: tf.Tensor, num_events: tf.Tensor) -> tf.Tensor:
        """Sets as vectors.

        Args:
            events: int32 `[batch, event, 4]`.
            num_events: int32 `[batch]`, how many of them there are.

        Returns:
            float32 `[batch, latent_size]`.
        """
        return self._encode(*self._in_order(events, num_events), num_events)

    def decode(self, latents: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Vectors as sets.

        Args:
            latents: float32 `[batch, latent_size]`.

        Returns:
            Events, int32 `[batch, event, 4]`, zeros where there are none, and how many
            there are, int32 `[batch]`.
        """
        num_events = self.decode_sizes(latents)
        slots = self._used(num_events)
        events = self.encoding.events(self._decode(latents, num_events, slots))
        shape = [tf.shape(latents)[0], self.max_size, NUM_COLUMNS]
        return tf.scatter_nd(slots, events, shape), num_events

    @property
    def num_moments(self) -> int:
        """How many `moments` gives for a set."""
        num_which = self.encoding.size - NUM_CONTINUOUS
        return (1 + num_which) * (1 + NUM_CONTINUOUS)

    def moments(self, latents: tf.Tensor) -> tf.Tensor:
        """What sets are like, summed over their decoded events, with gradients.

        Of each key's or pedal's part of the encoding: how many events there are, and
        the sums of their starts, durations and intensities; the same of all events.

        Args:
            latents: float32 `[batch, latent_size]`.

        Returns:
            float32 `[batch, num_moments]`.
        """
        num_events = self.decode_sizes(latents)
        slots = self._used(num_events)
        outputs = self._decode(latents, num_events, slots)
        events = self.encoding.expected(outputs)
        one = tf.ones_like(events[:, :1])
        which = tf.concat([one, events[:, :-NUM_CONTINUOUS]], axis=-1)
        continuous = tf.concat([one, events[:, -NUM_CONTINUOUS:]], axis=-1)
        products = which[:, :, None] * continuous[:, None, :]  # [event, which, 1 + 3]
        products = tf.reshape(products, [-1, self.num_moments])
        return tf.math.unsorted_segment_sum(products, slots[:, 0], tf.shape(latents)[0])

    def decode_sizes(self, latents: tf.Tensor) -> tf.Tensor:
        """How many events there are in vectors `[batch, latent_size]`, int32."""
        sizes = self.sizes(latents)
        if self.settings.size_output == "classes":
            return tf.argmax(sizes, axis=-1, output_type=tf.int32)
        # Up to a full set; the reference system stops one short of it.
        rounded = tf.clip_by_value(tf.round(sizes[:, 0]), 0, self.max_size)
        return tf.cast(rounded, tf.int32)

    def _used(self, num_events: tf.Tensor) -> tf.Tensor:
        """Set and rank of all events that there are, int32 `[rows, 2]`.

        Sets of music are mostly far from full: to reckon with the events alone is
        several times as fast as with all slots.
        """
        used = tf.range(self.max_size) < num_events[:, None]
        return tf.cast(tf.where(used), tf.int32)

    def _in_order(self, events: tf.Tensor, num_events: tf.Tensor):
        """Events by rank.

        Returns:
            Which there are, int32 `[rows, 2]`; their vectors, float32 `[rows, size]`;
            and their scores, float32 `[rows, 1]`.
        """
        vectors = self.encoding.vectors(events)
        scores = self.order(vectors)
        used = tf.range(self.max_size) < num_events[:, None]
        ranked = tf.where(used, tf.stop_gradient(scores[..., 0]), tf.float32.max)
        order = tf.argsort(ranked, axis=-1, stable=True)
        slots = self._used(num_events)
        places = tf.stack([slots[:, 0], tf.gather_nd(order, slots)], axis=-1)
        return slots, tf.gather_nd(vectors, places), tf.gather_nd(scores, places)

    def _encode(self, slots, vectors, scores, num_events) -> tf.Tensor:
        sets, ranks = tf.unstack(slots, axis=-1)
        values = self.values(tf.cast(vectors, self.compute_dtype))
        if self.settings.learn_order:
            values *= tf.cast(1.0 + tf.tanh(scores), values.dtype)
        keys = self.value_keys(ranks, tf.gather(num_events, sets))
        pooled = tf.math.unsorted_segment_sum(
            values * keys, sets, tf.shape(num_events)[0]
        )
        sizes = tf.cast(num_events, pooled.dtype)[:, None]
        return tf.cast(pooled + self.of_size(sizes), tf.float32)

    def _decode(self, latents, num_events, slots) -> tf.Tensor:
        """What the network says of the event in each used slot, `[rows, size]`."""
        sets, ranks = tf.unstack(slots, axis=-1)
        latents = tf.cast(latents, self.compute_dtype)
        keys = self.event_keys(ranks, tf.gather(num_events, sets))
        return self.events(tf.gather(latents, sets) * keys)

    # ---- Training.

    def call(self, inputs: Tensors, training: bool = False) -> Tensors:
        """The losses of chunks; what training looks at.

        Args:
            inputs: `events` `[batch, chunk, event, 4]` and `num_events`
                `[batch, chunk]`, int32; with noise `seed` `[batch, 2]`.
            training: Whether noise is added to latent vectors.

        Returns:
            float32 `[batch, chunk]`: `which`, the loss of what says which keys and
            pedals the events are, `continuous` of start, duration and intensity, both
            summed over events; `size`; and `hits`, how many keys and pedals are right.
        """
        shape = tf.shape(inputs["num_events"])
        num_events = tf.reshape(inputs["num_events"], [-1])  # [batch * chunk]
        events = tf.reshape(inputs["events"], [-1, self.max_size, NUM_COLUMNS])
        slots, vectors, scores = self._in_order(events, num_events)
        latents = self._encode(slots, vectors, scores, num_events)
        if training and self.settings.latent_noise:
            latents += self.settings.latent_noise * noise_like(
                latents, inputs["seed"], shape[1]
            )
        outputs = self._decode(latents, num_events, slots)
        which, continuous = self.encoding.losses(vectors, outputs)
        said, true = self.encoding.ids(outputs), self.encoding.ids(vectors)
        losses = {
            "which": which,
            "continuous": continuous,
            "hits": tf.cast(said == true, tf.float32),
        }
        losses = {
            name: tf.math.unsorted_segment_sum(
                values, slots[:, 0], tf.shape(num_events)[0]
            )
            for name, values in losses.items()
        }
        losses["size"] = self._size_losses(self.sizes(latents), num_events)
        return {name: tf.reshape(values, shape) for name, values in losses.items()}

    def _size_losses(self, sizes: tf.Tensor, num_events: tf.Tensor) -> tf.Tensor:
        if self.settings.size_output == "classes":
            return tf.nn.sparse_softmax_cross_entropy_with_logits(num_events, sizes)
        return tf.square(sizes[:, 0] - tf.cast(num_events, tf.float32))

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        """The mean over chunks of the losses of their events and their size."""
        del y, training
        num_events = tf.cast(x["num_events"], tf.float32)
        weight = tf.ones_like(num_events) if sample_weight is None else sample_weight
        continuous = self.settings.continuous_coefficient * y_pred["continuous"]
        events = y_pred["which"] + continuous
        total = events + self.settings.size_coefficient * y_pred["size"]
        for name in ("which", "continuous"):
            mean = tf.math.divide_no_nan(y_pred[name], num_events)
            self._means[f"{name}_loss"].update_state(mean, weight * num_events)
        hits = tf.math.divide_no_nan(y_pred["hits"], num_events)
        self._means["key_accuracy"].update_state(hits, weight * num_events)
        self._means["size_loss"].update_state(y_pred["size"], weight)
        return mean_loss(total, weight)

    # ---- Exports.

    def endpoints(self) -> Mapping[str, Endpoint]:
        """`encode`, `decode` and `reconstruct`, for chunks in a row."""
        size = self.max_size
        events = tf.TensorSpec([None, None, size, NUM_COLUMNS], tf.int32, "events")
        num_events = tf.TensorSpec([None, None], tf.int32, "num_events")
        latents = tf.TensorSpec([None, None, self.latent_size], tf.float32, "latents")

        def encode(events, num_events):
            shape = tf.shape(num_events)
            flat = tf.reshape(events, [-1, size, NUM_COLUMNS])
            codes = self.encode(flat, tf.reshape(num_events, [-1]))
            shape = tf.concat([shape, [self.latent_size]], axis=0)
            return {"latents": tf.reshape(codes, shape)}

        def decode(latents):
            shape = tf.shape(latents)[:2]
            flat = tf.reshape(latents, [-1, self.latent_size])
            events, num_events = self.decode(flat)
            events_shape = tf.concat([shape, [size, NUM_COLUMNS]], axis=0)
            return {
                "events": tf.reshape(events, events_shape),
                "num_events": tf.reshape(num_events, shape),
            }

        def reconstruct(events, num_events):
            return decode(encode(events, num_events)["latents"])

        return {
            "encode": Endpoint(
                encode, (events, num_events), "Chunks as latent vectors."
            ),
            "decode": Endpoint(decode, (latents,), "Latent vectors as chunks."),
            "reconstruct": Endpoint(
                reconstruct, (events, num_events), "Chunks, encoded and decoded."
            ),
        }
