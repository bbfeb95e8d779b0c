"""Trains a model as a config says, from where an earlier call left off."""

import os
import sys
import time

import keras
import ml_collections
import tensorflow as tf
from absl import logging

from tfmusic.data.augmentation import Augmentation
from tfmusic.data.dataset_info import DatasetInfo
from tfmusic.data.datasets import (
    make_eval_dataset,
    make_piece_dataset,
    make_train_dataset,
    num_train_batches,
)
from tfmusic.models import make_model
from tfmusic.training.callbacks import SaveProgress, Scalars
from tfmusic.training.checkpoints import Checkpoints
from tfmusic.training.optimizers import make_optimizer
from tfmusic.training.run import save_dataset_description, save_run


def train_and_evaluate(
    config: ml_collections.ConfigDict, data_dir: str, workdir: str
) -> None:
    """Trains to the end of the run that `config` describes.

    Called again with the same arguments it goes on from the newest checkpoint, or says
    that the run is complete. The workdir then holds `config.json`,
    `representation.json`, `dataset.json`, `metrics.csv`, `tensorboard/`, and the
    checkpoints `latest/` and `best/` (lowest validation loss).

    Args:
        config: An experiment, as a file in `configs/` gives it.
        data_dir: A dataset that `pipelines.build_tfrecords` wrote with that config.
        workdir: The run's directory, made if need be.

    Raises:
        UserError: The dataset does not fit the config, or the workdir holds a run of
            another config.
    """
    info = DatasetInfo.load(data_dir)
    info.check(config)
    representation = info.make_representation()
    save_run(workdir, config, representation)
    save_dataset_description(workdir, info)

    keras.utils.set_random_seed(config.seed)
    tf.config.experimental.enable_op_determinism()
    model = make_model(representation, config.model)
    model.build_model()
    data = config.data
    steps_per_epoch = config.train.steps_per_epoch or num_train_batches(
        info,
        batch_size=config.train.batch_size,
        window_steps=data.window_steps,
        window_stride=data.window_stride,
        window_align_steps=data.window_align_steps,
        include_end=model.learns_end,
    )
    num_epochs = config.train.num_epochs
    optimizer = make_optimizer(config.optimizer, steps_per_epoch, num_epochs)
    model.compile_for_training(optimizer)
    optimizer.build(model.trainable_variables)

    checkpoints = Checkpoints(workdir, model, keep=config.train.keep_checkpoints)
    resumed = checkpoints.restore()
    progress = checkpoints.progress
    step = int(progress.step)
    patience = config.train.early_stopping_epochs
    if step >= num_epochs * steps_per_epoch or progress.out_of_patience(patience):
        logging.info("the run in %s is complete (%d steps)", workdir, step)
        return
    if resumed:
        logging.info("going on from step %d of %s", step, workdir)
    else:
        model.adapt(make_piece_dataset(data_dir, "train"))

    validation = make_eval_dataset(
        data_dir,
        "validation",
        example_fn=model.example_fn,
        batch_size=config.train.eval_batch_size,
        window_steps=data.window_steps,
        include_end=model.learns_end,
    )
    training = make_train_dataset(
        data_dir,
        example_fn=model.example_fn,
        batch_size=config.train.batch_size,
        window_steps=data.window_steps,
        window_stride=data.window_stride,
        window_align_steps=data.window_align_steps,
        include_end=model.learns_end,
        augmentation=Augmentation.from_config(data),
        seed=config.seed,
        skip_batches=step,
    )
    logging.info(
        "training %s: %d parameters, %d epochs of %d steps, batch %d x %d steps",
        config.name,
        model.count_params(),
        num_epochs,
        steps_per_epoch,
        config.train.batch_size,
        data.window_steps,
    )
    start = time.monotonic()
    model.fit(
        training,
        validation_data=validation,
        initial_epoch=step // steps_per_epoch,
        epochs=num_epochs,
        steps_per_epoch=steps_per_epoch,
        shuffle=False,  # the dataset is shuffled
        # A terminal gets a progress bar, a log file one line an epoch.
        verbose=1 if sys.stdout.isatty() else 2,
        callbacks=[
            Scalars(os.path.join(workdir, "tensorboard")),
            SaveProgress(checkpoints, patience),
            keras.callbacks.CSVLogger(
                os.path.join(workdir, "metrics.csv"), append=True
            ),
        ],
    )
    logging.info(
        "trained to step %d in %.0f s; lowest validation loss %.4f at step %d",
        int(progress.step),
        time.monotonic() - start,
        float(progress.best_loss),
        int(progress.best_step),
    )
