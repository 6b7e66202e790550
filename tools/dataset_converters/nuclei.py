"""Nuclei of MoNuSeg, TNBC, COIN's folders or DSB 2018 to instances, and to panoptic maps."""

import sys
from pathlib import Path

from trace_mm.commands.command_line import Parser, run_command
from trace_mm.datasets.converters import (
    NUCLEI,
    convert_instances_panoptic,
    describe,
    write_annotation_file,
)
from trace_mm.files import check_outputs
from trace_mm.files.json_file import write_json


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__)
    parser.add_argument("--data-root", required=True, help="folder of the dataset")
    parser.add_argument(
        "--kind",
        choices=sorted(NUCLEI),
        required=True,
        help="monuseg: XML files of ImageScope; tnbc: Slide_* and GT_*; coin: image and mask; "
        "dsb2018: a folder an image",
    )
    parser.add_argument("--out", required=True, metavar="FILE", help="JSON file to write")
    parser.add_argument(
        "--panoptic",
        metavar="DIR",
        help="also write a COCO panoptic dataset of nuclei and background: panoptic.json and "
        "panoptic/<stem>.png",
    )
    return parser


def main() -> None:
    options = make_parser().parse_args()
    # The file may lie in the dataset's folder, where no annotation is a .json.
    read = None if Path(options.out).suffix == ".json" else options.out
    check_outputs(files=[options.out], read=[read])
    panoptic = None if options.panoptic is None else Path(options.panoptic)
    if panoptic is not None:  # whose maps would be taken for images of the dataset
        files, folders = [panoptic / "panoptic.json"], [panoptic / "panoptic"]
        check_outputs(files=files, folders=folders, searched=[options.data_root])
    content = NUCLEI[options.kind](options.data_root)
    write_annotation_file(content, options.out)
    print(f"{options.out}: {describe(content)}")
    if panoptic is not None:
        maps = convert_instances_panoptic(
            options.out, panoptic / "panoptic", background="background"
        )
        write_json(panoptic / "panoptic.json", maps)


if __name__ == "__main__":
    sys.exit(run_command(main))
