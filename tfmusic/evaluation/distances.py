"""How near the distribution of a number, or of a histogram, comes to a reference's.

Yang and Lerch, "On the evaluation of generative models in music" (Neural Computing and
Applications, 2020): distances between the pieces of the reference (intra-set) are set
beside distances between the pieces of a set and those of the reference (inter-set).
Where both have the same density, the set is as like the reference as its pieces are
like each other.
"""

import dataclasses

import numpy as np
from scipy.ndimage import gaussian_filter1d

_NUM_BINS = 256
# Fewer pieces have too few distances for a density.
MIN_PIECES = 3
# The narrowest kernel, in bins: where all distances are equal there is no density.
_MIN_WIDTH = 1.0
_MARGIN = 0.25
_TINY = 1e-12


@dataclasses.dataclass(frozen=True)
class Nearness:
    """What two densities have in common.

    Attributes:
        overlap: The area under both, 0 to 1; 1 is best.
        divergence: Kullback-Leibler divergence of the intra-set density of the
            reference from the inter-set density, in nats; 0 is best.
    """

    overlap: float
    divergence: float


class Distances:
    """The distances that one statistic gives, ready for any choice of pieces."""

    def __init__(self, values: np.ndarray, reference: np.ndarray):
        """Computes all of them.

        Args:
            values: Of the pieces of a set: `[pieces]` of a number, `[pieces, bins]` of
                a histogram, whose distance is Euclid's.
            reference: Likewise of the pieces of the reference.
        """
        values, reference = (
            np.reshape(array, [len(array), -1]).astype(np.float64)
            for array in (values, reference)
        )
        own, inter, intra = (
            np.linalg.norm(one[:, np.newaxis] - other[np.newaxis], axis=-1)
            for one, other in (
                (values, values),
                (values, reference),
                (reference, reference),
            )
        )
        largest = max(inter.max(initial=0), intra.max(initial=0)) or 1.0
        self._inter, self._intra = (_bins(table / largest) for table in (inter, intra))
        means = [table[~np.eye(len(table), dtype=bool)] for table in (own, intra)]
        means = [float(pairs.mean()) if len(pairs) else 0.0 for pairs in means]
        # How far apart pieces of the set are, as a multiple of those of the reference.
        self.spread = means[0] / means[1] if means[1] else None

    def nearness(
        self, pieces: np.ndarray | None = None, references: np.ndarray | None = None
    ) -> Nearness | None:
        """How near the set is to the reference; None for fewer than 3 pieces.

        Args:
            pieces: Indices of the pieces that are looked at, some perhaps twice, as
                the bootstrap draws them; by default all.
            references: Likewise of the reference.
        """
        if pieces is None or references is None:
            pieces, references = map(np.arange, self._inter.shape)
        if min(len(pieces), len(references)) < MIN_PIECES:
            return None
        inter = self._inter[np.ix_(pieces, references)].ravel()
        # A piece that is drawn twice is no pair with itself.
        distinct = references[:, np.newaxis] != references
        intra = self._intra[np.ix_(references, references)][distinct]
        if not len(intra):
            return None
        one, other = (
            density(np.bincount(bins, minlength=_NUM_BINS), pairs)
            # Each pair within the reference is there in both orders.
            for bins, pairs in ((inter, len(inter)), (intra, len(intra) / 2))
        )
        logarithm = np.log((one + _TINY) / (other + _TINY))
        return Nearness(
            overlap=float(np.minimum(one, other).sum()),
            divergence=max(float(one @ logarithm), 0.0),
        )


def density(counts: np.ndarray, num_values: float) -> np.ndarray:
    """A kernel density estimate of binned values, its width by Scott's rule.

    As scipy's `gaussian_kde` up to the width of a bin, in a hundredth of its time.

    Args:
        counts: How many values are in each bin, [num_bins].
        num_values: By how many of them the width is chosen.

    Returns:
        The probability of each bin, [num_bins]. What a kernel has beyond the ends is
        reflected.
    """
    fractions = counts / counts.sum()
    places = np.arange(len(counts))
    spread = np.sqrt(fractions @ np.square(places - fractions @ places))
    width = max(spread * num_values**-0.2, _MIN_WIDTH)
    return gaussian_filter1d(fractions, width, mode="reflect", truncate=5)


def _bins(distances: np.ndarray) -> np.ndarray:
    """The bin of distances of at most 1; room is left for kernels on either side."""
    return ((distances + _MARGIN) / (1 + 2 * _MARGIN) * (_NUM_BINS - 1)).astype(int)
