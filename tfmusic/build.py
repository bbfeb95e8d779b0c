"""Writes the datasets of one or more experiments from a source of music.

    tfmusic build --config=chord_lstm --source=bach_chorales --output_dir=DIR

With one config the dataset is written to DIR, with several to DIR/NAME each, from one
reading of the source. Called again for a dataset that is there, it says so and ends;
called again after it was killed, it resumes. Files that cannot be used are dropped;
DIR/dropped.jsonl says why, and what would keep them. Other flags go to Apache Beam,
such as --runner=FlinkRunner.
"""

import dataclasses
import pathlib
import shlex
import sys
from typing import TYPE_CHECKING

from absl import flags

from tfmusic import command_line
from tfmusic.compat import import_tensorflow
from tfmusic.config import CONFIGS
from tfmusic.errors import UserError
from tfmusic.notes.reading import Limits

if TYPE_CHECKING:
    import ml_collections

_CONFIGS = flags.DEFINE_multi_string(
    "config",
    None,
    "Experiment whose dataset to write: NAME or FILE.py, and :VARIANT if wanted "
    "(tfmusic show lists them); repeatable. --config.SECTION.FIELD=VALUE changes a "
    "field of one.",
)
_LIKE = flags.DEFINE_string(
    "like",
    "",
    "Instead of --config: encode as the music of this trained model was (its name, or "
    "the folder of a run or an export), so that tfmusic train --init_from can begin "
    "with it.",
)
_SOURCE = flags.DEFINE_string(
    "source",
    None,
    "Your music: a folder, zip archive, file or pattern such as songs/*.mid of MIDI, "
    "MusicXML and ABC files. Or a collection: bach_chorales, folk, or KIND:PATH with "
    "KIND maestro, giantmidi, piano_midi_de, pop909, boulanger_lewandowski, "
    "jsb_chorales_16th or note_sequences. Paths may begin with s3://.",
    required=True,
)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", None, "Folder for the dataset.", required=True
)
_OVERWRITE = flags.DEFINE_bool(
    "overwrite", False, "Replace a dataset that is already there."
)
_VALIDATION = flags.DEFINE_float(
    "validation_fraction", 0.1, "Fraction of the pieces kept for validation."
)
_TEST = flags.DEFINE_float(
    "test_fraction", 0.1, "Fraction of the pieces kept for testing."
)
_NUM_SHARDS = flags.DEFINE_integer(
    "num_shards",
    0,
    "Files of each split, at most one for each piece; 0: one for every 256.",
    lower_bound=0,
)
_SEED = flags.DEFINE_integer(
    "seed", 0, "The same seed gives the same splits and order."
)
_COMPRESSION = flags.DEFINE_enum(
    "compression", "none", ["none", "gzip"], "Compression of the records."
)
_COMPOSERS = flags.DEFINE_multi_string(
    "composer", [], "Keep only pieces whose composer's name contains this; repeatable."
)
_MIN_SECONDS = flags.DEFINE_float(
    "min_seconds", 0, "Drop shorter pieces.", lower_bound=0
)
_MAX_SECONDS = flags.DEFINE_float(
    "max_seconds", 0, "Drop longer pieces; 0: none.", lower_bound=0
)
_METRES = flags.DEFINE_list(
    "metre", [], "Keep only pieces in these metres, such as 4/4,3/4."
)
_PROGRAMS = flags.DEFINE_list(
    "programs",
    [],
    "Keep only notes of these MIDI programs, counted from 0, such as 0-7,24.",
)
_INSTRUMENTS = flags.DEFINE_list(
    "instruments", [], "Keep only notes of tracks whose name contains one of these."
)
_DRUMS = flags.DEFINE_enum("drums", "keep", ["keep", "drop"], "What to do with drums.")
_PLAY_REPEATS = flags.DEFINE_bool(
    "play_repeats",
    True,
    "Play the repeats of scores and tunes; else every measure is read once.",
)
_FILE_SECONDS = flags.DEFINE_float(
    "file_seconds",
    30,
    "Seconds that reading one file may take; else it is dropped.",
    lower_bound=0.01,
)
_FILE_MEGABYTES = flags.DEFINE_integer(
    "file_megabytes",
    1024,
    "Megabytes that reading one file may take; else it is dropped.",
    lower_bound=1,
)
_LIMITS = {
    field.name: flags.DEFINE_float(
        f"limit_{field.name.removeprefix('max_')}",
        field.default,
        f"Most {field.name.removeprefix('max_').replace('_', ' ')} that a file may "
        "hold; with more it "
        "is taken for corrupted, and dropped.",
        lower_bound=1,
    )
    for field in dataclasses.fields(Limits)
}
_NUM_WORKERS = flags.DEFINE_integer(
    "num_workers",
    0,
    "Worker processes on this machine; 0: one for every core. Runners on other "
    "machines have flags of their own.",
    lower_bound=0,
)

