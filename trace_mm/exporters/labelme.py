"""LabelMe: a JSON file beside each photo."""

import json
from pathlib import PurePosixPath
from typing import Any

from trace_mm.exporters.base import ExportedImage, MaskExporter
from trace_mm.exporters.outlines import joined, outline_rings
from trace_mm.refinement.instances import InstanceMasks

TOLERANCE = 0.5
"""How far an outline may be from the exact one, in pixels, so that a person can move its points."""


class LabelMeExporter(MaskExporter):
    """``<stem>.json`` beside the photo, with a polygon for each part of a mask.

    Parts of one mask have the same ``group_id``. Holes are joined to the outline, see ``outlines``.
    """

    wants_photos = True

    def _add(self, image: ExportedImage, masks: InstanceMasks) -> None:
        stem = self._stem(image, "{}.json")
        photo = self._put_photo(image, stem)
        height, width = image.size
        content: dict[str, Any] = {
            "version": "5.0.0",  # the least that reads it
            "flags": {},
            "shapes": _shapes(masks, [self.classes.name(label) for label in masks.labels.tolist()]),
            "imagePath": PurePosixPath(photo).name,
            "imageData": None,
            "imageHeight": height,
            "imageWidth": width,
        }
        self._write(f"{stem}.json", json.dumps(content).encode("ascii"))


def _shapes(masks: InstanceMasks, names: list[str]) -> list[dict[str, Any]]:
    shapes = []
    for index, (mask, name) in enumerate(zip(masks.masks, names, strict=True)):
        parts = outline_rings(mask, TOLERANCE)
        for part in parts:
            shape = {
                "label": name,
                "points": joined(part).round(3).tolist(),
                "group_id": index + 1 if len(parts) > 1 else None,
                "shape_type": "polygon",
                "flags": {},
            }
            if masks.scores is not None:
                shape["score"] = float(masks.scores[index])
            shapes.append(shape)
    return shapes
