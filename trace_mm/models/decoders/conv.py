"""The paper's edge decoder: one convolution (paper Sec. 3.4, Table 9)."""

import math

from torch import Tensor, nn

from trace_mm.registry import MODELS


@MODELS.register_module()
class ConvDecoder(nn.Module):
    """One 3x3 convolution over the attention map, read as an image with a channel a key.

    Channel k of token (i, j) is the share of its attention that goes to token k, times N, so that
    a channel is 1 on average whatever the grid. As each key has its own weights, the grid is fixed
    by the training: 9 N + 1 parameters, which for the 64x64 tokens of Stable Diffusion are the
    paper's 0.1 MB.

    Args:
        tokens: N, the number of tokens of the grid that the decoder is trained on.
        grid: that grid (h, w); the square one of N tokens if None.

    Raises:
        ValueError: if the two do not fit together.
    """

    upsampling = 1

    def __init__(self, tokens: int, grid: tuple[int, int] | None = None) -> None:
        super().__init__()
        side = math.isqrt(max(tokens, 0))
        height, width = (side, side) if grid is None else grid
        if min(height, width) < 1 or height * width != tokens:
            raise ValueError(
                f"{tokens} tokens are no square grid; give the grid as (h, w)"
                if grid is None
                else f"a grid of {height} x {width} does not have {tokens} tokens"
            )
        self.tokens = tokens
        self.grid = (height, width)
        self.convolution = nn.Conv2d(tokens, 1, kernel_size=3, padding=1)

    def forward(
        self, attention: Tensor, grid: tuple[int, int], latents: Tensor | None = None
    ) -> Tensor:
        """Edge logits of each token.

        Args:
            attention: (B, N, N), rows sum to 1.
            grid: (h, w), the trained one.
            latents: not used; all decoders are called alike.

        Returns:
            Logits (B, 1, h, w).

        Raises:
            ValueError: if it is another grid, or the map does not fit it.
        """
        if tuple(grid) != self.grid:
            raise ValueError(
                f"this ConvDecoder reads grids of {self.grid[0]} x {self.grid[1]} tokens, got "
                f"{grid[0]} x {grid[1]}; give it images of the size that it was trained on, or "
                "train a decoder for any grid, such as GridFreeDecoder"
            )
        if attention.ndim != 3 or attention.shape[1:] != (self.tokens, self.tokens):
            raise ValueError(
                f"attention must be (B, h*w, h*w) for grid {tuple(grid)}, "
                f"got {tuple(attention.shape)}"
            )
        keys = attention.mT.unflatten(2, self.grid)  # (B, N, h, w)
        return self.convolution(keys.to(self.convolution.weight.dtype) * self.tokens)
