"""Kills ``trace-mm edges`` at random moments and compares what is left with an undisturbed run.

Runs the command on a folder of drawn scenes once undisturbed. Then it runs it into a second
folder, kills it with SIGKILL at random moments, again and again, lets it finish, and compares every
byte of the two folders.

    python tools/benchmark/kill_resume.py --images 200 --kills 20
"""

import argparse
import hashlib
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2

from trace_mm.commands.command_line import Parser, run_command
from trace_mm.datasets import render_scene

SCENE_SEED = 12
SIZES = ((64, 64), (64, 96), (96, 64), (48, 128))


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the kills")
    parser.add_argument("--work-dir", type=Path, default=Path("work_dirs/kill_resume"))
    parser.add_argument("--model", help="as of trace-mm edges; default: the shipped model")
    parser.add_argument(
        "--edges-option",
        action="append",
        default=[],
        metavar="OPTION",
        help="handed to trace-mm edges, such as --edges-option=--timestep=200; may be repeated",
    )
    return parser


def main() -> int:
    """Run the benchmark; the exit status is 0 if all bytes agree."""
    options = make_parser().parse_args()
    photos = options.work_dir / "images"
    plain, killed = options.work_dir / "undisturbed", options.work_dir / "killed"
    shutil.rmtree(options.work_dir, ignore_errors=True)
    write_images(photos, options.images)
    command = [sys.executable, "-m", "trace_mm.cli", "edges", str(photos), "--save", "png", "npz"]
    command += ["--model", options.model] if options.model else []
    command += options.edges_option

    start = time.perf_counter()
    subprocess.run([*command, "--out", str(plain)], check=True, stderr=subprocess.DEVNULL)
    seconds = time.perf_counter() - start
    print(f"undisturbed: {options.images} images in {seconds:.1f} s")
    rng = random.Random(options.seed)
    kills, half_written = kill_often([*command, "--out", str(killed)], killed, options, rng)
    subprocess.run([*command, "--out", str(killed)], check=True, stderr=subprocess.DEVNULL)

    expected, found = digests(plain), digests(killed)
    missing = sorted(expected.keys() - found.keys())
    extra = sorted(found.keys() - expected.keys())
    differing = sorted(name for name in expected.keys() & found if expected[name] != found[name])
    print(
        f"{kills} kills, of which {half_written} left a temporary file; {len(expected)} files "
        f"expected: {len(missing)} missing, {len(extra)} too many, {len(differing)} differ"
    )
    for name in (missing + extra + differing)[:20]:
        print(f"  {name}")
    return 1 if missing or extra or differing or kills < options.kills else 0


def write_images(folder: Path, count: int) -> None:
    """Scenes of several sizes, half of them in subfolders, as PNG and JPEG."""
    for index in range(count):
        image = render_scene(SCENE_SEED, index, SIZES[index % len(SIZES)]).image
        suffix = ".jpg" if index % 3 == 0 else ".png"
        path = folder / ("" if index % 2 else f"part{index % 5}") / f"scene_{index:04d}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), image[:, :, ::-1])


def kill_often(
    command: list[str], out: Path, options: argparse.Namespace, rng: random.Random
) -> tuple[int, int]:
    """Start the command and kill it, until it has been killed often enough or is done.

    Kill k waits until about k/kills of the images are done, and then for a random part of the time
    that an image takes, so that it falls into any step of the work. Every fifth comes at any time
    after the start instead, while the program still loads or checks what is there.

    Returns:
        The number of kills, and how many of them left a temporary file.
    """
    kills = half_written = 0
    startup = 5.0  # seconds until the first result; measured below
    pace = 0.1  # seconds an image
    for number in range(options.kills):
        before = finished(out)
        goal = max(before + 1, round((number + 0.7) * options.images / (options.kills + 1)))
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if number % 5 == 4:
            time.sleep(rng.uniform(0, 1.2 * startup))
        else:
            first = None
            while process.poll() is None and finished(out) < goal:
                if first is None and finished(out) > before:
                    first = time.perf_counter()
                    startup = first - started
                time.sleep(0.002)
            if first is not None:
                pace = (time.perf_counter() - first) / max(1, finished(out) - before - 1)
            time.sleep(rng.uniform(0, 2 * pace))
        process.send_signal(signal.SIGKILL)
        if process.wait() == -signal.SIGKILL:
            kills += 1
        half_written += any(out.rglob("*.trace-tmp"))
    return kills, half_written


def finished(out: Path) -> int:
    """How many images the manifest records as done."""
    path = out / "manifest.jsonl"
    return max(0, path.read_bytes().count(b"\n") - 1) if path.exists() else 0


def digests(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file below a folder, by its relative path."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


if __name__ == "__main__":
    sys.exit(run_command(main))
