"""Class-agnostic instance scores as a metric for mmengine's test loop."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from pycocotools import mask as mask_utils

from trace_mm.evaluation.detections import check_score
from trace_mm.evaluation.instance_ground_truth import InstanceGroundTruth
from trace_mm.evaluation.instance_scores import ScoringSettings, score_instances
from trace_mm.files import write_atomically
from trace_mm.files.coco import segmentation_rle
from trace_mm.registry import METRICS


@METRICS.register_module()
class ClassAgnosticInstanceMetric(BaseMetric):
    """AP and AR of instances without regard to their class (paper, Tables 1, 8 and 12).

    COCOeval with ``useCats=0``. It scores the samples of this package and those of mmdet. See
    :func:`trace_mm.evaluation.evaluate_instances` for the order of equal scores.

    Args:
        ann_file: COCO annotation file, class-agnostic or not, relative to ``data_root``.
        data_root: root of the relative path.
        protocol: "coco" or "voc2012".
        iou_type: "segm" or "bbox".
        max_detections: numbers of detections an image; AP takes the most.
        touch_distance: how near instances of one class are that count as touching, in pixels.
        partial: score only images that were predicted. Without it, the others count as images
            without detections, with a warning.
        classes: also score with regard to classes (paper, Table 14), equal to COCOeval with
            ``useCats=1``. True: labels are category ids of the annotation file, or of the file that
            it was made of. Names: labels count from 0 and stand for these, as those of mmdet.
        image_pq: also compute PQ of each image, all instances as one class, averaged over images
            (paper, Table 15).
        out_file: JSON file to write the scores, the settings and the touching images to; None for
            none.
        collect_device: "cpu" or "gpu", see mmengine.
        prefix: put before the scores' names, with a slash.

    Raises:
        ValueError: if a setting is unknown.
    """

    default_prefix = "instances"

    def __init__(
        self,
        ann_file: str,
        data_root: str = "",
        protocol: str = "coco",
        iou_type: str = "segm",
        max_detections: Sequence[int] = (1, 10, 100),
        touch_distance: int = 2,
        partial: bool = False,
        classes: bool | Sequence[str] = False,
        image_pq: bool = False,
        out_file: str | None = None,
        collect_device: str = "cpu",
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.ann_file = Path(data_root) / ann_file
        self.settings = ScoringSettings(
            protocol, iou_type, tuple(max_detections), touch_distance, bool(classes), image_pq
        )
        self.classes = () if isinstance(classes, bool) else tuple(classes)
        self.partial = partial
        self.out_file = out_file
        self._truth: InstanceGroundTruth | None = None

    @property
    def truth(self) -> InstanceGroundTruth:
        """The ground truth, read when it is first needed.

        Raises:
            FileNotFoundError: if the annotation file is not there.
            ValueError: if it is not as it should be.
        """
        if self._truth is None:
            self._truth = InstanceGroundTruth.read(self.ann_file, self.settings.boxes)
        return self._truth

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Keep a batch's detections as RLE.

        Args:
            data_batch: not used.
            data_samples: dicts with the image's id as ``img_id`` or ``image_id``, and
                ``pred_instances``: ``scores`` (K,), ``masks`` bool (K, H, W) or a list of K RLE,
                and, if boxes are scored, ``bboxes`` (K, 4) as x1, y1, x2, y2; without them the
                boxes around the masks are scored.

        Raises:
            ValueError: if the image is not in the ground truth, or something does not fit; names
                the image.
        """
        for sample in data_samples:
            image_id = self.truth.key_of(sample.get("img_id", sample.get("image_id")))
            size = self.truth.sizes[image_id]
            try:
                detections = self._detections(sample.get("pred_instances"), size)
            except ValueError as error:
                raise ValueError(f"image {image_id!r}: {error}") from error
            self.results.append(
                (image_id, [{"image_id": image_id, **detection} for detection in detections])
            )

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        """Scores of all images.

        Args:
            results: pairs of an image's id and its detections, in any order.

        Returns:
            ``AP``, ``AP50``, ``AP75``, ``AP_s``, ``AP_m``, ``AP_l``, ``AR1``, ``AR10``, ``AR100``,
            ``AR100_s``, ``AR100_m``, ``AR100_l``, and of images with and without touching instances
            of one class ``AP_touching``, ``AR100_touching``, ``images_touching``, ``AP_apart``,
            ``AR100_apart``, ``images_apart``. Scores in [0, 1], or -1 where there is no instance.
            With ``classes`` the first twelve again, with ``class_`` before; with ``image_pq``
            ``image_PQ``, ``image_SQ``, ``image_RQ`` and ``image_PQ_images``, if there is any
            instance.

        Raises:
            ValueError: if an image was predicted twice.
        """
        predicted = [image_id for image_id, _ in results]
        if len(set(predicted)) < len(predicted):
            twice = next(key for index, key in enumerate(predicted) if key in predicted[:index])
            raise ValueError(f"image {twice!r} was predicted twice")
        missing = len(self.truth.sizes) - len(predicted)
        if missing and not self.partial:
            print_log(
                f"{missing} of {len(self.truth.sizes)} images of {self.ann_file} were not "
                f"predicted; they count as images without detections",
                logger="current",
                level=logging.WARNING,
            )
        detections = [detection for _, found in results for detection in found]
        chosen = predicted if self.partial else None
        scores = score_instances(self.truth, detections, self.settings, chosen)
        metrics = scores.to_dict()
        if self.out_file is not None:
            content = {
                **metrics,
                "images": scores.images,
                "instances": scores.instances,
                "detections": scores.detections,
                "protocol": self.settings.protocol,
                "iou_type": self.settings.iou_type,
                "touch_distance": self.settings.touch_distance,
                "touching": scores.touching.image_ids,
                **({} if scores.classes is None else {"by_class": scores.classes.by_class}),
            }
            write_atomically(Path(self.out_file), json.dumps(content, indent=1).encode())
        return metrics

    def _detections(self, found: Any, size: tuple[int, int]) -> list[dict[str, Any]]:
        if found is None or "scores" not in found:
            raise ValueError("the sample has no pred_instances with scores")
        scores = [check_score(score) for score in _as_list(found["scores"])]
        if self.settings.boxes and "bboxes" in found:
            key, parts = "bbox", [_width_height(box) for box in _as_list(found["bboxes"])]
        elif "masks" in found:
            key, parts = "segmentation", encode_masks(found["masks"], size)
        else:
            raise ValueError("its pred_instances have no masks")
        if len(parts) != len(scores):
            raise ValueError(f"there are {len(parts)} masks or boxes, but {len(scores)} scores")
        found_all = [{"score": one, key: part} for one, part in zip(scores, parts, strict=True)]
        if not self.settings.classes:
            return found_all
        categories = self._categories(found)
        if len(categories) != len(scores):
            raise ValueError(f"there are {len(categories)} labels, but {len(scores)} scores")
        return [
            {**one, "category_id": category}
            for one, category in zip(found_all, categories, strict=True)
        ]

    def _categories(self, found: Any) -> list[int]:
        """The category id of each detection."""
        if "labels" not in found:
            raise ValueError("its pred_instances have no labels, which classes=True needs")
        labels = [int(label) for label in _as_list(found["labels"])]
        if not self.classes:
            return labels
        ids = {name: key for key, name in self.truth.names.items()}
        missing = [name for name in self.classes if name not in ids]
        if missing:
            raise ValueError(f"{self.ann_file} has no categories of these names: {missing}")
        return [ids[self.classes[label]] for label in labels]


def encode_masks(masks: Any, size: tuple[int, int]) -> list[Any]:
    """Masks bool (K, H, W), or a list of RLE, as compressed RLE of a size (H, W).

    Raises:
        ValueError: if they are not bool, or of another size.
    """
    if isinstance(masks, (list, tuple)):
        return [segmentation_rle(rle, size) for rle in masks]
    array = np.asarray(masks.detach().cpu() if isinstance(masks, torch.Tensor) else masks)
    if array.ndim != 3 or array.shape[1:] != size:
        raise ValueError(f"its masks are {array.shape}, its annotation is {size} (H, W)")
    if array.dtype != np.bool_:
        raise ValueError(f"its masks are {array.dtype}, not bool")
    stacked = np.asfortranarray(array.transpose(1, 2, 0).view(np.uint8))  # (H, W, K)
    return list(mask_utils.encode(stacked)) if len(array) else []


def _as_list(values: Any) -> list[Any]:
    return list(values.tolist() if hasattr(values, "tolist") else values)


def _width_height(box: Sequence[float]) -> Any:
    left, top, right, bottom = box
    return [left, top, right - left, bottom - top]
