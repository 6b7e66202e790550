"""COCO instances: one JSON file."""

import json
from collections.abc import Iterator
from typing import IO, Any

from trace_mm import __version__
from trace_mm.exporters.base import ExportedImage, MaskExporter
from trace_mm.files.coco import instance_annotation
from trace_mm.files.coco_writer import write_coco
from trace_mm.refinement.instances import InstanceMasks

_IMAGES, _ANNOTATIONS = ".images.jsonl", ".annotations.jsonl"


class CocoExporter(MaskExporter):
    """``instances.json``: masks as RLE, with scores where there are any."""

    def _open(self) -> None:
        self._images = self._stream(_IMAGES)
        self._annotations = self._stream(_ANNOTATIONS)
        self._masks = 0

    def _add(self, image: ExportedImage, masks: InstanceMasks) -> None:
        height, width = image.size
        entry = {"id": image.number, "file_name": image.name, "height": height, "width": width}
        _append(self._images, entry)
        scores = [None] * len(masks) if masks.scores is None else masks.scores.tolist()
        for mask, label, score in zip(masks.masks, masks.labels.tolist(), scores, strict=True):
            self._masks += 1
            self.classes.index(label)
            entry = {"id": self._masks, "image_id": image.number}
            entry |= instance_annotation(mask, label)
            _append(self._annotations, entry if score is None else entry | {"score": score})

    def _close(self) -> None:
        categories = ({"id": label, "name": name} for label, name in self.classes.all().items())
        write_coco(
            self.folder / "instances.json",
            {"description": f"instance masks, written by trace_mm {__version__}"},
            _entries(self._images),
            _entries(self._annotations),
            categories,
        )
        self._files.close()
        (self.folder / _IMAGES).unlink()
        (self.folder / _ANNOTATIONS).unlink()


def _append(stream: IO[bytes], entry: dict[str, Any]) -> None:
    stream.write(json.dumps(entry).encode("ascii") + b"\n")


def _entries(stream: IO[bytes]) -> Iterator[dict[str, Any]]:
    stream.seek(0)
    return map(json.loads, stream)
