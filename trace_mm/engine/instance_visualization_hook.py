"""Pictures of the masks that a detector finds in a test."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from trace_mm.engine.picture_hook import PictureHook
from trace_mm.files import read_photo_of
from trace_mm.registry import HOOKS
from trace_mm.visualization.segments import draw_segments


@HOOKS.register_module()
class InstanceVisualizationHook(PictureHook):
    """Writes each image of a test with its best masks over it, small ones in front.

    For mmdet's detectors of masks; see :class:`PictureHook` for what pictures are called.

    Args:
        out_dir: folder to write to, created if missing.
        top: how many masks are drawn.
        min_score: masks of lower scores are not.
    """

    def __init__(self, out_dir: str, top: int = 20, min_score: float = 0.3) -> None:
        super().__init__(out_dir)
        self.top = top
        self.min_score = min_score

    def draw(self, sample: Any) -> NDArray[np.uint8]:
        """The picture of an image.

        Args:
            sample: with ``img_path``, and ``pred_instances`` of ``scores`` (K,) and ``masks`` bool
                (K, H, W).

        Returns:
            uint8 (H, W, 3) RGB.
        """
        found = sample.pred_instances
        scores = found.scores.cpu().numpy()
        best = np.argsort(-scores, kind="stable")[: self.top]
        masks = found.masks.cpu().numpy()[best[scores[best] >= self.min_score]]  # (k, H, W)
        photo = read_photo_of(sample.img_path, (masks.shape[1], masks.shape[2]))
        return draw_segments(photo.pixels, masks)
