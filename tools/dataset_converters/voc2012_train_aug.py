"""The list of PASCAL VOC 2012's augmented training set, by the lists of VOC and SBD."""

import sys
from pathlib import Path

from trace_mm.commands.command_line import Parser, run_command
from trace_mm.console import note
from trace_mm.datasets.converters import TRAIN_AUG_IMAGES, voc_train_aug
from trace_mm.files import write_atomically


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__)
    parser.add_argument("--data-root", required=True, type=Path, help="VOCdevkit/VOC2012")
    parser.add_argument(
        "--sbd",
        required=True,
        metavar="DIR",
        help="folder of SBD's train.txt and val.txt, such as benchmark_RELEASE/dataset",
    )
    return parser


def main() -> None:
    options = make_parser().parse_args()
    names = voc_train_aug(options.data_root, options.sbd)
    out = options.data_root / "ImageSets" / "Segmentation" / "train_aug.txt"
    write_atomically(out, "".join(f"{name}\n" for name in names).encode("ascii"))
    print(f"{out}: {len(names)} images")
    if len(names) != TRAIN_AUG_IMAGES:
        note(f"the lists of VOC 2012 and of SBD's release give {TRAIN_AUG_IMAGES}")


if __name__ == "__main__":
    sys.exit(run_command(main))
