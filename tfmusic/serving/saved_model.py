"""Writes a trained model as a SavedModel whose graph does the whole generation."""

import contextlib
import dataclasses
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import tensorflow as tf
from absl import logging

from tfmusic.compat import tracing_for_export
from tfmusic.errors import UserError
from tfmusic.files import (
    check_model_path,
    make_directory,
    move_directory,
    prepare_path,
    system_errors,
    write_file,
    writing,
)
from tfmusic.models import Endpoint, MusicModel
from tfmusic.networks.recurrence import without_cudnn
from tfmusic.serving.catalogue import CARD, ENDING, find_model, is_packed, read_card
from tfmusic.serving.graph_limits import GraphLimits, controls_of, guarded
from tfmusic.serving.model_card import describe_endpoints, make_card
from tfmusic.serving.packed import pack, unpack
from tfmusic.serving.player import versions
from tfmusic.serving.warmup import write_warmup_requests
from tfmusic.training.run_directory import restore_model

DEFAULT = tf.saved_model.DEFAULT_SERVING_SIGNATURE_DEF_KEY
PIECES = "pieces"
VOCABULARY = "vocabulary.txt"


def export_run(
    workdir: str,
    export_dir: str,
    checkpoint: str | int = "",
    max_steps: int = 0,
    max_outputs: int = 0,
) -> str:
    """Exports a run's weights as a new version.

    Args:
        workdir: The directory of a run.
        export_dir: Gets `export_dir/1`, `export_dir/2`, ... as TF Serving expects. A
            newest version that already holds these weights, and says the same about
            them, is kept as it is. A name that ends in .zip is that of one file to
            write instead, with the weights in float16 (see `packed`).
        checkpoint: Which weights, see `restore_model`.
        max_steps: The longest piece that the export makes; 0: see `GraphLimits.of`.
        max_outputs: The most pieces that it makes at a time; 0: see there.

    Returns:
        The version's directory, or the file.

    Raises:
        UserError: `workdir` holds no run with such a checkpoint, or `export_dir`
            cannot be written, or not read again.
    """
    sizes = max_steps, max_outputs
    if export_dir.endswith(ENDING):
        with tempfile.TemporaryDirectory() as folder:
            version = export_version(workdir, folder, checkpoint, *sizes)
            pack(version.path, export_dir)
        version = version._replace(path=export_dir)
    else:
        version = export_version(workdir, export_dir, checkpoint, *sizes)
    if version.is_new:
        logging.info(
            "exported %s of %s to %s", version.checkpoint, workdir, version.path
        )
    else:
        logging.info("%s already holds these weights", version.path)
    return version.path


class Version(NamedTuple):
    """A numbered version of an export.

    Attributes:
        path: Its directory.
        checkpoint: The weights that it holds.
        is_new: Whether it was not there before.
    """

    path: str
    checkpoint: str
    is_new: bool


def export_version(
    workdir: str,
    export_dir: str,
    checkpoint: str | int = "",
    max_steps: int = 0,
    max_outputs: int = 0,
) -> Version:
    """Exports a run's weights into a directory, and says nothing; see `export_run`."""
    prepare_path(export_dir)
    check_model_path(export_dir)
    config, model, weights = restore_model(workdir, checkpoint)
    with writing(export_dir):  # before what takes long
        make_directory(export_dir)
    limits = GraphLimits.of(model, max_steps, max_outputs)
    card = make_card(config, model, weights, workdir)
    card["limits"] = dataclasses.asdict(limits)
    found = versions(export_dir)
    if found:
        newest = os.path.join(export_dir, str(found[-1]))
        try:
            old = read_card(os.path.join(newest, CARD))
        except UserError:  # a new version takes the place of a damaged one
            old = {}
        if {name: old.get(name) for name in card} == json.loads(json.dumps(card)):
            return Version(newest, card["checkpoint"], is_new=False)
    path = os.path.join(export_dir, str(found[-1] + 1 if found else 1))
    export_model(model, card, path)
    return Version(path, card["checkpoint"], is_new=True)


