"""A U-Net as edge decoder: one of the heavier ones of the paper's Table 9."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from trace_mm.models.decoders.blocks import Upsampler
from trace_mm.models.decoders.features import GridFreeFeatures
from trace_mm.registry import MODELS


@MODELS.register_module()
class UNetDecoder(nn.Module):
    """Edges by a U-Net (Ronneberger et al., 2015) over the grid-free feature image.

    Each level halves the grid, rounding up, and doubles the channels; so any grid works. Group
    normalisation stands where the original has none, so that a batch of 1 trains. ``width=34,
    levels=5`` has the 34 MB of Table 9.

    Args:
        latent_channels: channels of the latents to use beside the attention; 0 for none.
        upsampling: pixels of the result along each side of a token.
        width: channels of the finest level.
        levels: number of grids, at least 1.
        fine_width: channels a pixel of the result.
        cells: sides in tokens of the regions by which attention is compared, increasing.
        steps: how far the attention is followed.

    Raises:
        ValueError: if an option is out of range.
    """

    def __init__(
        self,
        latent_channels: int = 0,
        upsampling: int = 1,
        width: int = 34,
        levels: int = 5,
        fine_width: int = 8,
        cells: Sequence[int] = (2, 8),
        steps: int = 2,
    ) -> None:
        super().__init__()
        if levels < 1:
            raise ValueError(f"levels must be at least 1, got {levels}")
        self.upsampling = upsampling
        self.features = GridFreeFeatures(latent_channels, cells, steps)
        widths = [width * 2**level for level in range(levels)]
        self.down = nn.ModuleList(
            _double_convolution(before, after)
            for before, after in zip([self.features.channels, *widths], widths, strict=False)
        )
        self.up = nn.ModuleList(
            _double_convolution(widths[level] + widths[level + 1], widths[level])
            for level in reversed(range(levels - 1))
        )
        self.upsampler = Upsampler(width, upsampling, fine_width)

    def forward(
        self, attention: Tensor, grid: tuple[int, int], latents: Tensor | None = None
    ) -> Tensor:
        """Edge logits; as :meth:`GridFreeDecoder.forward`."""
        image = self.features(attention, grid, latents).to(next(self.parameters()).dtype)
        skips: list[Tensor] = []
        for level, block in enumerate(self.down):
            if level:
                image = functional.max_pool2d(image, kernel_size=2, ceil_mode=True)
            image = block(image)
            skips.append(image)
        image = skips.pop()
        for block in self.up:
            skip = skips.pop()
            image = functional.interpolate(image, size=skip.shape[2:], mode="bilinear")
            image = block(torch.cat([image, skip], dim=1))
        logits: Tensor = self.upsampler(image)
        return logits


def _double_convolution(before: int, after: int) -> nn.Sequential:
    groups = next(groups for groups in (8, 4, 2, 1) if after % groups == 0)
    return nn.Sequential(
        nn.Conv2d(before, after, kernel_size=3, padding=1, bias=False),
        nn.GroupNorm(groups, after),
        nn.ReLU(),
        nn.Conv2d(after, after, kernel_size=3, padding=1, bias=False),
        nn.GroupNorm(groups, after),
        nn.ReLU(),
    )