# What was measured to do for small collections that begin with a model.
_FEW_EPOCHS = "--config.train.num_epochs=2 --config.optimizer.learning_rate=0.0005"


def main() -> None:
    """Writes datasets as the flags say."""
    command_line.take_sigterm()
    import_tensorflow()
    # After the flags are parsed: --help needs neither TensorFlow nor Beam.
    from tfmusic.config import change_fields, load_config
    from tfmusic.pipelines.building import write_datasets
    from tfmusic.pipelines.filters import Filters
    from tfmusic.pipelines.running import beam_options
    from tfmusic.serving.origins import find_origin
    from tfmusic.training.experiment import check_config

    if bool(_CONFIGS.value) == bool(_LIKE.value):
        raise UserError("expected either --config=NAME or --like=MODEL")
    configs = _CONFIGS.value or [find_origin(_LIKE.value).for_building()]
    for config in _CONFIGS.value or ():
        check_config(load_config(config), needed=("representation", "data"))
    changes, others = _split_flags(command_line.extra_flags())
    if changes:
        if len(_CONFIGS.value or ()) != 1:
            raise UserError(f"--{min(changes)}: expected one --config= to change")
        configs = [load_config(configs[0])]
        change_fields(configs[0], changes)
    beam_flags = beam_options(others, flags.FLAGS)
    write_datasets(
        configs=configs,
        source=_SOURCE.value,
        output_dir=_OUTPUT_DIR.value,
        overwrite=_OVERWRITE.value,
        validation_fraction=_VALIDATION.value,
        test_fraction=_TEST.value,
        num_shards=_NUM_SHARDS.value,
        seed=_SEED.value,
        compression=_COMPRESSION.value.replace("none", ""),
        limits=Limits(
            **{
                name: type(getattr(Limits(), name))(flag.value)
                for name, flag in _LIMITS.items()
            }
        ),
        filters=Filters(
            composers=tuple(_COMPOSERS.value),
            min_seconds=_MIN_SECONDS.value,
            max_seconds=_MAX_SECONDS.value,
            metres=tuple(_METRES.value),
            programs=tuple(_PROGRAMS.value),
            instruments=tuple(_INSTRUMENTS.value),
            drums=_DRUMS.value,
        ),
        play_repeats=_PLAY_REPEATS.value,
        file_seconds=_FILE_SECONDS.value,
        file_megabytes=_FILE_MEGABYTES.value,
        num_workers=_NUM_WORKERS.value,
        beam_options=beam_flags,
    )
    sys.stdout.write(_what_next(configs[0], changes))


def _split_flags(extra: dict[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Changes of the config, and flags of others."""
    changes = {k: v for k, v in extra.items() if k.startswith("config.")}
    return changes, {k: v for k, v in extra.items() if k not in changes}


def _what_next(
    first: "ml_collections.ConfigDict | str", changes: dict[str, str]
) -> str:
    """The command that trains, or what is missing for it.

    Args:
        first: As of `_next_command`.
        changes: Likewise.
    """
    from tfmusic.data.dataset_info import DatasetInfo
    from tfmusic.training.first_look import check_splits

    command = _next_command(first, changes)
    if command:
        try:
            check_splits(_OUTPUT_DIR.value, DatasetInfo.load(_OUTPUT_DIR.value).splits)
        except UserError as error:
            return f"too little to train on: {error}\n"
    return command


def _next_command(
    first: "ml_collections.ConfigDict | str", changes: dict[str, str]
) -> str:
    """What to do with a dataset of one experiment; nothing after several.

    Args:
        first: The first experiment.
        changes: Of its fields.
    """
    data = shlex.quote(_OUTPUT_DIR.value)
    if _LIKE.value:
        from tfmusic.config import nearest_variant

        config, model = nearest_variant(first), shlex.quote(_LIKE.value)
        return (
            f"next: tfmusic train --config={config} --init_from={model} "
            f"--data_dir={data} --workdir=run {_FEW_EPOCHS}\n"
        )
    if len(_CONFIGS.value) != 1:
        return ""
    path, colon, variant = _CONFIGS.value[0].partition(":")
    if pathlib.Path(path).parent == CONFIGS:
        path = pathlib.Path(path).stem
    config = shlex.quote(path + colon + variant)
    also = "".join(f" --{k}={shlex.quote(v)}" for k, v in changes.items())
    return (
        f"next: tfmusic train --config={config} --data_dir={data} --workdir=run{also}\n"
    )


if __name__ == "__main__":
    command_line.run(main, takes_extra_flags=True)
