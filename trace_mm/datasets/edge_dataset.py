"""Photos with true instance edges, whatever format the annotation is in."""

import logging
from typing import Any

import numpy as np
import torch
from mmengine.dataset import BaseDataset
from mmengine.logging import print_log

from trace_mm.datasets.edge_annotations import EDGE_ANNOTATIONS
from trace_mm.files import read_photo
from trace_mm.registry import DATASETS
from trace_mm.structures import EdgeDataSample


@DATASETS.register_module()
class InstanceEdgeDataset(BaseDataset):
    """Photos with the borders between their annotated segments (paper, App. F).

    A photo is turned as its EXIF data says, unless only its stored pixels fit the annotation; see
    :mod:`trace_mm.files.orientation`. Of those a warning is logged.

    Args:
        annotation: format of the annotation: "coco_instances" (``ann_file``), "coco_panoptic"
            (``ann_file`` and the PNGs in ``data_prefix["seg_path"]``), "bsds500" (``.mat`` files in
            ``seg_path``), "id_maps" (PNGs of segment ids in ``seg_path``) or "mask_folders" (an
            image's folder holds ``images`` and ``masks``).
        void: id of unlabelled pixels, whose borders do not count; None counts them, so that an
            object's border with an unlabelled region is an edge. For "coco_panoptic" and "id_maps".
        crowd: whether crowd regions of COCO instances are segments.
        ann_file: annotation file, relative to ``data_root``.
        data_root: root of the relative paths.
        data_prefix: folders, relative to ``data_root``: ``img_path`` of photos, ``seg_path``.
        **kwargs: other arguments of mmengine's ``BaseDataset``, such as ``indices``.

    Raises:
        ValueError: if the format is unknown or a file is not as it should be.
        FileNotFoundError: if a file or folder is missing.
    """

    def __init__(
        self,
        annotation: str,
        void: int | None = None,
        crowd: bool = True,
        ann_file: str = "",
        data_root: str = "",
        data_prefix: dict[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        if annotation not in EDGE_ANNOTATIONS:
            known = ", ".join(EDGE_ANNOTATIONS)
            raise ValueError(f"annotation format must be one of {known}, got {annotation!r}")
        self.annotation = annotation
        self.void = void
        self.crowd = crowd
        prefix = {"img_path": "images", "seg_path": "", **(data_prefix or {})}
        super().__init__(ann_file=ann_file, data_root=data_root, data_prefix=prefix, **kwargs)

    def load_data_list(self) -> list[dict[str, Any]]:
        """Each image's path, id and annotation; called by mmengine."""
        self._reader = EDGE_ANNOTATIONS[self.annotation](
            self.data_prefix["img_path"],
            self.ann_file,
            self.data_prefix["seg_path"],
            self.void,
            self.crowd,
        )
        infos = self._reader.images()
        if not infos:
            raise ValueError(f"{self.ann_file or self.data_prefix['img_path']}: no annotated image")
        return infos

    def prepare_data(self, idx: int) -> dict[str, Any]:
        """Item ``idx``.

        Returns:
            ``inputs``, a float32 tensor (3, H, W) of RGB in [0, 1], and ``data_samples``, an
            ``EdgeDataSample`` with ``gt_edges`` bool (A, H, W).
        """
        info = self.get_data_info(idx)
        photo = read_photo(info["img_path"], lambda: self._reader.evidence(info))
        for note in photo.notes:
            print_log(f"{info['img_path']}: {note}", "current", logging.WARNING)
        edges = self._reader.edges(info, photo.size)
        if edges.shape[1:] != photo.size:
            raise ValueError(
                f"{info['img_path']}: the image is {photo.size} (H, W), but its annotation is "
                f"{edges.shape[1:]}"
            )
        sample = EdgeDataSample(
            metainfo={
                "img_path": info["img_path"],
                "image_id": info["image_id"],
                "ori_shape": photo.size,
                "orientation": photo.orientation,
            },
            gt_edges=edges,
        )
        channels = np.ascontiguousarray(photo.pixels.transpose(2, 0, 1))  # (3, H, W)
        return self.pipeline({"inputs": torch.from_numpy(channels), "data_samples": sample})
