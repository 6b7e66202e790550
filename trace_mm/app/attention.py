"""Where a pixel of a photo attends to, at each timestep of a teacher's search."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from trace_mm.models import TraceTeacher
from trace_mm.ops import EmergencePoint

_BRIGHT = 99  # per cent of tokens that are not the brightest: a token attends to itself most


@dataclass(frozen=True)
class PhotoAttention:
    """The attention of a photo.

    Attributes:
        timesteps: T of them, increasing.
        maps: for each, float16 (N, N): attention times N, so that 1 is what falls on a token if
            attention is spread evenly.
        grid: (h, w) of the N tokens, which cover the photo.
        chosen: t*.
        scores: by timestep, but the first.
    """

    timesteps: Sequence[int]
    maps: Sequence[NDArray[np.float16]]
    grid: tuple[int, int]
    chosen: int
    scores: dict[int, float]

    def heat(self, index: int, place: tuple[float, float]) -> NDArray[np.float32]:
        """Where the token at a place attends to.

        Args:
            index: of the timestep.
            place: shares of the width and of the height, in [0, 1].

        Returns:
            (h, w) in [0, 1]: attention, from its least to what one token of a hundred exceeds.
        """
        row = self.maps[index][self.token(place)].astype(np.float32)
        row -= row.min()
        most = max(float(np.percentile(row, _BRIGHT)), 1e-6)
        return np.minimum(row / most, 1).reshape(self.grid)

    def token(self, place: tuple[float, float]) -> int:
        """Number of the token at a place."""
        height, width = self.grid
        column = min(max(int(place[0] * width), 0), width - 1)
        return min(max(int(place[1] * height), 0), height - 1) * width + column


def read_attention(teacher: TraceTeacher, pixels: NDArray[np.float32]) -> PhotoAttention:
    """The attention of a photo (H, W, 3), and the search for t* in it (Eq. 1)."""
    device = next(teacher.parameters()).device
    image = torch.from_numpy(pixels).permute(2, 0, 1).to(device)  # (3, H, W)
    search, maps, grid = EmergencePoint(teacher.divergence), [], (0, 0)
    for timestep, attention, step_grid in teacher.attention_maps(image):
        search.update(timestep, attention)
        grid = step_grid
        maps.append((attention[0] * attention.shape[-1]).half().cpu().numpy())
    found = search.result()
    return PhotoAttention(tuple(teacher.timesteps), maps, grid, found.timestep, found.scores)
