"""What a config's `optimizer` and `train` sections can say."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

from tfmusic.settings import Settings, setting

OPTIMIZERS = ("adadelta", "adam", "adamw", "nadam", "rmsprop", "sgd")
SCHEDULES = ("constant", "step", "exponential", "cosine")


@dataclasses.dataclass(frozen=True, kw_only=True)
class OptimizerSettings(Settings):
    """An optimizer and its learning rate.

    Attributes:
        name: Which optimizer of Keras.
        learning_rate: Its greatest learning rate.
        schedule: How the rate changes after the warm-up, see `Schedule`.
        warmup_steps: Steps in which the rate grows from 0; -1: 5 % of the run's steps,
            at most 100.
        decay_rate: Of the schedules "step" and "exponential".
        decay_epochs: How long one unit of decay lasts; 0: from the warm-up to the end
            of the run.
        clip_norm: The greatest norm of all gradients together; 0: not clipped.
        clip_value: The greatest absolute value of a gradient; 0: not clipped.
        weight_decay: Decoupled weight decay; 0: none.
        options: Other arguments of the Keras optimizer.
    """

    SECTION: ClassVar[str] = "optimizer"

    name: str = setting("adam", choices=OPTIMIZERS)
    learning_rate: float = setting(2e-3, above=0.0)
    schedule: str = setting("cosine", choices=SCHEDULES)
    warmup_steps: int = setting(-1, at_least=-1)
    decay_rate: float = setting(1.0, above=0.0)
    decay_epochs: float = setting(0.0, at_least=0.0)
    clip_norm: float = setting(1.0, at_least=0.0)
    clip_value: float = setting(0.0, at_least=0.0)
    weight_decay: float = setting(0.0, at_least=0.0)
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainSettings(Settings):
    """How long to train, on what, and what to keep.

    None of it changes what the weights mean, so all of it may differ from one call to
    the next.

    Attributes:
        batch_size: Windows in a training step, on all devices together.
        eval_batch_size: Windows in a validation step, on each device.
        num_epochs: Epochs of the whole run.
        steps_per_epoch: Training steps of an epoch, after which come validation, curves
            and music; 0: passes over the data, as many as `min_steps_per_epoch` needs.
        min_steps_per_epoch: The fewest steps of such an epoch, so that of a small set
            it is several passes; 0: one pass.
        early_stopping_epochs: Epochs without a lower validation loss before the run
            stops; 0: never.
        early_stopping_min_steps: Steps before which it never does; nor does it within
            the warm-up.
        eval_steps: Validation takes only the first so many batches; 0: all.
        keep_checkpoints: How many of the newest checkpoints stay on disk.
        export_checkpoint: Which weights export and evaluate take unless they are told
            otherwise: "best", those with the lowest validation loss, or "latest", for
            what is to learn its music by heart.
        save_every_steps: Steps between two checkpoints within an epoch; 0: none.
        distribute: Which devices train: "auto", "none", "mirrored" or "multi_worker",
            see `tfmusic.training.distribution`.
        scale_with_devices: Whether `batch_size` is that of each device instead and the
            learning rate is multiplied by their number (Goyal et al., 2017). Without
            it results do not depend on the number of devices.
        shard_files: Whether each of several workers reads only its own part of the
            training files. Its windows then come from these alone, so batches are not
            those of one worker.
        memory_megabytes: How much main memory training music may take, in MiB. A split
            that fits in a quarter of it is read once; a larger one is streamed in
            groups of files of that size, and windows are shuffled within a group.
        num_cpu_devices: Into how many devices the processor is split; 0: one. For
            trying distribution on a machine without a GPU.
        sample_every_epochs: Epochs between pieces generated to see and hear; 0: none.
        profile_steps: Steps that TensorBoard's profiler looks at, after the first ten
            of a call; 0: none. The package tensorboard-plugin-profile shows them.
        mixed_precision: The type of matrix products: "bfloat16", "none" (float32), or
            "auto": bfloat16 where the processor has instructions for it.
    """

    SECTION: ClassVar[str] = "train"

    batch_size: int = setting(32, at_least=1, at_most=65_536)
    eval_batch_size: int = setting(32, at_least=1, at_most=65_536)
    num_epochs: int = setting(10, at_least=1)
    steps_per_epoch: int = setting(0, at_least=0)
    min_steps_per_epoch: int = setting(50, at_least=0)
    early_stopping_epochs: int = setting(0, at_least=0)
    early_stopping_min_steps: int = setting(500, at_least=0)
    eval_steps: int = setting(0, at_least=0)
    keep_checkpoints: int = setting(2, at_least=1)
    export_checkpoint: str = setting("best", choices=("best", "latest"))
    save_every_steps: int = setting(500, at_least=0)
    distribute: str = "auto"
    scale_with_devices: bool = False
    shard_files: bool = False
    memory_megabytes: int = setting(1024, at_least=1)
    num_cpu_devices: int = setting(0, at_least=0, at_most=256)
    sample_every_epochs: int = setting(1, at_least=0)
    profile_steps: int = setting(0, at_least=0)
    mixed_precision: str = setting("auto", choices=("auto", "bfloat16", "none"))
