"""COCO's annotation files and lists of results, as the tools that write them really write them.

Records are read field by field, when a field is asked for: what a reader does not need cannot stop
it. Each refusal names the file, the record and the field. Ids of annotations are never looked at,
since they repeat, count from 0 or are missing.
"""

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from trace_mm.files.coco import decode_segmentation, segmentation_rle
from trace_mm.files.file_names import name_parts
from trace_mm.files.images import MAX_PIXELS
from trace_mm.files.json_file import read_json
from trace_mm.files.json_record import JsonRecord, OnBad, records_of, report
from trace_mm.files.json_values import ImageId, as_finite, as_flag, as_whole_number, describe
from trace_mm.files.members import AnyFile


class CocoImage(JsonRecord):
    """An entry of ``images``."""

    __slots__ = ()

    @property
    def id(self) -> ImageId:
        """Its id."""
        other = "id" not in self.content and "image_id" in self.content  # as in SA-1B
        return self.image_id("image_id" if other else "id")

    @property
    def file_name(self) -> str | None:
        """Its name as the file has it; LVIS v1 states it in ``coco_url`` only. None if neither."""
        name, url = self.content.get("file_name"), self.content.get("coco_url")
        if name is None and isinstance(url, str):
            name = "/".join(url.split("?")[0].split("/")[-2:])  # val2017/000000000139.jpg
        if not isinstance(name, str) or "\0" in name:  # which no file can be called
            return None
        return name if name_parts(name) else None

    @property
    def name(self) -> str:
        """Its ``file_name``, which it must have."""
        if self.file_name is None:
            value = describe(self.content.get("file_name"))
            raise self.bad(f"file_name must name a file, got {value}, and there is no coco_url")
        return self.file_name

    @property
    def size(self) -> tuple[int, int]:
        """(H, W), which it must have. Some tools swap them."""
        height, width = self.whole_number("height", 1), self.whole_number("width", 1)
        if height * width > MAX_PIXELS:
            raise self.bad(f"height {height} and width {width}: more than {MAX_PIXELS} pixels")
        return height, width

    @property
    def stated_size(self) -> tuple[int, int] | None:
        """(H, W) as far as it says anything: some tools write null, or nothing."""
        try:
            return self.size
        except ValueError:
            return None


class CocoCategory(JsonRecord):
    """An entry of ``categories``."""

    __slots__ = ()

    @property
    def id(self) -> int:
        """Its id."""
        return self.category("id")

    @property
    def name(self) -> str:
        """Its name; if it has none, one that is made of its id."""
        name = self.content.get("name")
        if name is None or name == "":
            return f"class {self.id}"
        if isinstance(name, str):
            return name
        number = as_whole_number(name)
        if number is None:
            raise self.bad(f"name must be text, got {describe(name)}")
        return str(number)

    @property
    def is_thing(self) -> bool | None:
        """What ``isthing`` says; None if nothing."""
        return None if self.content.get("isthing") is None else self.flag("isthing")


