"""A stand-in for SAM that grows prompts inside true edges: it shows what the seeds are worth.

Where a real SAM may find an outline or not, this one always finds the true one of what it takes the
prompt to mean. So what it gets wrong is the seeds' fault.
"""

import os
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from projects.sam_seeds.promptable import Answers
from projects.sam_seeds.seeds import Prompts, box_masks
from trace_mm.files import absolute_path
from trace_mm.files.panoptic import read_panoptic_png, segment_ids
from trace_mm.jobs.edge_sources import NamedImage
from trace_mm.ops import connected_parts


class TrueEdges:
    """Grows each prompt to one region of the truth: connected pixels of one true segment.

    Args:
        folder: true panoptic PNGs, named like the images.

    Raises:
        FileNotFoundError: if there is no such folder.
    """

    uses_accelerator = False

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise FileNotFoundError(f"{folder}: no such folder of true panoptic PNGs")

    def __call__(self, image: NamedImage, prompts: Prompts) -> Answers:
        """Answer the prompts of an image; see ``Promptable``."""
        size = (image.pixels.shape[0], image.pixels.shape[1])
        path = self.folder / PurePosixPath(image.name).with_suffix(".png")
        try:
            ids = read_panoptic_png(path, size)
        except FileNotFoundError as missing:
            raise ValueError(f"{image.name}: {missing}") from missing
        return grow(true_regions(ids), prompts)

    def on(self, device: str) -> "TrueEdges":
        """Itself: nothing is computed on a device."""
        return self

    def settings(self) -> dict[str, Any]:
        """The folder."""
        return {"model": "true edges", "folder": str(absolute_path(self.folder))}


def true_regions(ids: NDArray[np.int32]) -> NDArray[np.int32]:
    """What true edges enclose: numbers from 1 of the connected parts of each segment.

    Args:
        ids: segments (H, W); 0 is void, and no region.

    Returns:
        int32 (H, W), 0 where void.
    """
    regions = np.zeros(ids.shape, dtype=np.int32)
    for number in segment_ids(ids):
        parts = connected_parts(ids == number)
        regions[parts > 0] = parts[parts > 0] + regions.max()
    return regions


def grow(regions: NDArray[np.int32], prompts: Prompts) -> Answers:
    """The region that each prompt means.

    Those come into question in which a point of the object lies, and no point of another; without
    points all do. Of them the one with the largest IoU with the mask is taken; without a mask, with
    what the box holds; of points alone, the region with most of them. Of equal ones the first.

    Args:
        regions: (H, W), from 1; 0 is none.
        prompts: of the image.

    Returns:
        Regions and these IoUs; an empty mask where none is in question.
    """
    shapes = prompts.masks
    if shapes is None and prompts.boxes is not None:
        shapes = box_masks(prompts.boxes, (regions.shape[0], regions.shape[1]))
    areas = np.bincount(regions.ravel())  # (R + 1,)
    masks = np.zeros((len(prompts), *regions.shape), dtype=bool)
    scores = np.zeros(len(prompts))
    for index, mask in enumerate(masks):
        worth = np.ones(len(areas))
        if prompts.points is not None and prompts.labels is not None:
            worth = _points_worth(regions, prompts.points[index], prompts.labels[index], len(areas))
        if shapes is not None:
            common = np.bincount(regions[shapes[index]], minlength=len(areas))
            union = areas + np.count_nonzero(shapes[index]) - common
            iou = common / np.maximum(union, 1)
            worth = np.where(worth > 0, iou, 0)
        worth[0] = 0
        best = int(worth.argmax())
        if worth[best] > 0:
            mask[:] = regions == best
            scores[index] = worth[best]
    return Answers(masks, scores)


def _points_worth(
    regions: NDArray[np.int32], points: NDArray[np.float64], labels: NDArray[np.int64], count: int
) -> NDArray[np.float64]:
    """The share of an object's points that lie in each region, (R + 1,); 0 with one of others."""
    columns, rows = np.rint(points).astype(np.intp).T
    hit = regions[rows, columns]
    inside = np.bincount(hit[labels == 1], minlength=count) / max((labels == 1).sum(), 1)
    inside[hit[labels == 0]] = 0
    return inside
