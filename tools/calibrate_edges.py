"""Make edges probabilities: an edge of 0.7 is then a border in 7 of 10 cases.

Looks at edges of images with known borders, and fits scale and offset of their logits. A student is
written with them; its weights stay as they are. Of a folder of edge maps, by whatever detector, all
maps are written anew. Thresholds then mean the same for all. Take images that are in no test.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config

from trace_mm.commands.arguments import positive
from trace_mm.commands.command_line import EXIT_STATUS, Parser, run_command
from trace_mm.evaluation.calibrated_maps import Evidence, calibrate_maps, evidence_of, joined
from trace_mm.evaluation.calibration import calibrated, fit_calibration, reliability
from trace_mm.files import check_outputs
from trace_mm.models import EdgeFolder, build_student, save_student
from trace_mm.registry import DATASETS
from trace_mm.runs.progress import watched


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=EXIT_STATUS,
    )
    parser.add_argument(
        "edges", help="a student (a checkpoint, a folder of one, a shipped name) or edge maps"
    )
    parser.add_argument(
        "datasets",
        nargs="+",
        help="configs of images with true borders, whose val_dataloader is read; all count alike",
    )
    parser.add_argument("--data-root", nargs="+", help="one for each config; '-' for its own")
    parser.add_argument("--limit", type=positive, metavar="N", help="the first N images of each")
    shown = parser.add_argument_group("how the student is shown images from then on")
    shown.add_argument("--size", type=positive, metavar="N", help="at the area of N x N pixels")
    shown.add_argument("--max-enlargement", type=float, metavar="X", help="X times a side at most")
    shown.add_argument(
        "--key-cell",
        type=positive,
        metavar="N",
        help="layers that are not read attend to cells of N x N tokens: faster from 2 on",
    )
    parser.add_argument("--out", type=Path, help="folder to write (default: only print)")
    parser.add_argument("--tolerance", type=float, default=0.0075, help="of the image's diagonal")
    return parser


def main() -> int:
    """Fit, print what the edges say and what is true before and after, and write."""
    options = make_parser().parse_args()
    roots = options.data_root or ["-"] * len(options.datasets)
    if len(roots) != len(options.datasets):
        raise ValueError("--data-root needs one folder for each config ('-' for its own)")
    folder = Path(options.edges).expanduser()
    is_folder = folder.is_dir() and not any(folder.glob("*.safetensors"))
    if is_folder and options.out is not None:
        check_outputs(folders=[options.out], read=[folder])
    names = ("size", "max_enlargement", "key_cell")
    given = {name: getattr(options, name) for name in names}
    shown = {name: value for name, value in given.items() if value is not None}
    if is_folder and shown:
        option = next(iter(shown)).replace("_", "-")
        raise ValueError(f"{folder} holds edge maps: --{option} is for students")
    model: Any
    if is_folder:
        model = EdgeFolder(str(folder))
    else:
        model = build_student(options.edges, merge=False, **shown)
    model.calibration = (1.0, 0.0)  # from what it says by itself
    groups = [
        read_evidence(model, config, root, options.limit, options.tolerance)
        for config, root in zip(options.datasets, roots, strict=True)
    ]
    scale, offset = fit_calibration([values for values, _ in groups], [true for _, true in groups])
    for config, (values, true) in zip(options.datasets, groups, strict=True):
        print(f"\n{config}: {len(values)} edge pixels, {true.mean():.1%} of them borders")
        print_reliability("as it is", values, true)
        print_reliability("calibrated", calibrated(values, scale, offset), true)
    print(f"\ncalibration: scale {scale:.4f}, offset {offset:.4f}")
    if options.out is not None and is_folder:
        print(f"wrote {calibrate_maps(model.maps.folder, options.out, scale, offset)} maps")
    elif options.out is not None:
        model.calibrate(scale, offset)
        print(f"wrote {save_student(model, options.out)}")
    return 0


def read_evidence(
    model: Any, config: str, root: str, limit: int | None, tolerance: float
) -> Evidence:
    """Values and truth of the edge pixels of a dataset's images, both (n,)."""
    settings = Config.fromfile(config).val_dataloader.dataset
    if root != "-":
        settings.data_root = root
    dataset = DATASETS.build(settings)
    indices = range(min(len(dataset), limit or len(dataset)))
    return joined(evidence_of(model, dataset[index], tolerance) for index in watched(indices))


def print_reliability(name: str, values: np.ndarray, true: np.ndarray) -> None:
    """A line a bin."""
    table = reliability(values, true)
    print(f"{name}: calibration error {table.error:.3f}")
    for said, share, count in zip(table.said, table.true, table.counts, strict=True):
        print(f"  says {said:.2f}  true {share:.2f}  ({count} pixels)")


if __name__ == "__main__":
    sys.exit(run_command(main))