class CocoAnnotation(JsonRecord):
    """An entry of ``annotations``, or of a list of results."""

    __slots__ = ()

    @property
    def image(self) -> ImageId:
        """The id of its image."""
        return self.image_id("image_id")

    @property
    def category_id(self) -> int | None:
        """Its category; None where the file states none."""
        return None if self.content.get("category_id") is None else self.category()

    @property
    def crowd(self) -> bool:
        """Whether it is marked as a crowd; see :attr:`CocoFile.only_crowds`."""
        return self.flag("iscrowd")

    @property
    def segmentation(self) -> Any:
        """Polygons or RLE as the file has them; None if there are none."""
        return self.content.get("segmentation") or None

    @property
    def box(self) -> tuple[float, ...] | None:
        """[x, y, width, height] in pixels; None where the file states none."""
        box = self.content.get("bbox")
        if box is None or (isinstance(box, (list, tuple)) and not box):  # U2Seg writes []
            return None
        try:
            return check_box(box)
        except ValueError as error:
            raise self.bad(f"bbox {error}") from error

    @property
    def score(self) -> float | None:
        """Its score; None where the file states none."""
        value = self.content.get("score")
        if value is None:
            return None
        score = as_finite(value)
        if score is None:
            raise self.bad(f"score must be a finite number, got {describe(value)}")
        return score

    @property
    def area(self) -> float | None:
        """Its area in pixels; None where the file states none that an area can be."""
        area = as_finite(self.content.get("area"))
        return area if area is not None and area > 0 else None

    def mask(self, size: tuple[int, int]) -> NDArray[np.bool_]:
        """Its mask bool (H, W); see :func:`trace_mm.files.coco.decode_segmentation`."""
        try:
            return decode_segmentation(self._segmentation(), size)
        except ValueError as error:
            raise self.bad(error) from error

    def rle(self, size: tuple[int, int]) -> dict[str, Any]:
        """Its mask as compressed RLE; see :func:`trace_mm.files.coco.segmentation_rle`."""
        try:
            return segmentation_rle(self._segmentation(), size)
        except ValueError as error:
            raise self.bad(error) from error

    def _segmentation(self) -> Any:
        if self.segmentation is None:
            raise ValueError("there is no segmentation: it holds neither polygons nor RLE")
        return self.segmentation


