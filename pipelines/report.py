"""What a dataset holds, as a table to read."""

from tfmusic.data.dataset_info import DatasetInfo


def format_info(info: DatasetInfo) -> str:
    """A description of a dataset: splits, losses, and what was dropped and why."""
    representation = info.make_representation()
    shown = {
        name: value
        for name, value in info.representation.items()
        if name not in representation.fitted_fields
    }
    for name in representation.fitted_fields:
        shown[name] = f"{len(info.representation[name])} entries"
    lines = [
        f"source          {info.source}",
        f"fingerprint     {info.fingerprint}",
        f"representation  {_settings(shown)}",
        f"preparation     {_settings(info.preparation)}",
        "",
        f"{'split':12s}{'pieces':>9s}{'steps':>12s}{'notes':>12s}{'hours':>9s}",
    ]
    for name, split in info.splits.items():
        lines.append(
            f"{name:12s}{split['num_pieces']:9,d}{split['num_steps']:12,d}"
            f"{split['num_notes']:12,d}{split['seconds'] / 3600:9.2f}"
        )
    lines += _counts("dropped pieces", info.dropped)
    lines += _counts("lost in encoding", info.losses)
    return "\n".join(lines) + "\n"


def _settings(settings: dict) -> str:
    return ", ".join(f"{name}={value}" for name, value in settings.items())


def _counts(title: str, counts: dict[str, int]) -> list[str]:
    if not counts:
        return []
    rows = sorted(counts.items(), key=lambda item: -item[1])
    return ["", title, *(f"{count:9,d}  {name}" for name, count in rows)]
