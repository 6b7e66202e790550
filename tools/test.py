"""Score a config's model, or a folder of edge maps, on the config's benchmark."""

import argparse
from pathlib import Path
from typing import Any

from mmengine.config import Config, DictAction
from mmengine.runner import Runner

import trace_mm.registry  # noqa: F401 - mmengine would only warn if the package were missing


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", help="test config file")
    parser.add_argument("checkpoint", nargs="?", help="checkpoint file, for models that have one")
    parser.add_argument("--work-dir", help="folder for logs; default: work_dirs/<config name>")
    parser.add_argument(
        "--out", metavar="FILE", help="write all scores and the precision-recall curve as JSON"
    )
    parser.add_argument(
        "--edges",
        metavar="DIR",
        help="score this folder of edge maps (<image stem>.png, .npz or .npy) instead of the model",
    )
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action=DictAction,
        default={},
        metavar="KEY=VALUE",
        help="override settings of the config, such as data_root=DIR or model.sigma=1.5",
    )
    parser.add_argument("--launcher", choices=["none", "pytorch", "slurm", "mpi"], default="none")
    parser.add_argument("--local_rank", "--local-rank", type=int, default=0, help=argparse.SUPPRESS)
    return parser.parse_args()


def build_config(args: argparse.Namespace) -> Config:
    """The config file with the command line's changes.

    Raises:
        FileNotFoundError: if the config or the checkpoint does not exist.
    """
    cfg = Config.fromfile(args.config)
    data_root = cfg.get("data_root")
    cfg.merge_from_dict(args.cfg_options)
    if "data_root" in args.cfg_options:
        # The dataset got the value of the variable when the file was read.
        replace_data_root(cfg.test_dataloader, data_root, args.cfg_options["data_root"])
    cfg.launcher = args.launcher
    cfg.work_dir = args.work_dir or cfg.get("work_dir") or f"work_dirs/{Path(args.config).stem}"
    if args.checkpoint is not None:
        if not Path(args.checkpoint).is_file():
            raise FileNotFoundError(f"{args.checkpoint}: no such checkpoint")
        cfg.load_from = args.checkpoint
    if args.edges is not None:
        cfg.model = {"type": "EdgeFolder", "folder": args.edges}
    if args.out is not None:
        cfg.test_evaluator.out_file = args.out
    return cfg


def replace_data_root(settings: Any, old: str | None, new: str) -> None:
    """Set ``data_root`` to ``new`` wherever it is ``old``, at any depth."""
    if isinstance(settings, dict):
        if "data_root" in settings and settings["data_root"] == old:
            settings["data_root"] = new
        for value in settings.values():
            replace_data_root(value, old, new)
    elif isinstance(settings, (list, tuple)):
        for value in settings:
            replace_data_root(value, old, new)


def format_table(scores: dict[str, float]) -> str:
    """Scores as two columns, names without the metric's prefix."""
    names = [name.rsplit("/", 1)[-1] for name in scores]
    width = max(map(len, names))
    return "\n".join(f"{n:<{width}}  {v:.4f}" for n, v in zip(names, scores.values(), strict=True))


def main() -> None:
    cfg = build_config(parse_args())
    runner = Runner.from_cfg(cfg)
    scores = runner.test()
    if runner.rank == 0:
        print(format_table(scores))


if __name__ == "__main__":
    main()
