"""Seeds of objects, and the points, boxes and masks that promptable models are asked with."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from trace_mm.files import mask_box
from trace_mm.ops import connected_parts

KINDS = ("box", "points", "mask")
"""What a prompt may consist of."""

NO_CLASS = 0
"""The class number of seeds where there are no classes."""


@dataclass(frozen=True)
class Seeds:
    """What may be objects in an image.

    Attributes:
        boxes: float64 (K, 4), left, top, right, bottom in pixels; the right and lower edge of pixel
            x is x + 1.
        classes: int64 (K,), class numbers.
        scores: float64 (K,), in [0, 1].
        masks: bool (K, H, W), each with a pixel; None where only boxes are known.
    """

    boxes: NDArray[np.float64]
    classes: NDArray[np.int64]
    scores: NDArray[np.float64]
    masks: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.boxes)

    @classmethod
    def of_masks(
        cls,
        masks: NDArray[np.bool_],
        classes: NDArray[np.int64],
        scores: NDArray[np.float64] | None = None,
    ) -> "Seeds":
        """Seeds of masks (K, H, W) with their boxes; scores are 1 if there are none."""
        return cls(
            boxes_of(masks), classes, np.ones(len(masks)) if scores is None else scores, masks
        )

    def shapes(self, size: tuple[int, int]) -> NDArray[np.bool_]:
        """Masks bool (K, H, W); of boxes, what they hold."""
        return box_masks(self.boxes, size) if self.masks is None else self.masks


@dataclass(frozen=True)
class Prompts:
    """What a promptable model is asked of one image. At least one kind is there.

    Attributes:
        boxes: float64 (K, 4), left, top, right, bottom, as of seeds.
        points: float64 (K, P, 2), x and y; 0 is the middle of the first pixel.
        labels: int64 (K, P), 1 for points of the object, 0 for points of others.
        masks: bool (K, H, W).
    """

    boxes: NDArray[np.float64] | None = None
    points: NDArray[np.float64] | None = None
    labels: NDArray[np.int64] | None = None
    masks: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        known = (self.boxes, self.points, self.masks)
        return next((len(one) for one in known if one is not None), 0)


def boxes_of(masks: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Boxes float64 (K, 4), left, top, right, bottom, around masks (K, H, W); of none all zeros."""
    boxes = np.array([mask_box(mask) for mask in masks], dtype=np.float64).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return boxes


