"""Collages of photos without annotations, to learn from."""

from typing import Any

import numpy as np
import torch
from torch.nn import functional
from torch.utils.data import Dataset

from trace_mm.datasets.collages import render_collage
from trace_mm.datasets.image_references import ImageCollection
from trace_mm.datasets.visit import Visit
from trace_mm.registry import DATASETS
from trace_mm.structures import EdgeDataSample


@DATASETS.register_module()
class CollageDataset(Dataset[dict[str, Any]]):
    """Collages of a source's images, with their borders for pseudo-edges.

    What is no border of a collage may still be one of a photo in it: train with the option
    ``doubt`` of :class:`trace_mm.models.distillation.Distillation`.

    Args:
        source: config of a source of images, as :class:`UnlabelledImageDataset` takes it.
        length: how many collages there are; with ``VisitSampler`` each pass has new ones.
        size: side in pixels S.
        cell: side in pixels of the squares that labels are for: such a square is an edge if a
            border runs through it. 2 for the resolution of the shipped student's decoder; then the
            option ``label_grid="token"`` compares them there.
        seed: of the series.

    Raises:
        ValueError: if there is to be no collage, or its side is no whole number of cells.
    """

    metainfo: dict[str, Any] = {}  # noqa: RUF012 (mmengine reads it as it is)

    def __init__(
        self,
        source: dict[str, Any],
        length: int = 1000,
        size: int = 256,
        cell: int = 2,
        seed: int = 0,
    ) -> None:
        if length < 1:
            raise ValueError(f"length must be at least 1, got {length}")
        if cell < 1 or size % cell:
            raise ValueError(f"a side of {size} pixels is no whole number of cells of {cell}")
        self.source: ImageCollection = DATASETS.build(source)
        self.length, self.size, self.cell, self.seed = length, size, cell, seed

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int | Visit) -> dict[str, Any]:
        """A collage as it is trained on.

        Args:
            index: of the collage; a later visit to it is another collage.

        Returns:
            ``inputs`` float32 (3, S, S) in [0, 1], and ``data_samples``, an ``EdgeDataSample`` with
            ``pseudo_edges`` float32 (S / cell, S / cell), 0 or 1.

        Raises:
            IndexError: if there is no such collage.
            ValueError: if a photo cannot be read; names it and the cause.
        """
        number, visit = index if isinstance(index, Visit) else (index, 0)
        if not 0 <= number < self.length:
            raise IndexError(f"there are {self.length} collages, none has index {number}")
        number += visit * self.length
        photos = len(self.source)
        found = render_collage(self._read, photos, self.seed, number, self.size)
        borders = torch.from_numpy(found.borders).float()
        sample = EdgeDataSample(
            metainfo={
                "img_path": None,
                "image_id": f"collage-{self.seed}-{number:06d}",
                "ori_shape": (self.size, self.size),
            },
            pseudo_edges=functional.max_pool2d(borders[None], self.cell)[0],
        )
        pixels = torch.from_numpy(np.ascontiguousarray(found.image.transpose(2, 0, 1)))
        return {"inputs": pixels.float() / 255, "data_samples": sample}

    def _read(self, index: int) -> np.ndarray:
        return self.source.read(index).pixels