class CocoFile:
    """What a COCO annotation file, or a list of results, holds.

    A list that is null counts as empty, as some languages write it. Records that are no objects,
    and such as repeat an id, are errors.

    Args:
        content: what was read of the file.
        name: what messages call it, usually its path.

    Raises:
        ValueError: if it is neither an object nor a list of results.
    """

    def __init__(self, content: Any, name: str = "") -> None:
        self.name = name
        self.is_results = isinstance(content, list)
        if not isinstance(content, (dict, list)):
            raise ValueError(
                f"{name}: not a COCO annotation file, which holds an object, nor a list of results"
            )
        self.content: dict[str, Any] = (
            {"annotations": content} if isinstance(content, list) else content
        )

    @classmethod
    def read(cls, path: str | AnyFile) -> Self:
        """Read a file.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if it is not JSON, or neither an object nor a list.
        """
        return cls(read_json(path, "annotation file"), str(path))

    @property
    def info(self) -> dict[str, Any]:
        """What the file says of itself; empty if that is null, missing or no object."""
        info = self.content.get("info")
        return info if isinstance(info, dict) else {}

    def require(self, *keys: str) -> Self:
        """Check that the file has some lists, which may be empty or null.

        Raises:
            ValueError: if one is missing, or no list.
        """
        for key in keys:
            if key not in self.content:
                raise ValueError(f"{self.name}: not a COCO annotation file, it has no list {key!r}")
            if not isinstance(self.content[key], list | None):
                value = describe(self.content[key])
                raise ValueError(f"{self.name}: {key!r} must be a list, got {value}")
        return self

    def images(self, on_bad: OnBad = None) -> dict[ImageId, CocoImage]:
        """Images by id, in the order of the file; merged files may repeat one.

        Args:
            on_bad: see ``OnBad``. Of two different images of one id, neither is taken.

        Raises:
            ValueError: if an image has no id, or two of one id have different names or sizes.
        """
        found: dict[ImageId, CocoImage] = {}
        unclear: set[ImageId] = set()
        for image in records_of(self.content.get("images"), CocoImage, self.name, "images", on_bad):
            try:
                if not _agree(found.setdefault(image.id, image), image):
                    unclear.add(image.id)
                    raise image.bad(f"two images have the id {image.id!r}")
            except ValueError as error:
                report(error, on_bad)
        return {number: image for number, image in found.items() if number not in unclear}

    def annotations(self, on_bad: OnBad = None) -> Iterator[CocoAnnotation]:
        """Annotations, in the order of the file."""
        key = "results" if self.is_results else "annotations"
        yield from records_of(
            self.content.get("annotations"), CocoAnnotation, self.name, key, on_bad
        )

    def by_image(
        self, images: Mapping[ImageId, Any] | None, on_bad: OnBad = None
    ) -> dict[ImageId, list[CocoAnnotation]]:
        """Annotations by the id of their image, in the order of the file.

        Args:
            images: those that may be referred to, each of which gets a list; None takes any.
            on_bad: see ``OnBad``.

        Raises:
            ValueError: if an annotation has no ``image_id``, or that of no image.
        """
        found: dict[ImageId, list[CocoAnnotation]] = {key: [] for key in images or {}}
        for annotation in self.annotations(on_bad):
            try:
                if images is not None and annotation.image not in images:
                    raise annotation.bad(f"image_id: image {annotation.image!r} is not listed")
                found.setdefault(annotation.image, []).append(annotation)
            except ValueError as error:
                report(error, on_bad)
        return found

    def require_annotations(self) -> Self:
        """Check that there is an annotation: a file that lost all of them is no ground truth.

        Raises:
            ValueError: if there is none.
        """
        self.require("annotations")
        if not self.content["annotations"]:
            raise ValueError(f"{self.name}: there is no annotation in it")
        return self

    def categories(self, on_bad: OnBad = None) -> dict[int, CocoCategory]:
        """Categories by id, in the order of the file.

        Raises:
            ValueError: if a category has no id, or two have one.
        """
        found: dict[int, CocoCategory] = {}
        listed = self.content.get("categories")
        for category in records_of(listed, CocoCategory, self.name, "categories", on_bad):
            try:
                if found.setdefault(category.id, category) is not category:
                    raise category.bad(f"two categories have the id {category.id}")
            except ValueError as error:
                report(error, on_bad)
        return found

    def category_names(self) -> dict[int, str]:
        """Names of categories by id, for readers that can do without; bad records have none."""
        names = {}
        for number, category in self.categories(lambda error: None).items():
            try:
                names[number] = category.name
            except ValueError:
                continue
        return names

    @cached_property
    def only_crowds(self) -> int:
        """How many annotations there are, if all are crowds and RLE; else 0.

        Some tools, such as CVAT for masks drawn with a brush, mark every RLE as a crowd. These are
        instances: a file in which nothing can be found would be of no use.
        """
        count = 0
        for annotation in self.annotations(lambda error: None):
            flag = as_flag(annotation.content.get("iscrowd"))
            if not flag or not isinstance(annotation.segmentation, dict):
                return 0
            count += 1
        return count

    def is_crowd(self, annotation: CocoAnnotation) -> bool:
        """Whether one of its annotations stands for several instances."""
        return annotation.crowd and not self.only_crowds

    @property
    def crowd_note(self) -> str | None:
        """What to tell where crowds were taken as instances."""
        if not self.only_crowds:
            return None
        return (
            f"{self.name}: all {self.only_crowds} annotations are marked as crowds (iscrowd 1), as "
            f"some tools mark masks drawn with a brush; they are taken as instances"
        )


def check_box(box: Any) -> tuple[float, ...]:
    """A box [x, y, width, height] as four floats.

    Raises:
        ValueError: if it is not four finite numbers, or has a negative side.
    """
    listed = isinstance(box, (list, tuple, np.ndarray))
    numbers = [as_finite(value) for value in box] if listed else []
    values = tuple(value for value in numbers if value is not None)
    if len(numbers) != 4 or len(values) != 4 or min(values[2:]) < 0:
        raise ValueError(f"must be four numbers x, y, width, height, got {describe(box)}")
    return values


def by_rising_id(found: Mapping[ImageId, Any]) -> dict[ImageId, Any]:
    """What is known of images, by rising id, numbers before text."""
    keys = sorted(found, key=lambda key: (isinstance(key, str), key))
    return {key: found[key] for key in keys}


def _agree(first: CocoImage, second: CocoImage) -> bool:
    """Whether two entries of one id may be the same image."""
    sized = first.stated_size and second.stated_size
    keys = ("file_name", "coco_url", *(("height", "width") if sized else ()))
    return all(first.content.get(key) == second.content.get(key) for key in keys)
