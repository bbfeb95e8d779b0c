"""Chunks of events as the vectors that an autoencoder makes of them."""

import collections
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from tfmusic.errors import UserError
from tfmusic.notes import NoteSequence
from tfmusic.representations.base import Features, FeatureSpec, Representation
from tfmusic.representations.event_chunks import EventChunks
from tfmusic.representations.variation import EventStretch, Variation

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
        with_events: Whether the arrays of the chunks are there too. Models then encode
            them anew, which lets training windows be varied, or the autoencoder learn
            on.
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
    with_events: bool = False
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
        latents = FeatureSpec((None, self.latent_size), "float32", doc)
        events = self.chunks.feature_specs if self.with_events else {}
        return {"latents": latents, **events}

    def normalize(self, latents: Any) -> Any:
        """What the autoencoder gives, [..., latent], as it stands in datasets.

        Args:
            latents: A float32 array or tensor.
        """
        means, deviations = self._moments
        return (latents - means) / deviations

    def denormalize(self, latents: Any) -> Any:
        """Undoes `normalize`."""
        means, deviations = self._moments
        return latents * deviations + means

    @property
    def _moments(self) -> tuple[np.ndarray, np.ndarray]:
        return np.array(self.means, np.float32), np.array(self.deviations, np.float32)

    def transpositions(self, semitones: Sequence[int]) -> Variation:
        """Those of the chunks."""
        return self._varied.transpositions(semitones)

    def stretches(self, factors: Sequence[float]) -> Variation | EventStretch:
        """Those of the chunks."""
        return self._varied.stretches(factors)

    def velocity_shifts(self, shifts: Sequence[int]) -> Variation:
        """Those of the chunks."""
        return self._varied.velocity_shifts(shifts)

    @property
    def _varied(self) -> EventChunks:
        """What can be varied, for a latent vector cannot.

        Raises:
            UserError: The events are not there.
        """
        if not self.with_events:
            raise UserError(
                f"representation {self.name} cannot be varied without the events of "
                "its chunks; write the dataset with python -m pipelines.encode_latents "
                "--with_events, and train with --config.representation.with_events"
            )
        return self.chunks

    def encode_with_losses(
        self, sequence: NoteSequence
    ) -> tuple[Features, collections.Counter]:
        """Cannot be done here.

        Raises:
            UserError: Always.
        """
        raise self._needs_autoencoder()

    def decode(self, features: Features) -> NoteSequence:
        """The music of the events, where they are there.

        Raises:
            UserError: They are not.
        """
        if self.with_events:
            return self.chunks.decode(features)
        raise UserError(
            f"representation {self.name}: music comes back from the events of the "
            "chunks, which are not there; give the dataset of chunks instead, or one "
            "that python -m pipelines.encode_latents wrote --with_events"
        )

    def canonicalize(self, sequence: NoteSequence) -> NoteSequence:
        """Cannot be done here.

        Raises:
            UserError: Always.
        """
        raise self._needs_autoencoder()

    def _needs_autoencoder(self) -> UserError:
        return UserError(
            f"representation {self.name}: music is encoded by the autoencoder "
            f"{self.autoencoder or 'that made the latents'} alone; datasets of latents "
            "are written by python -m pipelines.encode_latents"
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
