"""Key features of timm's vision transformers, such as DINO's.

The keys of the last attention layer are what MaskCut, TokenCut and ProMerge compare patches by.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from trace_mm.attention import AttentionLayer, AttentionWatch
from trace_mm.vision.families import TimmViT
from trace_mm.vision.timm_models import create_timm_model

_KINDS = ("key", "query", "value")


class PatchFeatures(nn.Module):
    """Features of the patches of images, from one attention layer of a vision transformer.

    The layer's keys, or queries or values, are read at its call of scaled dot-product attention,
    heads side by side; class and register tokens are left out.

    Args:
        model: a timm ``VisionTransformer`` that takes images of any size.
        layer: which block, counted like list items; -1 is the last.
        kind: "key", "query" or "value".

    Raises:
        ValueError: if the model has no such blocks, or the kind is unknown.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, model: nn.Module, layer: int = -1, kind: str = "key") -> None:
        super().__init__()
        blocks = getattr(model, "blocks", None)
        if blocks is None or not hasattr(model, "patch_embed") or not hasattr(blocks[-1], "attn"):
            raise ValueError(f"{type(model).__name__} is not a plain vision transformer")
        if kind not in _KINDS:
            raise ValueError(f"kind must be one of {list(_KINDS)}, got {kind!r}")
        if not -len(blocks) <= layer < len(blocks):
            raise ValueError(f"there are {len(blocks)} blocks, and no block {layer}")
        self.model: Any = model
        self.attention: nn.Module = blocks[layer].attn
        self.kind = kind
        for name, values in zip(("mean", "std"), TimmViT().normalization(model), strict=True):
            self.register_buffer(name, torch.tensor(values).view(3, 1, 1), persistent=False)
        self.requires_grad_(False).eval()

    @property
    def size_multiple(self) -> int:
        """Side of a patch in pixels, which both sides of images must be divisible by."""
        return int(self.model.patch_embed.patch_size[0])

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Features of a batch.

        Args:
            images: (B, 3, H, W) in [0, 1]; H and W divisible by ``size_multiple``.

        Returns:
            (B, h, w, C) float32, one for each patch.

        Raises:
            ValueError: if the shape does not fit, or the layer does not compute its attention by
                scaled dot-product attention.
        """
        patch = self.size_multiple
        if images.ndim != 4 or images.shape[1] != 3:
            raise ValueError(f"images must be (B, 3, H, W), got {tuple(images.shape)}")
        if images.shape[2] % patch or images.shape[3] % patch:
            raise ValueError(f"sides must be divisible by {patch}, got {tuple(images.shape[2:])}")
        grid = images.shape[2] // patch, images.shape[3] // patch
        weights = next(self.model.parameters())
        pixels = (images.to(weights.device).float() - self.mean) / self.std
        found: list[Tensor] = []
        layer = AttentionLayer("attn", self.attention, patch)
        with AttentionWatch([layer], lambda _, call: found.append(getattr(call, self.kind))):
            self.model.forward_features(pixels.to(weights.dtype))
        if not found:
            raise ValueError(
                "the layer does not call scaled_dot_product_attention: leave timm's fused "
                "attention switched on, or choose another layer"
            )
        tokens = found[-1].float().transpose(1, 2).flatten(2)  # (B, tokens, heads * dim)
        patches = tokens[:, tokens.shape[1] - grid[0] * grid[1] :]  # prefix tokens come first
        return patches.unflatten(1, grid)  # (B, h, w, C)


def load_vit(
    name: str,
    *,
    checkpoint: str | Path | None = None,
    pretrained: bool = True,
    device: str | torch.device = "cpu",
    layer: int = -1,
    kind: str = "key",
) -> PatchFeatures:
    """Load one of timm's vision transformers as an extractor of patch features.

    Args:
        name: of the model in timm, such as ``vit_small_patch8_224.dino``.
        checkpoint: a local file of its weights; they are downloaded if None.
        pretrained: False leaves the weights random, if there is no checkpoint.
        device: where the model goes.
        layer: see :class:`PatchFeatures`.
        kind: see :class:`PatchFeatures`.

    Raises:
        ModuleNotFoundError: if timm is not installed; says how to.
        FileNotFoundError: if there is no such checkpoint.
        ValueError: if timm has no such model, it is no plain vision transformer, or the
            checkpoint's weights are not its own.
    """
    model = create_timm_model(name, checkpoint=checkpoint, pretrained=pretrained)
    return PatchFeatures(model, layer, kind).to(device)
