"""Exact log-likelihood over a split, and the baseline that any model must beat."""

import math
from collections.abc import Iterable, Sequence

import numpy as np


class LikelihoodTotal:
    """Adds up log-likelihoods over a split; batching and padding change nothing.

    The result is the metric of Boulanger-Lewandowski et al. 2012: natural logarithms,
    a step's summed over all keys, the mean over all steps of all pieces, the first
    step of each included and every step of equal weight. Sums are in float64.
    """

    def __init__(self):
        self.piece_log_likelihoods: list[float] = []
        self.piece_steps: list[int] = []

    def update(self, log_likelihood: np.ndarray, num_steps: np.ndarray) -> None:
        """Adds a batch of whole pieces.

        Args:
            log_likelihood: `[batch, time]`, nats of each step; what stands beyond the
                end of a piece is not looked at.
            num_steps: int `[batch]`, the length of each piece.

        Raises:
            ValueError: The shapes do not fit, a piece is longer than its row, or a
                step within a piece has no number for its likelihood (NaN).
        """
        values = np.asarray(log_likelihood, np.float64)
        num_steps = np.asarray(num_steps)
        if values.ndim != 2 or num_steps.shape != values.shape[:1]:
            raise ValueError(
                "expected log_likelihood [batch, time] and num_steps [batch], not "
                f"{values.shape} and {num_steps.shape}"
            )
        for row, length in zip(values, num_steps.tolist(), strict=True):
            if not 0 <= length <= len(row):
                raise ValueError(
                    f"a piece of {length} steps has {len(row)} likelihoods"
                )
            total = float(row[:length].sum())
            if math.isnan(total):
                step = int(np.isnan(row[:length]).argmax())
                raise ValueError(
                    f"piece {self.num_pieces}, step {step}: its likelihood is NaN"
                )
            self.piece_log_likelihoods.append(total)
            self.piece_steps.append(length)

    @property
    def num_pieces(self) -> int:
        """Pieces so far."""
        return len(self.piece_steps)

    @property
    def num_steps(self) -> int:
        """Steps so far."""
        return sum(self.piece_steps)

    @property
    def log_likelihood_per_step(self) -> float:
        """Nats, the mean over all steps; 0 before any step."""
        # Not a mean of piece means: a long piece counts by its length.
        return math.fsum(self.piece_log_likelihoods) / max(self.num_steps, 1)

    @property
    def standard_error(self) -> float | None:
        """How far another sample of pieces would move the mean, in nats per step.

        Steps of one piece depend on each other, so pieces are the sampling units: the
        standard error of a ratio of sums over pieces (Cochran, Sampling Techniques,
        section 6). None for fewer than two pieces, or if a step was held impossible.
        """
        num_pieces = self.num_pieces
        if num_pieces < 2 or not math.isfinite(self.log_likelihood_per_step):
            return None
        if not self.num_steps:
            return None
        steps = np.array(self.piece_steps, np.float64)
        residuals = self.piece_log_likelihoods - self.log_likelihood_per_step * steps
        variance = residuals @ residuals * num_pieces / (num_pieces - 1)
        return float(np.sqrt(variance) / self.num_steps)

    def result(self, seconds: float = 0.0) -> dict[str, float | None]:
        """The summary: mean, its standard error, and how much music it is over.

        Args:
            seconds: How long the pieces last, for a mean that encodings whose steps
                are of different or of no fixed length share; 0 if that is not known.
        """
        total = self.log_likelihood_per_step * self.num_steps
        return {
            "log_likelihood_per_step": self.log_likelihood_per_step,
            **({"log_likelihood_per_second": total / seconds} if seconds else {}),
            "standard_error": self.standard_error,
            "num_steps": self.num_steps,
            "num_pieces": self.num_pieces,
        }


def note_1gram(
    training_rolls: Iterable[np.ndarray], rolls: Sequence[np.ndarray]
) -> LikelihoodTotal:
    """Scores rolls by one probability for each key, whatever sounds around it.

    This is the row "Note 1-Gram" in table 1 of Boulanger-Lewandowski et al. 2012. Half
    a step with and half a step without each key is added to the counts (Krichevsky and
    Trofimov), so a key that training never plays costs much but not infinitely much.

    Args:
        training_rolls: Arrays `[time, key]`, bool or 0 and 1: what to count.
        rolls: Arrays `[time, key]`: what to score, a piece each.

    Returns:
        Nats per step, summed over keys.
    """
    played, num_steps = 0.0, 0
    for roll in training_rolls:
        played = played + np.asarray(roll, np.float64).sum(axis=0)
        num_steps += len(roll)
    probability = (played + 0.5) / (num_steps + 1)
    total = LikelihoodTotal()
    for roll in rolls:
        roll = np.asarray(roll, np.float64)
        nats = roll @ np.log(probability) + (1 - roll) @ np.log1p(-probability)
        total.update(nats[np.newaxis], [len(roll)])
    return total
