"""Loads photos and panoptic labels in a pipeline of MMDetection."""

from pathlib import Path
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.datasets.transforms import LoadAnnotations
from mmdet.structures.mask import BitmapMasks

from trace_mm.files import SizeEvidence, map_sizes, read_photo
from trace_mm.files.panoptic import read_panoptic_png
from trace_mm.registry import TRANSFORMS

IGNORED = 255
"""Class number of void pixels in ``gt_seg_map``."""


@TRANSFORMS.register_module()
class LoadImageFromFile(BaseTransform):
    """Load a photo as all of trace_mm reads photos: of any kind, and turned by the one rule.

    What mmdet's transform of this name does for 8-bit photos, and by this name its inferencer finds
    it. A photo is turned as its EXIF data says, unless only its stored pixels fit the panoptic PNG,
    or where none is loaded, the size that the dataset states; see
    :mod:`trace_mm.files.orientation`.

    It adds ``img``, uint8 (H, W, 3) BGR, and its ``img_shape`` and ``ori_shape``.

    Args:
        to_float32: whether ``img`` is float32, from 0 to 255 as well.
        backend_args: only for settings of mmdet's that pass it; files are local.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not a readable image; names it.
    """

    def __init__(
        self, to_float32: bool = False, backend_args: dict[str, Any] | None = None
    ) -> None:
        if backend_args is not None:
            raise ValueError(f"photos are read from local files, not with {backend_args}")
        self.to_float32 = to_float32

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add the photo to what the pipeline has of an image."""
        photo = read_photo(results["img_path"], lambda: _evidence(results))
        pixels = np.rint(photo.pixels[:, :, ::-1] * 255).astype(np.uint8)  # (H, W, 3) BGR
        results["img"] = pixels.astype(np.float32) if self.to_float32 else pixels
        results["img_shape"] = results["ori_shape"] = photo.size
        return results


def _evidence(results: dict[str, Any]) -> SizeEvidence:
    path, height, width = (results.get(key) for key in ("seg_map_path", "height", "width"))
    stated = None if height is None or width is None else (int(height), int(width))
    return SizeEvidence([] if path is None else map_sizes(Path(path)), stated=stated)


@TRANSFORMS.register_module()
class LoadPanopticAnnotations(LoadAnnotations):
    """Load boxes, labels, masks and classes of an image from its panoptic PNG.

    What mmdet's transform of this name does, without ``panopticapi``. It needs the keys
    ``instances``, ``segments_info`` and ``seg_map_path`` that a ``PanopticLabelDataset`` gives, and
    ``ori_shape``.

    It adds:

    - of the things, ``gt_bboxes`` (K, 4), ``gt_bboxes_labels`` int64 (K,) and ``gt_ignore_flags``
      bool (K,);
    - ``gt_masks``: their masks (K, H, W), in the same order;
    - ``gt_seg_map``: int32 (H, W), class numbers of things and stuff, 255 for void.

    Args:
        with_bbox: load boxes.
        with_label: load the things' class numbers.
        with_mask: load masks of things.
        with_seg: load the map of classes.
        box_type: mmdet's name of the box format.
        backend_args: only for settings of mmdet's that pass it; files are local.

    Raises:
        ValueError: if a PNG is damaged, of another size than its image, or lacks a segment that
            the dataset lists; names the file.
    """

    def __init__(
        self,
        with_bbox: bool = True,
        with_label: bool = True,
        with_mask: bool = True,
        with_seg: bool = True,
        box_type: str = "hbox",
        backend_args: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(
            with_bbox=with_bbox,
            with_label=with_label,
            with_mask=with_mask,
            with_seg=with_seg,
            box_type=box_type,
        )
        if backend_args is not None:
            raise ValueError(f"panoptic PNGs are read from local files, not with {backend_args}")

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add the annotations to what the pipeline has of an image."""
        if self.with_bbox:
            self._load_bboxes(results)
        if self.with_label:
            self._load_labels(results)
        if (self.with_mask or self.with_seg) and results.get("seg_map_path") is not None:
            self._load_maps(results)
        return results

    def _load_maps(self, results: dict[str, Any]) -> None:
        path = results["seg_map_path"]
        height, width = results["ori_shape"]
        ids = read_panoptic_png(path, (height, width))  # (H, W)
        present, positions = np.unique(ids, return_inverse=True)
        positions = positions.reshape(ids.shape)  # (H, W) into present
        classes = np.full(len(present), IGNORED, dtype=np.int32)
        masks = []
        for segment in results["segments_info"]:
            index = int(np.searchsorted(present, segment["id"]))
            if index == len(present) or present[index] != segment["id"]:
                raise ValueError(f"{path}: no pixel has the listed segment id {segment['id']}")
            classes[index] = segment["category"]
            if segment["is_thing"]:
                masks.append((positions == index).astype(np.uint8))  # (H, W)
        if self.with_mask:
            results["gt_masks"] = BitmapMasks(masks, height, width)
        if self.with_seg:
            results["gt_seg_map"] = classes[positions]  # (H, W)
            results["ignore_index"] = IGNORED
