"""Writes a trained model as a SavedModel that generates by itself.

It takes the weights with the lowest validation loss, or those that --checkpoint names.
With --model it writes a model
that comes with tfmusic, or one in one file, as the folder that TF Serving needs.
--format=litert or onnx writes one step of a recurrent model, for phones and browsers.
"""

import tempfile

from absl import flags

from tfmusic import command_line
from tfmusic.compat import import_tensorflow
from tfmusic.errors import UserError

_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of a run of tfmusic train.")
_MODEL = flags.DEFINE_string(
    "model", None, "Model to unpack instead: its name, see tfmusic models, or its file."
)
_CHECKPOINT = flags.DEFINE_string(
    "checkpoint",
    None,
    "Which weights of the run: best (lowest validation loss), latest, or a step such "
    "as 500; as the run's train.export_checkpoint says unless given.",
)
_EXPORT_DIR = flags.DEFINE_string(
    "export_dir",
    None,
    "Folder for the model; each export is a numbered version in it. A name that ends "
    "in .zip: one file, half as large, to keep or to give away.",
    required=True,
)
_MAX_STEPS = flags.DEFINE_integer(
    "max_steps",
    0,
    "Longest piece in steps that the model makes, for a server's sake; 0: 100,000, or "
    "as many as a few gigabytes hold.",
    lower_bound=0,
)
_MAX_OUTPUTS = flags.DEFINE_integer(
    "max_outputs",
    0,
    "Most pieces that it makes at a time; 0: 4096, or as many as a few gigabytes hold.",
    lower_bound=0,
)
_FORMAT = flags.DEFINE_enum(
    "format",
    "savedmodel",
    ["savedmodel", "litert", "litert_int8", "onnx"],
    "savedmodel makes whole pieces. The others are one step of the network in a file, "
    "and its card: .tflite, the same with weights of 8 bits, .onnx.",
)


def main() -> None:
    """Exports as the flags say."""
    if bool(_WORKDIR.value) == bool(_MODEL.value):
        raise UserError("expected --workdir=RUN or --model=NAME, one of them")
    if _MODEL.value and _CHECKPOINT.value:
        raise UserError("--checkpoint: leave it out with --model, which has one alone")
    for flag in (_MAX_STEPS, _MAX_OUTPUTS):
        if flag.present and (_MODEL.value or _FORMAT.value != "savedmodel"):
            raise UserError(
                f"--{flag.name}: leave it out but for --workdir and savedmodel: the "
                "limits of a model are set when its run is exported"
            )
    checkpoint = _CHECKPOINT.value or ""
    import_tensorflow()
    from tfmusic.serving.edge import check_format, export_step
    from tfmusic.serving.saved_model import export_packed, export_run, export_version

    if _FORMAT.value != "savedmodel":
        check_format(_FORMAT.value)  # before what takes long
        with tempfile.TemporaryDirectory() as folder:
            if not (model := _MODEL.value):
                model = export_version(_WORKDIR.value, folder, checkpoint).path
            export_step(model, _EXPORT_DIR.value, _FORMAT.value)
    elif _MODEL.value:
        export_packed(_MODEL.value, _EXPORT_DIR.value)
    else:
        sizes = _MAX_STEPS.value, _MAX_OUTPUTS.value
        export_run(_WORKDIR.value, _EXPORT_DIR.value, checkpoint, *sizes)


if __name__ == "__main__":
    command_line.run(main)
