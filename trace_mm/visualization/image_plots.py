"""Figures of images side by side: attention over timesteps, and edges before and after."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from trace_mm.visualization.plot_style import ACCENT, MUTED, paper_style

_CELL = 1.7  # inches, of the longer side of a picture
_HEADER = 0.35  # inches


@dataclass(frozen=True)
class AttentionSeries:
    """An image and what its attention looks like at several timesteps.

    Attributes:
        image: (H, W, 3) RGB in [0, 1].
        timesteps: increasing.
        colors: for each, uint8 (h, w, 3) of :func:`attention_pca_colors`.
        chosen: the emergence point t*; None if it was not looked for.
    """

    image: NDArray[np.float32]
    timesteps: Sequence[int]
    colors: Sequence[NDArray[np.uint8]]
    chosen: int | None = None


@dataclass(frozen=True)
class EdgeComparison:
    """An image with edges of two detectors.

    Attributes:
        image: (H, W, 3) RGB in [0, 1].
        before: (H, W) in [0, 1].
        after: (H, W) in [0, 1].
        truth: (H, W) in [0, 1]; None if it is not known.
    """

    image: NDArray[np.float32]
    before: NDArray[np.float32]
    after: NDArray[np.float32]
    truth: NDArray[np.float32] | None = None


def plot_attention(series: Sequence[AttentionSeries]) -> Figure:
    """Attention by PCA over timesteps, an image a row, with t* framed (paper Fig. 8).

    Raises:
        ValueError: if there is no image, or timesteps differ between images.
    """
    if not series:
        raise ValueError("there is no image to draw")
    if len({tuple(row.timesteps) for row in series}) > 1:
        raise ValueError("all images of a figure must have the same timesteps")
    titles = ["image", *(f"t = {step}" for step in series[0].timesteps)]
    with paper_style():
        figure, grid = _grid([row.image.shape for row in series], titles)
        for axes, row in zip(grid, series, strict=True):
            axes[0].imshow(row.image)
            size = row.image.shape[1], row.image.shape[0]
            for place, step, colors in zip(axes[1:], row.timesteps, row.colors, strict=True):
                place.imshow(colors, extent=(0, size[0], size[1], 0), interpolation="bicubic")
                if step == row.chosen:
                    _frame(place)
    return figure


def plot_edge_comparison(
    rows: Sequence[EdgeComparison], names: tuple[str, str] = ("teacher", "student")
) -> Figure:
    """Images, true edges, and edges of two detectors, an image a row, dark on white.

    Args:
        rows: all with true edges, or they are left out.
        names: of the detectors.

    Raises:
        ValueError: if there is no image, or maps are not of their image's size.
    """
    if not rows:
        raise ValueError("there is no image to draw")
    for row in rows:
        maps = [row.before, row.after, *([] if row.truth is None else [row.truth])]
        for edges in maps:
            if edges.shape != row.image.shape[:2]:
                raise ValueError(
                    f"edges {edges.shape} are not of the image's size {row.image.shape[:2]}"
                )
    known = [row.truth for row in rows if row.truth is not None]
    with_truth = len(known) == len(rows)
    titles = ["image", *(["true edges"] if with_truth else []), *names]
    with paper_style():
        figure, grid = _grid([row.image.shape for row in rows], titles)
        for number, (axes, row) in enumerate(zip(grid, rows, strict=True)):
            axes[0].imshow(row.image)
            maps = [*(known[number : number + 1] if with_truth else []), row.before, row.after]
            for place, edges in zip(axes[1:], maps, strict=True):
                place.imshow(1 - edges, cmap="gray", vmin=0, vmax=1, interpolation="antialiased")
                _outline(place)
    return figure


def _grid(shapes: Sequence[tuple[int, ...]], titles: Sequence[str]) -> tuple[Figure, Any]:
    """A figure of pictures, a row for each image shape, and its axes (rows, columns)."""
    heights = [height / max(height, width) for height, width, *_ in shapes]
    widest = max(width / max(height, width) for height, width, *_ in shapes)
    size = (_CELL * widest * len(titles), _CELL * sum(heights) + _HEADER)
    figure = Figure(figsize=size)
    grid = figure.subplots(
        len(shapes),
        len(titles),
        squeeze=False,
        gridspec_kw={
            "height_ratios": heights,
            "wspace": 0.04,
            "hspace": 0.06,
            "left": 0.01,
            "right": 0.99,
            "bottom": 0.01,
            "top": 1 - _HEADER / size[1],
        },
    )
    for axes in grid.flat:
        axes.set(xticks=[], yticks=[])
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(title)
    return figure, grid


def _outline(axes: Any) -> None:
    axes.spines[:].set(visible=True, color=MUTED, linewidth=0.5)


def _frame(axes: Any) -> None:
    axes.spines[:].set(visible=True, color=ACCENT, linewidth=2.5)
    axes.text(
        0.04,
        0.95,
        "t*",
        transform=axes.transAxes,
        va="top",
        color="white",
        fontweight="bold",
        bbox={"facecolor": ACCENT, "edgecolor": "none", "pad": 2},
    )
