"""Where seeds come from: labels, components, segments of edges, or boxes in a file."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from projects.sam_seeds.seeds import NO_CLASS, Seeds, components, majority_classes
from trace_mm.files import absolute_path
from trace_mm.files.coco_file import CocoAnnotation, CocoFile
from trace_mm.files.fingerprints import fingerprint
from trace_mm.files.json_values import ImageId
from trace_mm.files.store_paths import as_path, name_within
from trace_mm.jobs.edge_sources import NamedImage
from trace_mm.panoptic import PanopticClasses, PanopticLabeler
from trace_mm.refinement import ImageIndex
from trace_mm.refinement.readers.base import BadMaskError, MaskRecord
from trace_mm.runs.group import note_once
from trace_mm.segments import EdgeSegments

ClassMap = NDArray[np.int32]


class SeedSource(Protocol):
    """What finds seeds in images."""

    has_masks: bool
    needs_edges: bool
    uses_accelerator: bool

    def __call__(
        self, image: NamedImage, classes: ClassMap | None, edges: NDArray[np.float32] | None
    ) -> Seeds:
        """The seeds of an image.

        Args:
            image: its pixels and its name.
            classes: (H, W), class numbers, -1 void; None if there are no semantic maps.
            edges: (H, W) in [0, 1]; None where none are used.

        Raises:
            ValueError: if this image cannot be worked on; names it.
        """
        ...

    def on(self, device: str) -> "SeedSource":
        """The same with models on another device, not loaded."""
        ...

    def settings(self) -> dict[str, Any]:
        """What seeds depend on, as JSON values."""
        ...


class _Unplaced:
    """What computes on no device."""

    uses_accelerator = False

    def on(self, device: str) -> Any:
        """Itself."""
        return self


class LabelSeeds(_Unplaced):
    """The things that the labeler of panoptic labels tells apart by edges (Sec. 3.5).

    Args:
        labeler: see :class:`trace_mm.panoptic.PanopticLabeler`.
        classes: how many are things.
    """

    has_masks, needs_edges = True, False  # without edges, the connected parts of classes

    def __init__(self, labeler: PanopticLabeler, classes: PanopticClasses) -> None:
        self._labeler, self._num_things = labeler, classes.num_things

    def __call__(
        self, image: NamedImage, classes: ClassMap | None, edges: NDArray[np.float32] | None
    ) -> Seeds:
        """The seeds of an image; see ``SeedSource``."""
        assert classes is not None
        labels = self._labeler(classes, self._num_things, edges)
        things = np.flatnonzero(labels.classes < self._num_things)
        masks = labels.ids == things[:, None, None] + 1  # (K, H, W)
        return Seeds.of_masks(masks, labels.classes[things])

    def settings(self) -> dict[str, Any]:
        """The labeler's are recorded beside it."""
        return {"seeds": "labels"}


class ComponentSeeds(_Unplaced):
    """The components that edges cut the masks of things into, and nothing more.

    Args:
        classes: how many are things.
        threshold: an edge above it cuts, in [0, 1].
        min_area: components of fewer pixels are left out.
    """

    has_masks, needs_edges = True, False

    def __init__(self, classes: PanopticClasses, threshold: float, min_area: float) -> None:
        self._num_things, self._threshold, self._min_area = classes.num_things, threshold, min_area

    def __call__(
        self, image: NamedImage, classes: ClassMap | None, edges: NDArray[np.float32] | None
    ) -> Seeds:
        """The seeds of an image; see ``SeedSource``."""
        assert classes is not None
        wanted = range(self._num_things)
        return components(classes, wanted, edges, self._threshold, self._min_area)

    def settings(self) -> dict[str, Any]:
        """Threshold and least area."""
        return {"seeds": "components", "cut": self._threshold, "min_area": self._min_area}


class SegmentSeeds(_Unplaced):
    """Segments of edges alone; where there are semantic maps, those of things, with their classes.

    A segment's class is the one that most of its pixels have.

    Args:
        segments: see :class:`trace_mm.segments.EdgeSegments`.
        classes: how many are things; None if there are no semantic maps.
    """

    has_masks, needs_edges = True, True

    def __init__(self, segments: EdgeSegments, classes: PanopticClasses | None = None) -> None:
        self._segments = segments
        self._num_things = None if classes is None else classes.num_things

    def __call__(
        self, image: NamedImage, classes: ClassMap | None, edges: NDArray[np.float32] | None
    ) -> Seeds:
        """The seeds of an image; see ``SeedSource``."""
        assert edges is not None
        found = self._segments(edges)
        filled = found.masks.any(axis=(1, 2))
        masks, scores = found.masks[filled], np.ones(len(found))[filled]
        if found.scores is not None:
            scores = found.scores[filled]
        if classes is None or self._num_things is None:
            return Seeds.of_masks(masks, np.full(len(masks), NO_CLASS), scores)
        numbers = majority_classes(masks, classes)
        things = (numbers >= 0) & (numbers < self._num_things)
        return Seeds.of_masks(masks[things], numbers[things], scores[things])

    def settings(self) -> dict[str, Any]:
        """The segments'."""
        return {"seeds": "segments", **self._segments.settings()}


