"""What one pass found in a photo, kept so that sliders need no other."""

import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from trace_mm.exporters import open_exporter
from trace_mm.exporters.base import MARKER_FILE
from trace_mm.jobs.edge_files import edges_to_8_bit
from trace_mm.refinement import InstanceMasks
from trace_mm.visualization.overlay import thumbnail
from trace_mm.visualization.segments import draw_segments, mask_at_size

SHOWN = 800
"""Pixels of the longer side of what is shown."""

_KEPT = 4  # thresholds of a photo whose masks are kept


@dataclass(frozen=True)
class View:
    """What sliders say; none needs a pass.

    Attributes:
        score: masks with lower scores are left out.
        number: the most masks.
        threshold: weaker edges count as none, so that masks are found by the others alone.
    """

    score: float = 0.0
    number: int = 20
    threshold: float = 0.0


class RankedMasks(Protocol):
    """Masks by falling score, of any size that is asked for."""

    @property
    def scores(self) -> NDArray[np.float64]:
        """Float64 (K,)."""

    def masks(self, size: tuple[int, ...], count: int | None = None) -> NDArray[np.bool_]:
        """The first ``count``: bool (count, H, W)."""


Search = Callable[[NDArray[np.float32]], RankedMasks]
"""Finds masks by edges (H, W)."""


class PackedMasks:
    """Masks as bits, at their own size and as they are shown: a large photo has gigabytes else.

    Args:
        instances: by falling score.
        shown: (h, w).
    """

    def __init__(self, instances: InstanceMasks, shown: tuple[int, int]) -> None:
        count = len(instances)
        self.scores = np.ones(count) if instances.scores is None else instances.scores
        small = np.zeros((count, *shown), dtype=bool)
        for index, mask in enumerate(instances.masks):
            small[index] = mask_at_size(mask, shown)
        self._bits = {
            masks.shape[1:]: np.packbits(masks, axis=2) for masks in (small, instances.masks)
        }

    def masks(self, size: tuple[int, ...], count: int | None = None) -> NDArray[np.bool_]:
        """The first ``count``: bool (count, H, W)."""
        return np.unpackbits(self._bits[size][:count], axis=2, count=size[1]).astype(bool)


class Found:
    """What a pass found, in memory.

    Args:
        name: of the photo's file.
        photo: uint8 (H, W, 3) RGB.
        edges: float32 (H, W) in [0, 1].
        search: what finds masks by these edges, or by the strong ones of them.
        timestep: that edges were read at; None if the model has none.
        curve: score by timestep; empty if there was no search.

    Attributes:
        photo: as it is shown.
        size: (H, W).
        shown: (h, w) of the pictures.
    """

    def __init__(
        self,
        name: str,
        photo: NDArray[np.uint8],
        edges: NDArray[np.float32],
        search: Search,
        timestep: int | None = None,
        curve: Mapping[int, float] | None = None,
    ) -> None:
        self.name, self.edges, self.timestep = name, edges, timestep
        self.curve = dict(curve or {})
        self.size = (photo.shape[0], photo.shape[1])
        self.photo = thumbnail(photo, SHOWN)
        self.shown = (self.photo.shape[0], self.photo.shape[1])
        self._at = lru_cache(_KEPT)(lambda threshold: search(_strong(edges, threshold)))
        self._at(0.0)  # is part of the pass, and fails with it

    @cached_property
    def _small_edges(self) -> NDArray[np.float32]:
        size = (self.photo.shape[1], self.photo.shape[0])
        if self.edges.shape == self.shown:
            return self.edges
        return np.asarray(cv2.resize(self.edges, size, interpolation=cv2.INTER_AREA))

    def counts(self, view: View) -> tuple[int, int]:
        """How many masks a view shows, the best ones; and how many there are."""
        scores = self._at(view.threshold).scores
        return min(int(view.number), int((scores >= view.score).sum())), len(scores)

    def edge_picture(self, view: View) -> NDArray[np.uint8]:
        """The edges (h, w) that are at least as strong as the threshold."""
        return edges_to_8_bit(_strong(self._small_edges, view.threshold))

    def mask_picture(self, view: View) -> NDArray[np.uint8]:
        """The photo (h, w, 3) with its masks."""
        photo = self.photo.astype(np.float32) / np.float32(255)
        return draw_segments(photo, self._masks(view, self.shown))

    def masks(self, view: View) -> InstanceMasks:
        """The masks of a view, at the photo's own size; all are of class 1."""
        masks = self._masks(view, self.size)
        labels = np.ones(len(masks), dtype=np.int64)
        return InstanceMasks(masks, labels, self._at(view.threshold).scores[: len(masks)])

    def _masks(self, view: View, size: tuple[int, int]) -> NDArray[np.bool_]:
        return self._at(view.threshold).masks(size, self.counts(view)[0])

    def export(self, view: View, format: str, folder: Path) -> Path:
        """Write the masks of a view.

        Args:
            view: which.
            format: a name of ``trace_mm.exporters.export_formats``.
            folder: to write in; new or empty.

        Returns:
            The file: what the format writes, or a ZIP archive if these are several files.

        Raises:
            ValueError: if the format is wrong, or something is in the folder.
        """
        made = folder / "made"
        with open_exporter(format, made, {1: "object"}, photos="none") as exporter:
            exporter.add(self.name, self.masks(view))
        files = [path for path in sorted(made.rglob("*")) if path.is_file()]
        files = [path for path in files if path.name != MARKER_FILE]
        stem = f"{Path(self.name).stem}-{format}"
        if len(files) == 1:
            return files[0].rename(folder / f"{stem}{files[0].suffix}")
        archive = folder / f"{stem}.zip"
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
            for path in files:
                packed.write(path, path.relative_to(made).as_posix())
        return archive


def _strong(edges: NDArray[np.float32], threshold: float) -> NDArray[np.float32]:
    """Edges that are at least as strong as a threshold, 0 elsewhere."""
    return np.where(edges >= threshold, edges, np.float32(0)) if threshold else edges
