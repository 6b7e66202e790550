"""What one pass found in a photo, kept so that sliders need no other."""

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

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


@dataclass(frozen=True)
class View:
    """What sliders say; none needs a pass.

    Attributes:
        score: masks with lower scores are left out.
        number: the most masks.
        threshold: weaker edges are not shown.
    """

    score: float = 0.0
    number: int = 20
    threshold: float = 0.0


class Found:
    """What a pass found, in memory: pictures as they are shown, masks as bits.

    Args:
        name: of the photo's file.
        photo: uint8 (H, W, 3) RGB.
        edges: float32 (H, W) in [0, 1].
        instances: masks by falling score; without scores all count as 1.
        timestep: that edges were read at; None if the model has none.
        curve: score by timestep; empty if there was no search.
    """

    def __init__(
        self,
        name: str,
        photo: NDArray[np.uint8],
        edges: NDArray[np.float32],
        instances: InstanceMasks,
        timestep: int | None = None,
        curve: Mapping[int, float] | None = None,
    ) -> None:
        self.name, self.edges, self.timestep = name, edges, timestep
        self.curve = dict(curve or {})
        self.size = (photo.shape[0], photo.shape[1])
        self.photo = thumbnail(photo, SHOWN)
        count = len(instances)
        self.scores = np.ones(count) if instances.scores is None else instances.scores
        self._labels = instances.labels
        self._bits = np.packbits(instances.masks, axis=2)  # a large photo has gigabytes else
        small = (self.photo.shape[0], self.photo.shape[1])
        self._shown = np.zeros((count, *small), dtype=bool)
        for index, mask in enumerate(instances.masks):
            self._shown[index] = mask_at_size(mask, small)

    @cached_property
    def _small_edges(self) -> NDArray[np.float32]:
        if self.edges.shape == self.photo.shape[:2]:
            return self.edges
        size = (self.photo.shape[1], self.photo.shape[0])
        return np.asarray(cv2.resize(self.edges, size, interpolation=cv2.INTER_AREA))

    def count(self, view: View) -> int:
        """How many masks a view shows: the best ones."""
        return min(int(view.number), int((self.scores >= view.score).sum()))

    def edge_picture(self, view: View) -> NDArray[np.uint8]:
        """The edges (h, w) that are at least as strong as the threshold."""
        strong = self._small_edges >= view.threshold
        return edges_to_8_bit(np.where(strong, self._small_edges, np.float32(0)))

    def mask_picture(self, view: View) -> NDArray[np.uint8]:
        """The photo (h, w, 3) with its masks."""
        photo = self.photo.astype(np.float32) / np.float32(255)
        return draw_segments(photo, self._shown[: self.count(view)])

    def masks(self, view: View) -> InstanceMasks:
        """The masks of a view, at the photo's own size."""
        count = self.count(view)
        bits = np.unpackbits(self._bits[:count], axis=2, count=self.size[1])
        return InstanceMasks(bits.astype(bool), self._labels[:count], self.scores[:count])

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