class BoxSeeds(_Unplaced):
    """Boxes of any detector, from a COCO file or a list of COCO results.

    Images are found as :class:`trace_mm.refinement.ImageIndex` finds them: by the file's own
    ``images``, by those of another file, by numbers in names, or, if ``image_id`` is text, by name.

    Args:
        path: holds ``bbox`` [x, y, width, height] in pixels, ``category_id`` and perhaps ``score``.
        images: the folder of the images.
        classes: what categories mean: by name where the file has ``categories``, else by their ids;
            None takes all boxes as of one class.
        annotations: a COCO file whose ``images`` name the ids of a list of results.
        min_score: boxes with lower scores are left out; what has no score has 1.
        stuff: whether boxes of stuff count.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is damaged, none of its images is there, or a category is no class; names
            it.
    """

    has_masks, needs_edges = False, False

    def __init__(
        self,
        path: str | os.PathLike[str],
        images: str | os.PathLike[str],
        classes: PanopticClasses | None = None,
        annotations: str | os.PathLike[str] | None = None,
        min_score: float = 0.0,
        stuff: bool = False,
    ) -> None:
        self.path, self._min_score, self._stuff = Path(path), min_score, stuff
        self._annotations = annotations
        file = CocoFile.read(self.path).require("annotations")
        count = None
        if classes is not None:
            count = len(classes.names) if stuff else classes.num_things
        numbers = _class_numbers(file, classes)
        found: dict[ImageId, list[tuple[float, ...]]] = {}
        for one in file.annotations():
            score = 1.0 if one.score is None else one.score
            number = _number_of(one, numbers)
            if score >= min_score and (count is None or number < count):
                found.setdefault(one.image, []).append((*_corners(one), score, number))
        self._rows = _by_name(file, found, images, annotations)

    def __call__(
        self, image: NamedImage, classes: ClassMap | None, edges: NDArray[np.float32] | None
    ) -> Seeds:
        """The boxes of an image, within it; see ``SeedSource``."""
        rows = np.array(self._rows.get(image.name, []), dtype=np.float64).reshape(-1, 6)
        height, width = image.pixels.shape[:2]
        boxes = rows[:, :4].clip(0, [width, height, width, height])
        first = np.ceil(boxes - 0.5)  # of the pixels whose middles lie behind each side
        kept = (first[:, 2:] > first[:, :2]).all(axis=1)
        numbers = rows[kept, 5].astype(np.int64)
        return Seeds(boxes[kept], numbers, rows[kept, 4].clip(0, 1))

    def settings(self) -> dict[str, Any]:
        """The file's content, and which of its boxes count."""
        listed = self._annotations
        return {
            "seeds": "boxes",
            "boxes": fingerprint(absolute_path(self.path)),
            "named": None if listed is None else fingerprint(Path(listed)),
            "min_score": self._min_score,
            "of_stuff": self._stuff,
        }


def _class_numbers(file: CocoFile, classes: PanopticClasses | None) -> dict[int, int] | None:
    """The class number of each category id; None if there are no classes.

    Categories of the file that are none of the classes are left out: boxes of them are an error.
    """
    if classes is None:
        return None
    names = file.category_names()
    if not names:
        return {number: index for index, number in enumerate(classes.category_ids)}
    return {
        number: classes.names.index(name) for number, name in names.items() if name in classes.names
    }


def _number_of(one: CocoAnnotation, numbers: dict[int, int] | None) -> int:
    if numbers is None:
        return NO_CLASS
    if one.category_id not in numbers:
        raise one.bad(f"category_id {one.category_id} is none of the classes")
    return numbers[one.category_id]


def _corners(one: CocoAnnotation) -> tuple[float, ...]:
    if one.box is None:
        raise one.bad("there is no bbox")
    left, top, width, height = one.box
    return left, top, left + width, top + height


def _by_name(
    file: CocoFile,
    found: dict[ImageId, list[tuple[float, ...]]],
    images: str | os.PathLike[str],
    annotations: str | os.PathLike[str] | None,
) -> dict[str, Sequence[tuple[float, ...]]]:
    """What there is of each image, by the image's path within its folder."""
    listed = {} if annotations is not None else file.images()
    index, root = ImageIndex(images, annotations), as_path(images)
    rows: dict[str, Sequence[tuple[float, ...]]] = {}
    lost: list[str] = []
    for image_id, boxes in found.items():
        entry = listed.get(image_id)
        record = MaskRecord(None if entry is None else entry.name, image_id, None)
        try:
            name = name_within(index.find(record), root)
        except BadMaskError as error:
            lost.append(str(error))
            continue
        rows[name] = [*rows.get(name, ()), *boxes]
    if found and not rows:
        raise ValueError(f"{file.name}: none of its images is in {images}: {lost[0]}")
    if lost:
        note_once(f"{file.name}: boxes of {len(lost)} images that are not used: {lost[0]}")
    return rows
