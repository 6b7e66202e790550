"""What the functions of the package return for a photo: its masks, to look at and to go on with."""

import io
import json
import os
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from trace_mm.files.atomic import write_atomically
from trace_mm.files.coco import instance_annotation, mask_box
from trace_mm.short_repr import ShortRepr
from trace_mm.visualization.segments import draw_segments

_SAVED_AS = (".png", ".jpg", ".jpeg", ".json", ".npz")
_CATEGORY = {"id": 1, "name": "object"}


@dataclass(frozen=True, repr=False)
class PhotoSegments(ShortRepr):
    """The masks of a photo.

    A notebook shows it as the photo with its masks.

    Attributes:
        photo: uint8 (H, W, 3) RGB.
        masks: bool (N, H, W), by falling score; they may lie in one another.
        scores: float64 (N,) in [0, 1].
        edges: float32 (H, W) in [0, 1]; None if the masks were made without.
        name: of the photo's file; "image" if it has none.
    """

    photo: NDArray[np.uint8]
    masks: NDArray[np.bool_]
    scores: NDArray[np.float64]
    edges: NDArray[np.float32] | None = None
    name: str = "image"

    def __len__(self) -> int:
        return len(self.masks)

    @property
    def boxes(self) -> NDArray[np.float64]:
        """Boxes (N, 4): left, top, and right and bottom of the pixel after the last."""
        boxes = np.array([mask_box(mask) for mask in self.masks], dtype=float).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]  # from width and height
        return boxes

    def plot(self, top: int | None = None) -> Image.Image:
        """The photo with its masks, each outlined.

        Args:
            top: only so many masks of the highest scores; None for all.
        """
        photo = self.photo.astype(np.float32) / np.float32(255)
        return Image.fromarray(draw_segments(photo, self.masks[:top]))

    def to_coco(self, image_id: int = 1) -> dict[str, Any]:
        """The content of a COCO instances file with this photo alone, masks as RLE.

        Args:
            image_id: number of the photo.
        """
        height, width = self.photo.shape[:2]
        annotations = [
            {
                "id": number,
                "image_id": image_id,
                **instance_annotation(mask),
                "score": float(score),
            }
            for number, (mask, score) in enumerate(zip(self.masks, self.scores, strict=True), 1)
        ]
        image = {"id": image_id, "file_name": self.name, "height": height, "width": width}
        return {"images": [image], "annotations": annotations, "categories": [_CATEGORY]}

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write a file, whole or not at all.

        Args:
            path: ``.png`` or ``.jpg``: what :meth:`plot` shows. ``.json``: what :meth:`to_coco`
                gives. ``.npz``: arrays ``masks``, ``scores``, ``boxes`` and, if there are any,
                ``edges``.

        Returns:
            The path.

        Raises:
            ValueError: for another suffix.
            OSError: if it cannot be written.
        """
        path = Path(path)
        kind = path.suffix.lower()
        if kind not in _SAVED_AS:
            raise ValueError(f"{path}: the suffix must be one of {', '.join(_SAVED_AS)}")
        stream = io.BytesIO()
        if kind == ".json":
            stream.write(json.dumps(self.to_coco()).encode("ascii"))
        elif kind == ".npz":
            arrays: dict[str, Any] = {"masks": self.masks, "scores": self.scores}
            arrays["boxes"] = self.boxes
            if self.edges is not None:
                arrays["edges"] = self.edges
            np.savez_compressed(stream, **arrays)
        else:
            self.plot().save(stream, "PNG" if kind == ".png" else "JPEG", quality=92)
        write_atomically(path, stream.getvalue())
        return path

    def to_supervision(self) -> Any:
        """As ``supervision.Detections``, for that library's annotators, trackers and datasets.

        Raises:
            ImportError: if supervision is not installed.
        """
        try:
            supervision: Any = import_module("supervision")
        except ImportError as error:
            raise ImportError(
                "to_supervision needs supervision: pip install supervision"
            ) from error
        return supervision.Detections(
            xyxy=self.boxes,
            mask=self.masks,
            confidence=self.scores,
            class_id=np.zeros(len(self), dtype=int),
        )

    def _repr_png_(self) -> bytes:
        """What a notebook shows."""
        stream = io.BytesIO()
        self.plot().save(stream, "PNG")
        return stream.getvalue()
