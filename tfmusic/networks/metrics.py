"""Metrics: weighted sums over a whole split, so batching cannot change them."""

import keras
import tensorflow as tf

from tfmusic.networks.losses import (
    RollLoss,
    count_errors,
    key_nats,
    single_class,
    token_hits,
    unpack_hands,
)


def nats_name(is_loss: bool) -> str:
    """The name of a metric of nats, which all steps of the windows count in.

    Curves and lines of training show `nats_per_step` in place of the loss, which counts
    padding. Where training makes something else small, they show that (by `LossPerStep`
    or, of windows' last steps, the loss), so the metric has another name.
    """
    return "nats_per_step" if is_loss else "nats_of_all_steps"


class WeightedMean(keras.metrics.Metric):
    """The mean of a value per step over all steps of any weight.

    Steps outside the pieces have weight 0 and count in neither the sum nor the number
    of steps. Keras' own mean would count each row as one, of however many steps.
    """

    def __init__(self, name: str, **kwargs):
        super().__init__(name=name, **kwargs)
        self.total = self.add_weight(shape=(), initializer="zeros", name="total")
        self.weight = self.add_weight(shape=(), initializer="zeros", name="weight")

    def update_state(self, values, sample_weight=None):
        """Adds values `[batch, time]` and their weights; None: all ones."""
        weights = _weights(sample_weight, values)
        self.total.assign_add(tf.reduce_sum(values * weights))
        self.weight.assign_add(tf.reduce_sum(weights))

    def result(self):
        """The mean so far; 0 before any step."""
        return tf.math.divide_no_nan(self.total.value, self.weight.value)


