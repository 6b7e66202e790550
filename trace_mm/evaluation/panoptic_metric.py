"""Panoptic quality as a metric for mmengine's test loop, without panopticapi."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from numpy.typing import NDArray

from trace_mm.evaluation.panoptic_dataset import PanopticDataset, PanopticImage
from trace_mm.evaluation.panoptic_quality import panoptic_quality, sum_counts
from trace_mm.evaluation.panoptic_table import panoptic_table, scores_as_json
from trace_mm.files import write_atomically
from trace_mm.files.json_values import as_id
from trace_mm.files.panoptic import VOID, panoptic_png, segment_ids, segments_info
from trace_mm.registry import METRICS

_INSTANCE_OFFSET = 1000  # mmdet's ids are instance * 1000 + class


@METRICS.register_module()
class PanopticQualityMetric(BaseMetric):
    """PQ, SQ and RQ of all categories, of things and of stuff, in per cent (paper, Table 2).

    It scores the panoptic maps of mmdet's models. Classes of the model and categories of the
    annotation file are matched by name. Each image is counted as it comes and only its counts are
    kept. See :func:`trace_mm.evaluation.count_segments` for the definition.

    Args:
        ann_file: COCO panoptic JSON file, relative to ``data_root``.
        seg_prefix: folder of its PNGs, relative to ``data_root``.
        data_root: root of the relative paths.
        classes: names of the model's classes, in order; by default those of the dataset.
        things_as: take all things of the annotation file for one class of this name; None does not.
        by_category: log the scores of each category too.
        partial: score only images that were predicted. Without it, all segments of the others are
            missed, with a warning.
        out_file: JSON file to write all scores and counts to; None for none.
        out_folder: folder to write the predictions to as a COCO panoptic dataset, ``panoptic.json``
            and ``panoptic/<stem>.png``; None for none. All ranks must see it.
        collect_device: "cpu" or "gpu", see mmengine.
        prefix: put before the scores' names, with a slash.
    """

    default_prefix = "panoptic"

    def __init__(
        self,
        ann_file: str,
        seg_prefix: str,
        data_root: str = "",
        classes: Sequence[str] | None = None,
        things_as: str | None = None,
        by_category: bool = False,
        partial: bool = False,
        out_file: str | None = None,
        out_folder: str | None = None,
        collect_device: str = "cpu",
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.ann_file = Path(data_root) / ann_file
        self.seg_prefix = Path(data_root) / seg_prefix
        self.classes = None if classes is None else tuple(classes)
        self.things_as = things_as
        self.by_category = by_category
        self.partial = partial
        self.out_file = out_file
        self.out_folder = None if out_folder is None else Path(out_folder)
        self._truth: PanopticDataset | None = None
        self._category_ids: list[int] | None = None

    @property
    def truth(self) -> PanopticDataset:
        """The ground truth, read when it is first needed.

        Raises:
            FileNotFoundError: if the annotation file is not there.
            ValueError: if it is not as it should be.
        """
        if self._truth is None:
            truth = PanopticDataset.read(self.ann_file, self.seg_prefix)
            self._truth = truth if self.things_as is None else truth.with_things_as(self.things_as)
        return self._truth

    @property
    def category_ids(self) -> list[int]:
        """Category id of each of the model's classes.

        Raises:
            ValueError: if the classes are unknown, or the annotation file lacks one.
        """
        if self._category_ids is None:
            names = self.classes or (self.dataset_meta or {}).get("classes")
            if not names:
                raise ValueError(
                    "PanopticQualityMetric needs the names of the classes: the dataset's metainfo "
                    "has no 'classes', and the argument 'classes' is not given"
                )
            ids = self.truth.category_ids()
            missing = [name for name in names if name not in ids]
            if missing:
                raise ValueError(f"{self.ann_file}: no categories of these names: {missing}")
            self._category_ids = [ids[name] for name in names]
        return self._category_ids

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Count a batch.

        Args:
            data_batch: not used.
            data_samples: dicts with the image's id as ``img_id`` and, in ``pred_panoptic_seg``,
                ``sem_seg`` int (1, H, W) or (H, W) at the image's own size: instance * 1000 +
                class, where the number of classes means void.

        Raises:
            FileNotFoundError: if the image's PNG is missing.
            ValueError: if the image is not in the ground truth, or something does not fit; names
                the image or its PNG.
        """
        for sample in data_samples:
            given = sample.get("img_id")
            image_id = as_id(given)
            image = None if image_id is None else self.truth.images.get(image_id)
            if image is None:
                raise ValueError(f"{self.ann_file}: no annotation of image {given!r}")
            try:
                ids, categories = self._segments(sample.get("pred_panoptic_seg"))
            except ValueError as error:
                raise ValueError(f"image {image_id!r}: {error}") from error
            counts = image.count(ids, categories)
            written = None if self.out_folder is None else self._write(image, ids, categories)
            self.results.append((image_id, counts, written))

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        """Scores of all images.

        Args:
            results: of each image its id, its counts, and what was written of it.

        Returns:
            ``PQ``, ``SQ``, ``RQ``, and the same with ``_th`` for things and ``_st`` for stuff, in
            [0, 100]. Where neither ground truth nor predictions have segments of a group, its
            scores are left out.

        Raises:
            ValueError: if an image was predicted twice.
        """
        predicted = {image_id for image_id, _, _ in results}
        if len(predicted) < len(results):
            raise ValueError(f"{len(results) - len(predicted)} images were predicted twice")
        counts = [found for _, found, _ in results]
        missing = [key for key in self.truth.images if key not in predicted]
        if missing and not self.partial:
            self._warn(len(missing))
            counts += [self.truth.images[key].missed() for key in missing]
        scores = panoptic_quality(sum_counts(counts), self.truth.things)
        table = panoptic_table(scores, self.truth.names, self.by_category)
        print_log(f"panoptic quality of {len(counts)} images\n{table}", logger="current")
        if self.out_file is not None:
            content = {"images": len(counts), **scores_as_json(scores, self.truth.names)}
            write_atomically(Path(self.out_file), json.dumps(content, indent=1).encode())
        if self.out_folder is not None:
            self._write_json(self.out_folder, results)
        return scores.percentages()

    def _segments(self, found: Any) -> tuple[NDArray[np.int64], dict[int, int]]:
        """Segment ids (H, W), 0 for void, and the category id of each."""
        if found is None or "sem_seg" not in found:
            raise ValueError("the sample has no pred_panoptic_seg with sem_seg")
        values = found["sem_seg"]
        array = np.asarray(values.detach().cpu() if isinstance(values, torch.Tensor) else values)
        if array.ndim == 3 and len(array) == 1:
            array = array[0]  # (H, W)
        if array.ndim != 2 or array.dtype.kind not in "iu":
            raise ValueError(f"sem_seg must be int (1, H, W), got {array.dtype} {array.shape}")
        void = len(self.category_ids)
        is_void = array % _INSTANCE_OFFSET == void  # (H, W)
        ids = np.where(is_void, VOID, array.astype(np.int64) + 1)  # (H, W); no segment is 0
        if array.min(initial=0) < 0:
            raise ValueError(f"sem_seg has negative ids: {array.min()}")
        present = segment_ids(ids)
        classes = {number: (number - 1) % _INSTANCE_OFFSET for number in present}
        bad = [number - 1 for number, label in classes.items() if label > void]
        if bad:
            raise ValueError(f"sem_seg has ids of no class: {bad[:5]}; there are {void} classes")
        return ids, {number: self.category_ids[label] for number, label in classes.items()}

    def _write(
        self, image: PanopticImage, ids: NDArray[np.int64], categories: dict[int, int]
    ) -> dict[str, Any]:
        """Write a prediction's PNG, its segments numbered from 1; what the JSON says of it."""
        assert self.out_folder is not None
        old = np.array([VOID, *categories])  # rising
        new = np.searchsorted(old, ids)  # (H, W)
        name = image.png_name
        write_atomically(self.out_folder / "panoptic" / name, panoptic_png(new))
        numbered = dict(enumerate(categories.values(), start=1))
        return {"file_name": name, "segments_info": segments_info(new, numbered)}

    def _write_json(self, folder: Path, results: list[Any]) -> None:
        images, annotations = [], []
        for image_id, _, written in sorted(results, key=lambda result: str(result[0])):
            image = self.truth.images[image_id]
            assert image.size is not None
            height, width = image.size
            images.append(
                {"id": image_id, "file_name": image.file_name, "height": height, "width": width}
            )
            annotations.append({"image_id": image_id, **written})
        categories = [
            {"id": key, "name": name, "isthing": int(key in self.truth.things)}
            for key, name in self.truth.names.items()
        ]
        content = {"images": images, "annotations": annotations, "categories": categories}
        write_atomically(folder / "panoptic.json", json.dumps(content).encode())

    def _warn(self, missing: int) -> None:
        print_log(
            f"{missing} of {len(self.truth.images)} images of {self.ann_file} were not predicted; "
            f"all of their segments count as missed",
            logger="current",
            level=logging.WARNING,
        )
