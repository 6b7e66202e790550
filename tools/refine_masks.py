"""Refine the masks that a config names, by its edge model, and write COCO instances.

The config is one of configs/uis, or like it: its dataset tells the images and masks, its model the
edges and the refinement.
"""

import sys
from pathlib import Path

from mmengine.registry import init_default_scope

from trace_mm.apis.refine_masks import refine_masks
from trace_mm.commands.arguments import named_device
from trace_mm.commands.command_line import Parser, run_command
from trace_mm.commands.config_arguments import add_edges_from
from trace_mm.commands.config_options import add_config_options
from trace_mm.commands.executors import add_run_arguments, run_options
from trace_mm.engine.runner_config import read_config, set_edges
from trace_mm.jobs.edge_sources import edge_source_of
from trace_mm.registry import TASK_UTILS


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__)
    parser.add_argument("config", help="config file")
    parser.add_argument("--out", required=True, metavar="FILE", help="COCO JSON file to write")
    parser.add_argument("--show-dir", metavar="DIR", help="write a picture of each image")
    parser.add_argument("--device", help="of the edge model (default: cuda if any)")
    parser.add_argument("--skip-bad", action="store_true", help="leave bad masks out")
    add_edges_from(parser)
    add_run_arguments(parser)
    add_config_options(parser, ", such as data_root=DIR or model.refiner.steps=64")
    return parser


def main() -> int:
    args = make_parser().parse_args()
    how = run_options(args)
    cfg = read_config(args.config, args.cfg_options)
    init_default_scope("trace_mm")
    if args.edges_from is not None:
        set_edges(cfg, {"type": "EdgesFrom", "source": args.edges_from})
    dataset = cfg.test_dataloader.dataset
    images = dataset.images
    root = Path(images.get("data_root", ""))
    if cfg.model.get("refiner") is None:
        raise ValueError(f"{args.config}: its model has no refiner")
    masks = dict(dataset.masks)
    summary = refine_masks(
        Path(dataset.get("data_root", "")) / masks.pop("path"),
        root / images.data_prefix.img_path,
        args.out,
        edge_source_of(cfg.model.edges, *named_device(args)),
        TASK_UTILS.build(cfg.model.refiner),
        scores=cfg.model.get("scores"),
        annotations=root / images.ann_file,
        show_dir=args.show_dir,
        **how,
        skip_bad=args.skip_bad,
        **masks,
    )
    return summary.report(args.out)


if __name__ == "__main__":
    sys.exit(run_command(main))
