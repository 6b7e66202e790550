"""What all grid-free decoders see: an image of a few channels a token, on any grid."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from trace_mm.ops import neighbor_divergence, region_attention

NEIGHBORS = ((0, 1), (1, 0), (1, 1), (1, -1), (0, 2), (2, 0))
"""Right, below, the two diagonals, and two tokens ahead: half of all, as divergences are mutual."""

_FLOOR = 1e-4  # nats; divergences of neighbours inside an object lie about here


class GridFreeFeatures(nn.Module):
    """Turns attention into channels whose number and meaning do not depend on the grid.

    - The divergence of each token from each neighbour (:func:`trace_mm.ops.neighbor_divergence`),
      by regions of several sizes, on a logarithmic scale, since it spans decades.
    - Where the attention goes, after each of a few steps along it: the mean way in rows and columns
      and the spread in both. Tokens of one object point to its middle, so these jump at edges.
    - The latents, and their mean under the attention after each step, if asked for.

    Has no parameters.

    Args:
        latent_channels: channels of the latents to use; 0 for attention only, like the paper.
        cells: sides in tokens of the square regions by which attention is compared,
            increasing; 1 is token by token. Texture that is finer than a region fades.
        steps: along the attention.
        neighbors: offsets (rows, columns) of the neighbours.

    Raises:
        ValueError: if an option is out of range.
    """

    def __init__(
        self,
        latent_channels: int = 0,
        cells: Sequence[int] = (2, 8),
        steps: int = 2,
        neighbors: Sequence[tuple[int, int]] = NEIGHBORS,
    ) -> None:
        super().__init__()
        if latent_channels < 0 or steps < 0:
            raise ValueError(
                f"latent_channels and steps must be at least 0, got {latent_channels} and {steps}"
            )
        if list(cells) != sorted(set(cells)) or min(cells, default=1) < 1:
            raise ValueError(f"cells must be positive and increasing, got {tuple(cells)}")
        self.latent_channels = latent_channels
        self.cells = tuple(cells)
        self.steps = steps
        self.neighbors = tuple((rows, columns) for rows, columns in neighbors)
        self.channels = (
            len(self.cells) * len(self.neighbors) + steps * (4 + latent_channels) + latent_channels
        )
        if self.channels == 0:
            raise ValueError("there must be a cell, a step or a latent channel to look at")

    def forward(self, attention: Tensor, grid: tuple[int, int], latents: Tensor | None) -> Tensor:
        """The feature image.

        Args:
            attention: (B, N, N), rows sum to 1.
            grid: (h, w), N = h * w.
            latents: (B, C, h', w'), averaged over each token's area; not used without
                ``latent_channels``.

        Returns:
            (B, channels, h, w), at least float32, values mostly within [-3, 3].

        Raises:
            ValueError: if the shapes do not fit.
        """
        height, width = grid
        shape = tuple(attention.shape)
        if len(shape) != 3 or min(grid) < 1 or shape[1:] != (height * width,) * 2:
            raise ValueError(f"attention must be (B, h*w, h*w) for grid {tuple(grid)}, got {shape}")
        attention = attention.to(torch.promote_types(attention.dtype, torch.float32))
        # Half precision would drown the divergences of rows that hardly differ.
        with torch.autocast(attention.device.type, enabled=False):
            seen = self._latents_of_tokens(latents, grid, attention)  # (B, C, h, w)
            features = [*self._divergences(attention, grid), *self._walk(attention, grid, seen)]
            return torch.cat([*features, seen], dim=1)

    def _latents_of_tokens(
        self, latents: Tensor | None, grid: tuple[int, int], attention: Tensor
    ) -> Tensor:
        batch = attention.shape[0]
        if self.latent_channels == 0:
            return attention.new_zeros(batch, 0, *grid)
        channels = (batch, self.latent_channels)
        if latents is None or latents.ndim != 4 or tuple(latents.shape[:2]) != channels:
            raise ValueError(
                f"latents must be ({batch}, {self.latent_channels}, h', w'), "
                f"got {None if latents is None else tuple(latents.shape)}"
            )
        latents = latents.to(attention.dtype)
        if tuple(latents.shape[2:]) == tuple(grid):
            return latents
        return functional.adaptive_avg_pool2d(latents, grid)

    def _divergences(self, attention: Tensor, grid: tuple[int, int]) -> list[Tensor]:
        """Of each cell size, (B, neighbours, h, w)."""
        features = []
        for regions in self._regions(attention, grid):
            found = neighbor_divergence(regions, grid, self.neighbors)
            features.append(((found.clamp(min=0) + _FLOOR).log() + 5) / 2.5)
        return features

    def _regions(self, attention: Tensor, grid: tuple[int, int]) -> Iterator[Tensor]:
        """The attention to regions (B, N, M), of each cell size."""
        regions, finer = attention, 1
        for cell in self.cells:
            if finer > 1 and cell % finer == grid[0] % cell == grid[1] % cell == 0:
                # Regions of regions: a small map is summed and not the large one once more.
                image = regions.unflatten(2, (grid[0] // finer, grid[1] // finer))
                summed = functional.avg_pool2d(image, cell // finer, divisor_override=1)
                regions = summed.flatten(2)
            else:
                regions = region_attention(attention, grid, cell)
            finer = cell
            yield regions

    def _walk(self, attention: Tensor, grid: tuple[int, int], latents: Tensor) -> list[Tensor]:
        """Per step: way and spread (B, 4, h, w), and the latents met (B, C, h, w)."""
        if not self.steps:
            return []
        places = _places(grid, attention)  # (2, N)
        batch = attention.shape[0]
        values = torch.cat([places, places.square()]).expand(batch, -1, -1)
        values = torch.cat([values, latents.flatten(2)], dim=1)  # (B, 4 + C, N)
        features = []
        for _ in range(self.steps):
            values = (attention @ values.mT).mT  # reads the map once, in the order of memory
            mean, squares, met = values.split([2, 2, self.latent_channels], dim=1)
            way, spread = mean - places, (squares - mean.square()).clamp(min=0)
            way = way.sign() * way.abs().log1p()
            scaled = torch.cat([way, spread.log1p() / 2 - 1, met], dim=1)
            features.append(scaled.unflatten(2, grid))  # (B, 4 + C, h, w)
        return features


def _places(grid: tuple[int, int], like: Tensor) -> Tensor:
    """Row and column of each token (2, N), from the middle, so that their squares stay exact."""
    axes = [
        torch.arange(length, device=like.device, dtype=like.dtype) - (length - 1) / 2
        for length in grid
    ]
    return torch.stack(torch.meshgrid(axes, indexing="ij")).flatten(1)
