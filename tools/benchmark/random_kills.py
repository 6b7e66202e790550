"""Kills runs at random moments, and compares what they end with to undisturbed runs.

Every job with every executor: a run is started, it or one of its workers is killed by SIGKILL at a
random moment, and if it was the run it is started again, until it ends. Then every byte that it has
written is compared. A kill falls on the process that was started, on one of its workers, or on all
of its processes at once.

    python tools/benchmark/random_kills.py --kills 1000
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from trace_mm.commands.command_line import Parser, run_command
from trace_mm.datasets import render_scene

ROOT = Path(__file__).parents[2]
SCENE_SEED = 12
SIZES = ((64, 64), (64, 96), (96, 64), (48, 128))
JOBS = ("edges", "segment", "refine", "panoptic", "pseudo-edges", "masks")
EXECUTORS = ("process", "workers", "torchrun", "ray")
NOT_RESULTS = (".trace-mm.lock",)
PATIENCE = 60.0  # seconds that processes are given to end
MOST_KILLS = 25  # of one run, which then may end
GAVE_UP = "die one after another"  # said by a run whose workers all died; it is started again


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=60)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the kills")
    parser.add_argument("--jobs", nargs="+", choices=JOBS, default=JOBS)
    parser.add_argument("--executors", nargs="+", choices=EXECUTORS, default=EXECUTORS[:3])
    parser.add_argument(
        "--ray-address", help="HOST:PORT of a cluster for ray alone: workers of all clusters die"
    )
    parser.add_argument("--work-dir", type=Path, default=Path("work_dirs/random_kills"))
    return parser


def main() -> int:
    """Run the benchmark; the exit status is 0 if all bytes agree."""
    options = make_parser().parse_args()
    if "ray" in options.executors and options.ray_address is None:
        raise ValueError("ray needs --ray-address: a cluster that is found may be another's")
    data = options.work_dir / "data"
    shutil.rmtree(options.work_dir, ignore_errors=True)
    write_inputs(data, options.images)
    rng, total, wrong = random.Random(options.seed), Counter[str](), 0
    expected: dict[str, tuple[dict[str, str], float]] = {}
    for job in options.jobs:
        out = options.work_dir / f"undisturbed-{job}"
        start = time.perf_counter()
        subprocess.run(command(job, "process", data, out, options), check=True, **quiet())
        expected[job] = digests(out), time.perf_counter() - start
    runs = 0
    while total.total() < options.kills:
        job, executor = rng.choice(options.jobs), rng.choice(options.executors)
        out = options.work_dir / "disturbed"
        shutil.rmtree(out, ignore_errors=True)
        started = command(job, executor, data, out, options)
        kills, failure = run_disturbed(started, expected[job][1], rng)
        total += kills
        runs += 1
        differing = compare(expected[job][0], digests(out))
        wrong += bool(differing or failure)
        line = {"job": job, "executor": executor, "kills": kills, "differing": differing[:5]}
        print(json.dumps({**line, "failure": failure[-500:], "sum": total.total()}), flush=True)
        if differing or failure:
            shutil.copytree(out, options.work_dir / f"wrong-{runs}", dirs_exist_ok=True)
    print(f"{total.total()} kills ({dict(total)}) of {runs} runs: {wrong} runs went wrong")
    return 1 if wrong else 0


def write_inputs(data: Path, count: int) -> None:
    """Scenes of several sizes with masks, semantic maps and edges, and the configs of jobs."""
    images, annotations = [], []
    for index in range(count):
        scene = render_scene(SCENE_SEED, index, SIZES[index % len(SIZES)])
        name = f"{'' if index % 2 else f'part{index % 5}/'}scene_{index:04d}.png"
        for folder in ("images", "semantic"):
            (data / folder / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(data / "images" / name), scene.image[:, :, ::-1])
        cv2.imwrite(str(data / "semantic" / name), (scene.instance_ids == 0).astype(np.uint8))
        height, width = scene.instance_ids.shape
        images.append({"id": index, "file_name": name, "height": height, "width": width})
        mask = (scene.instance_ids > 0).astype(np.uint8)
        outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        for outline in outlines:
            polygon = outline.reshape(-1).tolist()
            if len(polygon) >= 6:
                entry = {"image_id": index, "category_id": 1, "segmentation": [polygon]}
                box = list(map(int, cv2.boundingRect(outline)))
                entry |= {"bbox": box, "area": float(cv2.contourArea(outline)), "iscrowd": 0}
                annotations.append({"id": len(annotations) + 1, **entry})
    content = {"images": images, "annotations": annotations}
    content["categories"] = [{"id": 1, "name": "object"}]
    (data / "masks.json").write_text(json.dumps(content))
    (data / "sobel.py").write_text("model = dict(type='SobelDetector')\n")
    (data / "classes.json").write_text(
        json.dumps({"thing_classes": ["object"], "stuff_classes": ["background"]})
    )
    (data / "cache.py").write_text(
        "train_dataloader = dict(dataset=dict(type='UnlabelledImageDataset', size=64,\n"
        f"    source=dict(type='ImageFolder', data_root={str((data / 'images').resolve())!r}),\n"
        "    pseudo_edges=dict(folder='', teacher=dict(type='SobelDetector'))))\n"
    )


def command(
    job: str, executor: str, data: Path, out: Path, options: argparse.Namespace
) -> list[str]:
    """The command line of a job."""
    images, model = str(data / "images"), str(data / "sobel.py")
    program, arguments = ["-m", "trace_mm"], []
    if job == "edges":
        arguments = ["edges", images, "--out", str(out), "--save", "png", "npz", "overlay"]
        arguments += ["--model", model]
    elif job == "segment":
        arguments = ["segment", images, "--out", str(out), "--model", model]
    elif job == "refine":
        arguments = ["refine", "--masks", str(data / "masks.json"), "--images", images]
        arguments += ["--out", str(out / "refined.json"), "--show-dir", str(out / "pictures")]
        arguments += ["--model", model]
    elif job == "panoptic":
        arguments = ["panoptic", "--images", images, "--semantic", str(data / "semantic")]
        arguments += ["--classes", str(data / "classes.json"), "--out", str(out)]
        arguments += ["--model", model]
    elif job == "pseudo-edges":
        program = [str(ROOT / "tools/cache_pseudo_edges.py")]
        arguments = [str(data / "cache.py"), "--cfg-options"]
        arguments += [f"train_dataloader.dataset.pseudo_edges.folder={out}"]
    else:
        program = [str(ROOT / "projects/mask_generators/generate.py")]
        arguments = ["tokencut", images, "--out", str(out / "masks.json")]
        arguments += ["--backbone", "trace-tiny", "--size", "64"]
    chosen = {
        "workers": ["--workers", "2"],
        "ray": ["--executor", "ray", "--workers", "2", "--ray-address", options.ray_address],
    }.get(executor, [])
    if job == "pseudo-edges":  # what follows --cfg-options would be one
        arguments = [arguments[0], *chosen, *arguments[1:]]
    else:
        arguments += chosen
    launcher = []
    if executor == "torchrun":
        launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
        program = ["-m", "trace_mm"] if program[0] == "-m" else program
    return [sys.executable, *launcher, *program, *arguments]


def quiet() -> dict[str, object]:
    """How processes are started: with one thread each, without output."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return {"env": environment, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def run_disturbed(
    started: list[str], seconds: float, rng: random.Random
) -> tuple["Counter[str]", str]:
    """Run a command to its end, whatever is killed meanwhile.

    Args:
        started: the command.
        seconds: that it takes undisturbed.
        rng: chooses moments and victims.

    Returns:
        How often what was killed; and what the command said if it ended with an error.
    """
    kills = Counter[str]()
    while True:
        workers_before = kills["worker"]
        with tempfile.TemporaryFile() as said:  # a pipe would be kept open by what outlives it
            process = subprocess.Popen(
                started, start_new_session=True, **{**quiet(), "stderr": said}
            )
            was_killed = kill_at_random(process, seconds, rng, kills)
            process.wait()
            said.seek(0)
            text = said.read().decode(errors="replace")
        if "torch.distributed.run" in started:
            end_ranks(started)
            # A launcher ends with an error where one of its ranks was killed.
            was_killed |= process.returncode != 0 and bool(kills)
        was_killed |= GAVE_UP in text and kills["worker"] > workers_before
        if not was_killed:
            return kills, "" if process.returncode == 0 else text or f"exit {process.returncode}"
        wait_for_orphans(process.pid)


