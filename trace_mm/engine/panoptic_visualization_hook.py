"""Pictures of a test's panoptic maps."""

from typing import Any

import numpy as np
from mmengine.runner import Runner
from numpy.typing import NDArray

from trace_mm.engine.picture_hook import PictureHook
from trace_mm.files import read_photo_of
from trace_mm.registry import HOOKS
from trace_mm.visualization.panoptic import draw_panoptic

_INSTANCE_OFFSET = 1000  # mmdet's ids are instance * 1000 + class


@HOOKS.register_module()
class PanopticVisualizationHook(PictureHook):
    """Writes a picture of each image of a test: image, classes and segments in a row.

    For mmdet's models, whose own hook fails on images in which nothing is found; see
    :class:`PictureHook` for what pictures are called.

    Args:
        out_dir: folder to write to, created if missing.
    """

    def before_test(self, runner: Runner) -> None:
        """Choose the pictures' names, and count the classes; see mmengine."""
        super().before_test(runner)
        self._num_classes = len(runner.test_loop.dataloader.dataset.metainfo["classes"])

    def draw(self, sample: Any) -> NDArray[np.uint8]:
        """The picture of an image.

        Args:
            sample: with ``img_path``, and ``pred_panoptic_seg.sem_seg`` (1, H, W): instance * 1000
                + class, where the number of classes means void.

        Returns:
            uint8 (H, 3W, 3) RGB.
        """
        values = sample.pred_panoptic_seg.sem_seg[0].cpu().numpy()  # (H, W)
        classes, ids = split_panoptic(values, self._num_classes)
        photo = read_photo_of(sample.img_path, (classes.shape[0], classes.shape[1]))
        return draw_panoptic(photo.pixels, classes, None, ids)


def split_panoptic(
    values: NDArray[np.integer[Any]], num_classes: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Class numbers and segment ids of mmdet's panoptic map.

    Args:
        values: (H, W), instance * 1000 + class; a class of ``num_classes`` or more is void.
        num_classes: things and stuff.

    Returns:
        int32 (H, W) with -1 for void, and int32 (H, W) with 0 for void and segments from 1.
    """
    classes = (values % _INSTANCE_OFFSET).astype(np.int32)
    void = classes >= num_classes
    present, ids = np.unique(np.where(void, -1, values), return_inverse=True)
    ids = ids.reshape(values.shape) + int(present[0] != -1)  # void, if there is any, is the first
    return np.where(void, -1, classes).astype(np.int32), ids.astype(np.int32)
