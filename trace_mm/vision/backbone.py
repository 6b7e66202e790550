"""A frozen vision transformer as TRACE sees it: an image in, its self-attention out."""

import contextlib
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from trace_mm.attention import AttentionLayer, AttentionWatch, self_attention_map
from trace_mm.attention.tap import AttentionCall
from trace_mm.vision.families import choose_layers, family_of
from trace_mm.vision.families.base import Color


class VisionBackbone(nn.Module):
    """Reads the fused self-attention map of an image (paper Sec. 4, non-diffusion backbones).

    Args:
        tower: a supported model, see :data:`trace_mm.vision.families.FAMILIES`.
        layers: the self-attention layers to read; all that see the whole image if None.
        normalization: mean and standard deviation of the colours; the family's if None.

    Raises:
        ValueError: if the tower is of an unsupported class, or there is no layer.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        tower: nn.Module,
        layers: Sequence[AttentionLayer] | None = None,
        normalization: tuple[Color, Color] | None = None,
    ) -> None:
        super().__init__()
        # Any: nn.Module hides what the libraries' models have.
        self.tower: Any = tower
        self.family = family_of(tower)
        self.layers = choose_layers(tower, None) if layers is None else list(layers)
        for name, values in zip(
            ("mean", "std"), normalization or self.family.normalization(tower), strict=True
        ):
            self.register_buffer(name, torch.tensor(values).view(3, 1, 1), persistent=False)
        self.requires_grad_(False).eval()

    @property
    def device(self) -> torch.device:
        """Where the tower computes."""
        return self.mean.device

    @property
    def size_multiple(self) -> int:
        """What both sides of an image must be divisible by."""
        return self.family.size_multiple(self.tower)

    @property
    def token(self) -> int:
        """Side in pixels of a token of the map."""
        return self.layers[0].stride

    @property
    def native_size(self) -> int:
        """Side in pixels of the square images that the tower was made for."""
        return self.family.native_size(self.tower)

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Token grid (h, w) of the map of an image of this size in pixels."""
        stride = self.layers[0].stride
        return height // stride, width // stride

    @torch.no_grad()
    def attention(self, images: Tensor) -> Tensor:
        """The self-attention between the patches of an image, the mean over layers and heads.

        Class and register tokens are left out, and rows renormalised over the patches.

        Args:
            images: (B, 3, H, W) in [0, 1]; H and W divisible by ``size_multiple``.

        Returns:
            (B, N, N) float32, rows sum to 1, N = h * w of ``grid(H, W)``, row-major.

        Raises:
            ValueError: if the shape does not fit, or a layer does not compute its attention by
                scaled dot-product attention over all patches.
        """
        multiple = self.size_multiple
        if images.ndim != 4 or images.shape[1] != 3:
            raise ValueError(f"images must be (B, 3, H, W), got {tuple(images.shape)}")
        if images.shape[2] % multiple or images.shape[3] % multiple:
            raise ValueError(
                f"both sides must be divisible by {multiple}, got {tuple(images.shape[2:])}"
            )
        if not self.family.one_at_a_time or len(images) == 1:
            return self._one_pass(images)
        return torch.cat([self._one_pass(image) for image in images.split(1)])

    def normalized(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W) in [0, 1] as the tower takes them."""
        weights = next(self.tower.parameters())
        pixels = (images.to(self.device).float() - self.mean.float()) / self.std.float()
        return pixels.to(weights.dtype)

    def _one_pass(self, images: Tensor) -> Tensor:
        grid = self.grid(images.shape[2], images.shape[3])
        maps = _MapSum(self.layers, len(images), grid[0] * grid[1])
        with contextlib.suppress(_AllReadError), AttentionWatch(self.layers, maps.add):
            self.family.call(self.tower, self.normalized(images))
        attention = maps.mean()  # (B, N, N)
        places = self.family.places(self.tower, grid)
        if places is None:
            return attention
        places = places.to(attention.device)
        return attention[:, places[:, None], places]


class _AllReadError(Exception):
    """Ends a pass of which only the attention is wanted."""


class _MapSum:
    """Adds up the maps of layers in place, and stops the pass when all are there.

    Args:
        layers: of which one map each is expected.
        batch: how many images there are.
        patches: how many patches each has.
    """

    def __init__(self, layers: Sequence[AttentionLayer], batch: int, patches: int) -> None:
        self._expected = (batch, patches)
        self._missing = {layer.name for layer in layers}
        self._count = len(layers)
        self._total: Tensor | None = None

    def add(self, layer: AttentionLayer, call: AttentionCall) -> None:
        """Take the attention call of one layer."""
        tokens = layer.image_tokens
        query, key = call.query[:, :, tokens], call.key[:, :, tokens]  # (B, heads, N, dim) each
        found = [(part.shape[0], part.shape[2]) for part in (query, key)]
        if call.is_masked or found != [self._expected] * 2 or layer.name not in self._missing:
            raise ValueError(
                f"layer {layer.name} does not compute the attention of all patches at once: "
                "windowed or masked attention cannot be read as a map of the image"
            )
        self._total = self_attention_map(query, key, call.scale, total=self._total)
        self._missing.remove(layer.name)
        if not self._missing:
            raise _AllReadError  # what comes after the last layer costs time for nothing

    def mean(self) -> Tensor:
        """The mean (B, N, N) of the maps. Hands the memory over."""
        if self._missing or self._total is None:
            raise ValueError(
                f"{', '.join(sorted(self._missing))}: no call of scaled_dot_product_attention. "
                "Load transformers' models with attn_implementation='sdpa', and leave timm's "
                "fused attention switched on"
            )
        return self._total.div_(self._count)
