"""PNG files of 16 bits whose pixels are numbers of objects."""

import json

import numpy as np

from trace_mm.exporters.base import ExportedImage, MaskExporter
from trace_mm.exporters.label_maps import label_map
from trace_mm.files.coco import mask_box
from trace_mm.files.png import encode_png
from trace_mm.refinement.instances import InstanceMasks

MOST = 65534
"""Objects of an image: 0 is background, and 65535 means that nothing is known."""

OVERLAP = "masks overlap, of which a pixel holds the one of the highest score, or the smallest"
LEFT_OUT = "more masks than the format has numbers for; those of the lowest scores are left out"


class IdPngExporter(MaskExporter):
    """``masks/<stem>.png``, and ``instances.jsonl`` with class, score and box of each number."""

    def _open(self) -> None:
        self._lines = self._stream("instances.jsonl")

    def _add(self, image: ExportedImage, masks: InstanceMasks) -> None:
        drawn = label_map(masks, MOST)
        if drawn.overlaps:
            self._note(OVERLAP, image)
        if drawn.left_out:
            self._note(LEFT_OUT, image)
        stem = self._stem(image, "masks/{}.png")
        self._write(f"masks/{stem}.png", encode_png(drawn.ids.astype(np.uint16)))
        instances = []
        for number, source in enumerate(drawn.sources, start=1):
            label = int(masks.labels[source])
            one = {"id": number, "category_id": label, "category": self.classes.name(label)}
            one["bbox"] = mask_box(drawn.ids == number)
            if masks.scores is not None:
                one["score"] = float(masks.scores[source])
            instances.append(one)
        line = {"file_name": image.name, "png": f"masks/{stem}.png", "instances": instances}
        self._lines.write(json.dumps(line).encode("ascii") + b"\n")
