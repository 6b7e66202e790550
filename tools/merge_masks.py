"""Write what a detector learns from in its next round: its own sure masks, and old ones beside.

Of the old masks those stay that no sure one overlaps (CutLER, Wang et al., CVPR 2023). The masks of
the training images are written by: python tools/test.py CONFIG CHECKPOINT --out PREDICTIONS
--cfg-options test_set=train images=DIR labels=LABELS
"""

import sys
from pathlib import Path

from trace_mm.commands.arguments import share
from trace_mm.commands.command_line import Parser, run_command
from trace_mm.jobs.self_training import merge_label_files


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__)
    parser.add_argument("labels", type=Path, metavar="LABELS", help="COCO file of the old masks")
    parser.add_argument(
        "predictions",
        type=Path,
        metavar="PREDICTIONS",
        help="the detector's masks of the same images, with scores: a COCO file or list of results",
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="COCO file to write"
    )
    parser.add_argument(
        "--min-score",
        type=share,
        default=0.7,
        metavar="X",
        help="predictions of lower scores are left out (default: %(default)s)",
    )
    parser.add_argument(
        "--max-overlap",
        type=share,
        default=0.5,
        metavar="X",
        help="an old mask goes if a prediction that is kept has this IoU with it, or more "
        "(default: %(default)s)",
    )
    return parser


def main() -> None:
    options = make_parser().parse_args()
    merged = merge_label_files(
        options.labels, options.predictions, options.out, options.min_score, options.max_overlap
    )
    print(f"{options.out}: {merged.describe()}")


if __name__ == "__main__":
    sys.exit(run_command(main))
