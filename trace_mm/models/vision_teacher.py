"""Edges from the attention of a vision transformer, without diffusion (paper Table 5)."""

from typing import Any, Literal

import torch
from torch import Tensor

from trace_mm.models.attention_edges import AttentionEdges
from trace_mm.models.object_tiles import ObjectSize
from trace_mm.registry import MODELS
from trace_mm.structures import EdgeDataSample
from trace_mm.vision import LanguageBackbone, VisionBackbone, load_vision_backbone


@MODELS.register_module()
class VisionTeacher(AttentionEdges):
    """Turns the self-attention of a vision transformer into edges by ABDiv (Eq. 2).

    This is what the paper compares diffusion models with. Without noise there are no timesteps to
    search: the fused attention of the image itself is read.

    Args:
        backbone: arguments of :func:`trace_mm.vision.load_vision_backbone`; ``pretrained`` names
            the model, and ``part="language"`` the attention among image tokens in the language
            model behind the tower. Or a loaded backbone.
        boundary_divergence: of Eq. 2, a key of ``trace_mm.ops.DIVERGENCES``.
        neighbors: 4 or 8, of Eq. 2.
        region_cell: Eq. 2 compares where attention goes by regions of so many tokens a side
            (:func:`trace_mm.ops.region_attention`); 1 compares it token by token, like the paper.
        walk_steps: of a random walk over regions that the comparison looks ahead; 1 is the
            attention itself, like the paper.
        size: side in pixels of the square area at which the model is shown an image; the model's
            native size if None.
        tile: cut images larger than this many pixels a side into tiles of that size, each of which
            is shown to the model like an image.
        tile_overlap: the least part of a tile that its neighbour covers too.
        object_size: instead of ``tile``: pixels of the smallest object from side to side, for which
            tiles are made, see :func:`trace_mm.models.object_tiles.tiles_for_objects`; "auto" finds
            it in each image that has many objects of one size, and leaves others as they are.
        data_preprocessor: of MMEngine; casts to the device by default.
    """

    def __init__(
        self,
        backbone: dict[str, Any] | VisionBackbone | LanguageBackbone,
        boundary_divergence: str = "kl",
        neighbors: int = 4,
        region_cell: int = 1,
        walk_steps: int = 1,
        size: int | None = None,
        tile: int | Literal["auto"] | None = None,
        tile_overlap: float = 0.25,
        object_size: ObjectSize | None = None,
        data_preprocessor: dict[str, Any] | None = None,
    ) -> None:
        loaded = load_vision_backbone(**backbone) if isinstance(backbone, dict) else backbone
        super().__init__(
            loaded,
            loaded.native_size if size is None else size,
            boundary_divergence,
            neighbors,
            region_cell,
            walk_steps,
            tile,
            tile_overlap,
            object_size,
            data_preprocessor,
        )

    @torch.no_grad()
    def attention_map(self, image: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Attention of one image.

        Args:
            image: (3, H, W) in [0, 1].

        Returns:
            Fused attention (1, N, N) and its grid (h, w).
        """
        shown = self._shown(image)
        return self.backbone.attention(shown), self.backbone.grid(shown.shape[2], shown.shape[3])

    def _predict_image(self, image: Tensor, sample: EdgeDataSample) -> None:
        self._add_edges(sample, image, self._read_boundary)

    def _read_boundary(self, image: Tensor) -> Tensor:
        """Boundary strength (1, 1, h, w) on the token grid."""
        return self._boundary(*self.attention_map(image))
