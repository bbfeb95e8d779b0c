"""The autoencoder that made a dataset's latents, for what learns from these."""

from tfmusic.data import weights
from tfmusic.errors import UserError
from tfmusic.models.set_autoencoder import SetAutoencoder
from tfmusic.representations import Latents


def make_autoencoder(representation: Latents) -> SetAutoencoder:
    """The autoencoder that made a dataset's latents, its weights not yet restored."""
    settings = {k: v for k, v in representation.network if k != "name"}
    model = SetAutoencoder(
        representation.chunks, SetAutoencoder.Settings.from_config(settings)
    )
    model.build_model()
    return model


def load_autoencoder(representation: Latents, data_dir: str) -> SetAutoencoder:
    """The autoencoder that made a dataset's latents; see `restore_autoencoder`."""
    model = make_autoencoder(representation)
    restore_autoencoder(model, representation, data_dir)
    return model


def restore_autoencoder(
    model: SetAutoencoder, representation: Latents, data_dir: str
) -> None:
    """Gives an autoencoder the weights that made a dataset's latents.

    Args:
        model: As `make_autoencoder` gives it.
        representation: The dataset's.
        data_dir: The dataset, which holds the weights.

    Raises:
        UserError: It holds no weights, or those of another autoencoder.
    """
    arrays = weights.load_weights(data_dir)
    found = weights.fingerprint(arrays, representation.chunks)
    if found != representation.autoencoder:
        raise UserError(
            f"{data_dir}: expected the weights of autoencoder "
            f"{representation.autoencoder}, found those of {found}; write the dataset "
            "again with python -m pipelines.encode_latents, and train on that anew"
        )
    for variable, array in zip(model.variables, arrays, strict=True):
        variable.assign(array)
