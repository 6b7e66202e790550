"""Time of the normalised cut against the dense eigensolver, and whether both cut alike.

For several kinds of features on one grid, prints the seconds of both, from features to bipartition,
their ratio, and on what part of the patches they agree. The dense solver is that of MaskCut and
TokenCut: scipy.linalg.eigh for the second and third smallest eigenvalue of (D - W, D) in float64.
"""

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import scipy.linalg
import torch
from torch import Tensor
from torch.nn import functional

from trace_mm.commands.command_line import Parser, run_command
from trace_mm.datasets.scenes import render_scene
from trace_mm.diffusion import load_recommended
from trace_mm.diffusion.features import attention_features
from trace_mm.files import load_image
from trace_mm.models.sizes import resize_images
from trace_mm.ops.normalized_cut import normalized_cut, similar_patches

EPS = 1e-5
WIDTH = 384  # of the keys of a small vision transformer


def dense_cut(features: Tensor, threshold: float) -> np.ndarray:
    """Bipartition (N,) by the dense solver."""
    unit = functional.normalize(features, dim=1)
    affinity = np.where((unit @ unit.T).numpy() > threshold, 1.0, EPS)
    degrees = np.diag(affinity.sum(1))
    vectors = scipy.linalg.eigh(degrees - affinity, degrees, subset_by_index=[1, 2])[1]
    return vectors[:, 0] > vectors[:, 0].mean()


def fast_cut(features: Tensor, threshold: float) -> np.ndarray:
    """Bipartition (N,) by ours."""
    vector = normalized_cut(similar_patches(features, threshold), EPS).eigenvector
    return (vector > vector.mean()).numpy()


def smooth_features(side: int, cells: int, noise: float, seed: int) -> Tensor:
    """Features (side^2, WIDTH) that change slowly over the image, plus noise."""
    draw = torch.Generator().manual_seed(seed)
    coarse = torch.randn(1, WIDTH, cells, cells, generator=draw)
    fine = functional.interpolate(coarse, (side, side), mode="bicubic")[0].flatten(1).T
    return fine + noise * torch.randn(fine.shape, generator=draw)


def object_features(side: int, objects: int, noise: float, seed: int) -> Tensor:
    """Features (side^2, WIDTH) of a background and discs, each constant but for noise."""
    draw = torch.Generator().manual_seed(seed)
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    labels = torch.zeros(side, side, dtype=torch.long)
    for number in range(1, objects + 1):
        row, column, radius = torch.rand(3, generator=draw).tolist()
        inside = (rows - row * side) ** 2 + (columns - column * side) ** 2
        labels[inside < (side * (0.08 + 0.15 * radius)) ** 2] = number
    means = torch.randn(objects + 1, WIDTH, generator=draw)
    return means[labels.flatten()] + noise * torch.randn(side * side, WIDTH, generator=draw)


def image_features(images: list[Tensor], side: int) -> Iterator[Tensor]:
    """Features (side^2, M) of images (3, H, W) from the shipped backbone."""
    backbone, _ = load_recommended("trace-tiny")
    pixels = side * backbone.latent_stride
    for image in images:
        shown = resize_images(image[None], (pixels, pixels))[0]
        yield attention_features(backbone, shown, 200, cell=2, steps=2).flatten(0, 1)


def timed(
    cut: Callable[[Tensor, float], np.ndarray], features: Tensor, threshold: float
) -> tuple[np.ndarray, float]:
    """What a cut finds, and the seconds it takes."""
    start = time.perf_counter()
    found = cut(features, threshold)
    return found, time.perf_counter() - start


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__)
    parser.add_argument("--side", type=int, default=60, help="patches a side")
    parser.add_argument("--repeats", type=int, default=2, help="inputs of each kind")
    parser.add_argument("--photos", type=Path, help="a folder of images, to cut some of them too")
    parser.add_argument("--threads", type=int, default=1)
    return parser


def main() -> None:
    options = make_parser().parse_args()
    torch.set_num_threads(options.threads)

    side, repeats = options.side, options.repeats
    scenes = [
        torch.from_numpy(render_scene(1, 2000 + k).image).permute(2, 0, 1) / 255
        for k in range(repeats)
    ]
    kinds: dict[str, tuple[float, list[Tensor]]] = {
        "slow change": (0.2, [smooth_features(side, 5, 0.0, k) for k in range(repeats)]),
        "slow change, noise": (0.2, [smooth_features(side, 8, 0.7, k) for k in range(repeats)]),
        "objects apart": (0.5, [object_features(side, 6, 0.5, k) for k in range(repeats)]),
        "objects, noise": (0.15, [object_features(side, 6, 2.0, k) for k in range(repeats)]),
        "single patches": (0.53, [object_features(side, 6, 1.0, k) for k in range(repeats)]),
        "noise": (0.1, [smooth_features(side, 2, 9.0, k) for k in range(repeats)]),
        "trace-tiny, scenes": (0.7, list(image_features(scenes, side))),
    }
    if options.photos:
        files = sorted(options.photos.glob("*.jpg"))[:repeats]
        photos = [torch.from_numpy(load_image(file)).permute(2, 0, 1) for file in files]
        kinds["trace-tiny, photos"] = (0.7, list(image_features(photos, side)))
    print(f"{side}x{side} patches, {options.threads} thread(s)")
    print(f"{'features':22}{'dense s':>9}{'ours s':>9}{'ratio':>8}{'agree':>9}")
    for name, (threshold, inputs) in kinds.items():
        for features in inputs:
            ours, fast = timed(fast_cut, features, threshold)
            theirs, slow = timed(dense_cut, features, threshold)
            agree = (ours == theirs).mean()
            agree = max(agree, 1 - agree)  # a vector's sign is arbitrary
            print(f"{name:22}{slow:9.2f}{fast:9.3f}{slow / fast:8.1f}{agree:9.4f}", flush=True)


if __name__ == "__main__":
    sys.exit(run_command(main))
