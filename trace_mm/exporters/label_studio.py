"""Label Studio: one JSON file of tasks, with masks as its brush paints them."""

import json
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

from trace_mm import __version__
from trace_mm.exporters.base import ExportedImage, MaskExporter
from trace_mm.exporters.brush_rle import brush_rle
from trace_mm.exporters.xml_text import xml_bytes
from trace_mm.refinement.instances import InstanceMasks

PREFIX = "/data/local-files/?d="
"""What Label Studio serves photos under, with their paths in its folder of documents."""


class LabelStudioExporter(MaskExporter):
    """``tasks.json`` to import, masks as predictions; ``config.xml``, the labelling interface."""

    def _open(self) -> None:
        self._tasks, self._first = self._stream("tasks.json"), True
        self._tasks.write(b"[")

    def _add(self, image: ExportedImage, masks: InstanceMasks) -> None:
        height, width = image.size
        regions = []
        for index, (mask, label) in enumerate(zip(masks.masks, masks.labels, strict=True)):
            name = self.classes.name(int(label))
            region: dict[str, Any] = {
                "id": f"{image.number}-{index + 1}",
                "type": "brushlabels",
                "from_name": "label",
                "to_name": "image",
                "original_width": width,
                "original_height": height,
                "image_rotation": 0,
                "value": {"format": "rle", "rle": brush_rle(mask), "brushlabels": [name]},
            }
            if masks.scores is not None:
                region["score"] = float(masks.scores[index])
            regions.append(region)
        prediction: dict[str, Any] = {"model_version": f"trace_mm {__version__}", "result": regions}
        if masks.scores is not None and len(masks):
            prediction["score"] = float(masks.scores.mean())
        place = PREFIX + quote(image.name, errors="surrogateescape")
        task = {"data": {"image": place}, "predictions": [prediction]}
        self._tasks.write((b"\n" if self._first else b",\n") + json.dumps(task).encode("ascii"))
        self._first = False

    def _close(self) -> None:
        self._tasks.write(b"\n]\n")
        view = ElementTree.Element("View")
        image = {"name": "image", "value": "$image", "zoom": "true"}
        ElementTree.SubElement(view, "Image", image)
        labels = ElementTree.SubElement(view, "BrushLabels", {"name": "label", "toName": "image"})
        for name in self.classes.all().values():
            ElementTree.SubElement(labels, "Label", {"value": name})
        self._write("config.xml", xml_bytes(view, "config.xml"))
