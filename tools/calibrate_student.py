"""Make a student's edges probabilities: an edge of 0.7 is then a border in 7 of 10 cases.

Looks at the student's edges of images with known borders, fits scale and offset of its logits, and
writes the student with them. Weights stay as they are. Take images that are in no test.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config

from trace_mm.commands.arguments import positive
from trace_mm.commands.command_line import EXIT_STATUS, Parser, run_command
from trace_mm.evaluation.calibration import edge_evidence, fit_calibration, reliability
from trace_mm.models import build_student, save_student
from trace_mm.registry import DATASETS
from trace_mm.runs.progress import watched


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=EXIT_STATUS,
    )
    parser.add_argument("student", help="a checkpoint, a folder of one, or a shipped name")
    parser.add_argument(
        "datasets",
        nargs="+",
        help="configs of images with true borders, whose val_dataloader is read; all count alike",
    )
    parser.add_argument("--data-root", nargs="+", help="one for each config that reads files")
    parser.add_argument("--limit", type=positive, metavar="N", help="the first N images of each")
    parser.add_argument("--out", type=Path, help="where to write the student (default: only print)")
    parser.add_argument("--tolerance", type=float, default=0.0075, help="of the image's diagonal")
    return parser


def main() -> int:
    """Fit, print what the edges say and what is true before and after, and write."""
    options = make_parser().parse_args()
    roots = options.data_root or [None] * len(options.datasets)
    if len(roots) != len(options.datasets):
        raise ValueError("--data-root needs one folder for each config ('-' for none)")
    student = build_student(options.student, merge=False)
    student.calibration = (1.0, 0.0)
    groups = [
        read_evidence(student, config, root, options.limit, options.tolerance)
        for config, root in zip(options.datasets, roots, strict=True)
    ]
    scale, offset = fit_calibration([values for values, _ in groups], [true for _, true in groups])
    for config, (values, true) in zip(options.datasets, groups, strict=True):
        print(f"\n{config}: {len(values)} edge pixels, {true.mean():.1%} of them borders")
        print_reliability("as it is", values, true)
        logits = np.log(values.clip(1e-6, 1 - 1e-6) / (1 - values.clip(1e-6, 1 - 1e-6)))
        print_reliability("calibrated", 1 / (1 + np.exp(-(scale * logits + offset))), true)
    print(f"\ncalibration: scale {scale:.4f}, offset {offset:.4f}")
    if options.out is not None:
        student.calibrate(scale, offset)
        print(f"wrote {save_student(student, options.out)}")
    return 0


def read_evidence(
    student: Any, config: str, root: str | None, limit: int | None, tolerance: float
) -> tuple[np.ndarray, np.ndarray]:
    """Values and truth of the edge pixels of a dataset's images, both (n,)."""
    settings = Config.fromfile(config).val_dataloader.dataset
    if root not in (None, "-"):
        settings.data_root = root
    dataset = DATASETS.build(settings)
    found = []
    for index in watched(range(min(len(dataset), limit or len(dataset)))):
        item = dataset[index]
        edges = student.predict([item["inputs"]])[0].pred_edges.numpy()
        found.append(edge_evidence(edges, item["data_samples"].gt_edges, tolerance))
    values, true = zip(*found, strict=True)
    return np.concatenate(values), np.concatenate(true)


def print_reliability(name: str, values: np.ndarray, true: np.ndarray) -> None:
    """A line a bin."""
    table = reliability(values, true)
    print(f"{name}: calibration error {table.error:.3f}")
    for said, share, count in zip(table.said, table.true, table.counts, strict=True):
        print(f"  says {said:.2f}  true {share:.2f}  ({count} pixels)")


if __name__ == "__main__":
    sys.exit(run_command(main))
