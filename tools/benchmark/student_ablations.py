"""Train small students that differ in one thing each, and compare their edges (Tables 9, 10).

Each is trained and tested by ``tools/train.py`` and ``tools/test.py`` with a config that is written
beside its results. The students see scenes at 128 pixels for a few minutes: enough to compare, far
from what a full training reaches. The teacher's edges must be cached before, by
``tools/cache_pseudo_edges.py`` with the base config. Can be killed and run again: it goes on.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from mmengine.config import Config

from trace_mm.commands.command_line import Parser, run_command

TOOLS = Path(__file__).parents[1]
BASE = "trace_trace-tiny_lora64_scenes.py"

GRID_FREE = {"type": "GridFreeDecoder", "latent_channels": 8, "upsampling": 4}
CASES: dict[str, dict[str, Any]] = {
    "base": {},
    "labels mu": {"pseudo_label": "mu"},
    "labels mu_sigma": {"pseudo_label": "mu_sigma"},
    "labels mu_sigma_median": {"pseudo_label": "mu_sigma_median"},
    "decoder conv": {"decoder": {"type": "ConvDecoder", "tokens": 32 * 32}},
    "decoder grid-free without latents": {"decoder": {**GRID_FREE, "latent_channels": 0}},
    "decoder unet": {"decoder": {**GRID_FREE, "type": "UNetDecoder"}},
    "decoder mask2former-style": {"decoder": {**GRID_FREE, "type": "Mask2FormerStyleDecoder"}},
    "LoRA none": {"lora": None},
    "LoRA rank 4": {"lora": {"rank": 4}},
    "LoRA rank 16": {"lora": {"rank": 16}},
    "all layers that the teacher reads": {"backbone": {"pretrained": "trace-tiny"}},
    "reconstruction of the output": {"reconstruction": "output"},
    "reconstruction of the output, weight 1": {
        "reconstruction": "output",
        "reconstruction_weight": 1.0,
    },
    "reconstruction of pixels": {"reconstruction": "pixel", "reconstruction_weight": 1.0},
    "recursion": {"teacher": {"checkpoint": "trace-tiny"}},
}
"""What differs from the base, by name: options of ``TraceStudent``.

A teacher named here is the config's student with these options: with the shipped checkpoint,
a student learns from its predecessor.
"""


def case_config(options: argparse.Namespace, case: dict[str, Any]) -> Config:
    """The base config, made small, with one thing changed."""
    cfg = Config.fromfile(options.config)
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.num_workers, loader.persistent_workers = 0, False
    cfg.train_dataloader.dataset.source.length = options.images
    cfg.train_dataloader.dataset.pseudo_edges.folder = str(options.cache)
    model = cfg.model
    if "teacher" in case:
        case = {**case, "teacher": {**model.to_dict(), **case["teacher"]}}
        cfg.train_dataloader.dataset.pseudo_edges = None  # made during training instead
    model.size, model.decoder = 128, dict(GRID_FREE)
    targets = model.lora.pop("targets")
    for name, value in case.items():
        model[name] = value
    if model.lora is not None and model.reconstruction is None:
        model.lora = {**model.lora, "targets": targets}
    steps = options.iterations
    cfg.train_cfg.update(max_iters=steps, val_interval=steps)
    warm_up, decay = cfg.param_scheduler
    warm_up.end = decay.begin = steps // 20
    decay.end = steps
    cfg.default_hooks.checkpoint.interval = steps
    cfg.custom_hooks[-1].iterations = steps // 2
    # Validation scenes: what is chosen by this table must not be chosen on the test scenes.
    cfg.test_dataloader.dataset.update(start=2000, length=options.test_images)
    cfg.test_evaluator.update(workers=1, tolerances=[0.015])
    cfg.val_dataloader.dataset.length = 2
    return cfg


def run(*command: str | Path) -> None:
    """Run one of the tools.

    Raises:
        RuntimeError: if it fails, with the end of what it said.
    """
    done = subprocess.run(
        [sys.executable, *map(str, command)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {done.stderr[-2000:]}")


def scores_of(options: argparse.Namespace, name: str) -> dict[str, Any]:
    """Train and test one student, unless its scores are there."""
    folder = options.out / name.replace(" ", "_")
    scores = folder / "scores.json"
    if not scores.exists():
        folder.mkdir(parents=True, exist_ok=True)
        config, part = folder / "config.py", folder / "scores.part.json"
        case_config(options, CASES[name]).dump(str(config))
        run(TOOLS / "train.py", config, "--work-dir", folder, "--resume")
        checkpoint = folder / f"iter_{options.iterations}.pth"
        run(TOOLS / "test.py", config, checkpoint, "--work-dir", folder, "--out", part)
        part.replace(scores)
    found: dict[str, Any] = json.loads(scores.read_text())
    return found


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__)
    parser.add_argument("--config", type=Path, default=TOOLS.parent / "configs" / "trace" / BASE)
    parser.add_argument("--cache", type=Path, default=Path("data/pseudo_edges"))
    parser.add_argument("--out", type=Path, default=Path("work_dirs/ablations"))
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES), metavar="CASE")
    parser.add_argument("--images", type=int, default=400, help="to train on")
    parser.add_argument("--test-images", type=int, default=60)
    parser.add_argument(
        "--iterations", type=int, default=1200, help="images a student sees, a multiple of 40"
    )
    return parser


def main() -> None:
    options = make_parser().parse_args()
    if options.iterations < 40 or options.iterations % 40:
        raise ValueError("--iterations must be a multiple of 40")
    print("| student | ODS | OIS | precision | recall | clDice | ODS at tolerance 0.015 |")
    print("|---|---|---|---|---|---|---|")
    for name in options.cases:
        scores = scores_of(options, name)
        wide = scores["ods_by_tolerance"].get("0.015", float("nan"))
        shown = [scores[key] for key in ("ods", "ois", "precision", "recall", "cldice")]
        print(f"| {name} | " + " | ".join(f"{value:.3f}" for value in [*shown, wide]) + " |")
        sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(run_command(main))
