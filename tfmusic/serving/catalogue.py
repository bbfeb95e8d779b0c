"""Models by name: those that come with tfmusic, without TensorFlow.

A model is an export's directory, or an export in one file (see `packed`). A name stands
for a file in `tfmusic/pretrained`, which is installed with the package, or in
`pretrained/` of a clone.
"""

import hashlib
import json
import os
import pathlib
import re
import zipfile
from typing import Any

from tfmusic.errors import UserError, choose, first_line
from tfmusic.files import read_json

CARD = "assets.extra/tfmusic.json"
ENDING = ".zip"
_PACKAGE = pathlib.Path(__file__).resolve().parents[1]
# Models that are too large for the wheel, or whose licence asks for a place of its own,
# are in a clone alone.
PLACES = (_PACKAGE / "pretrained", _PACKAGE.parent / "pretrained")
# Without these a card tells nobody how to play the model.
_NEEDED = {"name": str, "representation": dict, "controls": dict, "endpoints": dict}
_HASHES = "SHA256SUMS"  # as sha256sum writes and checks them


def shipped_models() -> dict[str, str]:
    """The files of the models that are there, by name."""
    files = (file for place in PLACES for file in sorted(place.glob(f"*{ENDING}")))
    found: dict[str, str] = {}
    for file in files:
        found.setdefault(file.stem, str(file))
    return found


def find_model(model: str) -> str:
    """The path of a model.

    Args:
        model: An export's directory, a file that `tfmusic export` wrote, or the name of
            a model that comes with tfmusic.

    Raises:
        UserError: There is none, or a file that came with tfmusic has changed.
    """
    if "://" in model or os.path.exists(model):
        return model
    names = shipped_models()
    if os.sep in model or model.endswith(ENDING):
        raise UserError(
            f"{model}: there is no such file or directory; expected what tfmusic "
            f"export wrote, or a model's name: {', '.join(names) or 'none is here'}"
        )
    path = names[choose("model", model, names)]
    _check_hash(pathlib.Path(path))
    return path


def is_packed(path: str) -> bool:
    """Whether a path is that of an export in one file."""
    return path.endswith(ENDING) and os.path.isfile(path)


def read_card(file: str) -> dict[str, Any]:
    """The card of a version of an export.

    Raises:
        UserError: It is damaged.
    """
    try:
        card = read_json(file)
    except (OSError, ValueError, RecursionError) as error:
        raise _damaged(file, first_line(error)) from error
    return _checked(card, file)


def read_packed_card(path: str) -> dict[str, Any]:
    """The card of an export in one file.

    Raises:
        UserError: It is no such file.
    """
    with open_packed(path) as archive:
        try:
            card = json.loads(archive.read(CARD))
        except (OSError, ValueError, RecursionError, zipfile.BadZipFile) as error:
            raise _damaged(path, first_line(error)) from error
    return _checked(card, path)


def _checked(card: Any, path: str) -> dict[str, Any]:
    if not isinstance(card, dict):
        raise _damaged(path, f"a {type(card).__name__}")
    for name, kind in _NEEDED.items():
        if not isinstance(card.get(name), kind):
            raise _damaged(path, f"no {name}")
    return _in_words_of_today(card)


def _in_words_of_today(value: Any) -> Any:
    """A card with the names that tables have now, for what an older version wrote."""
    if not isinstance(value, dict):
        return value
    return {
        re.sub(r"(\d+) strokes or more", r"\1 or more notes or chords", name).replace(
            "passage, strokes", "passage, notes or chords"
        ): _in_words_of_today(inner)
        for name, inner in value.items()
    }


def _damaged(path: str, found: str) -> UserError:
    return UserError(
        f"{path}: expected the card of a model, as tfmusic export writes it, found "
        f"{found}; copy or export the model again"
    )


def open_packed(path: str) -> zipfile.ZipFile:
    """Opens an export in one file.

    Raises:
        UserError: It is no such file.
    """
    try:
        archive = zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{path}: expected a model in one file, as tfmusic export writes it "
            f"({error}); copy it again"
        ) from error
    if CARD not in archive.namelist():
        archive.close()
        raise UserError(
            f"{path}: expected a model in one file, as tfmusic export writes it, found "
            f"no {CARD} in it"
        )
    return archive


def write_hash(path: str) -> None:
    """Notes the hash of a file in the list beside it."""
    file = pathlib.Path(path)
    hashes = _hashes(file.parent) | {file.name: _hash(file)}
    lines = [f"{digits}  {name}\n" for name, digits in sorted(hashes.items())]
    (file.parent / _HASHES).write_text("".join(lines))


def _check_hash(file: pathlib.Path) -> None:
    expected = _hashes(file.parent).get(file.name)
    if expected != (found := _hash(file)):
        raise UserError(
            f"{file}: expected the SHA-256 {expected}, found {found}: the file is not "
            "the one that was published; install tfmusic again"
        )


def _hashes(folder: pathlib.Path) -> dict[str, str]:
    path = folder / _HASHES
    lines = path.read_text().splitlines() if path.exists() else []
    return {name: digits for digits, name in (line.split("  ", 1) for line in lines)}


def _hash(file: pathlib.Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
