"""Layers that several decoders share. None looks at the batch, so that a batch of 1 trains."""

from torch import Tensor, nn


class PixelwiseBlock(nn.Module):
    """A residual block: a wide depthwise convolution, then a two-layer network for each token.

    Normalises each token over its channels, so that what it does at a place depends on what lies
    around it and not on the size of the image (Liu et al., A ConvNet for the 2020s, 2022).

    Args:
        width: channels in and out.
        kernel: side of the depthwise convolution, odd.
        expansion: hidden channels as a multiple of ``width``.
    """

    def __init__(self, width: int, kernel: int = 7, expansion: int = 2) -> None:
        super().__init__()
        self.spatial = nn.Conv2d(width, width, kernel, padding=kernel // 2, groups=width)
        self.norm = nn.LayerNorm(width)
        self.hidden = nn.Linear(width, expansion * width)
        self.activation = nn.GELU()
        self.out = nn.Linear(expansion * width, width)

    def forward(self, features: Tensor) -> Tensor:
        """(B, width, h, w) to the same shape."""
        change = self.norm(self.spatial(features).permute(0, 2, 3, 1))  # (B, h, w, width)
        change = self.out(self.activation(self.hidden(change)))
        return features + change.permute(0, 3, 1, 2)


class Upsampler(nn.Module):
    """Learned enlargement by a whole number: each token's channels become a patch of pixels.

    Args:
        width: channels in.
        factor: at least 1; 1 keeps the size.
        fine_width: channels of the enlarged image.
        out: channels out.

    Raises:
        ValueError: if ``factor`` is less than 1.
    """

    def __init__(self, width: int, factor: int, fine_width: int, out: int = 1) -> None:
        super().__init__()
        if factor < 1:
            raise ValueError(f"upsampling must be at least 1, got {factor}")
        self.layers = nn.Sequential(
            nn.Conv2d(width, fine_width * factor**2, kernel_size=1),
            nn.PixelShuffle(factor),
            nn.GELU(),
            nn.Conv2d(fine_width, fine_width, kernel_size=3, padding=1),
            nn.GELU(),
            nn.Conv2d(fine_width, out, kernel_size=3, padding=1),
        )

    def forward(self, features: Tensor) -> Tensor:
        """(B, width, h, w) to (B, out, h * factor, w * factor)."""
        enlarged: Tensor = self.layers(features)
        return enlarged