def export_packed(model: str, export_dir: str) -> str:
    """Writes a model in one file as a new version, for TF Serving.

    Args:
        model: The name of a model that comes with tfmusic, or a file.
        export_dir: Gets the version; on this machine.

    Returns:
        The version's directory.

    Raises:
        UserError: There is no such file, or `export_dir` cannot be written.
    """
    file = find_model(model)
    if not is_packed(file) or "://" in export_dir or export_dir.endswith(ENDING):
        raise UserError(
            f"expected a model in one file and a local folder to unpack it into, got "
            f"{model} and {export_dir}"
        )
    check_model_path(export_dir)
    version = [0, *versions(export_dir)][-1] + 1
    path = os.path.join(export_dir, str(version))
    with writing(path), _appearing(path) as partial:
        os.makedirs(partial)
        unpack(file, partial)
    logging.info("unpacked %s to %s", model, path)
    return path


def export_model(model: MusicModel, card: Mapping[str, Any], path: str) -> None:
    """Writes a model and its card as a SavedModel; a directory appears when complete.

    The signatures are the model's endpoints, `pieces` for clients that name no
    controls, and, for those that name no signature, `serving_default`: new pieces, or
    what the first endpoint does. Controls have their defaults in the signatures, and
    the endpoints are methods of the loaded object too. Beside them are
    `assets/vocabulary.txt` (a token a line, in the order of their numbers; where the
    representation has tokens), `assets.extra/tfmusic.json` (the card) and requests to
    warm up TensorFlow Serving.

    Args:
        model: Built and restored.
        card: What is to be known about the model; the endpoints are added to it, and
            `limits` if there are none.
        path: The directory to make.

    Raises:
        UserError: It cannot be written.
    """
    limits = (
        GraphLimits(**card["limits"]) if "limits" in card else GraphLimits.of(model)
    )
    with without_cudnn(model):
        with tracing_for_export():
            endpoints, functions = _trace(model, limits)
            card = {
                **card,
                "limits": dataclasses.asdict(limits),
                "endpoints": describe_endpoints(model, endpoints, functions),
            }
        with writing(path):
            _write(model, functions, card, path)


def _trace(
    model: MusicModel, limits: GraphLimits
) -> tuple[dict[str, Endpoint], dict[str, tf.types.experimental.PolymorphicFunction]]:
    """The endpoints of an export, and their functions, traced."""
    endpoints = {
        name: guarded(model, _with_defaults(model, endpoint), limits)
        for name, endpoint in model.endpoints().items()
    }
    functions = {name: endpoint.function for name, endpoint in endpoints.items()}
    for i, (name, function) in enumerate(functions.items(), 1):
        logging.info("writing the graph of %s, %d of %d", name, i, len(functions))
        function.get_concrete_function()
    if "generate" in endpoints:
        generate = functions["generate"].get_concrete_function()
        rows = {
            PIECES: piece_by_piece(model, generate, takes_controls=False),
            DEFAULT: piece_by_piece(model, generate),
        }
        rows = {name: guarded(model, row, limits) for name, row in rows.items()}
        endpoints |= rows
        functions |= {name: row.function for name, row in rows.items()}
    else:
        first = next(iter(endpoints))
        endpoints[DEFAULT], functions[DEFAULT] = endpoints[first], functions[first]
    return endpoints, functions


def _with_defaults(model: MusicModel, endpoint: Endpoint) -> Endpoint:
    """An endpoint whose controls may be left out."""
    names = {spec.name for spec in endpoint.input_signature}
    # A beam search has defaults of its own for controls that sampling has too.
    controls = controls_of(model, names)
    defaults = {c.name: c.default for c in controls if c.name in names}
    return dataclasses.replace(endpoint, defaults={**endpoint.defaults, **defaults})


def _write(
    model: MusicModel,
    functions: Mapping[str, tf.types.experimental.PolymorphicFunction],
    card: Mapping[str, Any],
    path: str,
) -> None:
    # The variables alone: Keras would add a forward pass of its own for the model.
    module = tf.Module()
    for name, function in functions.items():
        # Signatures that TensorFlow loads forget the defaults, its functions do not.
        setattr(module, name, function)
    module.weights = [variable.value for variable in model.variables]
    with _appearing(path) as partial:
        _save(model, module, functions, card, partial)


