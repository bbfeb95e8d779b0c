"""Lists the experiments, or shows one of them, or a model.

tfmusic show                 the experiments that come with tfmusic, a line each
tfmusic show chord_lstm      what an experiment is, and its variants
tfmusic show chorales        a model that comes with tfmusic, see tfmusic models:
                             data, licence, scores, controls
tfmusic show MODEL_DIR       the same of what tfmusic export wrote
"""

import ast
import os
import pathlib
import sys
import textwrap
from typing import Any

from tfmusic import command_line
from tfmusic.config import CONFIGS, find_config, list_configs, load_module
from tfmusic.errors import UserError, closest
from tfmusic.serving.catalogue import (
    CARD,
    find_model,
    is_packed,
    read_card,
    read_packed_card,
    shipped_models,
)
from tfmusic.serving.setting import OWNERS, named_values

# How a setting is given, where a control says the same in numbers.
_EXAMPLES = {"metre": "3/4", "key": "G", "bars": "16"}
_BESIDES = ("bars", "seconds", "num_steps", "qpm", "key", "metre", "program")
_BESIDES += ("seed", "num_outputs", "best_of", "primer")


def main() -> None:
    """Shows what the argument names."""
    arguments = command_line.arguments()
    if len(arguments) > 1:
        raise UserError(f"show: expected one name, got {' '.join(arguments)}")
    if not arguments:
        text = experiments()
    elif os.path.exists(arguments[0]) or arguments[0] in shipped_models():
        text = model(arguments[0])
    else:
        text = experiment(_known(arguments[0]))
    sys.stdout.write(text)


def _known(name: str) -> str:
    """A name, unless it is one of a model's, misspelt.

    Raises:
        UserError: It is.
    """
    models = shipped_models()
    close = closest(name, [*models, *list_configs()])
    if close in models and not os.path.exists(name):
        raise UserError(
            f"show: there is no {name!r} (did you mean {close!r}?); models are "
            f"{', '.join(models)}, and tfmusic show without a name lists experiments"
        )
    return name


def experiments() -> str:
    """The experiments, a line each."""
    lines = ["Experiments (--config=NAME or --config=NAME:VARIANT):", ""]
    width = max(map(len, list_configs()))
    for name in list_configs():
        first = _docstring(CONFIGS / f"{name}.py").splitlines()[0]
        lines.append(_hang(f"  {name:{width}}  ", first.partition(": ")[2]))
    return "\n".join([*lines, "", "  tfmusic show NAME        more about one", ""])


def experiment(name: str) -> str:
    """What an experiment is, and its variants."""
    path, _ = find_config(name)
    lines = [_docstring(pathlib.Path(path)).strip(), ""]
    variants = getattr(load_module(path), "VARIANTS", {})
    if isinstance(variants, dict):
        lines.append("Variants:")
        for variant, (text, _) in variants.items():
            label = f":{variant}" if variant else "(none)"
            lines.append(_hang(f"  {label:22s} ", text))
        lines.append("")
    return "\n".join(lines)


