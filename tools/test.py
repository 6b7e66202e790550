"""Score a config's model, or a folder of edge maps, on the config's benchmark.

Benchmarks are of edges, of masks, or of the panoptic maps of Mask2Former.
"""

import argparse
import sys
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

import trace_mm.registry  # noqa: F401 - mmengine would only warn if the package were missing
from trace_mm.commands.command_line import Parser, run_command
from trace_mm.commands.config_options import add_config_options
from trace_mm.engine import EdgeFolderHook
from trace_mm.engine.runner_config import (
    config_errors,
    read_config,
    set_launcher,
    set_trained_dtype,
    set_trained_student,
    set_work_dir,
)
from trace_mm.files import check_outputs
from trace_mm.runs.group import leave_group


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__)
    parser.add_argument("config", help="test config file")
    parser.add_argument("checkpoint", nargs="?", help="checkpoint file, for models that have one")
    parser.add_argument("--work-dir", help="folder for logs; default: work_dirs/<config name>")
    parser.add_argument(
        "--out",
        metavar="FILE",
        help="write all scores as JSON, of edges with the precision-recall curve, of panoptic maps "
        "with each category's counts",
    )
    parser.add_argument(
        "--show-dir",
        metavar="DIR",
        help="write each image with its edges drawn over it, its masks before and after "
        "refinement, or its panoptic map",
    )
    parser.add_argument(
        "--edges",
        metavar="DIR",
        help="take edges from this folder (<image stem>.png, .npz or .npy) instead of the model",
    )
    add_config_options(parser, ", such as data_root=DIR or model.sigma=1.5")
    parser.add_argument("--launcher", choices=["none", "pytorch", "slurm", "mpi"], default="none")
    parser.add_argument("--local_rank", "--local-rank", type=int, default=0, help=argparse.SUPPRESS)
    return parser


def build_config(args: argparse.Namespace) -> Config:
    """The config file with the command line's changes.

    Raises:
        FileNotFoundError: if the config or the checkpoint does not exist.
        ValueError: if an option does not fit the config's model.
    """
    cfg = read_config(args.config, args.cfg_options)
    set_work_dir(cfg, args.work_dir)
    if args.checkpoint is not None and not Path(args.checkpoint).is_file():
        raise FileNotFoundError(f"{args.checkpoint}: no such checkpoint")
    if not set_trained_student(cfg, args.checkpoint) and args.checkpoint is not None:
        cfg.load_from = args.checkpoint
        set_trained_dtype(cfg, args.checkpoint)
    if args.edges is not None:
        set_edge_folder(cfg, args.edges)
    if args.out is not None:
        if isinstance(cfg.test_evaluator, list):
            raise ValueError("--out is for configs with one test_evaluator, not a list of them")
        cfg.test_evaluator.out_file = args.out
    if args.show_dir is not None:
        set_show_dir(cfg, args.show_dir)
    set_launcher(cfg, args.launcher, args.local_rank)
    files, folders = read_by(cfg.test_dataloader.dataset)
    check_outputs(
        files=[args.out],
        folders=[args.show_dir],
        read=[args.checkpoint, *files],
        searched=[args.edges, *folders],
    )
    return cfg


def read_by(dataset: Config) -> tuple[list[Path], list[Path]]:
    """Files and folders that the config of a dataset names, with those of what it is made of."""
    root, files, folders = Path(dataset.get("data_root") or ""), [], []
    if dataset.get("ann_file"):
        files.append(root / dataset.ann_file)
    folders += [root / folder for folder in dict(dataset.get("data_prefix") or {}).values()]
    if "path" in dataset.get("masks", {}):
        files.append(root / dataset.masks.path)
    if "images" in dataset:
        more = read_by(dataset.images)
        files, folders = files + more[0], folders + more[1]
    return files, [folder for folder in folders if folder != root]


def set_edge_folder(cfg: Config, folder: str) -> None:
    """Take edges from a folder, instead of the model or the edge model of a mask refiner.

    Raises:
        ValueError: if the config's model has nothing to do with edges.
    """
    if cfg.get("default_scope") != "trace_mm":
        raise ValueError(f"--edges is for edge models and mask refinement, not {cfg.model.type}")
    edges = {"type": "EdgeFolder", "folder": folder}
    cfg.model = {**cfg.model, "edges": edges} if "edges" in cfg.model else edges


def set_show_dir(cfg: Config, folder: str) -> None:
    """Draw all results into a folder: panoptic maps of mmdet's models, or edges and masks."""
    hook = {"type": "EdgeVisualizationHook", "images": 0, "out_dir": folder}
    if cfg.get("default_scope") == "mmdet":
        hook = {"type": "trace_mm.PanopticVisualizationHook", "out_dir": folder}
    cfg.custom_hooks = [*cfg.get("custom_hooks", []), hook]


def format_table(scores: dict[str, float]) -> str:
    """Scores as two columns, names without the metric's prefix."""
    names = [name.rsplit("/", 1)[-1] for name in scores]
    width = max(map(len, names))
    return "\n".join(f"{n:<{width}}  {v:.4f}" for n, v in zip(names, scores.values(), strict=True))


def main() -> None:
    args = make_parser().parse_args()
    with config_errors(args.config):
        cfg = build_config(args)
        runner = RUNNERS.build(cfg) if "runner_type" in cfg else Runner.from_cfg(cfg)
    runner.register_hook(EdgeFolderHook())
    scores = runner.test()
    if runner.rank == 0:
        print(format_table(scores))


if __name__ == "__main__":
    status = run_command(main)
    leave_group(status)
    sys.exit(status)
