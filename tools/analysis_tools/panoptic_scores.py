"""Score one COCO panoptic dataset against another: PQ, SQ and RQ of pseudo labels or predictions.

``trace-mm score PREDICTED.json TRUTH.json`` for those who run tools from a checkout. Images are
matched by the stem of their file name, categories by name. PNGs are looked for in the folder
"panoptic" beside each JSON file, or in that of the file's name without suffix.
"""

import sys

from trace_mm.apis.score_files import score_files
from trace_mm.commands.command_line import Parser, run_command
from trace_mm.files import check_outputs


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__)
    parser.add_argument("truth", metavar="TRUTH.json", help="ground truth")
    parser.add_argument("predicted", metavar="PREDICTED.json", help="labels or predictions")
    parser.add_argument("--truth-folder", metavar="DIR", help="PNGs of the ground truth")
    parser.add_argument("--predicted-folder", metavar="DIR", help="PNGs of what is scored")
    parser.add_argument("--partial", action="store_true", help="score only images that both have")
    parser.add_argument("--by-category", action="store_true", help="a line for each category too")
    parser.add_argument("--workers", type=int, default=0, help="processes; 0 means this one")
    parser.add_argument("--out", metavar="FILE", help="JSON file for all scores and counts")
    return parser


def main() -> None:
    options = make_parser().parse_args()
    folders = (options.truth_folder, options.predicted_folder)
    check_outputs(files=[options.out], read=(options.truth, options.predicted, *folders))
    scores = score_files(
        options.predicted,
        options.truth,
        partial=options.partial,
        progress=True,
        by_category=options.by_category,
        workers=options.workers,
        truth_folder=options.truth_folder,
        result_folder=options.predicted_folder,
    )
    scores.report(options.out)


if __name__ == "__main__":
    sys.exit(run_command(main))
