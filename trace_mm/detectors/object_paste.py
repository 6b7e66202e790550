"""Copy-paste as CutLER has it, as a transform of MMDetection."""

from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks
from numpy.typing import NDArray

from trace_mm.ops import paste_objects, placed
from trace_mm.registry import TRANSFORMS


@TRANSFORMS.register_module()
class ObjectPaste(BaseTransform):
    """Paste some objects of another image, smaller and elsewhere.

    The other image is brought to a random share of this one's size and put at a random place; a
    random number of its objects is pasted, fewer than all where there are two or more. mmdet's
    ``CopyPaste`` neither resizes nor moves, and needs images of one size.

    In the pipeline of mmdet's ``MultiImageMixDataset``, with masks as bitmaps.

    Args:
        ratios: least and largest share of this image's sides that the other has.
        prob: probability that anything is pasted.
        max_hidden: see :func:`trace_mm.ops.paste_objects`.
    """

    def __init__(
        self, ratios: tuple[float, float] = (0.3, 1.0), prob: float = 1.0, max_hidden: float = 0.5
    ) -> None:
        if not 0 < ratios[0] <= ratios[1] <= 1:
            raise ValueError(f"ratios must rise within (0, 1], got {tuple(ratios)}")
        self.ratios = ratios
        self.prob = prob
        self.max_hidden = max_hidden

    def get_indexes(self, dataset: Any) -> int:
        """Which image the objects are from."""
        return int(np.random.randint(len(dataset)))

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Paste, and bring boxes, labels and masks up to date."""
        (other,) = results["mix_results"]
        objects = other["gt_masks"].masks.astype(bool)  # (K, h, w)
        chosen = self._choose(other["gt_ignore_flags"])
        if not len(chosen):
            return results
        image = results["img"]
        moved, objects = self._place(other["img"], objects[chosen], image.shape[:2])
        masks = results["gt_masks"].masks.astype(bool)  # (N, H, W)
        pasted = paste_objects(image, masks, moved, objects, self.max_hidden)
        results["img"] = pasted.image
        results["gt_masks"] = BitmapMasks(pasted.masks.astype(np.uint8), *image.shape[:2])
        results["gt_bboxes"] = results["gt_masks"].get_bboxes(HorizontalBoxes)
        for key in ("gt_bboxes_labels", "gt_ignore_flags"):
            own, others = results[key][pasted.own], other[key][chosen][pasted.pasted]
            results[key] = np.concatenate([own, others])
        return results

    def _choose(self, ignored: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Which objects to paste."""
        found = np.flatnonzero(~np.asarray(ignored, dtype=bool))
        if not len(found) or np.random.rand() >= self.prob:
            return found[:0]
        count = 1 if len(found) == 1 else np.random.randint(1, len(found))
        return np.random.choice(found, count, replace=False)

    def _place(
        self, image: NDArray[Any], masks: NDArray[np.bool_], canvas: tuple[int, int]
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        ratio = np.random.uniform(*self.ratios)
        size = max(1, int(ratio * canvas[0])), max(1, int(ratio * canvas[1]))
        corner = tuple(int(np.random.randint(s - n + 1)) for s, n in zip(canvas, size, strict=True))
        return placed(image, masks, canvas, size, (corner[0], corner[1]))
