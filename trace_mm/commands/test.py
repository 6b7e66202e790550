"""``trace-mm test``: score a config's model."""

import argparse
from typing import Any

from trace_mm.commands.config_arguments import add_config, add_edges_from, add_launch, launcher


def add_subcommand(commands: Any) -> None:
    """Add it to an argument parser's subparsers."""
    test = commands.add_parser(
        "test",
        help="score a model on a config's benchmark",
        description="Score a config's model, or a folder of edge maps, on the config's benchmark. "
        "Benchmarks are of edges, of masks, or of the panoptic maps of Mask2Former.",
        epilog="In several processes: torchrun --nproc-per-node N -m trace_mm test CONFIG ...",
    )
    add_config(test)
    test.add_argument("checkpoint", nargs="?", help="checkpoint file, for models that have one")
    test.add_argument(
        "--work-dir", metavar="DIR", help="folder for logs (default: work_dirs/<config name>)"
    )
    test.add_argument(
        "--out",
        metavar="FILE",
        help="write all scores as JSON, of edges with the precision-recall curve, of panoptic maps "
        "with each category's counts",
    )
    test.add_argument(
        "--show-dir",
        metavar="DIR",
        help="write each image with its edges drawn over it, its masks before and after "
        "refinement, or its panoptic map",
    )
    test.add_argument(
        "--edges",
        metavar="DIR",
        help="take edges from this folder (<image stem>.png, .npz or .npy) instead of the model",
    )
    add_edges_from(test)
    add_launch(test, "data_root=DIR or model.sigma=1.5")
    test.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from trace_mm.apis.testing import score_model, testing_config
    from trace_mm.evaluation.score_table import scores_table
    from trace_mm.runs.spawned import keep_freed_memory

    keep_freed_memory()
    cfg = testing_config(
        arguments.config,
        arguments.cfg_options,
        arguments.checkpoint,
        work_dir=arguments.work_dir,
        out=arguments.out,
        show_dir=arguments.show_dir,
        edges=arguments.edges,
        edges_from=arguments.edges_from,
        launcher=launcher(arguments),
        local_rank=arguments.local_rank,
    )
    scores = score_model(cfg)
    if scores is not None:
        print(scores_table(scores))
    return 0
