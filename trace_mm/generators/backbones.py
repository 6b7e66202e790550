"""Where patch features come from: timm's vision transformers, or diffusion models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trace_mm.diffusion.fingerprint import file_fingerprint, weights_fingerprint
from trace_mm.diffusion.pretrained import backbone_settings, resolve_pretrained, shipped_models
from trace_mm.diffusion.source import open_model
from trace_mm.lazy import lazy_module

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from trace_mm.models import sizes
else:
    torch = lazy_module("torch")
    sizes = lazy_module("trace_mm.models.sizes")

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
        features: from images (B, 3, h, w) in [0, 1] to patch features (B, rows, columns, C).
        size: side of the square whose area images are brought to.
        size_multiple: what both sides of an image must be divisible by.
    """

    features: Callable[[Tensor], Tensor]
    size: int
    size_multiple: int

    def working_size(self, size: Size) -> Size:
        """The size (h, w) at which the model is shown an image of a size (H, W)."""
        return sizes.working_size(size, self.size, self.size_multiple)

    def __call__(self, images: Sequence[Tensor]) -> Tensor:
        """Features (B, rows, columns, C) float32 on the CPU.

        Args:
            images: (3, H, W) in [0, 1] each, of one working size.
        """
        shown = [
            sizes.resize_images(image[None], self.working_size((image.shape[1], image.shape[2])))
            for image in images
        ]
        with torch.no_grad():
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


@dataclass(frozen=True)
class FeatureSource:
    """A backbone that is not loaded yet: it can be described, and handed to other processes.

    Attributes:
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

    name: str
    settings: AttentionFeatureSettings | VitFeatureSettings
    size: int | None = None
    checkpoint: Path | None = None
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.size is not None and self.size < 1:
            raise ValueError(f"size must be at least 1, got {self.size}")
        if self._is_diffusion and self.checkpoint is not None:
            raise ValueError(f"{self.name} is a diffusion model: its folder holds its weights")

    @property
    def _is_diffusion(self) -> bool:
        return isinstance(self.settings, AttentionFeatureSettings)

    def describe(self) -> dict[str, Any]:
        """All that the features depend on, as JSON values; nothing is loaded.

        Weights in files count by their content, those on a hub by the model's name; a native size
        that only the hub could say is left out.

        Raises:
            FileNotFoundError: if there is no such model or checkpoint.
        """
        if self._is_diffusion:
            size, weights = self._diffusion_size_and_weights()
        else:
            size, file = self.size or VIT_SIZE, self.checkpoint
            weights = None if file is None else file_fingerprint(file.expanduser())
        known = {"size": size, "weights": weights}
        settings = {"backbone": self.name, **asdict(self.settings)}
        return settings | {name: value for name, value in known.items() if value is not None}

    def _diffusion_size_and_weights(self) -> tuple[int | None, str | None]:
        source = resolve_pretrained(self.name)
        size = self.size or backbone_settings(self.name).get("size")
        if not Path(source).is_dir():
            return size, None
        return size or open_model(source).native_size, weights_fingerprint(Path(source))

    def load(self) -> Backbone:
        """The model.

        Raises:
            FileNotFoundError: if there is no such model or checkpoint.
            ValueError: if timm has no such model, or the checkpoint is not its own.
            ImportError: if timm is needed and not there.
        """
        from trace_mm.diffusion import load_recommended
        from trace_mm.diffusion.features import attention_features
        from trace_mm.vision import load_vit

        options = asdict(self.settings)
        if not self._is_diffusion:
            vit = load_vit(self.name, checkpoint=self.checkpoint, device=self.device, **options)
            return Backbone(vit.__call__, self.size or VIT_SIZE, vit.size_multiple)
        diffusion, recommended = load_recommended(self.name, device=self.device)

        def features(images: Tensor) -> Tensor:
            # One by one, so that an image's features do not depend on its neighbours.
            return torch.stack([attention_features(diffusion, i, **options) for i in images])

        size = self.size or recommended.get("size", diffusion.native_size)
        return Backbone(features, size, diffusion.size_multiple)