def model(name: str) -> str:
    """What the card of a model says."""
    found = find_model(name)
    if is_packed(found):
        card, version = read_packed_card(found), f"{found}, weights in float16"
    else:
        path = find_card(found)
        card = read_card(path)
        version = os.path.basename(os.path.dirname(os.path.dirname(path)))
    data = card.get("data") or {}
    rows = {
        "model": card["name"],
        "version": version,
        "checkpoint": card.get("checkpoint", ""),
        "music as": card["representation"]["name"],
        "trained on": data.get("source", "unknown"),
        "licence": data.get("licence", "unknown"),
    }
    lines = [f"{label:12s} {value}" for label, value in rows.items()]
    for split, scores in (card.get("scores") or {}).items():
        score = scores.get("log_likelihood_per_step", scores.get("loss"))
        if score is not None:
            text = f"{score:.4g} nats a step"
            if "log_likelihood_per_step" in scores:
                text += " (how well it guesses what comes next: 0 would be always)"
            lines.append(f"{split + ' score':12s} {text}")
        lines += _music(scores.get("music") or {})
    for label, text in (card.get("knows") or {}).items():
        lines.append(_hang(f"{label:12s} ", text))
    if "infill" in card["endpoints"]:
        lines.append("fills        bars, such as --infill=bars:5-8")
    if card.get("keep") and "infill" in card["endpoints"]:
        lines.append(_hang("keeps        ", f"--keep={', '.join(card['keep'])}"))
    lines += ["endpoints    " + ", ".join(card["endpoints"]), ""]
    sections = {
        "Controls": "controls",
        "Search": "search_controls",
        "With --keep and --infill": "infill_controls",
    }
    for title, key in sections.items():
        if card.get(key):
            lines.append(f"{title} (flags of tfmusic generate):")
            lines += [_control(*item) for item in card[key].items()]
            lines.append("")
    besides = ", ".join(f"--{name}" for name in _BESIDES)
    lines += [_hang("Besides: ", f"{besides}; see tfmusic generate --help"), ""]
    return "\n".join(lines)


def _music(music: dict[str, Any]) -> list[str]:
    """What was found about pieces that a model made, beside held-out ones."""
    if not music:
        return []
    sets = {name: music[name] for name in ("generated", "held-out") if name in music}
    texts = [f"of {sets['generated']['num_pieces']} pieces"]
    if overlap := music["nearness"]["mean_overlap"]:
        texts.append(f"mean overlap with held-out music {overlap['mean']:.2f} of 1")
    for label in sets["generated"]["summary"]:
        if "copied" in label:
            values = [
                f"{found['summary'][label]['mean']:.3g} {name}"
                for name, found in sets.items()
                if label in found["summary"]
            ]
            texts.append(f"{label}: {', '.join(values)}")
    return [_hang("measured     ", "; ".join(texts))]


def find_card(model_dir: str) -> str:
    """The card of an export's version, or of the newest one in a directory.

    Raises:
        UserError: There is none.
    """
    if os.path.isfile(model_dir):
        raise UserError(
            f"{model_dir}: expected a model, found another file; tfmusic inspect shows "
            "datasets, and any notation program or sequencer shows music"
        )
    if os.path.isfile(os.path.join(model_dir, CARD)):
        return os.path.join(model_dir, CARD)
    numbers = [int(name) for name in os.listdir(model_dir) if name.isdigit()]
    for number in sorted(numbers, reverse=True):
        path = os.path.join(model_dir, str(number), CARD)
        if os.path.isfile(path):
            return path
    if os.path.isfile(os.path.join(model_dir, "config.json")):
        raise UserError(
            f"{model_dir}: expected a model, found the folder of a run; tfmusic export "
            f"--workdir={model_dir} --export_dir=model makes one of it"
        )
    raise UserError(
        f"{model_dir}: expected a directory that tfmusic export wrote, found no "
        f"{CARD} in it"
    )


def _control(name: str, control: dict[str, Any]) -> str:
    bounds = f"{control['minimum']:g} to {control['maximum']:g}"
    default = f"--{name}={control['default']:g}"
    other = ""
    if name in OWNERS:
        other = f" Plainer: --{OWNERS[name]}={_EXAMPLES[OWNERS[name]]}."
    elif words := [word for word in named_values(control) if word.isalpha()]:
        other = f" By name too: --{name}={words[0]}."
    return _hang(f"  {default:28s} ", f"{control['doc']} ({bounds}){other}")


def _docstring(path: pathlib.Path) -> str:
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""


def _hang(label: str, text: str) -> str:
    """A label and a text beside it, in lines of at most 79 characters."""
    indent = " " * len(label)
    return textwrap.fill(text, 79, initial_indent=label, subsequent_indent=indent)


if __name__ == "__main__":
    command_line.run(main, takes_arguments=True, only_prints=True)