class MeasuredMean(WeightedMean):
    """The mean of what subclasses `measure` of targets and predictions."""

    def measure(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """The value of every step, float32 `[batch, time]`."""
        raise NotImplementedError

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Adds a batch; `sample_weight` is `[batch, time]`, None: all ones."""
        super().update_state(self.measure(y_true, y_pred), sample_weight)


class Perplexity(WeightedMean):
    """exp of the mean nats a token: among how many equal choices the model hesitates.

    It takes the nats of each step, which are costly, and no logits.
    """

    def __init__(self, name: str = "perplexity", **kwargs):
        super().__init__(name, **kwargs)

    def result(self):
        """The perplexity so far; 1 before any step."""
        return tf.exp(super().result())


class TokenAccuracy(MeasuredMean):
    """The fraction of tokens that the model held the most probable."""

    def __init__(self, name: str = "accuracy", **kwargs):
        super().__init__(name, **kwargs)

    def measure(self, y_true, y_pred):
        """1 where the greatest logit is the token's."""
        return token_hits(y_true, y_pred)


class KeyNats(MeasuredMean):
    """Nats a step: -log p of the whole frame, summed over hands, keys and channels.

    This and what follows takes frames `[batch, time, hand, key, channel]` and
    predictions as `tfmusic.networks.losses.unpack_hands` explains.
    """

    def __init__(self, name: str = "nats_per_step", **kwargs):
        super().__init__(name, **kwargs)

    def measure(self, y_true, y_pred):
        """`-log p`, from frames and predictions."""
        logits, _ = unpack_hands(y_pred, y_true.shape[-2:])
        return tf.reduce_sum(key_nats(y_true, logits), axis=[-3, -2, -1])


class LossPerStep(MeasuredMean):
    """The loss without padding, of losses that are not nats a step."""

    def __init__(self, loss: keras.losses.Loss, name: str = "loss_per_step", **kwargs):
        super().__init__(name, **kwargs)
        self._loss = loss

    def measure(self, y_true, y_pred):
        """The loss of each step."""
        return self._loss.call(y_true, y_pred)


class CountError(MeasuredMean):
    """The squared error of the number of sounding keys, hands summed."""

    def __init__(self, name: str = "count_error", **kwargs):
        super().__init__(name, **kwargs)

    def measure(self, y_true, y_pred):
        """The squared error, from frames and predictions."""
        counts = unpack_hands(y_pred, y_true.shape[-2:])[1]
        return tf.reduce_sum(count_errors(y_true, counts), axis=-1)


class HandLoss(MeasuredMean):
    """One part of the loss of one hand, before its coefficient."""

    HANDS = ("right", "left")

    def __init__(self, loss: RollLoss, hand: int, part: str, **kwargs):
        """Keeps what to measure.

        Args:
            loss: Of the model.
            hand: 0: the right one, 1: the left one.
            part: "keys" or "count".
            **kwargs: The base class's.
        """
        super().__init__(f"{part}_loss_{self.HANDS[hand]}", **kwargs)
        self._loss, self._hand, self._part = loss, hand, part

    def measure(self, y_true, y_pred):
        """The hand's part of the loss, from frames and predictions."""
        keys, counts = self._loss.by_hand(y_true, y_pred)
        return (keys if self._part == "keys" else counts)[..., self._hand]


class SingleClassAccuracy(MeasuredMean):
    """The fraction of frames whose first cell that is 1, or silence, was the likeliest.

    Of models that learn by `SingleClassLoss`.
    """

    def __init__(self, name: str = "class_accuracy", **kwargs):
        super().__init__(name, **kwargs)

    def measure(self, y_true, y_pred):
        """1 where the greatest logit is that of the class."""
        first, logits = single_class(y_true, y_pred)
        best = tf.argmax(logits, axis=-1)
        return tf.cast(tf.equal(best, first), tf.float32)


class FrameCounts(keras.metrics.Metric):
    """Counts of keys; base of the rates.

    A key is predicted to sound where its probability is above one half. Only channel
    0, sounding, is looked at.
    """

    def __init__(self, name: str, **kwargs):
        super().__init__(name=name, **kwargs)
        self.hits = self.add_weight(shape=(), initializer="zeros", name="hits")
        self.sounding = self.add_weight(shape=(), initializer="zeros", name="sounding")
        self.predicted = self.add_weight(
            shape=(), initializer="zeros", name="predicted"
        )
        self.keys = self.add_weight(shape=(), initializer="zeros", name="keys")

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Adds a batch; `sample_weight` is `[batch, time]`, None: all ones."""
        sounding = tf.cast(y_true[..., 0], tf.float32)  # [batch, time, hand, key]
        logits, _ = unpack_hands(y_pred, y_true.shape[-2:])
        predicted = tf.cast(logits[..., 0] > 0.0, tf.float32)
        weights = _weights(sample_weight, sounding[..., 0, 0])
        weights = weights[..., tf.newaxis, tf.newaxis]
        self.hits.assign_add(tf.reduce_sum(weights * sounding * predicted))
        self.sounding.assign_add(tf.reduce_sum(weights * sounding))
        self.predicted.assign_add(tf.reduce_sum(weights * predicted))
        self.keys.assign_add(tf.reduce_sum(weights * tf.ones_like(sounding)))


class FrameAccuracy(FrameCounts):
    """The fraction of all keys predicted rightly; high even where all are silent."""

    def __init__(self, name: str = "accuracy", **kwargs):
        super().__init__(name, **kwargs)

    def result(self):
        """The accuracy so far."""
        wrong = self.sounding.value + self.predicted.value - 2.0 * self.hits.value
        right = self.keys.value - wrong
        return tf.math.divide_no_nan(right, self.keys.value)


class FramePrecision(FrameCounts):
    """Of the keys predicted to sound, the fraction that does."""

    def __init__(self, name: str = "precision", **kwargs):
        super().__init__(name, **kwargs)

    def result(self):
        """The precision so far."""
        return tf.math.divide_no_nan(self.hits.value, self.predicted.value)


class FrameRecall(FrameCounts):
    """Of the keys that sound, the fraction predicted to."""

    def __init__(self, name: str = "recall", **kwargs):
        super().__init__(name, **kwargs)

    def result(self):
        """The recall so far."""
        return tf.math.divide_no_nan(self.hits.value, self.sounding.value)


class FrameF1(FrameCounts):
    """The harmonic mean of precision and recall."""

    def __init__(self, name: str = "f1", **kwargs):
        super().__init__(name, **kwargs)

    def result(self):
        """The F1 measure so far."""
        both = self.sounding.value + self.predicted.value
        return tf.math.divide_no_nan(2.0 * self.hits.value, both)


class FrameDensity(FrameCounts):
    """The fraction of all keys predicted to sound; 0: the model fell silent."""

    def __init__(self, name: str = "density", **kwargs):
        super().__init__(name, **kwargs)

    def result(self):
        """The density so far."""
        return tf.math.divide_no_nan(self.predicted.value, self.keys.value)


class FrechetDistance(keras.metrics.Metric):
    """How far apart two sets of vectors are, each taken for a normal distribution.

    The square of the 2-Wasserstein distance between the two (Frechet, 1957; for
    generative models Heusel et al., 2017): 0 where means and covariances are equal.
    """

    SIDES = ("real", "generated")

    def __init__(self, size: int, name: str = "frechet_distance", **kwargs):
        super().__init__(name=name, **kwargs)
        shapes = {"count": (), "sum": (size,), "products": (size, size)}
        self._sums = {
            side: {
                part: self.add_weight(shape, "zeros", name=f"{side}_{part}")
                for part, shape in shapes.items()
            }
            for side in self.SIDES
        }

    def add(self, side: str, vectors: tf.Tensor, weights: tf.Tensor) -> None:
        """Adds vectors to one of `SIDES`.

        Args:
            side: Which set.
            vectors: float32 `[n, size]`.
            weights: float32 `[n]`.
        """
        weighted = vectors * weights[:, None]
        sums = self._sums[side]
        sums["count"].assign_add(tf.reduce_sum(weights))
        sums["sum"].assign_add(tf.reduce_sum(weighted, axis=0))
        sums["products"].assign_add(tf.matmul(weighted, vectors, transpose_a=True))

    def update_state(self, real, generated):
        """Adds vectors to both sets, float32 `[n, size]` each."""
        for side, vectors in zip(self.SIDES, (real, generated), strict=True):
            self.add(side, vectors, tf.ones_like(vectors[:, 0]))

    def result(self):
        """The distance so far; 0 before any vector."""
        means, covariances = zip(
            *(self._moments(side) for side in self.SIDES), strict=True
        )
        values, vectors = tf.linalg.eigh(covariances[0])
        root = vectors * tf.sqrt(tf.maximum(values, 0.0)) @ tf.transpose(vectors)
        product = tf.linalg.eigvalsh(root @ covariances[1] @ root)
        # The trace of the root of the product of both covariances.
        common = tf.reduce_sum(tf.sqrt(tf.maximum(product, 0.0)))
        spread = sum(tf.linalg.trace(covariance) for covariance in covariances)
        return tf.reduce_sum(tf.square(means[0] - means[1])) + spread - 2.0 * common

    def _moments(self, side: str) -> tuple[tf.Tensor, tf.Tensor]:
        sums = self._sums[side]
        count = tf.convert_to_tensor(sums["count"])
        mean = tf.math.divide_no_nan(tf.convert_to_tensor(sums["sum"]), count)
        square = tf.math.divide_no_nan(tf.convert_to_tensor(sums["products"]), count)
        return mean, square - mean[:, None] * mean[None]


class MeanDistance(keras.metrics.Metric):
    """The mean squared difference of the means of two sets of vectors."""

    def __init__(self, size: int, name: str = "mean_distance", **kwargs):
        super().__init__(name=name, **kwargs)
        self.total = self.add_weight((size,), "zeros", name="total")
        self.count = self.add_weight((), "zeros", name="count")

    def update_state(self, real, generated, sample_weight=None):
        """Adds vectors to both sets, as many to each.

        Args:
            real: float32 `[n, size]`.
            generated: Likewise.
            sample_weight: float32 `[n]`; None: 1.
        """
        weights = _weights(sample_weight, real[:, 0])
        differences = (generated - real) * weights[:, None]
        self.total.assign_add(tf.reduce_sum(differences, axis=0))
        self.count.assign_add(tf.reduce_sum(weights))

    def result(self):
        """The distance so far; 0 before any vector."""
        mean = tf.math.divide_no_nan(
            tf.convert_to_tensor(self.total), tf.convert_to_tensor(self.count)
        )
        return tf.reduce_mean(tf.square(mean))


def _weights(sample_weight: tf.Tensor | None, like: tf.Tensor) -> tf.Tensor:
    if sample_weight is None:
        return tf.ones_like(like)
    return tf.cast(sample_weight, tf.float32)
