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
    checkpoint = _CHECKPOINT.value or ""
    import_tensorflow()
    from tfmusic.serving.edge import export_step
    from tfmusic.serving.saved_model import export_packed, export_run

    if _FORMAT.value != "savedmodel":
        with tempfile.TemporaryDirectory() as folder:
            model = _MODEL.value or export_run(_WORKDIR.value, folder, checkpoint)
            export_step(model, _EXPORT_DIR.value, _FORMAT.value)
    elif _MODEL.value:
        export_packed(_MODEL.value, _EXPORT_DIR.value)
    else:
        export_run(_WORKDIR.value, _EXPORT_DIR.value, checkpoint)


if __name__ == "__main__":
    command_line.run(main)
