"""The model families."""

import inspect
from collections.abc import Mapping
from typing import Any

from tfmusic.errors import choose
from tfmusic.models.autoregressive import AutoregressiveModel
from tfmusic.models.base import Endpoint, MusicModel
from tfmusic.models.biaxial_lstm import BiaxialLSTM
from tfmusic.models.frame_seq2seq import FrameSeq2Seq
from tfmusic.models.latent_wgan import LatentWGAN
from tfmusic.models.next_frame_lstm import NextFrameLSTM
from tfmusic.models.roll_lstm import RollLSTM
from tfmusic.models.set_autoencoder import SetAutoencoder
from tfmusic.models.token_lstm import TokenLSTM
from tfmusic.representations import Representation

__all__ = [
    "MODELS",
    "AutoregressiveModel",
    "Endpoint",
    "MusicModel",
    "make_model",
]

MODELS: dict[str, type[MusicModel]] = {
    "biaxial_lstm": BiaxialLSTM,
    "frame_seq2seq": FrameSeq2Seq,
    "latent_wgan": LatentWGAN,
    "next_frame_lstm": NextFrameLSTM,
    "roll_lstm": RollLSTM,
    "set_autoencoder": SetAutoencoder,
    "token_lstm": TokenLSTM,
}


def make_model(representation: Representation, config: Mapping[str, Any]) -> MusicModel:
    """Makes the model that a config's `model` section describes, without weights yet.

    Args:
        representation: The dataset's, fitted.
        config: `name`, one of `MODELS`, and settings of that family.

    Raises:
        UserError: An unknown name, or a setting that the family does not have.
    """
    settings = dict(config)
    family = MODELS[choose("model.name", settings.pop("name"), MODELS)]
    known = list(inspect.signature(family.__init__).parameters)[2:]
    for name in settings:
        choose(f"setting of model {config['name']}", name, known)
    return family(representation, **settings)
