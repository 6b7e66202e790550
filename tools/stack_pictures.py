"""Put pictures of one width, such as those of ``trace-mm refine --show-dir``, into one."""

import sys
from pathlib import Path

import cv2
import numpy as np

from trace_mm.commands.command_line import Parser, run_command
from trace_mm.files import check_outputs

GAP = 6  # white pixels between pictures


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__)
    parser.add_argument("out", type=Path, help="PNG to write")
    parser.add_argument("pictures", type=Path, nargs="+")
    parser.add_argument("--columns", type=int, default=2)
    parser.add_argument("--scale", type=float, default=1.0)
    return parser


def main() -> None:
    options = make_parser().parse_args()
    check_outputs(files=[options.out], read=options.pictures)
    pictures = []
    for path in options.pictures:
        picture = cv2.imread(str(path))
        if picture is None:
            raise ValueError(f"{path}: not a readable picture")
        pictures.append(cv2.resize(picture, None, fx=options.scale, fy=options.scale))
    shapes = {picture.shape for picture in pictures}
    if len(shapes) > 1:
        raise ValueError(f"pictures must be of one size, got {sorted(shapes)}")
    blank = np.full_like(pictures[0], 255)
    pictures += [blank] * (-len(pictures) % options.columns)
    rows = [
        _joined(pictures[start : start + options.columns], axis=1)
        for start in range(0, len(pictures), options.columns)
    ]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(options.out), _joined(rows, axis=0)):
        raise OSError(f"cannot write {options.out}")


def _joined(pictures: list[np.ndarray], axis: int) -> np.ndarray:
    shape = list(pictures[0].shape)
    shape[axis] = 3 * GAP if axis == 1 else GAP
    gap = np.full(shape, 255, dtype=np.uint8)
    parts = [part for picture in pictures for part in (gap, picture)][1:]
    return np.concatenate(parts, axis=axis)


if __name__ == "__main__":
    sys.exit(run_command(main))
