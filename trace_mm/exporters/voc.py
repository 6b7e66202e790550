"""Pascal VOC: maps of objects and of classes, and boxes in XML."""

from xml.etree import ElementTree

import numpy as np

from trace_mm.exporters.base import ExportedImage, MaskExporter
from trace_mm.exporters.id_png import LEFT_OUT, OVERLAP
from trace_mm.exporters.label_maps import LabelMap, label_map
from trace_mm.exporters.xml_text import xml_bytes
from trace_mm.files.coco import mask_box
from trace_mm.files.palette import semantic_png, voc_palette
from trace_mm.refinement.instances import InstanceMasks

MOST = 254
"""Objects of an image, and classes: maps have 8 bits, 0 is background and 255 void."""


class VocExporter(MaskExporter):
    """VOC's folders, with ``labelmap.txt`` for classes of one's own, as Datumaro and CVAT read it.

    Boxes are of what is seen of an object. They count pixels from 0 and end behind the last, as
    these programs have it; VOC itself counts from 1.
    """

    wants_photos = True

    def _open(self) -> None:
        self._lists = [
            self._stream(f"ImageSets/{kind}/train.txt") for kind in ("Main", "Segmentation")
        ]

    def _add(self, image: ExportedImage, masks: InstanceMasks) -> None:
        drawn = label_map(masks, MOST)
        if drawn.overlaps:
            self._note(OVERLAP, image)
        if drawn.left_out:
            self._note(LEFT_OUT, image)
        labels = [int(masks.labels[source]) for source in drawn.sources]
        table = np.array([0, *(self._class(label, image) for label in labels)], dtype=np.uint8)
        stem = self._stem(image, "Annotations/{}.xml")
        objects = drawn.ids.astype(np.uint8)
        self._write(f"SegmentationObject/{stem}.png", semantic_png(objects))
        self._write(f"SegmentationClass/{stem}.png", semantic_png(table[drawn.ids]))
        photo = self._put_photo(image, f"JPEGImages/{stem}").removeprefix("JPEGImages/")
        tree = self._tree(image, photo, drawn, labels)
        self._write(f"Annotations/{stem}.xml", xml_bytes(tree, image.name))
        for listed in self._lists:
            listed.write(f"{stem}\n".encode())

    def _close(self) -> None:
        colors = voc_palette().tolist()
        names = ["background", *self.classes.all().values()]
        lines = ["# label:color_rgb:parts:actions"]
        lines += [
            f"{name}:{','.join(map(str, color))}::"
            for name, color in zip(names, colors, strict=False)
        ]
        self._write("labelmap.txt", ("\n".join(lines) + "\n").encode())

    def _class(self, label: int, image: ExportedImage) -> int:
        number, name = self.classes.index(label) + 1, self.classes.name(label)
        if number > MOST:
            raise ValueError(f"{image.name}: {name!r} is class {number}; VOC's maps hold {MOST}")
        if ":" in name:
            raise ValueError(f"{image.name}: VOC's list of classes cannot hold the ':' of {name!r}")
        return number

    def _tree(
        self, image: ExportedImage, photo: str, drawn: LabelMap, labels: list[int]
    ) -> ElementTree.Element:
        root = ElementTree.Element("annotation")
        _add(root, folder="JPEGImages", filename=photo)
        height, width = image.size
        _add(ElementTree.SubElement(root, "size"), width=width, height=height, depth=3)
        _add(root, segmented=1)
        for number, label in enumerate(labels, start=1):
            one = ElementTree.SubElement(root, "object")
            _add(one, name=self.classes.name(label), pose="Unspecified", truncated=0, difficult=0)
            left, top, wide, high = mask_box(drawn.ids == number)
            box = ElementTree.SubElement(one, "bndbox")
            _add(box, xmin=left, ymin=top, xmax=left + wide, ymax=top + high)
        return root


def _add(element: ElementTree.Element, **values: object) -> None:
    """Elements with a text each."""
    for name, value in values.items():
        ElementTree.SubElement(element, name).text = str(value)
