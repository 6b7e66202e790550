"""Edges from the self-attention of a frozen model: what all such edge models have in common."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from trace_mm.models.object_tiles import ObjectSize, Tiling
from trace_mm.models.options import check_reading
from trace_mm.models.sizes import read_tiles, resize_images, working_size
from trace_mm.ops import (
    attention_boundary_divergence,
    normalize_edges,
    region_attention,
    token_edges_at,
    upsample_edges,
)
from trace_mm.runner_model import RunnerModel
from trace_mm.structures import EdgeDataSample


class AttentionEdges(RunnerModel):
    """Shows images to a frozen backbone and turns its attention into edges (ABDiv, Eq. 2).

    Each image is processed on its own, so that a result does not depend on batch or order. A
    subclass says which attention of an image is read.

    Args:
        backbone: with ``size_multiple``, what both sides of an image must be divisible by.
        size: side in pixels of the square area at which the backbone is shown an image.
        boundary_divergence: of Eq. 2, a key of ``trace_mm.ops.DIVERGENCES``.
        neighbors: 4 or 8, of Eq. 2.
        region_cell: Eq. 2 compares where attention goes by regions of so many tokens a side
            (:func:`trace_mm.ops.region_attention`); 1 compares it token by token.
        walk_steps: of a random walk over regions that the comparison looks ahead; 1 is the
            attention itself.
        tile: cut images larger than this many pixels a side into tiles of that size, each of which
            is shown to the backbone like an image; "auto" is ``size``.
        tile_overlap: the least part of a tile that its neighbour covers too.
        object_size: instead of ``tile``: pixels of the smallest object from side to side, for which
            tiles are made, see :func:`trace_mm.models.object_tiles.tiles_for_objects`; "auto" finds
            it in each image that has many objects of one size, and leaves others as they are.
        data_preprocessor: of MMEngine; casts to the device by default.

    Raises:
        ValueError: if an option is out of range.
    """

    def __init__(
        self,
        backbone: Any,
        size: int,
        boundary_divergence: str,
        neighbors: int,
        region_cell: int,
        walk_steps: int,
        tile: int | Literal["auto"] | None,
        tile_overlap: float,
        object_size: ObjectSize | None,
        data_preprocessor: dict[str, Any] | None,
    ) -> None:
        super().__init__(data_preprocessor)
        self.backbone = backbone
        self.boundary_divergence = boundary_divergence
        self.neighbors = neighbors
        self.region_cell = region_cell
        self.walk_steps = walk_steps
        check_reading(size, region_cell, walk_steps)
        self.size = size
        self.tiling = Tiling(object_size, tile, size, backbone.token)
        self.tile = self.tiling.tile
        self.tile_overlap = tile_overlap

    def forward(
        self,
        inputs: Sequence[Tensor],
        data_samples: Sequence[EdgeDataSample] | None = None,
        mode: str = "predict",
    ) -> list[EdgeDataSample]:
        """MMEngine's entry point; such a model only predicts.

        Raises:
            ValueError: in any other mode.
        """
        if mode != "predict":
            raise ValueError(f"{type(self).__name__} is not trained: it has no mode {mode!r}")
        return self.predict(inputs, data_samples)

    @torch.no_grad()
    def predict(
        self, inputs: Sequence[Tensor], data_samples: Sequence[EdgeDataSample] | None = None
    ) -> list[EdgeDataSample]:
        """Edges of images.

        Args:
            inputs: float (3, H, W) in [0, 1] each; sizes may differ.
            data_samples: one an image; the prediction is added to it. New ones if None.

        Returns:
            The samples, with ``pred_edges`` (H, W) float32 in [0, 1] on the CPU and, of images
            that are not cut into tiles, ``token_edges`` (h, w), the same on the token grid; the
            teacher's also with ``timestep`` and ``scores`` (empty for a fixed timestep).
        """
        samples = data_samples or [EdgeDataSample() for _ in inputs]
        for image, sample in zip(inputs, samples, strict=True):
            self._predict_image(image, sample)
        return list(samples)

    @abstractmethod
    def _predict_image(self, image: Tensor, sample: EdgeDataSample) -> None:
        """Add the prediction for an image (3, H, W) to its sample."""

    def _shown(self, image: Tensor) -> Tensor:
        """An image (3, H, W) as the backbone is shown it, (1, 3, h, w)."""
        if image.ndim != 3 or image.shape[0] != 3:
            raise ValueError(f"an image must be (3, H, W), got {tuple(image.shape)}")
        size = working_size(
            (image.shape[1], image.shape[2]), self.size, self.backbone.size_multiple
        )
        return resize_images(image[None], size)

    def _add_edges(
        self,
        sample: EdgeDataSample,
        image: Tensor,
        read: Callable[[Tensor], Tensor],
        whole: Tensor | None = None,
    ) -> None:
        """Add the edges of an image, read as a whole or tile by tile, to its sample.

        Args:
            sample: of the image.
            image: (3, H, W).
            read: from an image or a tile to boundary strength on its token grid, (1, 1, h, w).
            whole: that of the whole image, if it is known already.
        """
        tile, _ = self.tiling.of(image)
        if tile is not None:

            def read_tile(part: Tensor) -> Tensor:
                size = part.shape[1], part.shape[2]
                return upsample_edges(read(part), size, "bicubic")[0, 0].cpu()

            boundary = read_tiles(image, tile, self.tile_overlap, read_tile)
            sample.pred_edges = normalize_edges(boundary[None, None])[0, 0].float().clamp(0, 1)
            return
        tokens = read(image) if whole is None else whole
        sample.token_edges = normalize_edges(tokens)[0, 0].cpu().float()
        sample.pred_edges = token_edges_at(tokens, image.shape[1:])[0, 0].cpu().float()

    def _boundary(self, attention: Tensor, grid: tuple[int, int]) -> Tensor:
        """Boundary strength (1, 1, h, w) on the token grid (Eq. 2)."""
        regions = region_attention(attention, grid, self.region_cell, self.walk_steps)
        return attention_boundary_divergence(
            regions, grid, self.boundary_divergence, self.neighbors
        )
