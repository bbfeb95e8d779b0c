"""Trains a model as a config says, from where an earlier call left off."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator

import keras
import ml_collections
import tensorflow as tf
from absl import logging

from tfmusic.data.dataset import Dataset
from tfmusic.data.settings import DataSettings
from tfmusic.data.windows import Windows
from tfmusic.errors import UserError, first_line
from tfmusic.models import MusicModel, make_model
from tfmusic.training.callbacks import MetricsFile, SaveProgress, read_metrics
from tfmusic.training.checkpoint_files import has_begun
from tfmusic.training.checkpoints import Checkpoints, Patience, Progress
from tfmusic.training.distribution import (
    Distribution,
    describe_recurrent_layers,
    make_distribution,
)
from tfmusic.training.experiment import check_config
from tfmusic.training.first_look import (
    check_splits,
    describe_plan,
    notes_on_music,
)
from tfmusic.training.fit import Fitting
from tfmusic.training.init_from import Origin
from tfmusic.training.live_line import LiveLine, duration, explain_loss, say
from tfmusic.training.optimizers import make_optimizer
from tfmusic.training.precision import choose_policy, dtype_policy
from tfmusic.training.run_directory import (
    save_dataset_description,
    save_run,
    save_schedule,
    with_saved_warmup,
)
from tfmusic.training.samples import Sampler, Samples
from tfmusic.training.settings import TrainSettings
from tfmusic.training.stopping import StopSignals
from tfmusic.training.tensorboard import Curves, Profile
from tfmusic.training.verdict import describe_epochs, judge, next_commands


def train_and_evaluate(
    config: ml_collections.ConfigDict,
    data_dir: str,
    workdir: str,
    find_origin: Callable[[], Origin] | None = None,
) -> None:
    """Trains to the end of the run that `config` describes.

    Called again with the same arguments it resumes from the newest checkpoint, or says
    that the run is complete. SIGTERM and Ctrl-C save and end the program with 128 + the
    signal's number. The workdir then holds `config.json`, `representation.json`,
    `dataset.json`, `schedule.json`, `metrics.csv`, the same as curves in
    `metrics.png`, `tensorboard/`, `samples/` (music made on the way), and the
    checkpoints `latest/` and `best/` (lowest validation loss).

    Args:
        config: An experiment, as a file in `configs/` gives it.
        data_dir: A dataset that `pipelines.build_tfrecords` wrote with that config.
        workdir: The run's directory, made if need be.
        find_origin: Finds the trained model whose weights a new run begins with; a
            run that resumes does not ask.

    Raises:
        UserError: The dataset does not fit the config, the workdir holds a run of
            another config, or it cannot be written.
    """
    check_config(config)
    settings = TrainSettings.from_config(config.train)
    distribution = make_distribution(settings.distribute, settings.num_cpu_devices)
    # Only now: TensorFlow's strategy of several workers takes SIGTERM for itself.
    with StopSignals() as signals:
        _train(config, settings, distribution, data_dir, workdir, find_origin, signals)


def _train(
    config: ml_collections.ConfigDict,
    settings: TrainSettings,
    distribution: Distribution,
    data_dir: str,
    workdir: str,
    find_origin: Callable[[], Origin] | None,
    signals: StopSignals,
) -> None:
    dataset = Dataset.open(data_dir, settings.memory_megabytes)
    dataset.info.check(config)
    check_splits(data_dir, dataset.info.splits)
    config = with_saved_warmup(workdir, config)
    origin = find_origin() if find_origin and not has_begun(workdir) else None
    if origin:
        origin.check(config, dataset.representation)
    keras.utils.set_random_seed(config.seed)
    tf.config.experimental.enable_op_determinism()
    # First, for a config that it refuses is to leave no trace.
    run = Run(config, settings, distribution, dataset)
    config.optimizer.warmup_steps = run.schedule.warmup_steps
    if distribution.is_chief:
        save_run(workdir, config, dataset.representation)
        save_dataset_description(workdir, dataset.info)
    longest = max(dataset.info.splits["validation"]["piece_steps"])
    windows, batch_size = run.windows.for_evaluation(settings.eval_batch_size, longest)
    validation = dataset.evaluation(
        "validation",
        windows,
        run.model.example_fn,
        batch_size=batch_size,
        worker=distribution.worker,
        num_workers=distribution.num_workers,
    )
    num_batches = dataset.num_evaluation_batches("validation", windows, batch_size)
    if settings.eval_steps:
        num_batches = min(num_batches, settings.eval_steps)
        # This worker's; batches are dealt out one after another.
        own = range(distribution.worker, num_batches, distribution.num_workers)
        validation = validation.take(len(own))
    fitting = Fitting(run.model, distribution, validation.element_spec, run.batch_size)
    checkpoints = Checkpoints(
        workdir, run.model, settings.keep_checkpoints, distribution.is_chief
    )
    resumed = checkpoints.restore()
    progress = checkpoints.progress
    step, epoch = int(progress.step), int(progress.epoch)
    patience = Patience(
        settings.early_stopping_epochs,
        max(settings.early_stopping_min_steps, run.schedule.warmup_steps),
    )
    if epoch >= settings.num_epochs or progress.out_of_patience(patience):
        logging.info("the run in %s is complete (%d steps)", workdir, step)
        if distribution.is_chief:
            _say_verdict(
                run.model, progress, dataset, workdir, settings.export_checkpoint
            )
        return
    if distribution.is_chief:
        passes = run.steps_per_epoch / dataset.num_train_batches(
            run.windows, run.batch_size
        )
        for line in describe_plan(
            dataset,
            run.windows,
            settings,
            run.steps_per_epoch,
            passes,
            run.schedule,
            patience.min_steps,
        ):
            say(line)
        say(explain_loss(run.model.LOSS_UNIT, run.model.LOSS_MEANING))
        for line in () if resumed else notes_on_music(dataset, run.windows):
            say(line)
    if resumed:
        logging.info("going on from step %d of %s", step, workdir)
    else:
        run.model.load_parts(data_dir)
        if origin:
            origin.restore(run.model)
            logging.info("beginning with the weights of %s", origin.name)
            if distribution.is_chief:
                origin.save(workdir)
        else:
            run.model.adapt(dataset.pieces("train"))
    if distribution.is_chief:
        save_schedule(workdir, run.schedule, step)
    training = dataset.train(
        run.windows,
        run.model.example_fn,
        batch_size=run.batch_size,
        seed=config.seed,
        skip_batches=step,
        shard_files=settings.shard_files,
        worker=distribution.worker,
        num_workers=distribution.num_workers,
    )
    callbacks = []
    if distribution.is_chief:
        callbacks = [
            LiveLine(
                progress,
                run.steps_per_epoch * settings.num_epochs,
                run.model.LOSS_UNIT,
                num_batches,
            ),
            *_make_logs(config, settings, run, checkpoints, dataset, workdir),
        ]
    # Last: what an epoch has written is there before the epoch counts as done.
    callbacks.append(
        SaveProgress(
            checkpoints, distribution, signals, patience, settings.save_every_steps
        )
    )
    start = time.monotonic()
    signals.deferred = True
    with _all_workers(distribution, checkpoints):
        fitting.run(
            training,
            validation,
            num_batches,
            progress,
            run.steps_per_epoch,
            settings.num_epochs,
            callbacks,
        )
    logging.info(
        "trained to step %d in %s",
        int(progress.step),
        duration(time.monotonic() - start),
    )
    if distribution.is_chief:
        _say_verdict(run.model, progress, dataset, workdir, settings.export_checkpoint)


def _say_verdict(
    model: MusicModel, progress: Progress, dataset: Dataset, workdir: str, takes: str
) -> None:
    """Says what the run came to, where the weights are, and what to do next.

    `takes` is the setting `export_checkpoint`.
    """
    splits, rows = dataset.info.splits, read_metrics(f"{workdir}/metrics.csv")
    if rows:
        for line in describe_epochs(rows, model.LOSS_UNIT):
            say(line)
        say(f"verdict: {judge(rows, splits, takes)}")
    say(f"best weights: those of step {int(progress.best_step):,d}, in {workdir}/best")
    if takes == "latest":
        say("export and evaluate take the latest weights; --checkpoint=best for these")
    has_test = splits["test"]["num_pieces"] > 0
    makes_music = model.SCORED_BY != "reconstruction"
    for command in next_commands(workdir, dataset.directory, has_test, makes_music):
        say(f"next: {command}")


@contextlib.contextmanager
def _all_workers(
    distribution: Distribution, checkpoints: Checkpoints
) -> Iterator[None]:
    """Makes one clear line of a worker that is gone.

    Raises:
        UserError: Another worker does not answer; TensorFlow cannot do without it.
    """
    try:
        yield
    except tf.errors.OpError as error:
        if distribution.num_workers == 1:
            raise
        raise UserError(
            "a worker of TF_CONFIG no longer answers, or all were told to stop "
            f"({first_line(error)}); start all of them again, and they resume from the "
            f"newest checkpoint in {checkpoints.directory}"
        ) from error


def _make_logs(
    config: ml_collections.ConfigDict,
    settings: TrainSettings,
    run: "Run",
    checkpoints: Checkpoints,
    dataset: Dataset,
    workdir: str,
) -> list[keras.callbacks.Callback]:
    """What the chief writes beside its checkpoints."""
    progress = checkpoints.progress
    log_dir = os.path.join(workdir, "tensorboard")
    logs = [
        Curves(log_dir, config, progress, run.seconds_per_batch),
        MetricsFile(os.path.join(workdir, "metrics.csv"), progress),
    ]
    if settings.sample_every_epochs:
        sampler = Sampler(run.model, dataset, run.windows.steps)
        logs.append(Samples(workdir, sampler, progress, settings.sample_every_epochs))
    if settings.profile_steps:
        logs.append(Profile(f"{log_dir}/training", settings.profile_steps))
    return logs


class Run:
    """A model on its devices, ready to train, and how its windows are cut.

    Attributes:
        model: Built and compiled.
        batch_size: Windows in a step of all devices.
        steps_per_epoch: Training steps of an epoch.
        schedule: The learning rate's.
        seconds_per_batch: Music in a step, in seconds.
        windows: Which windows it learns.
    """

    def __init__(
        self,
        config: ml_collections.ConfigDict,
        settings: TrainSettings,
        distribution: Distribution,
        dataset: Dataset,
    ):
        self.batch_size, scale = _global_batch(settings, distribution)
        policy = choose_policy(settings.mixed_precision)
        pieces = dataset.info.splits["train"]
        seconds_per_step = pieces["seconds"] / max(pieces["num_steps"], 1)
        with distribution.strategy.scope():
            with dtype_policy(policy):
                self.model = make_model(dataset.representation, config.model)
            self.model.build_model()
            self.windows = Windows(
                DataSettings.from_config(config.data),
                include_end=self.model.learns_end,
                consecutive=self.model.carries_state,
            )
            if self.model.carries_state:
                _check_one_device(distribution)
                self.model.carry_state_of(self.batch_size)
            self.steps_per_epoch = settings.steps_per_epoch or _whole_passes(
                dataset.num_train_batches(self.windows, self.batch_size),
                settings.min_steps_per_epoch,
            )
            optimizer = make_optimizer(
                config.optimizer, self.steps_per_epoch, settings.num_epochs, scale
            )
            self.schedule = optimizer.schedule
            self.model.compile_for_training(optimizer)
            for unbuilt in self.model.optimizers:
                if not unbuilt.built:
                    unbuilt.build(self.model.trainable_variables)
        steps = self.batch_size * self.windows.steps
        self.seconds_per_batch = steps * seconds_per_step
        logging.info(
            "%s: %d parameters, %d epochs of %d steps, batch %d x %d steps",
            config.name,
            self.model.count_params(),
            settings.num_epochs,
            self.steps_per_epoch,
            self.batch_size,
            self.windows.steps,
        )
        logging.info(distribution.describe())
        if tf.config.list_logical_devices("GPU"):
            for line in describe_recurrent_layers(self.model):
                logging.info(line)


def _whole_passes(steps: int, at_least: int) -> int:
    """The steps of so many passes, of some steps each, that there are enough."""
    return steps * max(-(-at_least // steps), 1)


def _check_one_device(distribution: Distribution) -> None:
    """Refuses to carry a state among several devices.

    Raises:
        UserError: There are several.
    """
    if distribution.num_replicas > 1:
        raise UserError(
            "config.model.carry_state: expected one device, which keeps the state of "
            f"all rows of a batch, got {distribution.num_replicas}; add "
            "--config.train.distribute=none"
        )


def _global_batch(
    settings: TrainSettings, distribution: Distribution
) -> tuple[int, float]:
    """Windows in a step of all devices, and what multiplies the learning rate.

    Raises:
        UserError: The batch cannot be divided among the devices.
    """
    num_replicas = distribution.num_replicas
    if settings.scale_with_devices:
        return settings.batch_size * num_replicas, float(num_replicas)
    if settings.batch_size % num_replicas:
        raise UserError(
            f"config.train.batch_size is {settings.batch_size} for {num_replicas} "
            "devices together; expected a multiple of their number, or "
            "--config.train.distribute=none"
        )
    return settings.batch_size, 1.0
