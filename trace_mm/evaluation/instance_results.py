"""A model's masks as a COCO file, by mmengine's test loop: predictions instead of scores."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.evaluator import BaseMetric
from pycocotools import mask as mask_utils

from trace_mm import __version__
from trace_mm.evaluation.detections import check_score
from trace_mm.evaluation.instance_metric import encode_masks
from trace_mm.files import write_coco
from trace_mm.files.coco_file import CocoFile, CocoImage
from trace_mm.files.json_values import ImageId, as_id
from trace_mm.registry import METRICS


@METRICS.register_module()
class InstanceResultsFile(BaseMetric):
    """Writes the masks that a model finds, of one class and with scores, as a COCO file.

    What a ``ClassAgnosticInstanceMetric`` would score, for images without ground truth: such as
    those that a detector is trained on, for its next round. The file lists the images of
    ``ann_file`` and does not depend on batches or ranks.

    Args:
        ann_file: COCO file that lists the images, relative to ``data_root``.
        out_file: COCO file to write, whole or not at all; ``trace-mm test`` sets it by ``--out``.
        data_root: root of the first path.
        min_score: masks of lower scores are left out.
        collect_device: "cpu" or "gpu", see mmengine.
        prefix: put before the names of what is counted, with a slash.

    Raises:
        ValueError: if no file to write is named.
    """

    default_prefix = "masks"

    def __init__(
        self,
        ann_file: str,
        out_file: str | None = None,
        data_root: str = "",
        min_score: float = 0.0,
        collect_device: str = "cpu",
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        if out_file is None:
            raise ValueError("masks are written, not scored: name their file, --out FILE")
        self.ann_file = Path(data_root) / ann_file
        self.out_file = Path(out_file)
        self.min_score = min_score

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Keep a batch's masks as RLE.

        Args:
            data_batch: not used.
            data_samples: as of :meth:`ClassAgnosticInstanceMetric.process`, with masks.

        Raises:
            ValueError: if a sample has no id, masks or scores; names the image.
        """
        for sample in data_samples:
            image_id = as_id(sample.get("img_id", sample.get("image_id")))
            found = sample.get("pred_instances")
            if image_id is None or found is None or "scores" not in found or "masks" not in found:
                raise ValueError(f"image {image_id!r}: it needs pred_instances, masks and scores")
            scores = [check_score(score) for score in found["scores"].tolist()]
            masks = encode_masks(found["masks"], tuple(found["masks"].shape[1:]))
            kept = [
                (score, mask["size"], mask["counts"])
                for score, mask in zip(scores, masks, strict=True)
                if score >= self.min_score
            ]
            self.results.append((image_id, sorted(kept, key=lambda one: (-one[0], one[2]))))

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        """Write the file.

        Args:
            results: pairs of an image's id and its masks, in any order.

        Returns:
            How many ``images`` and ``masks`` there are.

        Raises:
            ValueError: if images are missing or unknown, or were predicted twice.
        """
        images = CocoFile.read(self.ann_file).require("images").images()
        found = dict(results)
        if len(found) < len(results):
            raise ValueError(f"{len(results) - len(found)} images were predicted twice")
        if found.keys() != images.keys():
            missing, unknown = images.keys() - found.keys(), found.keys() - images.keys()
            raise ValueError(
                f"{self.ann_file}: {len(missing)} of its {len(images)} images were not predicted, "
                f"{len(unknown)} others were"
            )
        write_coco(
            self.out_file,
            {"description": f"masks of a detector (trace_mm {__version__})"},
            (_image(key, image, found[key]) for key, image in images.items()),
            _annotations(images, found),
            [{"id": 1, "name": "object"}],
        )
        return {"images": len(images), "masks": sum(map(len, found.values()))}


def _image(key: ImageId, image: CocoImage, masks: Sequence[Any]) -> dict[str, Any]:
    height, width = masks[0][1] if masks else image.size
    return {"id": key, "file_name": image.name, "height": height, "width": width}


def _annotations(images: Any, found: dict[ImageId, Any]) -> Any:
    number = 0
    for key in images:
        for score, size, counts in found[key]:
            number += 1
            rle = {"size": list(size), "counts": counts}
            yield {
                "id": number,
                "image_id": key,
                "category_id": 1,
                "segmentation": {**rle, "counts": counts.decode("ascii")},
                "bbox": mask_utils.toBbox(rle).tolist(),
                "area": int(mask_utils.area(rle)),
                "iscrowd": 0,
                "score": score,
            }
