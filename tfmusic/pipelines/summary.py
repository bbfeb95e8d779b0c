"""What a dataset holds, as a table to read."""

import collections
from collections.abc import Iterable, Mapping
from typing import Any

from tfmusic.data.dataset_info import SPLITS, DatasetInfo
from tfmusic.pipelines.account import remedy
from tfmusic.pipelines.filters import Filters
from tfmusic.representations.losses import describe_losses


def format_info(info: DatasetInfo, drops: Iterable[Mapping[str, Any]]) -> str:
    """A description of a dataset: splits, what was repaired, lost, dropped and why.

    Args:
        info: The description.
        drops: What was dropped, as `tfmusic.pipelines.account.read_drops` gives it.
    """
    representation = info.make_representation()
    shown = representation.settings()
    for name in representation.fitted_fields:
        shown[name] = _size(info.representation[name])
    defaults = Filters().to_dict()
    filters = {k: v for k, v in info.filters.items() if v != defaults.get(k)}
    lines = [
        f"source          {info.source}, {info.num_files:,d} files",
        f"filters         {_settings(filters) or 'none'}",
        "",
        f"{'split':12s}{'pieces':>9s}{'steps':>13s}{'notes':>12s}{'hours':>9s}"
        f"{'MB':>9s}{'files':>7s}",
    ]
    for name in SPLITS:  # on disk they are sorted by name
        split = info.splits[name]
        lines.append(
            f"{name:12s}{split['num_pieces']:9,d}{split['num_steps']:13,d}"
            f"{split['num_notes']:12,d}{split['seconds'] / 3600:9.2f}"
            f"{split.get('num_bytes', 0) / 1e6:9.1f}{len(split['shards']):7d}"
        )
    rows = collections.Counter(
        (drop["stage"], drop["reason"], remedy(drop)) for drop in drops
    )
    if rows:
        lines += ["", f"{'dropped':>9s}  {'stage':8s}{'reason':24s}would be kept by"]
        lines += [
            f"{count:9,d}  {stage:8s}{reason:24s}{flag or '-'}"
            for (stage, reason, flag), count in rows.most_common()
        ]
    if info.repairs:
        lines += ["", "changed in reading"]
        ordered = sorted(info.repairs.items(), key=lambda item: -item[1])
        lines += [f"  {count:,d} {name}" for name, count in ordered]
    if info.losses:
        notes, steps = (
            sum(split[name] for split in info.splits.values())
            for name in ("num_notes", "num_steps")
        )
        lines += ["", "lost in encoding"]
        lines += [f"  {line}" for line in describe_losses(info.losses, notes, steps)]
    lines += [
        "",
        "how it was made",
        f"  representation  {_settings(shown)}",
        f"  preparation     {_settings(info.preparation)}",
        f"  source hash     {info.source_hash[:16]} (names and contents)",
        f"  fingerprint     {info.fingerprint} (representation and preparation)",
        f"  compression     {info.compression or 'none'}",
        f"  versions        {_settings(info.versions)}",
    ]
    return "\n".join(lines) + "\n"


def _size(fitted: Any) -> str:
    """What was fitted: the size of a vocabulary, or a number or a name as it is."""
    if isinstance(fitted, str) or not hasattr(fitted, "__len__"):
        return str(fitted)
    return f"{len(fitted)} entries"


def _settings(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in settings.items())
