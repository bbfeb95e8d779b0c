"""Events as the vectors that a network reads, and what it says about them; graph code.

The counterpart of `tfmusic.representations.event_vectors`, whose encodings these are.
Where that has a one-hot part a network gives logits, elsewhere the numbers themselves.
"""

import dataclasses
import math

import numpy as np
import tensorflow as tf

from tfmusic.representations import event_vectors
from tfmusic.representations.event_chunks import EventChunks
from tfmusic.representations.events import (
    DURATION,
    ID,
    INTENSITY,
    LARGEST_INTENSITY,
    LONGEST,
    NUM_IDS,
    NUM_KEYS,
    START,
)

DURATIONS = ("share", "logarithm")
_DEVIATIONS = 3.0  # what the number 1 stands for in a logarithm
_FARTHEST = 20.0
_NEAR = 16  # parts of a chunk: what is nearer to a border lies on it, see `_join`


@dataclasses.dataclass(frozen=True)
class EventEncoding:
    """One of the encodings of events for a set of chunks.

    Attributes:
        representation: Of the events, fitted.
        name: A name of `event_vectors.ENCODINGS`.
        durations: "share", as published: by the cumulative distribution; "logarithm":
            by a third of the deviation. Among shares all that lasts long is nearly 1,
            and an error of one in a hundred makes of half a minute of pedal a second.
    """

    representation: EventChunks
    name: str
    durations: str = "share"

    @property
    def size(self) -> int:
        """Numbers in a vector, and in what a network gives for one event."""
        return event_vectors.ENCODINGS[self.name]

    def vectors(self, events: tf.Tensor) -> tf.Tensor:
        """Events as vectors.

        Args:
            events: int32 `[..., 4]`: id, start, duration and intensity.

        Returns:
            float32 `[..., size]`, as `EventChunks.to_vectors` gives them but for
            `durations`.
        """
        scale = self.representation.scale
        values = tf.cast(events, tf.float32)
        durations = tf.maximum(values[..., DURATION], 1.0)
        deviations = tf.math.log(durations / scale.median) / scale.shape
        continuous = [
            2.0 * values[..., START] / scale.chunk_steps - 1.0,
            (
                deviations / _DEVIATIONS
                if self.durations == "logarithm"
                else 0.5 * tf.math.erfc(-deviations / math.sqrt(2.0))
            ),
            (values[..., INTENSITY] - 64.0) / 64.0,
        ]
        ids = tf.gather(self._id_vectors(), events[..., ID])
        return tf.concat([ids, tf.stack(continuous, axis=-1)], axis=-1)

    def losses(
        self, vectors: tf.Tensor, outputs: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """How far what a network says is from the truth.

        The octave and the note of a pedal's event mean nothing and cost nothing.

        Args:
            vectors: The events, float32 `[..., size]`.
            outputs: What the network says of each, float32 `[..., size]`.

        Returns:
            float32 `[...]` each: of what says which key or pedal it is, for one-hot
            parts the cross-entropy in nats, for numbers the squared error, summed over
            the parts; and of start, duration and intensity the mean squared error.
        """
        true, said = self._split(vectors), self._split(outputs)
        errors = tf.reduce_mean(tf.square(true.pop("rest") - said.pop("rest")), axis=-1)
        is_key = 1.0
        if "pedal" in true:
            pedal = true["pedal"]
            # Not a key's pedal: 0 as a number, the first of the classes as one-hot.
            is_key = pedal[..., 0] if pedal.shape[-1] > 1 else 1.0 - pedal[..., 0]
            is_key = tf.cast(is_key > 0.9, tf.float32)
        total = tf.zeros_like(errors)
        for name, part in true.items():
            if part.shape[-1] > 1:
                loss = tf.nn.softmax_cross_entropy_with_logits(part, said[name])
            else:
                loss = tf.square(part - said[name])[..., 0]
            total += loss * is_key if name in ("octave", "note") else loss
        return total, errors

    def events(self, outputs: tf.Tensor) -> tf.Tensor:
        """The events that a network means; undoes `vectors` as far as can be.

        Args:
            outputs: float32 `[..., size]`.

        Returns:
            int32 `[..., 4]`, every number within its range.
        """
        scale = self.representation.scale
        rest = self._split(outputs)["rest"]
        starts, durations, intensities = tf.unstack(rest, axis=-1)
        deviations = self._deviations(durations)
        durations = scale.median * tf.exp(scale.shape * deviations)
        ids = self.ids(outputs)
        starts = _whole((starts + 1) / 2 * scale.chunk_steps, 0, scale.chunk_steps - 1)
        durations = _whole(durations, 1, LONGEST)
        if self.representation.split_pedals:
            starts, durations = _join(ids, starts, durations, scale.chunk_steps)
        intensities = _whole(64 * intensities + 64, 1, LARGEST_INTENSITY)
        return tf.stack([ids, starts, durations, intensities], axis=-1)

    def expected(self, outputs: tf.Tensor) -> tf.Tensor:
        """Vectors of the events that a network means, with gradients.

        Where `vectors` has a one-hot part this has probabilities; the octave and the
        note of what is likely a pedal are small, as a pedal's own are zeros.

        Args:
            outputs: float32 `[..., size]`.

        Returns:
            float32 `[..., size]`.
        """
        said = self._split(outputs)
        for name, part in said.items():
            if name != "rest" and part.shape[-1] > 1:
                said[name] = tf.nn.softmax(part)
        pedal = said.get("pedal")
        if pedal is not None:
            is_key = pedal[..., :1] if pedal.shape[-1] > 1 else 1.0 - pedal
            for name in ("octave", "note"):
                said[name] *= is_key
        return tf.concat(list(said.values()), axis=-1)

    def _deviations(self, durations: tf.Tensor) -> tf.Tensor:
        """Of logarithms of durations, in standard deviations; float64."""
        if self.durations == "logarithm":
            deviations = _DEVIATIONS * tf.cast(durations, tf.float64)
            # Whatever a network says, its exponential is a number.
            return tf.clip_by_value(deviations, -_FARTHEST, _FARTHEST)
        # The ends of the distribution are infinitely long and short.
        limits = np.finfo(np.float32)
        shares = tf.clip_by_value(durations, limits.tiny, 1 - limits.epsneg)
        return tf.math.ndtri(tf.cast(shares, tf.float64))

    def ids(self, outputs: tf.Tensor) -> tf.Tensor:
        """Which keys and pedals a network means, int32 `[...]`; see `events`."""
        said = self._split(outputs)
        del said["rest"]
        values = {}
        for name, part in said.items():
            if part.shape[-1] > 1:
                values[name] = tf.argmax(part, axis=-1, output_type=tf.int32)
            else:
                largest, low = event_vectors.SPANS[name]
                share = (part[..., 0] - low) / (1 - low)
                values[name] = _whole(share * largest, 0, largest)
        if "id" in values:
            return values["id"]
        keys = tf.minimum(12 * values["octave"] + values["note"], NUM_KEYS - 1)
        pedals = values["pedal"]
        return tf.where(pedals > 0, NUM_KEYS - 1 + pedals, keys)

    def _split(self, vectors: tf.Tensor) -> dict[str, tf.Tensor]:
        """The parts by name; "rest" for start, duration and intensity."""
        sizes = {**event_vectors.parts(self.name), "rest": event_vectors.NUM_CONTINUOUS}
        return dict(
            zip(sizes, tf.split(vectors, list(sizes.values()), axis=-1), strict=True)
        )

    def _id_vectors(self) -> np.ndarray:
        """The parts that say which key or pedal it is, of every id."""
        events = np.ones([NUM_IDS, 4], np.int64)
        events[:, ID] = np.arange(NUM_IDS)
        vectors = self.representation.to_vectors(events, self.name)
        return vectors[:, : -event_vectors.NUM_CONTINUOUS].astype(np.float32)


def _join(
    ids: tf.Tensor, starts: tf.Tensor, durations: tf.Tensor, chunk_steps: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Starts and durations, those of pedals such that they meet between chunks.

    A network is off by a few steps; the pedal would go up for a moment at each border.
    """
    near = chunk_steps // _NEAR
    ends = starts + durations
    joined = tf.where(starts < near, 0, starts)
    reached = tf.where(tf.abs(ends - chunk_steps) < near, chunk_steps, ends)
    is_pedal = ids >= NUM_KEYS
    return (
        tf.where(is_pedal, joined, starts),
        tf.where(is_pedal, reached - joined, durations),
    )


def _whole(values: tf.Tensor, least: int, largest: int) -> tf.Tensor:
    values = tf.clip_by_value(tf.round(values), least, largest)
    return tf.cast(values, tf.int32)
