"""Score one COCO panoptic dataset against another: PQ, SQ and RQ of pseudo labels or predictions.

Images are matched by the stem of their file name, categories by name. PNGs are looked for in the
folder "panoptic" beside each JSON file, or in that of the file's name without suffix.
"""

import json
import sys
from pathlib import Path

from trace_mm.commands.command_line import Parser, run_command
from trace_mm.evaluation import score_panoptic_files
from trace_mm.evaluation.panoptic_table import panoptic_table, scores_as_json
from trace_mm.files import check_outputs, write_atomically
from trace_mm.files.panoptic_file import read_panoptic_file


def png_folder(path: str, given: str | None) -> Path:
    """The folder of a JSON file's PNGs.

    Raises:
        FileNotFoundError: if it was not given and is in none of the usual places.
    """
    if given is not None:
        return Path(given)
    usual = [Path(path).parent / "panoptic", Path(path).with_suffix("")]
    for folder in usual:
        if folder.is_dir():
            return folder
    raise FileNotFoundError(
        f"{path}: its PNGs are neither in {usual[0]} nor in {usual[1]}; name their folder"
    )


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
    truth_folder = png_folder(options.truth, options.truth_folder)
    predicted_folder = png_folder(options.predicted, options.predicted_folder)
    read = (options.truth, options.predicted, truth_folder, predicted_folder)
    check_outputs(files=[options.out], read=read)
    scores = score_panoptic_files(
        options.truth,
        truth_folder,
        options.predicted,
        predicted_folder,
        workers=options.workers,
        partial=options.partial,
        progress=True,
    )
    categories = read_panoptic_file(options.truth)["categories"]
    names = {category["id"]: category["name"] for category in categories}
    print(panoptic_table(scores, names, options.by_category))
    if options.out:
        content = json.dumps(scores_as_json(scores, names), indent=1)
        write_atomically(Path(options.out), content.encode("ascii"))


if __name__ == "__main__":
    sys.exit(run_command(main))
