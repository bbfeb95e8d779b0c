"""Chunks of events as the vectors that an autoencoder makes of them."""

import collections
import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from tfmusic.errors import UserError
from tfmusic.notes import NoteSequence
from tfmusic.representations.base import Features, FeatureSpec, Representation
from tfmusic.representations.event_chunks import EventChunks

_DEFAULT_CHUNKS = EventChunks()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Latents(Representation):
    """What a set autoencoder makes of each chunk of `EventChunks`.

    "latents", float32 [chunk, latent], each number with mean 0 and standard deviation
    1 over the training pieces; `denormalize` gives what the autoencoder knows. Only
    with it can music be encoded or decoded, so `pipelines.encode_latents` writes these
    datasets, and models that learn from them have it within.

    The encoding of "TimeStepMusic". There latents are not normalised, although what
    is to generate them ends in a hyperbolic tangent.

    Attributes:
        chunks: The chunks, fitted by the autoencoder's training.
        latent_size: Numbers that stand for a chunk.
        autoencoder: Sixteen hex digits that stand for its weights; empty before it is
            known, as are all that follow.
        network: Its settings, pairs of name and value in order of names; a dict in
            `to_config`.
        means: Of each number over the training pieces, before it is normalised.
        deviations: Standard deviations likewise.
    """

    name: ClassVar[str] = "latents"
    fitted_fields: ClassVar[tuple[str, ...]] = (
        "autoencoder",
        "network",
        "means",
        "deviations",
    )

    steps_per_quarter: int = 0
    steps_per_second: float = 0.0  # that of the chunks
    chunks: EventChunks = _DEFAULT_CHUNKS
    latent_size: int = 75
    autoencoder: str = ""
    network: tuple[tuple[str, Any], ...] = ()
    means: tuple[float, ...] = ()
    deviations: tuple[float, ...] = ()

    def __post_init__(self):
        object.__setattr__(self, "steps_per_second", 1 / self.chunks.chunk_seconds)
        super().__post_init__()
        self.check(self.latent_size >= 1, "latent_size", "1 or more")
        for field in ("means", "deviations"):
            fits = len(getattr(self, field)) in (0, self.latent_size)
            self.check(fits, field, f"{self.latent_size} numbers")

    @property
    def feature_specs(self) -> Mapping[str, FeatureSpec]:
        """The vector of each chunk."""
        doc = "[chunk, latent]; mean 0 and standard deviation 1"
        return {"latents": FeatureSpec((None, self.latent_size), "float32", doc)}

    def normalize(self, latents: np.ndarray) -> np.ndarray:
        """What the autoencoder gives, [..., latent], as it stands in datasets."""
        means, deviations = np.array(self.means), np.array(self.deviations)
        return ((latents - means) / deviations).astype(np.float32)

    def denormalize(self, latents: Any) -> Any:
        """Undoes `normalize`, for arrays and float32 tensors."""
        deviations = np.array(self.deviations, np.float32)
        return latents * deviations + np.array(self.means, np.float32)

    def encode_with_losses(
        self, sequence: NoteSequence
    ) -> tuple[Features, collections.Counter]:
        """Cannot be done here.

        Raises:
            UserError: Always.
        """
        raise self._needs_autoencoder("encoded")

    def decode(self, features: Features) -> NoteSequence:
        """Cannot be done here.

        Raises:
            UserError: Always.
        """
        raise self._needs_autoencoder("decoded")

    def canonicalize(self, sequence: NoteSequence) -> NoteSequence:
        """Cannot be done here.

        Raises:
            UserError: Always.
        """
        raise self._needs_autoencoder("encoded")

    def _needs_autoencoder(self, done: str) -> UserError:
        return UserError(
            f"representation {self.name}: music is {done} by the autoencoder "
            f"{self.autoencoder or 'that made the latents'} alone; datasets of latents "
            "are written by python -m pipelines.encode_latents, and models that learn "
            "from them give events"
        )

    def settings(self) -> dict[str, Any]:
        """The settings alone; those of the chunks by dotted names."""
        settings = super().settings()
        del settings["chunks"]
        chunks = {f"chunks.{k}": v for k, v in self.chunks.settings().items()}
        return {**settings, **chunks}

    def to_config(self) -> dict[str, Any]:
        """Everything that `from_config` needs; JSON can hold it."""
        nested = {"chunks": self.chunks.to_config(), "network": dict(self.network)}
        return {**super().to_config(), **nested}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "Latents":
        """The representation that `to_config` described."""
        config = dict(config)
        if "chunks" in config:
            chunks = EventChunks.from_config(config["chunks"])
            config["chunks"] = chunks
        if "network" in config:
            config["network"] = sorted(dict(config["network"]).items())
        return super().from_config(config)
