"""Pictures of a test's panoptic maps."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmengine.hooks import Hook
from mmengine.runner import Runner
from numpy.typing import NDArray

from trace_mm.engine.picture_names import names_of_paths
from trace_mm.files import read_photo_of, write_atomically
from trace_mm.registry import HOOKS
from trace_mm.visualization.panoptic import draw_panoptic

_INSTANCE_OFFSET = 1000  # mmdet's ids are instance * 1000 + class


@HOOKS.register_module()
class PanopticVisualizationHook(Hook):
    """Writes a picture of each image of a test: image, classes and segments in a row.

    It is called like the image, ``<stem>.png``, below the folder that all images have in common.

    For mmdet's models, whose own hook fails on images in which nothing is found.

    Args:
        out_dir: folder to write to, created if missing.
    """

    def __init__(self, out_dir: str) -> None:
        self.out_dir = Path(out_dir)
        self._names: dict[str, str] = {}

    def before_test(self, runner: Runner) -> None:
        """Choose the pictures' names; see mmengine."""
        dataset: Any = runner.test_loop.dataloader.dataset
        infos = (dataset.get_data_info(index) for index in range(len(dataset)))
        self._names = names_of_paths([str(info["img_path"]) for info in infos])

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Sequence[Any] | None = None,
    ) -> None:
        """Write the pictures of a batch.

        Args:
            runner: its dataset's metainfo names the ``classes``.
            batch_idx: not used.
            data_batch: not used; the images are read again, at their own size.
            outputs: with ``img_path``, and ``pred_panoptic_seg.sem_seg`` (1, H, W): instance * 1000
                + class, where the number of classes means void.
        """
        metainfo: Mapping[str, Any] = runner.test_dataloader.dataset.metainfo
        for sample in outputs or []:
            values = sample.pred_panoptic_seg.sem_seg[0].cpu().numpy()  # (H, W)
            classes, ids = split_panoptic(values, len(metainfo["classes"]))
            photo = read_photo_of(sample.img_path, (classes.shape[0], classes.shape[1]))
            picture = draw_panoptic(photo.pixels, classes, None, ids)
            done, data = cv2.imencode(".png", picture[:, :, ::-1])  # OpenCV's order is BGR
            if not done:
                raise ValueError(f"{sample.img_path}: cannot encode its picture as PNG")
            name = self._names[str(sample.img_path)]
            write_atomically(self.out_dir / f"{name}.png", data.tobytes())


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
