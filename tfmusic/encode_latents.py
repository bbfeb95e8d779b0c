"""Turns a dataset of event chunks into one of latents, by an exported autoencoder.

    tfmusic encode_latents --data_dir=DATA --model_dir=EXPORT --output_dir=LATENTS

Splits, pieces and their order stay. Each number of the latents is normalised to mean 0
and standard deviation 1 over the training pieces; means, deviations, and which
autoencoder it was are in the dataset's representation, and the autoencoder's weights
beside it, so that what learns from the latents can give music. Called again for a
dataset that is there, it says so and ends; called again after it was killed, it
continues. Other flags go to Apache Beam, as those of tfmusic build.
"""

from absl import flags

from tfmusic import command_line
from tfmusic.compat import import_tensorflow

_DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "Dataset of event chunks.", required=True
)
_MODEL_DIR = flags.DEFINE_string(
    "model_dir",
    None,
    "Autoencoder that tfmusic export wrote: its newest version, or the one named.",
    required=True,
)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", None, "Folder for the dataset of latents.", required=True
)
_WITH_EVENTS = flags.DEFINE_bool(
    "with_events",
    False,
    "Keep the events too, for training that varies them or trains on the "
    "autoencoder; the dataset grows by the size of the events.",
)
_OVERWRITE = flags.DEFINE_bool(
    "overwrite", False, "Replace a dataset that is already there."
)
_NUM_WORKERS = flags.DEFINE_integer(
    "num_workers",
    0,
    "Workers on this machine; 0: one for every core.",
    lower_bound=0,
)


def main() -> None:
    """Writes the dataset as the flags say."""
    command_line.take_sigterm()
    import_tensorflow()
    # After the flags are parsed: --help needs neither TensorFlow nor Beam.
    from tfmusic.pipelines.latents_job import write_latents
    from tfmusic.pipelines.running import beam_options

    write_latents(
        data_dir=_DATA_DIR.value,
        model_dir=_MODEL_DIR.value,
        output_dir=_OUTPUT_DIR.value,
        with_events=_WITH_EVENTS.value,
        overwrite=_OVERWRITE.value,
        num_workers=_NUM_WORKERS.value,
        beam_options=beam_options(command_line.extra_flags(), flags.FLAGS),
    )


if __name__ == "__main__":
    command_line.run(main, takes_extra_flags=True)
