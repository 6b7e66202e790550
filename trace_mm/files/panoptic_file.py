"""JSON files of COCO's panoptic format: what they say of the segments that their PNGs hold."""

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from trace_mm.files.coco_file import CocoCategory, CocoFile, CocoImage
from trace_mm.files.file_names import Listings
from trace_mm.files.json_record import JsonRecord, OnBad, records_of
from trace_mm.files.json_values import ImageId, describe
from trace_mm.files.panoptic import MAX_ID


class PanopticSegment(JsonRecord):
    """An entry of ``segments_info``."""

    __slots__ = ()

    @property
    def id(self) -> int:
        """Its id in the PNG."""
        return self.whole_number("id", 1, MAX_ID)

    @property
    def crowd(self) -> bool:
        """Whether it stands for several instances."""
        return self.flag("iscrowd")


class PanopticAnnotation(JsonRecord):
    """An entry of ``annotations``: one image's PNG and its segments."""

    __slots__ = ()

    @property
    def image(self) -> ImageId:
        """The id of its image."""
        return self.image_id("image_id")

    @property
    def file_name(self) -> str:
        """Name of its PNG, which stays in the folder of PNGs."""
        return inner_name(self, self.content.get("file_name"))

    def segments(self, on_bad: OnBad = None) -> Iterator[PanopticSegment]:
        """Its segments; see :func:`trace_mm.files.json_record.records_of`."""
        key = f"{self.key}[{self.position}].segments_info"
        if "segments_info" not in self.content:
            raise self.bad("needs a list 'segments_info'")
        yield from records_of(
            self.content["segments_info"], PanopticSegment, self.file, key, on_bad
        )


class PanopticFile(CocoFile):
    """A COCO panoptic file; images and categories are as in any COCO file."""

    def maps(self, on_bad: OnBad = None) -> Iterator[PanopticAnnotation]:
        """What the file says of each image's PNG, in its order."""
        listed = self.content.get("annotations")
        yield from records_of(listed, PanopticAnnotation, self.name, "annotations", on_bad)

    def stuff(self) -> set[int]:
        """Ids of the categories that are said to be no things; bad records say nothing."""
        found = set()
        for number, category in self.categories(lambda error: None).items():
            try:
                if category.is_thing is False:
                    found.add(number)
            except ValueError:
                continue
        return found


class PanopticPngs:
    """The folder of a panoptic file's PNGs, which are found as any listed file is."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._listings = Listings()

    def path(self, name: str) -> Path:
        """The PNG of a name; where there is none, the path at which it should be."""
        return self._listings.find(self.folder, name) or self.folder / name


def is_panoptic(content: Any) -> bool:
    """Whether what a JSON file holds is panoptic: its annotations have ``segments_info``."""
    listed = content.get("annotations") if isinstance(content, dict) else None
    first = listed[0] if isinstance(listed, list) and listed else None
    return isinstance(first, dict) and "segments_info" in first


def png_folder(path: str | Path, given: str | Path | None = None) -> Path:
    """The folder of a panoptic file's PNGs: what is given, or ``panoptic`` or its name beside it.

    Raises:
        FileNotFoundError: if it was not given and is in neither place.
    """
    if given is not None:
        return Path(given)
    usual = [Path(path).parent / "panoptic", Path(path).with_suffix("")]
    for folder in usual:
        if folder.is_dir():
            return folder
    raise FileNotFoundError(
        f"{path}: its PNGs are neither in {usual[0]} nor in {usual[1]}; name their folder"
    )


def read_panoptic_file(path: str | Path, complete: bool = True) -> dict[str, Any]:
    """The JSON file of a panoptic dataset, checked.

    Checked is what readers rely on: ids are whole numbers (those of images may be text) and occur
    once, segments refer to categories and annotations to images, names of files stay in their
    folder. ``area`` and ``bbox`` are not looked at, since some tools leave them empty.

    Args:
        path: the JSON file.
        complete: False also takes a file without ``images`` or ``categories``, as mmdet writes
            predictions; both are empty lists then, and what refers to them is not checked.

    Returns:
        The content, with ``images``, ``annotations`` and ``categories``. Whole numbers and flags
        that were written in another form are ints. A missing ``iscrowd`` is 0.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if something is not as it should be; names the file, the record and the field.
    """
    file = PanopticFile.read(path)
    if file.is_results:
        raise ValueError(f"{path}: not a COCO panoptic file, it must hold an object")
    file.require(*(("images", "annotations", "categories") if complete else ("annotations",)))
    categories, images = file.categories(), file.images()
    names = [category.name for category in categories.values()]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{path}: categories have the same name: {describe(twice)}")
    known = (
        images if complete or images else None,
        categories if complete or categories else None,
    )
    annotations: dict[ImageId, dict[str, Any]] = {}
    for annotation in file.maps():
        if annotation.image in annotations:
            raise annotation.bad(f"image_id: {annotation.image!r} occurs twice")
        annotations[annotation.image] = _checked_annotation(annotation, *known)
    return {
        **file.content,
        "images": [_checked_image(image) for image in images.values()],
        "annotations": list(annotations.values()),
        "categories": [_checked_category(category) for category in categories.values()],
    }


def inner_name(record: JsonRecord, name: Any) -> str:
    """A name that stays in the folder that it is relative to.

    Raises:
        ValueError: if it does not, or is no name.
    """
    path = PurePosixPath(name.replace("\\", "/")) if isinstance(name, str) else PurePosixPath()
    if not path.name or path.is_absolute() or ".." in path.parts or "\0" in str(path):
        raise record.bad(f"file_name must name a file in a folder, got {describe(name)}")
    return str(name)


def _checked_category(category: CocoCategory) -> dict[str, Any]:
    if category.is_thing is None:
        raise category.bad("isthing must be 0 or 1, got None")
    own = {"id": category.id, "name": category.name, "isthing": int(category.is_thing)}
    return {**category.content, **own}


def _checked_image(image: CocoImage) -> dict[str, Any]:
    height, width = image.size
    own = {"id": image.id, "file_name": inner_name(image, image.name)}
    return {**image.content, **own, "height": height, "width": width}


def _checked_annotation(
    annotation: PanopticAnnotation,
    images: Mapping[ImageId, CocoImage] | None,
    categories: Mapping[int, CocoCategory] | None,
) -> dict[str, Any]:
    if images is not None and annotation.image not in images:
        raise annotation.bad(f"image_id: no image has id {annotation.image!r}")
    segments: dict[int, dict[str, Any]] = {}
    for segment in annotation.segments():
        number, category = segment.id, segment.category()
        if categories is not None and category not in categories:
            raise segment.bad(f"category_id: no category has id {category}")
        if number in segments:
            raise segment.bad(f"id: {number} occurs twice")
        own = {"id": number, "category_id": category, "iscrowd": int(segment.crowd)}
        segments[number] = {**segment.content, **own}
    own_fields = {"image_id": annotation.image, "file_name": annotation.file_name}
    return {**annotation.content, **own_fields, "segments_info": list(segments.values())}
