"""The results of the benchmark on a GPU as JSON and as a table in Markdown."""

import platform
import shutil
import subprocess
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from gpu_parts.part import Setting
from gpu_parts.running import Record
from trace_mm.files.json_file import write_json

PACKAGES = (
    *("torch", "triton", "diffusers", "transformers", "accelerate", "peft"),
    *("bitsandbytes", "torchao"),
)


def describe_machine(setting: Setting) -> dict[str, Any]:
    """Device, driver and versions."""
    found: dict[str, Any] = {"device": setting.device.type, "python": platform.python_version()}
    if setting.device.type == "cuda":
        properties = torch.cuda.get_device_properties(setting.device)
        found["device"] = properties.name
        found["memory_gib"] = round(properties.total_memory / 2**30, 1)
        found["capability"] = f"{properties.major}.{properties.minor}"
        found["devices"] = torch.cuda.device_count()
        found["driver"] = driver_version()
        found["cuda"] = torch.version.cuda
    found["threads"] = torch.get_num_threads()
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def driver_version() -> str:
    """Of the GPUs."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return "unknown: no nvidia-smi"
    command = [program, "--query-gpu=driver_version", "--format=csv,noheader"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    return ran.stdout.split("\n")[0].strip() or "unknown"


def write_report(
    folder: Path, machine: dict[str, Any], options: dict[str, Any], records: Sequence[Record]
) -> None:
    """Write ``gpu.json`` and ``gpu.md``."""
    content = {
        "machine": machine,
        "options": options,
        "steps": [record.as_json() for record in records],
    }
    write_json(folder / "gpu.json", content)
    (folder / "gpu.md").write_text(table(machine, options, records), encoding="utf-8")


def table(machine: dict[str, Any], options: dict[str, Any], records: Sequence[Record]) -> str:
    """All steps in Markdown."""
    counts = dict.fromkeys(("passed", "failed", "skipped"), 0)
    for record in records:
        counts[record.status] += 1
    lines = ["# On a GPU", ""]
    if options.get("tiny"):
        lines += ["Tiny models: this shows that all runs, and says nothing of speed.", ""]
    lines += ["| | |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in machine.items()]
    summary = ", ".join(f"{count} {status}" for status, count in counts.items())
    lines += ["", f"{summary}.", ""]
    lines += ["| part | kind | step | status | s | found |", "|---|---|---|---|---|---|"]
    for one in records:
        found = one.reason or "; ".join(f"{name} {_show(v)}" for name, v in one.values.items())
        cells = (one.part, one.kind, one.step, one.status, f"{one.seconds:.1f}", found)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join([*lines, ""])


def _show(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return ", ".join(map(_show, value))
    return str(value)
