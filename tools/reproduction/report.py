"""An experiment's table, with the paper's numbers beside ours, as text, Markdown and JSON."""

import json
import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from reproduction.experiment import Experiment, Row, Setting
from reproduction.running import shown

from trace_mm.files import write_atomically

PACKAGES = ("trace_mm", "torch", "diffusers", "transformers", "numpy", "mmengine", "mmdet")
NONE = "-"


def table(experiment: Experiment) -> list[list[str]]:
    """Head and rows: a label, and for each column the paper's number and ours."""
    head = ["", *(f"{name}, {who}" for name in experiment.columns for who in ("paper", "ours"))]
    return [head, *(_cells(row, experiment.columns) for row in experiment.rows)]


def as_text(rows: list[list[str]]) -> str:
    """A table for the console."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(
            cell.ljust(width) if not index else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)


def as_markdown(rows: list[list[str]]) -> str:
    """A table for Markdown."""
    head, *body = (f"| {' | '.join(row)} |" for row in rows)
    return "\n".join([head, f"|{'---|' * len(rows[0])}", *body])


def write_report(name: str, experiment: Experiment, setting: Setting) -> tuple[Path, Path]:
    """Write the table as Markdown and, with settings, versions and hardware, as JSON.

    Returns:
        Both files, ``<work>/<name>.md`` and ``.json``.
    """
    markdown, record = (setting.work / f"{name}{suffix}" for suffix in (".md", ".json"))
    text = [f"# {title(name)}: {experiment.title}", "", as_markdown(table(experiment)), ""]
    text += [f"![{picture.stem}]({picture.name})\n" for picture in experiment.pictures]
    text += [f"- {choice}" for choice in experiment.choices]
    text += ["", "```bash", *(shown(step.command) for step in experiment.steps), "```", ""]
    write_atomically(markdown, "\n".join(text).encode())
    write_atomically(record, json.dumps(_record(name, experiment, setting), indent=1).encode())
    return markdown, record


def title(name: str) -> str:
    """What the paper calls an experiment."""
    if name.startswith("e"):
        return f"App. E.{name[1:]}"
    return f"Figure {name[1:]}" if name.startswith("f") else f"Table {name}"


def hardware() -> dict[str, Any]:
    """Processor, memory and GPUs of this machine."""
    found: dict[str, Any] = {
        "platform": platform.platform(),
        "processors": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
    }
    try:
        query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
        asked = subprocess.run(query, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return {**found, "gpus": []}
    return {**found, "gpus": asked.stdout.strip().splitlines()}


def versions() -> dict[str, str | None]:
    """Versions of Python and of the packages that numbers depend on; None for those not there."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def _cells(row: Row, columns: tuple[str, ...]) -> list[str]:
    cells = [row.label]
    for name in columns:
        reading = row.ours.get(name)
        cells += [_number(row.paper.get(name)), _number(reading.value() if reading else None)]
    return cells


def _number(value: float | None) -> str:
    if value is None:
        return NONE
    return f"{value:.3f}" if abs(value) < 1 else f"{value:.1f}"


def _record(name: str, experiment: Experiment, setting: Setting) -> dict[str, Any]:
    steps = []
    for step in experiment.steps:
        file = setting.work / "steps" / f"{step.name}.json"
        known = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        steps.append({"name": step.name, "command": shown(step.command), **known})
    settings = {key: _plain(value) for key, value in vars(setting).items()}
    return {
        "name": name,
        "title": experiment.title,
        "settings": settings,
        "versions": versions(),
        "hardware": hardware(),
        "rows": [
            {
                "label": row.label,
                "paper": dict(row.paper),
                "ours": {key: reading.value() for key, reading in row.ours.items()},
            }
            for row in experiment.rows
        ],
        "choices": list(experiment.choices),
        "steps": steps,
    }


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Path) else value
