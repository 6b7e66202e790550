"""Photos with true instance edges, whatever format the annotation is in."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dataset import BaseDataset
from PIL import Image, UnidentifiedImageError

from trace_mm.datasets.edge_annotations import EDGE_ANNOTATIONS
from trace_mm.registry import DATASETS
from trace_mm.structures import EdgeDataSample


@DATASETS.register_module()
class InstanceEdgeDataset(BaseDataset):
    """Photos with the borders between their annotated segments (paper, App. F).

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
        image = read_photo(info["img_path"])  # (H, W, 3)
        edges = self._reader.edges(info, image.shape[:2])
        if edges.shape[1:] != image.shape[:2]:
            raise ValueError(
                f"{info['img_path']}: the image is {image.shape[:2]} (H, W), but its annotation is "
                f"{edges.shape[1:]}"
            )
        sample = EdgeDataSample(
            metainfo={
                "img_path": info["img_path"],
                "image_id": info["image_id"],
                "ori_shape": image.shape[:2],
            },
            gt_edges=edges,
        )
        pixels = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))  # (3, H, W)
        return self.pipeline({"inputs": pixels.float() / 255, "data_samples": sample})


def read_photo(path: str | Path) -> np.ndarray:
    """An 8-bit RGB photo as its annotators saw its pixels: EXIF orientation is not applied.

    Returns:
        uint8 (H, W, 3).

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not a readable image.
    """
    try:
        with Image.open(path) as image:
            return np.array(image.convert("RGB"))
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such image") from None
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise ValueError(f"{path}: not a readable image: {error}") from error
