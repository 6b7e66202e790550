"""A frozen diffusion model as the backbone of a detector."""

import hashlib
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from trace_mm.diffusion import load_backbone
from trace_mm.diffusion.unet_features import UNetFeatures
from trace_mm.registry import MODELS


@MODELS.register_module()
class DiffusionPyramid(BaseModule):
    """Feature maps of four strides from a frozen U-Net and a small network that learns.

    On a thousand drawn scenes, a Mask2Former on top of it learns objects in half an hour of a
    processor core, and one on random weights does not (docs/results.md).

    The U-Net is run once over each image, without text. Its two finest resolutions, and a few
    convolutions over the pixels, become the first two maps; the other two are made of these.
    Neither its weights nor what it computes are part of checkpoints.

    Args:
        pretrained: a diffusers folder, hub id or shipped name, of a model with a U-Net.
        channels: of the four maps.
        stem_channels: of the convolutions over the pixels.
        timestep: noise level at which images are read.
        cached_images: the features of so many training images are kept in memory, in half
            precision; of use where images are not augmented. At 128 x 128 pixels the shipped model
            takes 0.6 MB an image.
        init_cfg: of MMEngine.

    Raises:
        ValueError: if the model has no U-Net, or not four maps are asked for.
    """

    def __init__(
        self,
        pretrained: str,
        channels: Sequence[int] = (64, 128, 128, 128),
        stem_channels: int = 32,
        timestep: int = 0,
        cached_images: int = 0,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        if len(channels) != 4:
            raise ValueError(f"there are four maps, got channels {tuple(channels)}")
        backbone = load_backbone(pretrained)
        # A list hides it from the module's parameters: it is frozen and comes from elsewhere.
        self._frozen = [backbone]
        self._features = UNetFeatures(backbone, timestep)
        self._cache: dict[bytes, list[Tensor]] = {}
        self._cached_images = cached_images
        side = 2 * backbone.size_multiple
        widths = [found.shape[1] for found in self._features(torch.zeros(1, 3, side, side))[:2]]
        if len(widths) < 2:
            raise ValueError(f"{pretrained}: its U-Net has a single resolution, two are needed")
        self.stem = _stem(stem_channels, backbone.latent_stride)
        first, second, *rest = channels
        self.fine = _block(widths[0] + stem_channels, first)
        self.coarse = _block(widths[1] + first, second)
        self.pool = nn.MaxPool2d(2)
        self.deeper = nn.ModuleList(
            _block(inputs, outputs, stride=2) for inputs, outputs in pairwise([second, *rest])
        )

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Feature maps of images.

        Args:
            images: (B, 3, H, W) RGB in [0, 1], as a ``data_preprocessor`` with mean 0 and standard
                deviation 255 gives them; both sides divisible by 8 times the latents' stride.

        Returns:
            Four maps; the first has the latents' stride, each other twice that of the one before.
        """
        fine, coarse = self._read(images)
        first = self.fine(torch.cat([fine, self.stem(images)], dim=1))
        maps = [first, self.coarse(torch.cat([coarse, self.pool(first)], dim=1))]
        for block in self.deeper:
            maps.append(block(maps[-1]))
        return tuple(maps)

    def _read(self, images: Tensor) -> list[Tensor]:
        """The U-Net's two finest maps of each image."""
        if self._frozen[0].device != images.device:
            self._frozen[0].to(images.device)
        if not (self.training and self._cached_images):
            return self._features(images)[:2]
        keys = [hashlib.sha256(image.cpu().numpy().tobytes()).digest() for image in images]
        fresh = [index for index, key in enumerate(keys) if key not in self._cache]
        found = dict(self._cache)
        if fresh:
            maps = [one.half().cpu() for one in self._features(images[fresh])[:2]]
            for position, index in enumerate(fresh):
                found[keys[index]] = [one[position] for one in maps]
        if len(found) <= self._cached_images:
            self._cache = found
        return [
            torch.stack([found[key][level].float() for key in keys]).to(images.device)
            for level in range(2)
        ]


def _stem(channels: int, stride: int) -> nn.Sequential:
    """Convolutions over pixels that make them ``stride`` times smaller, a power of 2."""
    layers: list[nn.Module] = []
    for index in range(stride.bit_length() - 1):
        layers.append(_layer(channels if index else 3, channels, stride=2))
    return nn.Sequential(*layers, _layer(channels if layers else 3, channels))


def _block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(_layer(inputs, outputs, stride), _layer(outputs, outputs))


def _layer(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
        nn.GroupNorm(8, outputs),
        nn.ReLU(inplace=True),
    )
