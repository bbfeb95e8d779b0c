"""The models: what a network makes of a representation."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

from tfmusic.errors import UserError, choose
from tfmusic.models.autoregressive import AutoregressiveModel
from tfmusic.models.base import Endpoint, Memory, MusicModel
from tfmusic.models.biaxial_lstm import BiaxialLSTM
from tfmusic.models.chords import ChordModel
from tfmusic.models.frame_seq2seq import FrameSeq2Seq
from tfmusic.models.infill import InfillModel
from tfmusic.models.latent_wgan import LatentWGAN
from tfmusic.models.next_frame_lstm import NextFrameLSTM
from tfmusic.models.roll_lstm import RollLSTM
from tfmusic.models.set_autoencoder import SetAutoencoder
from tfmusic.models.tokens import TokenModel
from tfmusic.networks.attention import Transformer
from tfmusic.networks.convolution import DilatedConvolutions
from tfmusic.networks.recurrent_stack import RecurrentStack
from tfmusic.representations import REPRESENTATIONS, Representation
from tfmusic.settings import Settings

__all__ = [
    "MODELS",
    "AutoregressiveModel",
    "Endpoint",
    "Memory",
    "MusicModel",
    "make_model",
]


@dataclasses.dataclass(frozen=True)
class Family:
    """A model and, where it takes any network, the network."""

    model: type[MusicModel]
    network: type | None = None

    def settings(self, section: Mapping[str, Any]) -> list[Settings]:
        """The settings of the model and of the network that a config's section has.

        Raises:
            UserError: A field that neither has, or a wrong value.
        """
        kinds = [kind.Settings for kind in (self.model, self.network) if kind]
        known = {name for kind in kinds for name in kind.names()}
        for name in section:
            choose("field of config.model", name, {"name", *known})
        return [
            kind.from_config({k: v for k, v in section.items() if k in kind.names()})
            for kind in kinds
        ]


MODELS: dict[str, Family] = {
    "biaxial_lstm": Family(BiaxialLSTM),
    "chord_lstm": Family(ChordModel, RecurrentStack),
    "chord_transformer": Family(ChordModel, Transformer),
    "frame_seq2seq": Family(FrameSeq2Seq),
    "infill": Family(InfillModel, DilatedConvolutions),
    "latent_wgan": Family(LatentWGAN),
    "next_frame_lstm": Family(NextFrameLSTM),
    "roll_lstm": Family(RollLSTM),
    "set_autoencoder": Family(SetAutoencoder),
    "token_lstm": Family(TokenModel, RecurrentStack),
    "token_transformer": Family(TokenModel, Transformer),
}


def make_model(representation: Representation, config: Mapping[str, Any]) -> MusicModel:
    """Makes the model that a config's `model` section describes, without weights yet.

    Args:
        representation: The dataset's, fitted.
        config: `name`, one of `MODELS`, and settings of that model and its network.

    Raises:
        UserError: An unknown name, a wrong setting, or a representation that the model
            does not take.
    """
    name = choose("model.name", config["name"], MODELS)
    family = MODELS[name]
    if not isinstance(representation, family.model.TAKES):
        fitting = [
            other
            for other, its in MODELS.items()
            if isinstance(representation, its.model.TAKES)
        ]
        raise UserError(
            f"model {name} does not take the representation {representation.name}: "
            f"expected {_names(family.model.TAKES)}; {representation.name} goes with "
            f"{' or '.join(fitting)}"
        )
    settings, *rest = family.settings(config)
    if family.network is None:
        return family.model(representation, settings)
    return family.model(
        representation, settings, functools.partial(family.network, *rest)
    )


def _names(kinds: type | tuple[type, ...]) -> str:
    """The names of representations, as a config has them."""
    kinds = kinds if isinstance(kinds, tuple) else (kinds,)
    found = sorted(
        name for name, kind in REPRESENTATIONS.items() if issubclass(kind, kinds)
    )
    return " or ".join(found)
