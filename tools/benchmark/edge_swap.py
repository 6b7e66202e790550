"""What the edges of several detectors are worth (Figure 10): each swapped into the same uses.

Reads the calibrated maps and the parts of the photos that edge_detectors.py has written. Panoptic
labels are made of true class masks, and of worn ones, with each detector's edges, none and the true
ones, and scored (panoptic_labels.py); masks are refined by each (mask_refinement.py). All settings
are the same for all.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import mask_refinement
import panoptic_labels

from trace_mm.commands.command_line import EXIT_STATUS, Parser, run_command
from trace_mm.datasets.converters import convert_instances_panoptic
from trace_mm.files import check_outputs
from trace_mm.files.json_file import read_json, write_json

ANNOTATIONS = "instances.json"


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(
        description=__doc__,
        epilog=EXIT_STATUS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("data_root", type=Path, help=f"holds images/ and {ANNOTATIONS}")
    parser.add_argument("edges", type=Path, help="what edge_detectors.py was given as --out")
    parser.add_argument("--part", choices=["test", "validation", "all"], default="test")
    parser.add_argument("--length", type=int, help="take so many photos of the part only")
    parser.add_argument("--masks", type=Path, nargs="+", default=[], help="files to refine, if any")
    setting = {"nargs": "*", "default": [], "metavar": "NAME=VALUE"}
    parser.add_argument("--label-set", **setting, help="settings of the labels")
    parser.add_argument("--refine-set", **setting, help="settings of the refinement")
    parser.add_argument("--out", type=Path, help="folder to write (default: EDGES/swap/PART)")
    return parser


def main() -> None:
    options = make_parser().parse_args()
    out = options.out or options.edges / "swap" / options.part
    source = options.data_root / ANNOTATIONS
    maps = detectors(options.edges)
    check_outputs(folders=[out], read=[source, *options.masks, *maps.values()])
    photos = photos_of(options.edges, options.part)[: options.length]
    annotations = write_part(source, photos, out / ANNOTATIONS)
    given = [f"{name}={folder}" for name, folder in maps.items()]
    panoptic = out / "panoptic"
    write_json(
        panoptic / "panoptic.json", convert_instances_panoptic(annotations, panoptic / "panoptic")
    )
    images = options.data_root / "images"
    words = [str(images), str(panoptic), "--edges", "none", *given, "true"]
    words += ["--set", *options.label_set, "--out", str(out / "labels.json")]
    panoptic_labels.main(words)
    if options.masks:
        words = [str(options.data_root), "--annotations", str(annotations.absolute())]
        words += ["--masks", *map(str, options.masks), "--edges", *given, "true"]
        words += ["--set", *options.refine_set, "--out", str(out / "refinement.json")]
        mask_refinement.main(words)


def detectors(edges: Path) -> dict[str, Path]:
    """The calibrated maps of each detector.

    Raises:
        FileNotFoundError: if there are none.
    """
    folder = edges / "calibrated"
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder: edge_detectors.py --calibrate-on ...")
    return {path.name: path for path in sorted(folder.iterdir()) if path.is_dir()}


def photos_of(edges: Path, part: str) -> list[str]:
    """Names of the photos of a part.

    Raises:
        FileNotFoundError: if edge_detectors.py has not written its scores.
        ValueError: if it was not told which photos are for calibration.
    """
    file = edges / "scores.json"
    parts: dict[str, list[str]] = read_json(file)["images"]
    if part not in parts:
        raise ValueError(f"{file}: knows no part {part}: edge_detectors.py --calibrate-on ...")
    return parts[part]


def write_part(source: Path, photos: Sequence[str], target: Path) -> Path:
    """Write a part of a COCO file: some photos by ``file_name``, with their annotations."""
    content, wanted = read_json(source), set(photos)
    images = [image for image in content["images"] if image["file_name"] in wanted]
    ids = {image["id"] for image in images}
    annotations = [one for one in content["annotations"] if one["image_id"] in ids]
    write_json(target, {**content, "images": images, "annotations": annotations})
    return target


if __name__ == "__main__":
    sys.exit(run_command(main))
