"""A small edge decoder for grids of any size and shape. Ours, not the paper's."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from trace_mm.models.decoders.blocks import PixelwiseBlock, Upsampler
from trace_mm.models.decoders.features import GridFreeFeatures
from trace_mm.registry import MODELS


@MODELS.register_module()
class GridFreeDecoder(nn.Module):
    """Edges from how the attention of neighbours differs, by a small convolutional network.

    Sees :class:`~trace_mm.models.decoders.features.GridFreeFeatures`. Half of its layers work on a
    grid of half the size: they see far, which lets them close gaps, and cost little. The result may
    be finer than the tokens, since attention and latents together tell where in a token an edge
    runs.

    Args:
        latent_channels: channels of the latents to use beside the attention; 0 for none.
        upsampling: pixels of the result along each side of a token.
        width: channels a token.
        depths: numbers of residual blocks before, on, and after the half grid.
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
        width: int = 64,
        depths: tuple[int, int, int] = (1, 3, 1),
        fine_width: int = 8,
        cells: Sequence[int] = (2, 8),
        steps: int = 2,
    ) -> None:
        super().__init__()
        self.upsampling = upsampling
        self.features = GridFreeFeatures(latent_channels, cells, steps)
        self.stem = nn.Conv2d(self.features.channels, width, kernel_size=3, padding=1)
        before, on, after = depths
        self.before = nn.Sequential(*(PixelwiseBlock(width) for _ in range(before)))
        self.down = nn.Conv2d(width, 2 * width, kernel_size=3, stride=2, padding=1)
        self.coarse = nn.Sequential(*(PixelwiseBlock(2 * width) for _ in range(on)))
        self.up = nn.Conv2d(2 * width, width, kernel_size=1)
        self.after = nn.Sequential(*(PixelwiseBlock(width) for _ in range(after)))
        self.upsampler = Upsampler(width, upsampling, fine_width)

    def forward(
        self, attention: Tensor, grid: tuple[int, int], latents: Tensor | None = None
    ) -> Tensor:
        """Edge logits.

        Args:
            attention: (B, N, N), rows sum to 1.
            grid: (h, w), N = h * w.
            latents: (B, C, h', w'); not used without ``latent_channels``.

        Returns:
            Logits (B, 1, h * upsampling, w * upsampling).

        Raises:
            ValueError: if the shapes do not fit.
        """
        image = self.features(attention, grid, latents).to(self.stem.weight.dtype)
        # Blocks look at all channels of a token at once: faster where these lie side by side.
        image = image.contiguous(memory_format=torch.channels_last)
        near = self.before(self.stem(image))  # (B, width, h, w)
        far = self.up(self.coarse(self.down(near)))  # (B, width, ceil(h / 2), ceil(w / 2))
        far = functional.interpolate(far, size=tuple(grid), mode="bilinear")
        logits: Tensor = self.upsampler(self.after(near + far))
        return logits
