"""Where patch features come from: timm's vision transformers, or diffusion models."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from trace_mm.diffusion import load_recommended, shipped_models
from trace_mm.diffusion.features import attention_features
from trace_mm.models.sizes import resize_images, working_size
from trace_mm.vision import load_vit

Size = tuple[int, int]
VIT_SIZE = 480  # of MaskCut and ProMerge: 60x60 patches of 8 pixels


@dataclass(frozen=True)
class AttentionFeatureSettings:
    """How features are read out of a diffusion model, see ``attention_features``.

    The defaults were chosen for ``trace-tiny`` on 64 validation scenes (README).
    """

    timestep: int = 200
    cell: int = 2
    steps: int = 2
    pool: int = 2
    noise_draws: int = 1
    seed: int = 0


@dataclass(frozen=True)
class VitFeatureSettings:
    """How features are read out of a vision transformer, see ``trace_mm.vision.PatchFeatures``."""

    layer: int = -1
    kind: str = "key"


@dataclass(frozen=True)
class Backbone:
    """A loaded model.

    Attributes:
        name: as the user gave it.
        diffusion: whether it is a diffusion model, else a vision transformer.
        features: from images (B, 3, h, w) in [0, 1] to patch features (B, rows, columns, C).
        size: side of the square whose area images are brought to.
        size_multiple: what both sides of an image must be divisible by.
        identity: all that the features depend on, as JSON values.
    """

    name: str
    diffusion: bool
    features: Callable[[Tensor], Tensor]
    size: int
    size_multiple: int
    identity: dict[str, Any] = field(repr=False)

    def working_size(self, size: Size) -> Size:
        """The size (h, w) at which the model is shown an image of a size (H, W)."""
        return working_size(size, self.size, self.size_multiple)

    @torch.no_grad()
    def __call__(self, images: Sequence[Tensor]) -> Tensor:
        """Features (B, rows, columns, C) float32 on the CPU.

        Args:
            images: (3, H, W) in [0, 1] each, of one working size.
        """
        shown = [
            resize_images(image[None], self.working_size((image.shape[1], image.shape[2])))
            for image in images
        ]
        return self.features(torch.cat(shown)).float().cpu()


def is_diffusion(name: str) -> bool:
    """Whether a name is that of a diffusion model: shipped, a diffusers folder or a hub id."""
    return name in shipped_models() or "/" in name or Path(name).is_dir()


def feature_settings(name: str, changes: dict[str, Any]) -> Any:
    """The feature settings of a backbone, with changes.

    Raises:
        TypeError: if it has no such setting.
    """
    kind = AttentionFeatureSettings if is_diffusion(name) else VitFeatureSettings
    return kind(**changes)


def load_features(
    name: str,
    settings: AttentionFeatureSettings | VitFeatureSettings,
    *,
    size: int | None = None,
    checkpoint: Path | None = None,
    device: str = "cpu",
) -> Backbone:
    """Load a backbone.

    Args:
        name: of a vision transformer in timm (``vit_small_patch8_224.dino``), or of a diffusion
            model: a shipped name, a diffusers folder or a hub id.
        settings: what :func:`feature_settings` returns.
        size: see :class:`Backbone`; by default 480 for vision transformers, and for diffusion
            models what their folder recommends, or else their native size.
        checkpoint: local weights of a vision transformer.
        device: where the model goes.

    Raises:
        ValueError: if the size is not positive, or a diffusion model is given a checkpoint.
    """
    if size is not None and size < 1:
        raise ValueError(f"size must be at least 1, got {size}")
    identity = {"backbone": name, **asdict(settings)}
    if isinstance(settings, VitFeatureSettings):
        vit = load_vit(name, checkpoint=checkpoint, device=device, **asdict(settings))
        weights = _digest(vit.model)
        size = size or VIT_SIZE
        multiple, features = vit.size_multiple, vit.__call__
    else:
        if checkpoint is not None:
            raise ValueError(f"{name} is a diffusion model: its folder holds its weights")
        diffusion, recommended = load_recommended(name, device=device)
        weights = _digest(diffusion.denoiser)
        size = size or recommended.get("size", diffusion.native_size)
        multiple = diffusion.size_multiple

        def features(images: Tensor) -> Tensor:
            # One by one, so that an image's features do not depend on its neighbours.
            options = asdict(settings)
            return torch.stack([attention_features(diffusion, i, **options) for i in images])

    identity.update(size=size, weights=weights)
    return Backbone(
        name, not isinstance(settings, VitFeatureSettings), features, size, multiple, identity
    )


def _digest(model: nn.Module) -> str:
    """Tells weights from others by one value of each: 16 hexadecimal digits."""
    middles = [weight.flatten()[weight.numel() // 2].double() for weight in model.parameters()]
    return hashlib.sha256(torch.stack(middles).cpu().numpy().tobytes()).hexdigest()[:16]
