"""Make pseudo-panoptic labels as a config says: images, semantic maps, classes, model, labeler.

The config is one of configs/panoptic, or like it. On several GPUs or machines:
torchrun --nproc-per-node 4 tools/make_pseudo_panoptic.py ...
"""

import sys
from pathlib import Path

from mmengine.registry import init_default_scope

from trace_mm.apis.pseudo_panoptic import make_pseudo_panoptic
from trace_mm.commands.arguments import named_device
from trace_mm.commands.command_line import Parser, run_command
from trace_mm.commands.config_arguments import add_edges_from
from trace_mm.commands.config_options import add_config_options
from trace_mm.commands.executors import add_run_arguments, run_options
from trace_mm.engine.runner_config import read_config, set_edges
from trace_mm.jobs.edge_sources import edge_source_of
from trace_mm.panoptic import choose_classes
from trace_mm.registry import TASK_UTILS
from trace_mm.runs.group import note_once

_NEEDED = ("images", "semantic", "classes", "model", "labeler")
_READ = (*_NEEDED, "data_root", "annotations")


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__)
    parser.add_argument("config", help="config file")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder to write")
    parser.add_argument("--device", help="of the edge model (default: a GPU each process if any)")
    add_edges_from(parser)
    add_run_arguments(parser)
    add_config_options(parser, ", such as data_root=DIR or labeler.threshold=0.3")
    return parser


def main() -> int:
    args = make_parser().parse_args()
    how = run_options(args)
    cfg = read_config(args.config, args.cfg_options, _READ)
    missing = [name for name in _NEEDED if name not in cfg]
    if missing:
        raise ValueError(f"{args.config}: has no {missing[0]}")
    if args.edges_from is not None:
        set_edges(cfg, {"type": "EdgesFrom", "source": args.edges_from})
    init_default_scope("trace_mm")
    root = Path(cfg.get("data_root", ""))
    annotations = cfg.get("annotations")
    classes, remark = choose_classes(cfg.classes, root / cfg.semantic)
    note_once(remark)
    summary = make_pseudo_panoptic(
        root / cfg.images,
        root / cfg.semantic,
        classes,
        args.out,
        None if cfg.model is None else edge_source_of(cfg.model, *named_device(args)),
        TASK_UTILS.build(cfg.labeler),
        annotations=None if annotations is None else root / annotations,
        **how,
    )
    return summary.report(args.out)


if __name__ == "__main__":
    sys.exit(run_command(main))
