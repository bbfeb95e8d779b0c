"""The models of a server: of each the newest version on disk that can be loaded."""

import dataclasses
import os
import pathlib
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow as tf
from absl import logging
from google.protobuf.message import DecodeError

from tfmusic.errors import UserError, first_line
from tfmusic.files import prepare_path
from tfmusic.serving.catalogue import CARD, ENDING, find_model, is_packed
from tfmusic.serving.player import Player, versions
from tfmusic.serving.server.signatures import read_signatures
from tfmusic.serving.warmup import small_inputs

# What loading an export raises where a file of it is missing, cut off or corrupted:
# TensorFlow checks little of it, so nearly anything.
_DAMAGE = (
    AttributeError,
    DecodeError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    tf.errors.OpError,
)


@dataclasses.dataclass(frozen=True)
class ServedModel:
    """A version of a model that is loaded.

    Attributes:
        name: What clients call the model: the name of its folder or file.
        version: The number of its folder; 1 where it has none.
        player: Plays it.
        signatures: What the metadata tells of it.
    """

    name: str
    version: int
    player: Player
    signatures: dict[str, Any]


class ServedModels:
    """Models by name, which follow their folders while `watch` is on."""

    def __init__(self, places: Sequence[str], warm_up: bool = True):
        """Loads the models.

        Args:
            places: Folders of exports `NAME/VERSION`, exports, one version of an
                export, exports in one file, names of models that come with tfmusic.
            warm_up: Whether each signature is called once before clients come in.

        Raises:
            UserError: A place holds no model, two have one name, or none can be loaded.
        """
        self._places = [find_model(place).rstrip("/") for place in places]
        self._warm_up = warm_up
        self._served: dict[str, ServedModel] = {}
        # By name and version: the files as they were, and what is wrong with them.
        self._damaged: dict[tuple[str, int], tuple[Any, str]] = {}
        self._stop = threading.Event()
        names: dict[str, str] = {}
        for place in self._places:
            exports = find_exports(place)
            if not exports:
                raise UserError(
                    f"{place}: expected exports as NAME/VERSION in it, or an export; "
                    "tfmusic export --export_dir=FOLDER/NAME writes one"
                )
            if twice := names.keys() & exports.keys():
                name = min(twice)
                raise UserError(
                    f"{exports[name]}: another model is served as {name} already, "
                    f"{names[name]}; rename its folder"
                )
            names |= exports
        self.refresh()
        if not self._served:
            (name, version), (_, why) = next(iter(self._damaged.items()))
            raise UserError(f"{name}, version {version}, cannot be loaded: {why}")

    def __iter__(self) -> Iterator[ServedModel]:
        return iter(list(self._served.values()))

    def __contains__(self, name: str) -> bool:
        return name in self._served

    def find(self, name: str, version: int | None = None) -> ServedModel:
        """A model that is in service.

        Raises:
            LookupError: It is not, or not this version of it.
        """
        model = self._served.get(name)
        if model is None or version not in (None, model.version):
            which = "Latest" if version is None else "Specific"
            wanted = name if version is None else f"{name}, {version}"
            here = ", ".join(f"{m.name} (version {m.version})" for m in self)
            raise LookupError(
                f"Servable not found for request: {which}({wanted}); here: {here}"
            )
        return model

    def damaged(self, name: str) -> dict[int, str]:
        """What is wrong with the versions of a model that cannot be loaded."""
        found = list(self._damaged.items())
        return {version: why for (n, version), (_, why) in found if n == name}

    def watch(self, seconds: float = 2.0) -> None:
        """Begins to look for new models and versions every few seconds."""

        def look() -> None:
            while not self._stop.wait(seconds):
                try:
                    self.refresh()
                except (OSError, UserError, tf.errors.OpError) as error:
                    logging.warning("looking for models: %s", first_line(error))

        threading.Thread(target=look, name="tfmusic_models", daemon=True).start()

    def close(self) -> None:
        """Ends `watch`."""
        self._stop.set()

    def refresh(self) -> None:
        """Loads what is new; a version that cannot be loaded changes nothing."""
        exports: dict[str, str] = {}
        for place in self._places:
            # Where a name comes up a second time, the first place keeps it.
            exports = find_exports(place) | exports
        for name, path in exports.items():
            self._refresh(name, path)

    def _refresh(self, name: str, path: str) -> None:
        candidates = _versions(path)
        for key in [k for k in self._damaged if k[0] == name]:
            if key[1] not in candidates:
                del self._damaged[key]
        old = self._served.get(name)
        for version, folder in candidates.items():
            if old and old.version == version:
                return
            key, files = (name, version), _files(folder)
            if key in self._damaged and self._damaged[key][0] == files:
                continue
            try:
                self._served[name] = self._load(name, version, folder)
            except _DAMAGE as error:
                self._damaged[key] = files, first_line(error)
                stays = f"version {old.version} stays" if old else "it is left out"
                reason = first_line(error)
                logging.error("%s %d cannot be loaded, %s: %s", *key, stays, reason)
                continue
            self._damaged.pop(key, None)
            logging.info("%s: version %d is in service", name, version)
            return

    def _load(self, name: str, version: int, path: str) -> ServedModel:
        player = Player(path)
        controls = player.controls | (player.card.get("search_controls") or {})
        for signature, endpoint in player.card["endpoints"].items():
            if self._warm_up:
                inputs = small_inputs(endpoint["inputs"], controls)
                player.call(signature, dict(inputs))
        return ServedModel(name, version, player, read_signatures(path))


def find_exports(place: str) -> dict[str, str]:
    """The exports of a place by name: each with its versions, or one version."""
    if is_packed(place):
        return {os.path.basename(place).removesuffix(ENDING): place}
    prepare_path(place)
    path = place if "://" in place else os.path.abspath(place)
    name = os.path.basename(path)
    if _is_version(path):
        parent = os.path.basename(os.path.dirname(path))
        return {parent if name.isdecimal() else name: path}
    if not tf.io.gfile.isdir(path):
        return {}
    if versions(path):
        return {name: path}
    names = sorted(entry.rstrip("/") for entry in tf.io.gfile.listdir(path))
    paths = {entry: os.path.join(path, entry) for entry in names}
    return {entry: path for entry, path in paths.items() if versions(path)}


def _versions(path: str) -> dict[int, str]:
    """The versions of an export, the newest first."""
    if is_packed(path) or _is_version(path):
        number = pathlib.PurePath(path).name
        return {int(number) if number.isdecimal() else 1: path}
    return {n: os.path.join(path, str(n)) for n in reversed(versions(path))}


def _is_version(path: str) -> bool:
    return tf.io.gfile.exists(os.path.join(path, CARD))


def _files(path: str) -> list[tuple]:
    """Names, sizes and times of the files of a version: what a repair changes."""
    paths = [path]
    if not is_packed(path):
        paths = [
            os.path.join(folder, name)
            for folder, _, names in tf.io.gfile.walk(path)
            for name in names
        ]
    stats = [(file, tf.io.gfile.stat(file)) for file in sorted(paths)]
    return [(file, stat.length, stat.mtime_nsec) for file, stat in stats]
