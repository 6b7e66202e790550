"""Compute the teacher's edges of a config's training images once, before training.

Run it again after an interruption: it goes on where it stopped. Several processes may fill one
cache at the same time; torchrun and srun share the images out between theirs.
"""

import argparse
import os
import sys
from typing import Any

import torch
from mmengine.config import Config, DictAction

from trace_mm.apis.pseudo_edges import describe_summary, fill_pseudo_edges
from trace_mm.apis.runner_config import read_config
from trace_mm.registry import DATASETS, MODELS
from trace_mm.structures import EdgeDataSample

SOME_UNREADABLE = 1


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="exit status: 0 all done, 1 some images cannot be read; they are named",
    )
    parser.add_argument("config", help="training config file")
    parser.add_argument(
        "--device", help="such as cuda:1; default: a GPU for each process, else the CPU"
    )
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action=DictAction,
        default={},
        metavar="KEY=VALUE",
        help="override settings of the config; give the same to tools/train.py",
    )
    return parser.parse_args()


def process_place() -> tuple[int, int, int]:
    """Rank, number of processes, and rank on this machine, as torchrun or srun tell them."""
    for names in (
        ("RANK", "WORLD_SIZE", "LOCAL_RANK"),
        ("SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID"),
    ):
        if all(name in os.environ for name in names):
            rank, size, local_rank = (int(os.environ[name]) for name in names)
            return rank, size, local_rank
    return 0, 1, 0


def build_teacher(config: dict[str, Any], device: str) -> torch.nn.Module:
    """The model that makes the edges, ready to predict."""
    teacher = MODELS.build(config)
    # Reads the checkpoint that an init_cfg names. Without one, it only logs every weight.
    if any(getattr(module, "init_cfg", None) for module in teacher.modules()):
        teacher.init_weights()
    return teacher.to(device).eval()


def build_dataset(cfg: Config) -> Any:
    """The config's training images.

    Raises:
        ValueError: if the config has no cache to fill.
    """
    dataset = cfg.get("train_dataloader", {}).get("dataset", {})
    if not dataset.get("pseudo_edges"):
        raise ValueError(
            f"{cfg.filename}: train_dataloader.dataset has no pseudo_edges=dict(folder=..., "
            f"teacher=...), so that there is no cache to fill"
        )
    return DATASETS.build(dataset)


def main() -> int:
    args = parse_args()
    dataset = build_dataset(read_config(args.config, args.cfg_options))
    rank, world_size, local_rank = process_place()
    if args.device is None:
        count = torch.cuda.device_count()
        args.device = f"cuda:{local_rank % count}" if count else "cpu"
    teacher = build_teacher(dataset.pseudo_edges.teacher, args.device)

    @torch.no_grad()
    def predict(image: torch.Tensor) -> torch.Tensor:
        batch = {"inputs": [image], "data_samples": [EdgeDataSample()]}
        return teacher.test_step(batch)[0].pred_edges

    summary = fill_pseudo_edges(dataset, predict, rank=rank, world_size=world_size)
    print(describe_summary(summary, dataset.pseudo_edges))
    return SOME_UNREADABLE if summary.unreadable else 0


if __name__ == "__main__":
    sys.exit(main())
