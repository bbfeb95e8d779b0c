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

from tfmusic.errors import UserError, choose
from tfmusic.files import read_json
from tfmusic.stored import NUMBER, check_form, reading

CARD = "assets.extra/tfmusic.json"
ENDING = ".zip"
_PACKAGE = pathlib.Path(__file__).resolve().parents[1]
# Models that are too large for the wheel, or whose licence asks for a place of its own,
# are in a clone alone.
PLACES = (_PACKAGE / "pretrained", _PACKAGE.parent / "pretrained")
_CARD_WORDS = "the card of a model, as tfmusic export writes it"
_MODEL_WORDS = "a model in one file, as tfmusic export writes it"
_REMEDY = "copy or export the model again"
_CONTROLS = {"*": {"default": NUMBER, "minimum": NUMBER, "maximum": NUMBER, "doc": str}}
_TENSORS = {"*": {"dtype": str, "shape": [(int, type(None))], "doc?": str}}
# What all who read a card look for; without it a card tells nobody how to play.
_CARD_FORM = {
    "name": str,
    "representation": dict,
    "controls": _CONTROLS,
    "search_controls?": _CONTROLS,
    "infill_controls?": _CONTROLS,
    "keep?": [str],
    "endpoints": {"*": {"doc?": str, "inputs": _TENSORS, "outputs": _TENSORS}},
    "checkpoint?": str,
    "config?": {"name": str, "seed?": int, "*": dict},
    "data?": (dict, type(None)),
    "scores?": (dict, type(None)),
    "knows?": {"*": str},
    "limits?": {"*": int},
}
_DATA_FORM = {
    "source?": str,
    "licence?": str,
    "splits?": {"*": {"num_pieces?": int, "num_steps?": int, "seconds?": NUMBER}},
}
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
    with reading(file, _CARD_WORDS, _REMEDY):
        return _checked(read_json(file))


def read_packed_card(path: str) -> dict[str, Any]:
    """The card of an export in one file.

    Raises:
        UserError: It is no such file.
    """
    with open_packed(path) as archive, reading(path, _CARD_WORDS, _REMEDY):
        return _checked(json.loads(archive.read(CARD)))


def _checked(card: Any) -> dict[str, Any]:
    check_form(card, _CARD_FORM)
    if card.get("data"):
        check_form(card["data"], _DATA_FORM, ".data")
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


def open_packed(path: str) -> zipfile.ZipFile:
    """Opens an export in one file.

    Raises:
        UserError: It is no such file.
    """
    with reading(path, _MODEL_WORDS, "copy it again"):
        archive = zipfile.ZipFile(path)
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