def kill_at_random(
    process: "subprocess.Popen[bytes]", seconds: float, rng: random.Random, kills: "Counter[str]"
) -> bool:
    """Kill a run and its workers at random moments, until it ends; whether itself was killed."""
    while kills.total() < MOST_KILLS:
        with suppress(subprocess.TimeoutExpired):
            process.wait(rng.uniform(0.05, 0.6 * seconds))
            return False
        target = rng.choice(["process", "worker", "worker", "all"])
        workers = workers_of(process.pid)
        if target == "worker" and not workers:
            continue
        with suppress(ProcessLookupError):
            if target == "worker":
                os.kill(rng.choice(workers), signal.SIGKILL)
            elif target == "process":
                process.kill()
            else:
                os.killpg(process.pid, signal.SIGKILL)
            kills[target] += 1
        if target != "worker":
            return True
    return False


@dataclass(frozen=True)
class Process:
    """A process of this machine, as ``/proc`` tells of it."""

    number: int
    parent: int
    session: int
    ended: bool
    command: str


def processes() -> list[Process]:
    """All that there are."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError, IndexError):
            state, parent, _, session = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
            command = (entry / "cmdline").read_text()
            found.append(Process(int(entry.name), int(parent), int(session), state == "Z", command))
    return [one for one in found if "resource_tracker" not in one.command]


def workers_of(process: int) -> list[int]:
    """Processes that work for another: spawned ones, ranks, and actors of Ray."""
    listed = processes()
    parents = {one.number: one.parent for one in listed}

    def is_below(number: int) -> bool:
        while number in parents and parents[number] != process:
            number = parents[number]
        return number in parents

    return [
        one.number
        for one in listed
        if not one.ended and (is_below(one.number) or one.command.startswith("ray::RayWorker"))
    ]


def end_ranks(started: list[str]) -> None:
    """End the ranks that a killed launcher has left behind, as a cluster's manager would."""
    own = "\0".join(started[-6:])
    for one in processes():
        if own in one.command:
            with suppress(ProcessLookupError):
                os.kill(one.number, signal.SIGKILL)


def wait_for_orphans(session: int) -> None:
    """Wait until what a killed process has left behind has ended, as it must."""
    deadline = time.monotonic() + PATIENCE
    while left := [one for one in processes() if one.session == session and not one.ended]:
        if time.monotonic() > deadline:
            raise RuntimeError(f"processes outlive the one that started them: {left}")
        time.sleep(0.05)


def digests(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file below a folder, by its relative path."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in NOT_RESULTS
    }


def compare(expected: dict[str, str], found: dict[str, str]) -> list[str]:
    """What differs, in words."""
    missing = [f"missing: {name}" for name in sorted(expected.keys() - found.keys())]
    extra = [f"too many: {name}" for name in sorted(found.keys() - expected.keys())]
    differing = [
        f"differs: {name}"
        for name in sorted(expected.keys() & found.keys())
        if expected[name] != found[name]
    ]
    return missing + extra + differing


if __name__ == "__main__":
    sys.exit(run_command(main))
