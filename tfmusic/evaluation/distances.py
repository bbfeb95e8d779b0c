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

_NUM_BINS = 512
# Fewer pieces have too few distances for a density.
MIN_PIECES = 3
# The narrowest kernel, in bins: where all distances are equal there is no density.
_MIN_WIDTH = 2.0
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


def compare_distances(inter: np.ndarray, intra: np.ndarray) -> Nearness:
    """Sets the densities of two samples of distances beside each other.

    Args:
        inter: Distances from pieces of a set to those of the reference, [n].
        intra: Distances between pieces of the reference, [m].
    """
    largest = max(inter.max(), intra.max())
    edges = np.linspace(-0.25, 1.25, _NUM_BINS + 1) * (largest or 1.0)
    width = edges[1] - edges[0]
    one, other = (density(values, edges) for values in (inter, intra))
    overlap = np.minimum(one, other).sum() * width
    logarithm = np.log((one + _TINY) / (other + _TINY))
    return Nearness(float(overlap), float((one * logarithm).sum() * width))


def density(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """A kernel density estimate at the middles of bins, with Scott's rule.

    As scipy's `gaussian_kde` up to the width of a bin, at a hundredth of its time.

    Args:
        values: [n].
        edges: Of bins of equal width, which reach beyond the values.

    Returns:
        The density, [number of bins]; its sum times the width of a bin is 1.
    """
    counts, _ = np.histogram(values, edges)
    width = edges[1] - edges[0]
    spread = values.std(ddof=1) if len(values) > 1 else 0.0
    bandwidth = max(spread * len(values) ** -0.2 / width, _MIN_WIDTH)
    # What leaves at the ends comes back, so the whole stays 1.
    smooth = gaussian_filter1d(
        counts.astype(np.float64), bandwidth, mode="reflect", truncate=6
    )
    return smooth / (smooth.sum() * width)


class Distances:
    """The distances that one statistic gives, ready for any choice of pieces.

    Args of the constructor are values of pieces, `[pieces]` for a number or
    `[pieces, bins]` for a histogram, whose distance is Euclid's.
    """

    def __init__(self, values: np.ndarray, reference: np.ndarray):
        """Computes all of them."""
        values, reference = (
            np.reshape(array, [len(array), -1]).astype(np.float64)
            for array in (values, reference)
        )
        self._own = _pairwise(values, values)
        self._inter = _pairwise(values, reference)
        self._intra = _pairwise(reference, reference)

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
        rows, columns = np.triu_indices(len(references), 1)
        distinct = references[rows] != references[columns]
        intra = self._intra[references[rows], references[columns]][distinct]
        return compare_distances(inter, intra) if len(intra) else None

    def relative_spread(self) -> float | None:
        """The mean distance within the set over that within the reference."""
        means = []
        for table in (self._own, self._intra):
            pairs = table[np.triu_indices(len(table), 1)]
            means.append(pairs.mean() if len(pairs) else 0.0)
        return float(means[0] / means[1]) if means[1] else None


def _pairwise(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.linalg.norm(one[:, np.newaxis] - other[np.newaxis], axis=-1)
