"""Draw photos, their edges and their masks below one another, by the shipped model."""

import sys
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from trace_mm import segment
from trace_mm.apis import PhotoSegments
from trace_mm.commands.arguments import positive
from trace_mm.commands.command_line import Parser, run_command
from trace_mm.files import check_outputs, write_atomically

GAP = 6  # white pixels between pictures
FORMATS = (".jpg", ".png")


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__)
    parser.add_argument("out", type=Path, help="picture to write, .jpg or .png")
    parser.add_argument("photos", type=Path, nargs="+", help="a column each")
    parser.add_argument("--height", type=positive, default=200, help="of a row, in pixels")
    parser.add_argument("--top", type=positive, default=20, help="so many masks of each photo")
    return parser


def column(found: PhotoSegments, height: int) -> NDArray[np.uint8]:
    """A photo, its edges dark on white, and its masks, each (height, w, 3), below one another."""
    assert found.edges is not None
    strength = found.edges / max(float(found.edges.max()), 1e-6)
    edges = np.rint(255 * (1 - strength)).astype(np.uint8)
    pictures = [found.photo, np.repeat(edges[:, :, None], 3, axis=2), np.asarray(found.plot())]
    width = round(height * found.photo.shape[1] / found.photo.shape[0])
    shown = [
        cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA) for picture in pictures
    ]
    gap = np.full((GAP, width, 3), 255, dtype=np.uint8)
    parts = [part for picture in shown for part in (gap, picture)][1:]
    return np.concatenate(parts).astype(np.uint8)


def main() -> None:
    options = make_parser().parse_args()
    if options.out.suffix.lower() not in FORMATS:
        raise ValueError(f"{options.out}: the suffix must be one of {', '.join(FORMATS)}")
    check_outputs(files=[options.out], read=options.photos)
    columns = [column(found, options.height) for found in segment(options.photos, top=options.top)]
    gap = np.full((len(columns[0]), GAP, 3), 255, dtype=np.uint8)
    parts = [part for one in columns for part in (gap, one)][1:]
    picture = cv2.cvtColor(np.concatenate(parts, axis=1), cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(options.out.suffix.lower(), picture)
    write_atomically(options.out, data.tobytes())


if __name__ == "__main__":
    sys.exit(run_command(main))
