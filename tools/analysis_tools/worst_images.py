"""Draw the images on which a detector is worst, with its edges, a rival's, and the true ones.

Images are ranked by their F-measure at the threshold that suits each best, the worst first.
"""

import sys
from pathlib import Path

import numpy as np

from trace_mm.commands.arguments import positive
from trace_mm.commands.command_line import Parser, run_command
from trace_mm.commands.config_options import add_config_options
from trace_mm.engine.runner_config import read_config
from trace_mm.evaluation import evaluate_edges
from trace_mm.models import EdgeFolder
from trace_mm.registry import DATASETS
from trace_mm.runs.progress import watched
from trace_mm.visualization.image_plots import EdgeComparison, plot_edge_comparison
from trace_mm.visualization.plot_style import check_figure, save_figure


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__)
    parser.add_argument("config", help="of images with true edges: its test_dataloader is read")
    parser.add_argument("edges", metavar="DIR", help="edge maps of the detector")
    parser.add_argument("rival", metavar="RIVAL", help="those of another one, to see beside them")
    parser.add_argument("--names", nargs=2, default=["edges", "rival"], help="of the two")
    parser.add_argument("--count", type=positive, default=20, metavar="N", help="(default: 20)")
    parser.add_argument("--out", required=True, help="figure to write: .png, .svg or .pdf")
    add_config_options(parser)
    return parser


def main() -> None:
    options = make_parser().parse_args()
    check_figure(options.out, searched=[options.edges, options.rival])
    dataset = DATASETS.build(
        read_config(options.config, options.cfg_options).test_dataloader.dataset
    )
    detector, rival = EdgeFolder(options.edges), EdgeFolder(options.rival)
    maps, targets = [], []
    for index in watched(range(len(dataset))):
        item = dataset[index]
        maps.append(read_edges(detector, item))
        targets.append(item["data_samples"].gt_edges)
    scores = evaluate_edges(maps, targets)
    print(f"ODS {scores.ods:.3f} at threshold {scores.threshold:.2f}, OIS {scores.ois:.3f}")
    rows = []
    for index in np.argsort(scores.image_f, kind="stable")[: options.count]:
        item = dataset[int(index)]
        name = Path(str(item["data_samples"].get("img_path", index))).name
        print(f"{name}: F {scores.image_f[index]:.3f}")
        rows.append(
            EdgeComparison(
                item["inputs"].permute(1, 2, 0).numpy(),
                maps[index],
                read_edges(rival, item),
                targets[index].mean(axis=0, dtype=np.float32),
            )
        )
    names = options.names[0], options.names[1]
    print(save_figure(plot_edge_comparison(rows, names), options.out))


def read_edges(folder: EdgeFolder, item: dict) -> np.ndarray:
    """The edges (H, W) of a dataset's image."""
    edges: np.ndarray = folder([item["inputs"]], [item["data_samples"]])[0].pred_edges.numpy()
    return edges


if __name__ == "__main__":
    sys.exit(run_command(main))
