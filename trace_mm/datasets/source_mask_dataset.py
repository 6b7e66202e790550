"""Images with the masks that another method made of them."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import print_log
from mmengine.structures import InstanceData
from torch.utils.data import Dataset

from trace_mm.files import Orientation
from trace_mm.refinement.image_index import ImageIndex
from trace_mm.refinement.instance_data import instance_data
from trace_mm.refinement.readers import MaskRecord, MaskStack, open_masks
from trace_mm.registry import DATASETS
from trace_mm.structures import InstanceDataSample


@DATASETS.register_module()
class SourceMaskDataset(Dataset[dict[str, Any]]):
    """The images of another dataset, each with its masks of a file or folder of masks.

    An image of which the masks say nothing has none. Masks of images that the dataset does not have
    are left out, with a warning. Masks are turned to the orientation in which the dataset reads
    their photo, where they are of the other; see :mod:`trace_mm.files.orientation`.

    Args:
        images: config of a dataset of photos, such as ``InstanceEdgeDataset``.
        masks: arguments of :func:`trace_mm.refinement.open_masks`: ``path``, and ``format``,
            ``allow_pickle`` or ``crowds``.
        data_root: folder that the path of the masks is relative to.

    Raises:
        FileNotFoundError: if a file or folder is missing.
        ValueError: if the masks are of no known format, or of no image of the dataset.
    """

    metainfo: dict[str, Any] = {}  # noqa: RUF012 (mmengine reads it as it is)

    def __init__(self, images: dict[str, Any], masks: dict[str, Any], data_root: str = "") -> None:
        self.images: Any = DATASETS.build(images)
        self.reader = open_masks(**{**masks, "path": Path(data_root) / masks["path"]})
        self._told: set[str] = set()
        self.records = self._match()

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """The item of ``images`` with ``source_instances`` in its sample."""
        item = self.images[index]
        given = item["data_samples"]
        sample = InstanceDataSample(metainfo=given.metainfo)
        sample.set_data(dict(given.items()))
        orientation = sample.get("orientation", Orientation())
        sample.source_instances = self._instances(index, item["inputs"].shape[1:], orientation)
        return {**item, "data_samples": sample}

    def _match(self) -> dict[int, MaskRecord]:
        """The record of each image that has one, by the image's index."""
        infos = [self.images.get_data_info(index) for index in range(len(self.images))]
        index_of_id = {info["image_id"]: index for index, info in enumerate(infos)}
        paths = [Path(info["img_path"]) for info in infos]
        index_of_path = {path: index for index, path in enumerate(paths)}
        index_of_images = ImageIndex(paths)
        records = self.reader.records(index_of_images.has)
        found: dict[int, MaskRecord] = {}
        left_out = []
        for record, path in zip(records, index_of_images.match(records), strict=True):
            if record.image is None and record.image_id in index_of_id:
                found[index_of_id[record.image_id]] = record
            elif isinstance(path, Path):
                found[index_of_path[path]] = record
            elif not record.empty:
                left_out.append(path)
        self._tell()
        if not any(not record.empty for record in found.values()):
            raise ValueError(f"{self.reader.path}: masks of none of the images: {left_out[:1]}")
        if left_out:
            print_log(
                f"{self.reader.path}: {len(left_out)} of {len(records)} records are of no image of "
                f"the dataset, the first: {left_out[0]}",
                "current",
                logging.WARNING,
            )
        return found

    def _tell(self) -> None:
        """Log what the reader has to say, each once."""
        for note in self.reader.notes:
            if note not in self._told:
                self._told.add(note)
                print_log(note, "current", logging.WARNING)

    def _instances(self, index: int, size: torch.Size, orientation: Orientation) -> InstanceData:
        height, width = size
        if index not in self.records:
            return instance_data(MaskStack(0, (height, width)).instances())
        record = self.records[index]
        turned = orientation.other_fits((height, width), lambda: self.reader.evidence(record))
        own_size = (width, height) if turned else (height, width)
        instances = self.reader.read(record, own_size)
        self._tell()  # what reading has brought to light
        masks = orientation.fit(instances.masks.transpose(1, 2, 0), (height, width))  # (H, W, K)
        fitting = np.ascontiguousarray(masks.transpose(2, 0, 1))
        return instance_data(replace(instances, masks=fitting))
