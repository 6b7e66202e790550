"""One attention map from the maps of several layers and resolutions (paper Eq. 8, 9, App. C.3)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from trace_mm.ops.divergence import as_floating

Grid = tuple[int, int]


class AttentionFusion:
    """Mean of attention maps on one grid, taken one map at a time (Eq. 8).

    A map of another grid is brought to this one:

    - Query axis, as in Eq. 8: token (i, j) takes the row of token (floor(i / d), floor(j / d)),
      d the ratio of the grids (Eq. 9).
    - Key axis, where Eq. 8 is silent: each key's share is spread evenly over the area that it
      covers on the finer grid. For whole ratios that is repetition divided by the number of
      repeats, for others the shares follow the overlap of the areas. Either way a row keeps its
      sum of 1.

    Beside the maps that the caller holds, memory is one (B, N, N) map and a workspace of one grid
    row; with gradients, a second map. Differentiable.

    Args:
        grid: (H, W) of the result, at least as fine as that of any map; N = H * W.

    Raises:
        ValueError: if the grid is not positive.
    """

    def __init__(self, grid: Grid) -> None:
        if len(grid) != 2 or min(grid) < 1:
            raise ValueError(f"grid must be (H, W) of at least 1, got {tuple(grid)}")
        self.grid: Grid = (grid[0], grid[1])
        self._sum: Tensor | None = None
        self._weight = 0.0

    def add(
        self,
        attention: Tensor,
        grid: Grid,
        weight: float = 1.0,
        reuse: bool = False,
        count: int = 1,
    ) -> None:
        """Adds one layer's map to the mean.

        Args:
            attention: (B, n, n), rows sum to 1; n = h * w, row-major.
            grid: its (h, w), nowhere larger than the fusion's grid.
            weight: how much it counts, relative to the others; at least 0.
            reuse: the map is not needed any more and may be overwritten, which saves its copy.
            count: of how many maps this is the sum, each of which counts as much as ``weight``.

        Raises:
            ValueError: if shape, batch size, grid or weight do not fit.
        """
        self._check(attention, grid, weight)
        grid = (grid[0], grid[1])
        attention = as_floating(attention)
        tokens = self.grid[0] * self.grid[1]
        if self._sum is None and grid == self.grid and reuse and weight == 1:
            self._sum = attention
        else:
            if self._sum is None:
                self._sum = attention.new_zeros(attention.shape[0], tokens, tokens)
            if grid == self.grid:
                self._sum.add_(attention, alpha=weight)
            else:
                self._add_resampled(self._sum, attention, grid, weight)
        self._weight += weight * count

    def result(self) -> Tensor:
        """The mean (B, N, N) of what was added. Ends the fusion: the memory is handed over.

        Raises:
            ValueError: if nothing of positive weight was added (since the last result).
        """
        if self._sum is None or self._weight <= 0:
            raise ValueError("there is no attention map of positive weight to fuse")
        fused = self._sum.div_(self._weight)
        self._sum, self._weight = None, 0.0
        return fused

    def _add_resampled(self, total: Tensor, attention: Tensor, grid: Grid, weight: float) -> None:
        (height, width), (fine_height, fine_width) = grid, self.grid
        records = torch.is_grad_enabled() and attention.requires_grad
        if not records and fine_height % height == fine_width % width == 0:
            self._add_repeated(total, attention, grid, weight)
            return
        spread_rows = _spread(height, fine_height, attention)  # (H, h)
        spread_columns = _spread(width, fine_width, attention).mT * weight  # (w, W)
        column_of = _nearest(width, fine_width, attention.device)  # (W,)
        queries = attention.unflatten(1, grid).unflatten(3, grid).unbind(1)  # h of (B, w, h, w)

        def enlarge(row: Tensor) -> Tensor:
            keys = spread_rows @ row @ spread_columns  # (B, w, H, W)
            return keys.flatten(2)[:, column_of]  # (B, W, N)

        if records:
            # Adding row by row would copy the whole gradient once a row.
            rows = torch.stack([enlarge(row) for row in queries], dim=1)  # (B, h, W, N)
            row_of = _nearest(height, fine_height, attention.device)  # (H,)
            total.add_(rows[:, row_of].flatten(1, 2))
            return
        total_rows = total.unflatten(1, self.grid)  # (B, H, W, N), a view
        for row, row_queries in enumerate(queries):
            # Those fine rows y with floor(y * h / H) == row.
            first = -(-row * fine_height // height)
            last = -(-(row + 1) * fine_height // height)
            total_rows[:, first:last] += enlarge(row_queries).unsqueeze(1)

    def _add_repeated(self, total: Tensor, attention: Tensor, grid: Grid, weight: float) -> None:
        """The same for whole ratios: keys and queries are repeated, without any products."""
        (height, width), (fine_height, fine_width) = grid, self.grid
        down, right = fine_height // height, fine_width // width
        shares = attention.unflatten(1, grid).unflatten(3, grid)  # (B, h, w, h, w)
        totals = total.unflatten(1, (height, down, width, right))  # (B, h, d, w, d, N), a view
        for row in range(height):
            keys = shares[:, row] * (weight / (down * right))  # (B, w, h, w)
            keys = keys.repeat_interleave(right, -1).repeat_interleave(down, -2)  # (B, w, H, W)
            totals[:, row] += keys.flatten(2)[:, None, :, None]

    def _check(self, attention: Tensor, grid: Grid, weight: float) -> None:
        shape = tuple(attention.shape)
        if len(grid) != 2 or min(grid) < 1:
            raise ValueError(f"grid must be (h, w) of at least 1, got {tuple(grid)}")
        if len(shape) != 3 or shape[1:] != (grid[0] * grid[1],) * 2:
            raise ValueError(f"attention must be (B, h*w, h*w) for grid {grid}, got {shape}")
        if grid[0] > self.grid[0] or grid[1] > self.grid[1]:
            raise ValueError(f"grid {grid} is finer than the grid of the result, {self.grid}")
        if self._sum is not None and self._sum.shape[0] != shape[0]:
            raise ValueError(f"batch size changes from {self._sum.shape[0]} to {shape[0]}")
        if not weight >= 0 or weight == float("inf"):
            raise ValueError(f"weight must be finite and at least 0, got {weight}")


def fuse_attention(
    maps: Sequence[Tensor], grids: Sequence[Grid], weights: Sequence[float] | None = None
) -> Tensor:
    """Mean of the attention maps of several layers, on the finest of their grids (Eq. 8, 9).

    :class:`AttentionFusion` says how coarser maps are brought to that grid, and does the same
    without all maps in memory at once.

    Args:
        maps: (B, n, n) each, rows sum to 1.
        grids: (h, w) of each map, n = h * w.
        weights: how much each map counts; all the same if None.

    Returns:
        (B, N, N), rows sum to 1, N the tokens of the finest grid.

    Raises:
        ValueError: if there is no map, the numbers of maps, grids and weights differ, or a map
            does not fit its grid.

    Examples:
        >>> import torch
        >>> coarse, fine = torch.ones(1, 1, 1), torch.eye(4)[None]
        >>> fuse_attention([coarse, fine], [(1, 1), (2, 2)])[0, 0]
        tensor([0.6250, 0.1250, 0.1250, 0.1250])
    """
    if weights is None:
        weights = [1.0] * len(maps)
    if not len(maps) == len(grids) == len(weights) > 0:
        raise ValueError(
            f"needs one grid and one weight a map and at least one map, got {len(maps)} maps, "
            f"{len(grids)} grids and {len(weights)} weights"
        )
    fusion = AttentionFusion(finest_grid(grids))
    for attention, grid, weight in zip(maps, grids, weights, strict=True):
        fusion.add(attention, grid, weight)
    return fusion.result()


def finest_grid(grids: Sequence[Grid]) -> Grid:
    """The largest height and the largest width among the grids, as (H, W).

    Examples:
        >>> finest_grid([(16, 16), (8, 32)])
        (16, 32)
    """
    return max(height for height, _ in grids), max(width for _, width in grids)


def _nearest(coarse: int, fine: int, device: torch.device) -> Tensor:
    """Index floor(i * coarse / fine) of the coarse cell for each of the fine cells, (fine,)."""
    return torch.arange(fine, device=device) * coarse // fine


def _spread(coarse: int, fine: int, like: Tensor) -> Tensor:
    """(fine, coarse): the share of each coarse cell's length that lies in each fine cell."""
    # In units of 1 / (coarse * fine) of the whole length the borders are integers, hence exact.
    fine_start = torch.arange(fine, device=like.device)[:, None] * coarse  # (fine, 1)
    coarse_start = torch.arange(coarse, device=like.device)[None, :] * fine  # (1, coarse)
    overlap = torch.minimum(fine_start + coarse, coarse_start + fine) - torch.maximum(
        fine_start, coarse_start
    )
    return overlap.clamp(min=0).to(like.dtype) / fine