def box_masks(boxes: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Masks bool (K, H, W) of the pixels whose middles lie in boxes (K, 4)."""
    rows, columns = np.arange(size[0]) + 0.5, np.arange(size[1]) + 0.5
    left, top, right, bottom = (side[:, None] for side in boxes.T)  # (K, 1) each
    inside_x = (left <= columns) & (columns < right)  # (K, W)
    inside_y = (top <= rows) & (rows < bottom)  # (K, H)
    return inside_y[:, :, None] & inside_x[:, None]


def components(
    classes: NDArray[np.int32],
    wanted: Collection[int],
    edges: NDArray[np.float32] | None,
    threshold: float,
    min_area: float,
) -> Seeds:
    """What edges cut the masks of classes into: the plainest seeds.

    Args:
        classes: (H, W), the class number of each pixel.
        wanted: classes whose masks are cut.
        edges: (H, W) in [0, 1]; None cuts nothing.
        threshold: an edge above it cuts.
        min_area: components of fewer pixels are left out.

    Returns:
        Components whose pixels are connected through their sides, by rising class.
    """
    free = np.ones(classes.shape, bool) if edges is None else edges <= threshold
    masks, numbers = [], []
    for number in sorted(wanted):
        parts = connected_parts((classes == number) & free)
        areas = np.bincount(parts.ravel())
        for part in np.flatnonzero(areas[1:] >= max(min_area, 1)) + 1:
            masks.append(parts == part)
            numbers.append(number)
    stacked = np.array(masks, dtype=bool).reshape(-1, *classes.shape)
    return Seeds.of_masks(stacked, np.array(numbers, dtype=np.int64))


def majority_classes(masks: NDArray[np.bool_], classes: NDArray[np.int32]) -> NDArray[np.int64]:
    """The class that most pixels of each mask (K, H, W) have, int64 (K,); the lower of two.

    Args:
        masks: of segments.
        classes: (H, W), class numbers, -1 where void. Void wins only where nothing else is.
    """
    found = np.full(len(masks), -1, dtype=np.int64)
    for index, mask in enumerate(masks):
        inside = classes[mask]
        counts = np.bincount(inside[inside >= 0])
        if len(counts):
            found[index] = counts.argmax()
    return found


def inner_points(mask: NDArray[np.bool_], count: int) -> NDArray[np.float64]:
    """Points well inside a mask and apart from each other.

    The first is the pixel that is farthest from what lies outside the mask or the image. Each
    further one has the largest of the lesser of two distances: to the outside, and to the nearest
    point so far. Of equal ones the first, row by row. Where pixels run out, points repeat.

    Args:
        mask: bool (H, W), with a pixel.
        count: at least 1.

    Returns:
        float64 (count, 2), x and y of the middles of pixels, where 0 is that of the first.

    Raises:
        ValueError: if the mask is empty.
    """
    left, top, width, height = mask_box(mask)
    if not width:
        raise ValueError("a point is wanted in a mask without a pixel")
    crop = mask[top : top + height, left : left + width]
    room = scipy.ndimage.distance_transform_edt(np.pad(crop, 1))[1:-1, 1:-1]  # (h, w)
    room = np.where(crop, room, -1)
    rows, columns = np.indices(crop.shape)
    points = np.empty((count, 2))
    for point in points:
        row, column = np.unravel_index(room.argmax(), room.shape)
        point[:] = left + column, top + row
        apart = np.hypot(rows - row, columns - column)
        room = np.where(crop, np.minimum(room, apart), -1)
    return points


def nearest_others(points: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """The points nearest to each point, itself left out.

    Args:
        points: (K, 2).
        count: of the neighbours wanted.

    Returns:
        float64 (K, min(count, K - 1), 2), the nearest first; of equal ones the first.
    """
    count = max(min(count, len(points) - 1), 0)
    distances = np.hypot(*(points[:, None] - points[None]).transpose(2, 0, 1))  # (K, K)
    np.fill_diagonal(distances, np.inf)
    nearest = np.argsort(distances, axis=1, kind="stable")[:, :count]
    return points[nearest]


@dataclass(frozen=True)
class Prompting:
    """How seeds become prompts.

    Attributes:
        kinds: of :data:`KINDS`; a prompt has all of them.
        points: how many points inside each seed, if points are among the kinds.
        others: how many points of the nearest other seeds a prompt says no to, beside its own.
        margin: by which share of its sides a box grows, half of it on each side.
    """

    kinds: tuple[str, ...] = ("box",)
    points: int = 1
    others: int = 0
    margin: float = 0.0

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: if a kind is unknown, or a number out of range.
        """
        if not self.kinds or not {*self.kinds} <= {*KINDS}:
            raise ValueError(f"prompts consist of {', '.join(KINDS)}, got {self.kinds}")
        if self.points < 1 or self.others < 0 or not 0 <= self.margin <= 1:
            raise ValueError(
                f"there must be a point or more, no negative number of others, and a margin in "
                f"[0, 1], got {self.points}, {self.others}, {self.margin}"
            )

    def __call__(self, seeds: Seeds, size: tuple[int, int]) -> Prompts:
        """The prompts of seeds in an image of a size (H, W).

        Raises:
            ValueError: if masks are wanted of boxes.
        """
        if "mask" in self.kinds and seeds.masks is None:
            raise ValueError("seeds that are boxes give no mask prompts")
        boxes = points = labels = None
        if "box" in self.kinds:
            boxes = _grown(seeds.boxes, self.margin, size)
        if "points" in self.kinds:
            points, labels = self._points(seeds.shapes(size))
        return Prompts(boxes, points, labels, seeds.masks if "mask" in self.kinds else None)

    def _points(self, shapes: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        own = [inner_points(shape, self.points) for shape in shapes]
        inside = np.array(own).reshape(-1, self.points, 2)  # (K, P, 2)
        outside = nearest_others(inside[:, 0], self.others)  # (K, N, 2)
        points = np.concatenate([inside, outside], axis=1)
        labels = np.zeros(points.shape[:2], dtype=np.int64)
        labels[:, : self.points] = 1
        return points, labels


def _grown(boxes: NDArray[np.float64], margin: float, size: tuple[int, int]) -> NDArray[np.float64]:
    """Boxes (K, 4) with a margin, within the image (H, W)."""
    sides = boxes[:, 2:] - boxes[:, :2]  # (K, 2)
    grown = boxes + np.hstack([-sides, sides]) * margin / 2
    height, width = size
    return grown.clip(0, [width, height, width, height])
