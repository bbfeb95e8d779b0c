"""What a config's `train` section can say."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from tfmusic.errors import UserError, choose


@dataclasses.dataclass(frozen=True)
class TrainSettings:
    """How long to train, on what, and what to keep.

    None of it changes what the weights mean, so all of it may differ from one call to
    the next. Fields that a config leaves out have the values given here.

    Attributes:
        batch_size: Windows in a training step, on all devices together.
        eval_batch_size: Windows in a validation step, on each device.
        num_epochs: Epochs of the whole run.
        steps_per_epoch: Training steps of an epoch, after which come validation, curves
            and music; 0: one pass over the data.
        early_stopping_epochs: Epochs without a lower validation loss before the run
            stops; 0: never.
        keep_checkpoints: How many of the newest states stay on disk.
        save_every_steps: Steps between two states within an epoch; 0: none.
        distribute: Which devices train, see `tfmusic.training.distribution`.
        scale_with_devices: Whether `batch_size` is that of each device instead and the
            learning rate is multiplied by their number (Goyal et al., 2017). Without
            it results do not depend on the number of devices.
        shard_files: Whether each of several workers reads, and holds in memory, only
            its share of the training files. Its windows then come from these alone, so
            batches are not those of one worker.
        num_cpu_devices: Into how many devices the processor is split; 0: one. For
            trying distribution on a machine without a GPU.
        sample_every_epochs: Epochs between pieces generated to see and hear; 0: none.
        profile_steps: Steps that TensorBoard's profiler looks at, after the first ten
            of a call; 0: none. What it saw the package tensorboard-plugin-profile
            shows.
        mixed_precision: The type of matrix products: "bfloat16", "none" (float32), or
            "auto", the first where the processor has instructions for it.
        fast_lstm: Whether LSTM layers use our own loop on a CPU rather than Keras'.
    """

    batch_size: int
    eval_batch_size: int
    num_epochs: int
    steps_per_epoch: int = 0
    early_stopping_epochs: int = 0
    keep_checkpoints: int = 2
    save_every_steps: int = 500
    distribute: str = "auto"
    scale_with_devices: bool = False
    shard_files: bool = False
    num_cpu_devices: int = 0
    sample_every_epochs: int = 1
    profile_steps: int = 0
    mixed_precision: str = "none"
    fast_lstm: bool = True

    @classmethod
    def from_config(cls, section: Mapping[str, Any]) -> "TrainSettings":
        """Reads the section.

        Raises:
            UserError: An unknown field, or a number below what makes sense.
        """
        names = [field.name for field in dataclasses.fields(cls)]
        for name in section:
            choose("field of config.train", name, names)
        settings = cls(**section)
        for name in names:
            least = 1 if name in _AT_LEAST_ONE else 0
            value = getattr(settings, name)
            if not isinstance(value, str) and value < least:
                raise UserError(
                    f"config.train.{name}: expected at least {least}, got {value}"
                )
        return settings


_AT_LEAST_ONE = ("batch_size", "eval_batch_size", "num_epochs", "keep_checkpoints")