def _save(
    model: MusicModel,
    module: tf.Module,
    functions: Mapping[str, tf.types.experimental.PolymorphicFunction],
    card: Mapping[str, Any],
    path: str,
) -> None:
    """Writes the files of a SavedModel."""
    with tempfile.TemporaryDirectory() as folder:
        vocabulary = getattr(model.representation, "vocabulary", None)
        if vocabulary is not None:
            source = os.path.join(folder, VOCABULARY)
            with open(source, "w", encoding="utf-8") as file:
                file.writelines(f"{token}\n" for token in vocabulary.tokens)
            module.vocabulary = tf.saved_model.Asset(source)
        tf.saved_model.save(module, path, signatures=functions)
    tf.io.gfile.makedirs(os.path.join(path, os.path.dirname(CARD)))
    if not write_warmup_requests(
        path,
        card["name"],
        card["endpoints"],
        card["controls"] | card.get("search_controls", {}),
    ):
        logging.info(
            "the export has no warm-up requests for TensorFlow Serving; they need "
            'pip install "tfmusic[serving]"'
        )
    write_file(os.path.join(path, CARD), json.dumps(card, indent=1))


@contextlib.contextmanager
def _appearing(path: str) -> Iterator[str]:
    """Gives the directory to write in place of another one, which is there when whole.

    Nothing is left where it could not be.
    """
    # A dot keeps a serving system from taking the unfinished directory for a version.
    partial = os.path.join(os.path.dirname(path), "." + os.path.basename(path))
    if tf.io.gfile.exists(partial):  # of an export that was killed
        tf.io.gfile.rmtree(partial)
    try:
        yield partial
        move_directory(partial, path, last=CARD)
    except BaseException:
        with contextlib.suppress(*system_errors()):
            tf.io.gfile.rmtree(partial)
        raise


def piece_by_piece(
    model: MusicModel,
    generate: tf.types.experimental.ConcreteFunction,
    takes_controls: bool = True,
) -> Endpoint:
    """`generate` for requests in which each row asks for one piece.

    So a server can join the requests of several clients, and none of them changes what
    another gets. The price is that pieces are made beside each other instead of in
    one batch; who wants many at once calls `generate`.

    Args:
        model: The model.
        generate: Its traced endpoint.
        takes_controls: Whether each row has controls of its own. One value holds for
            all rows; without any they have the model's defaults.
    """
    controls = {control.name: control.default for control in model.CONTROLS}
    fixed = {"num_outputs": 1, **({} if takes_controls else controls)}
    specs = tf.nest.flatten(generate.structured_input_signature)
    rows = [spec for spec in specs if spec.name not in fixed]
    outputs = {
        name: tf.TensorSpec(spec.shape[1:], spec.dtype)
        for name, spec in generate.structured_outputs.items()
    }

    def make(*columns):
        given = dict(zip([spec.name for spec in rows], columns, strict=True))
        num_rows = tf.shape(given["seed"])
        given |= {
            name: tf.broadcast_to(given[name], num_rows)
            for name in given.keys() & controls.keys()
        }
        longest = tf.reduce_max(given["num_steps"]) if "num_steps" in given else None

        def make_piece(row):
            values = [
                row.get(spec.name, tf.constant(fixed.get(spec.name, 0), spec.dtype))
                for spec in specs
            ]
            return {
                name: _pad(array[0], longest)
                for name, array in generate(*values).items()
            }

        return tf.map_fn(make_piece, given, fn_output_signature=outputs)

    doc = "with controls of its own" if takes_controls else "with the model's controls"
    return Endpoint(
        make,
        tuple(tf.TensorSpec([None], spec.dtype, spec.name) for spec in rows),
        f"A new piece for each row, {doc}; generate with num_outputs 1 gives the same.",
        controls if takes_controls else {},
    )


def _pad(array: tf.Tensor, longest: tf.Tensor | None) -> tf.Tensor:
    """Makes an array `[time, ...]` as long as the longest piece; scalars stay."""
    if longest is None or array.shape.rank == 0:
        return array
    missing = longest - tf.shape(array)[0]
    padded = tf.pad(array, [[0, missing]] + [[0, 0]] * (array.shape.rank - 1))
    return tf.ensure_shape(padded, [None, *array.shape[1:]])
