"""Run the steps of an experiment, each once, with a record of what it took."""

import json
import os
import shlex
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from reproduction.experiment import Setting, Step

from trace_mm.console import note
from trace_mm.files import write_atomically

ROOT = Path(__file__).resolve().parents[2]
TAIL = 15
"""Lines of a failed step's log that are shown."""


def run_steps(steps: Iterable[Step], setting: Setting) -> None:
    """Run what has not been run before with the same command.

    Args:
        steps: in order.
        setting: tells the folder, which gets ``steps/<name>.json`` and ``steps/<name>.log``.

    Raises:
        RuntimeError: if a step fails; says why and where its log is. Those before it stay done.
    """
    folder = setting.work / "steps"
    folder.mkdir(parents=True, exist_ok=True)
    steps = list(steps)
    for number, step in enumerate(steps, 1):
        record, said = folder / f"{step.name}.json", shown(step.command)
        if _is_done(record, step):
            note(f"[{number}/{len(steps)}] {step.name}: done before")
            continue
        note(f"[{number}/{len(steps)}] {step.name}: {said}")
        result = _run(step, folder / f"{step.name}.log")
        write_atomically(record, json.dumps({"command": said, **result}, indent=1).encode())


def shown(command: tuple[str, ...]) -> str:
    """A command as a person would type it."""
    return shlex.join(command)


def _is_done(record: Path, step: Step) -> bool:
    if not record.is_file() or not step.makes.exists():
        return False
    known: dict[str, Any] = json.loads(record.read_text(encoding="utf-8"))
    return known["command"] == shown(step.command)


def _run(step: Step, log: Path) -> dict[str, Any]:
    """Seconds and peak memory of a step: of its largest process, and of the GPUs while it runs."""
    python = {"trace-mm": (sys.executable, "-m", "trace_mm"), "python": (sys.executable,)}
    first, *rest = step.command
    start, memory = time.perf_counter(), GpuMemory()
    with log.open("wb") as output, memory:
        process = subprocess.Popen(
            [*python.get(first, (first,)), *rest],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.terminate()
            process.wait()
            raise
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0 or not step.makes.exists():
        raise RuntimeError(_failure(step, process.returncode, log))
    found = {
        "seconds": round(time.perf_counter() - start, 2),
        "peak_memory_bytes": usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
    }
    return found if memory.peak is None else {**found, "peak_gpu_bytes": memory.peak}


def _failure(step: Step, status: int, log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    said = "".join(f"\n    {line}" for line in lines[-TAIL:])
    what = f"exit status {status}" if status else f"it left no {step.makes}"
    return f"step {step.name}: {what}: {shown(step.command)}\n  {log} ends with:{said}"


class GpuMemory:
    """Within this context, the most memory that is taken on all NVIDIA GPUs together.

    Attributes:
        peak: bytes; None without such a GPU.
    """

    def __init__(self, interval: float = 2.0) -> None:
        self.peak: int | None = None
        self._program = shutil.which("nvidia-smi")
        self._interval, self._over = interval, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "GpuMemory":
        if self._program:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._program:
            self._thread.join()

    def _watch(self) -> None:
        command = [str(self._program), "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
        while not self._over.is_set():
            asked = subprocess.run(command, capture_output=True, text=True, check=False)
            used = [int(line) for line in asked.stdout.split() if line.isdigit()]
            if used:
                self.peak = max(self.peak or 0, sum(used) * 2**20)
            self._over.wait(self._interval)
