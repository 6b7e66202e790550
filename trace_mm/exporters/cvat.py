"""CVAT for images 1.1: one XML file, with masks as CVAT draws them."""

import shutil
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from trace_mm.exporters.base import ExportedImage, MaskExporter
from trace_mm.exporters.xml_text import xml_bytes
from trace_mm.files.coco import mask_box
from trace_mm.refinement.instances import InstanceMasks

_BODY = ".images.xml"


class CvatExporter(MaskExporter):
    """``annotations.xml``, for a task with the same images. Scores are an attribute of a mask."""

    def _open(self) -> None:
        self._body = self._stream(_BODY)
        self._scored = False

    def _add(self, image: ExportedImage, masks: InstanceMasks) -> None:
        height, width = image.size
        head = {"id": image.number - 1, "name": image.name, "width": width, "height": height}
        element = _element("image", head)
        for index, (mask, label) in enumerate(zip(masks.masks, masks.labels, strict=True)):
            left, top, wide, high = mask_box(mask)
            runs = row_runs(mask[top : top + high, left : left + wide])
            values = {"label": self.classes.name(int(label)), "source": "auto", "occluded": 0}
            values |= {"rle": ", ".join(map(str, runs)), "left": left, "top": top}
            values |= {"width": wide, "height": high, "z_order": 0}
            one = _element("mask", values, element)
            if masks.scores is not None:
                self._scored = True
                score = _element("attribute", {"name": "score"}, one)
                score.text = f"{float(masks.scores[index]):.6g}"
        self._body.write(xml_bytes(element, image.name))

    def _close(self) -> None:
        meta = _element("meta", {})
        task = ElementTree.SubElement(meta, "task")
        labels = ElementTree.SubElement(task, "labels")
        for name in self.classes.all().values():
            label = ElementTree.SubElement(labels, "label")
            ElementTree.SubElement(label, "name").text = name
            attributes = ElementTree.SubElement(label, "attributes")
            if self._scored:
                score = {"name": "score", "mutable": "False", "input_type": "text"}
                attribute = ElementTree.SubElement(attributes, "attribute")
                for key, value in {**score, "default_value": "", "values": ""}.items():
                    ElementTree.SubElement(attribute, key).text = value
        self._body.seek(0)
        with (self.folder / "annotations.xml").open("wb") as file:
            file.write(b'<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n')
            file.write(b"<version>1.1</version>\n" + xml_bytes(meta, "annotations.xml"))
            shutil.copyfileobj(self._body, file)
            file.write(b"</annotations>\n")
        self._files.close()
        (self.folder / _BODY).unlink()


def row_runs(mask: NDArray[np.bool_]) -> list[int]:
    """Lengths of runs along the rows of a mask (H, W), of which the first is of background."""
    flat = np.concatenate([[False], mask.ravel(), [not mask.ravel()[-1]]])
    changes = np.flatnonzero(flat[1:] != flat[:-1])
    return np.diff(changes, prepend=0).tolist()


def _element(
    name: str, values: dict[str, object], parent: ElementTree.Element | None = None
) -> ElementTree.Element:
    element = ElementTree.Element(name, {key: str(value) for key, value in values.items()})
    if parent is not None:
        parent.append(element)
    return element
