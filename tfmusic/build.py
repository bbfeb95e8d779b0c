"""Writes the datasets of one or more experiments from a source of music.

    python -m pipelines.build_tfrecords --config=configs/two_hands_lstm.py \
        --source=bach_chorales --output_dir=DIR

With one config the dataset is written to DIR, with several to DIR/NAME each, from one
reading of the source. Called again for a dataset that is there, it says so and ends;
called again after it was killed, it continues. Files that cannot be used are dropped;
DIR/dropped.jsonl says why, and what would keep them.
Other flags go to Apache Beam, such as --runner=FlinkRunner.
"""

import dataclasses

from absl import flags

from tfmusic import command_line
from tfmusic.notes.reading import Limits

_CONFIGS = flags.DEFINE_multi_string(
    "config", None, "Experiment, FILE or FILE:VARIANT; may be repeated.", required=True
)
_SOURCE = flags.DEFINE_string(
    "source",
    None,
    "bach_chorales; a folder, zip archive, file or glob pattern of MIDI, MusicXML and "
    "ABC files; or KIND:PATH with the kinds maestro, piano_midi_de, pop909, "
    "boulanger_lewandowski and note_sequences. Paths may be in buckets (s3://...).",
    required=True,
)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", None, "Where the dataset is written.", required=True
)
_OVERWRITE = flags.DEFINE_bool(
    "overwrite", False, "Replace a dataset that is there already."
)
_VALIDATION = flags.DEFINE_float(
    "validation_fraction", 0.1, "Share of the pieces that are kept for validation."
)
_TEST = flags.DEFINE_float(
    "test_fraction", 0.1, "Share of the pieces that are kept for testing."
)
_NUM_SHARDS = flags.DEFINE_integer(
    "num_shards",
    0,
    "Files of each split; 0 makes one for every 256 pieces.",
    lower_bound=0,
)
_SEED = flags.DEFINE_integer(
    "seed", 0, "Decides the order of the pieces, and which file they are in."
)
_COMPRESSION = flags.DEFINE_enum(
    "compression", "none", ["none", "gzip"], "Of the records."
)
_COMPOSERS = flags.DEFINE_multi_string(
    "composer", [], "Keep pieces by composers whose name has this in it; repeatable."
)
_MIN_SECONDS = flags.DEFINE_float(
    "min_seconds", 0, "Keep pieces that last so long.", lower_bound=0
)
_MAX_SECONDS = flags.DEFINE_float(
    "max_seconds", 0, "Keep pieces that last no longer; 0 for all.", lower_bound=0
)
_METRES = flags.DEFINE_list(
    "metre", [], "Keep pieces that are in these alone, such as 4/4,3/4."
)
_PROGRAMS = flags.DEFINE_list(
    "programs", [], "Keep the notes of these MIDI programs from 0, such as 0-7,24."
)
_INSTRUMENTS = flags.DEFINE_list(
    "instruments", [], "Keep the notes of tracks whose names have one of these in them."
)
_DRUMS = flags.DEFINE_enum("drums", "keep", ["keep", "drop"], "What to do with drums.")
_FILE_SECONDS = flags.DEFINE_float(
    "file_seconds",
    30,
    "How long one file may take; it is dropped as a timeout then.",
    lower_bound=0.01,
)
_FILE_MEGABYTES = flags.DEFINE_integer(
    "file_megabytes",
    1024,
    "How much memory one file may take; it is dropped as out_of_memory then.",
    lower_bound=1,
)
_LIMITS = {
    field.name: flags.DEFINE_float(
        f"limit_{field.name.removeprefix('max_')}",
        field.default,
        f"How many {field.name.removeprefix('max_')} a file may hold; with more it is "
        "taken for damaged, and dropped.",
    )
    for field in dataclasses.fields(Limits)
}
_NUM_WORKERS = flags.DEFINE_integer(
    "num_workers",
    0,
    "Worker processes on this machine; 0 takes one for every core. Other runners than "
    "Beam's local one have flags of their own.",
    lower_bound=0,
)


def main() -> None:
    """Writes datasets as the flags say."""
    # After the flags are parsed: --help needs neither TensorFlow nor Beam.
    from tfmusic.config import load_config
    from tfmusic.pipelines.building import write_datasets
    from tfmusic.pipelines.filters import Filters
    from tfmusic.pipelines.running import beam_options
    from tfmusic.training.experiment import check_config

    for name in _CONFIGS.value:
        check_config(load_config(name), needed=("representation", "data"))
    beam_flags = beam_options(command_line.extra_flags(), flags.FLAGS)
    write_datasets(
        configs=_CONFIGS.value,
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
        file_seconds=_FILE_SECONDS.value,
        file_megabytes=_FILE_MEGABYTES.value,
        num_workers=_NUM_WORKERS.value,
        beam_options=beam_flags,
    )


if __name__ == "__main__":
    command_line.run(main, takes_extra_flags=True)
