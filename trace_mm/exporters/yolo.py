"""YOLO segmentation: a text file an image, a polygon a line."""

import json
from collections.abc import Iterable

import numpy as np

from trace_mm.exporters.base import ExportedImage, MaskExporter
from trace_mm.exporters.outlines import joined, outline_rings
from trace_mm.refinement.instances import InstanceMasks


class YoloExporter(MaskExporter):
    """``data.yaml``, ``images/train/`` and ``labels/train/``, as Ultralytics trains on.

    A mask is one polygon, to which its holes and its other parts are joined, see ``outlines``.
    """

    wants_photos = True

    def _add(self, image: ExportedImage, masks: InstanceMasks) -> None:
        stem = self._stem(image, "labels/train/{}.txt")
        scale = np.array(image.size[::-1])  # (W, H)
        lines = []
        for mask, label in zip(masks.masks, masks.labels.tolist(), strict=True):
            rings = [ring for part in outline_rings(mask) for ring in part]
            numbers = (joined(rings) / scale).ravel().tolist()
            lines.append(f"{self.classes.index(label)} {_text(numbers)}\n")
        self._write(f"labels/train/{stem}.txt", "".join(lines).encode("ascii"))
        self._put_photo(image, f"images/train/{stem}")

    def _close(self) -> None:
        names = self.classes.all().values()
        listed = "".join(
            f"  {index}: {json.dumps(name, ensure_ascii=False)}\n"
            for index, name in enumerate(names)
        )
        text = (
            "# The same images train and validate: name others, or move some, to tell how good "
            f"a model is.\ntrain: images/train\nval: images/train\nnames:\n{listed}"
        )
        self._write("data.yaml", text.encode())


def _text(numbers: Iterable[float]) -> str:
    """Shares of the image, so exact that a pixel of the largest image is not missed."""
    return " ".join(f"{number:.7g}" for number in numbers)
