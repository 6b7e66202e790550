"""Annotation formats of edge benchmarks: which images there are, and the true edges of each.

A format is a class with ``images()``, a list of plain dicts (``img_path``, ``image_id`` and what
the format needs to find the annotation), and ``edges(info, size)``, the edges of one of them.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from mmengine.logging import print_log

from trace_mm.datasets.ground_truth import (
    instance_borders,
    layer_instances,
    read_bsds_borders,
)
from trace_mm.files import SizeEvidence, coco_evidence, is_image_file, map_sizes
from trace_mm.files.binary_masks import read_mask
from trace_mm.files.coco_file import CocoAnnotation, CocoFile, by_rising_id
from trace_mm.files.file_names import ListedImages
from trace_mm.files.id_maps import VOID, folder_numbering, read_id_map
from trace_mm.files.json_values import ImageId
from trace_mm.files.panoptic import read_panoptic_png
from trace_mm.files.panoptic_file import PanopticAnnotation, PanopticFile, PanopticPngs

_Named = tuple[str, dict[str, Any]]  # an image's name as its file has it, and what is known of it


class EdgeAnnotation(Protocol):
    """What a dataset needs of a format.

    Args:
        images: folder of the photos.
        annotation: annotation file, for formats that have one.
        masks: folder of the annotation's images or files, for formats that have one.
        void: id whose borders do not count.
        crowd: whether crowd regions are segments.
    """

    def __init__(
        self, images: str, annotation: str, masks: str, void: int | None, crowd: bool
    ) -> None: ...

    def images(self) -> list[dict[str, Any]]:
        """Each image's ``img_path``, ``image_id`` and own keys of the format, in a fixed order."""
        ...

    def edges(self, info: dict[str, Any], size: tuple[int, int]) -> np.ndarray:
        """True edges bool (A, H, W) of the image ``info``, whose size is (H, W)."""
        ...

    def evidence(self, info: dict[str, Any]) -> SizeEvidence:
        """What the annotation tells of the size of the image ``info``."""
        ...


class CocoInstances:
    """COCO instances JSON; where masks overlap, the smaller is in front. See ``EdgeAnnotation``."""

    def __init__(
        self, images: str, annotation: str, masks: str, void: int | None, crowd: bool
    ) -> None:
        self.folder, self.file, self.crowd = Path(images), annotation, crowd

    def images(self) -> list[dict[str, Any]]:
        """Each image of the JSON with its annotations, by rising image id."""
        return _with_photos(self.annotated(), self.folder, self.file)

    def annotated(self) -> list[_Named]:
        """The same without photos, and the images' names."""
        file = CocoFile.read(self.file).require("images").require_annotations()
        listed = by_rising_id(file.images())
        located = file.by_image(listed)
        self._check(file, located)
        return [
            (
                image.name,
                {
                    "image_id": key,
                    "stated_size": image.stated_size,
                    "annotations": [_needed(one, file) for one in located[key]],
                },
            )
            for key, image in listed.items()
        ]

    def edges(self, info: dict[str, Any], size: tuple[int, int]) -> np.ndarray:
        """Borders bool (1, H, W)."""
        kept = [one for one in info["annotations"] if self.crowd or not one.crowd]
        masks = [annotation.mask(size) for annotation in kept]
        ids = layer_instances(masks, [annotation.crowd for annotation in kept], size)
        return instance_borders(ids)[None]

    def evidence(self, info: dict[str, Any]) -> SizeEvidence:
        """What masks, polygons and the file say."""
        return coco_evidence((one.content for one in info["annotations"]), info["stated_size"])

    def _check(self, file: CocoFile, located: Mapping[ImageId, list[CocoAnnotation]]) -> None:
        """Say what is left out, or what has been decided.

        Raises:
            ValueError: if nothing is left.
        """
        crowds = [file.is_crowd(one) for found in located.values() for one in found]
        told = (
            f"{self.file}: {sum(crowds)} of {len(crowds)} annotations are crowds (iscrowd 1), "
            f"which crowd=False leaves out"
        )
        if not self.crowd and all(crowds):
            raise ValueError(told)
        if not self.crowd and 2 * sum(crowds) > len(crowds):
            _warn(told)
        if file.crowd_note:
            _warn(file.crowd_note)
        bare = sum(not found for found in located.values())
        if 2 * bare > len(located):
            _warn(f"{self.file}: {bare} of {len(located)} images have no annotation: no true edges")


class CocoPanoptic:
    """COCO panoptic JSON with its folder of PNGs. See ``EdgeAnnotation``."""

    def __init__(
        self, images: str, annotation: str, masks: str, void: int | None, crowd: bool
    ) -> None:
        self.folder, self.file, self.masks, self.void = Path(images), annotation, Path(masks), void

    def images(self) -> list[dict[str, Any]]:
        """Each annotated image, by rising image id."""
        return _with_photos(self.annotated(), self.folder, self.file)

    def annotated(self) -> list[_Named]:
        """The same without photos, and the images' names."""
        file = PanopticFile.read(self.file).require("images", "annotations")
        listed = file.images()
        maps: dict[ImageId, PanopticAnnotation] = {}
        for one in file.maps():
            if one.image not in listed:
                raise one.bad(f"image_id: no image has id {one.image!r}")
            if maps.setdefault(one.image, one) is not one:
                raise one.bad(f"image_id: {one.image!r} occurs twice")
        maps = by_rising_id(maps)
        pngs = PanopticPngs(self.masks)
        return [
            (
                listed[key].name,
                {
                    "image_id": key,
                    "stated_size": listed[key].stated_size,
                    "mask_path": str(pngs.path(one.file_name)),
                },
            )
            for key, one in maps.items()
        ]

    def edges(self, info: dict[str, Any], size: tuple[int, int]) -> np.ndarray:
        """Borders bool (1, H, W)."""
        return instance_borders(read_panoptic_png(info["mask_path"]), self.void)[None]

    def evidence(self, info: dict[str, Any]) -> SizeEvidence:
        """The size of the PNG."""
        return SizeEvidence(map_sizes(Path(info["mask_path"])))


class IdMaps:
    """Folder of PNGs of segment ids, named as the photos are. See ``EdgeAnnotation``.

    All that :func:`trace_mm.files.id_maps.read_id_map` reads. As ``void``, 255 counts in maps of 8
    bits only. Where an id is class * 1000 + number, borders between classes without objects count
    too, since they are borders of segments; a warning says so.
    """

    suffix = ".png"

    def __init__(
        self, images: str, annotation: str, masks: str, void: int | None, crowd: bool
    ) -> None:
        self.folder, self.masks, self.void = Path(images), Path(masks), void

    def images(self) -> list[dict[str, Any]]:
        """Each photo with an annotation file, by name."""
        infos = [
            {
                "img_path": str(path),
                "image_id": path.stem,
                "mask_path": str(self.masks / f"{path.stem}{self.suffix}"),
            }
            for path in list_images(self.folder)
        ]
        if not self.masks.is_dir():
            raise FileNotFoundError(f"{self.masks}: no such folder of annotations")
        missing = [info for info in infos if not Path(info["mask_path"]).is_file()]
        if missing:
            raise FileNotFoundError(
                f"{missing[0]['mask_path']}: no such annotation ({len(missing)} of {len(infos)} "
                f"images in {self.folder} have none)"
            )
        if self.suffix == ".png":
            told = folder_numbering([Path(info["mask_path"]) for info in infos])
            if told:
                _warn(told)
        return infos

    def edges(self, info: dict[str, Any], size: tuple[int, int]) -> np.ndarray:
        """Borders bool (1, H, W)."""
        found = read_id_map(info["mask_path"])
        void = found.void if self.void == VOID else self.void
        return instance_borders(found.ids, void)[None]

    def evidence(self, info: dict[str, Any]) -> SizeEvidence:
        """The size of the PNG."""
        return SizeEvidence(map_sizes(Path(info["mask_path"])))


class Bsds500(IdMaps):
    """Folder of BSDS500 ``.mat`` files, several annotators each. See ``EdgeAnnotation``."""

    suffix = ".mat"

    def edges(self, info: dict[str, Any], size: tuple[int, int]) -> np.ndarray:
        """Every annotator's borders, bool (A, H, W)."""
        return read_bsds_borders(info["mask_path"])

    def evidence(self, info: dict[str, Any]) -> SizeEvidence:
        """The size of each annotator's map."""
        maps = read_bsds_borders(info["mask_path"])  # (A, H, W)
        return SizeEvidence([(maps.shape[1], maps.shape[2])] * len(maps))


class MaskFolders:
    """A folder an image, with the photo in ``images`` and a PNG for each instance in ``masks``.

    The layout of the 2018 Data Science Bowl (nuclei). Where masks overlap, the smaller is in
    front. See ``EdgeAnnotation``.
    """

    def __init__(
        self, images: str, annotation: str, masks: str, void: int | None, crowd: bool
    ) -> None:
        self.folder = Path(images)

    def images(self) -> list[dict[str, Any]]:
        """Each folder's photo, by the folder's name."""
        if not self.folder.is_dir():
            raise FileNotFoundError(f"{self.folder}: no such folder of annotated images")
        infos = []
        for folder in sorted(path for path in self.folder.iterdir() if path.is_dir()):
            photos = list_images(folder / "images")
            if len(photos) != 1:
                raise ValueError(f"{folder / 'images'}: there must be one image, not {len(photos)}")
            masks = folder / "masks"
            if not masks.is_dir():
                raise FileNotFoundError(f"{masks}: no such folder of masks")
            infos.append(
                {"img_path": str(photos[0]), "image_id": folder.name, "mask_path": str(masks)}
            )
        return infos

    def edges(self, info: dict[str, Any], size: tuple[int, int]) -> np.ndarray:
        """Borders bool (1, H, W)."""
        masks = []
        for path in sorted(Path(info["mask_path"]).glob("*.png")):
            mask, _ = read_mask(path)
            if mask.shape != size:
                raise ValueError(f"{path}: the mask is {mask.shape} (H, W), the image {size}")
            masks.append(mask)
        ids = np.zeros(size, dtype=np.int32)
        for number, mask in enumerate(sorted(masks, key=np.count_nonzero, reverse=True), start=1):
            ids[mask] = number
        return instance_borders(ids)[None]

    def evidence(self, info: dict[str, Any]) -> SizeEvidence:
        """The size of each mask."""
        return SizeEvidence(map_sizes(*sorted(Path(info["mask_path"]).glob("*.png"))))


EDGE_ANNOTATIONS: dict[str, type[EdgeAnnotation]] = {
    "coco_instances": CocoInstances,
    "coco_panoptic": CocoPanoptic,
    "bsds500": Bsds500,
    "id_maps": IdMaps,
    "mask_folders": MaskFolders,
}
"""Formats by the name that configs use."""


def list_images(folder: str | Path) -> list[Path]:
    """Image files directly in a folder, by name.

    Raises:
        FileNotFoundError: if there is no such folder, or no image in it.
        ValueError: if two images have the same stem.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder of images")
    paths = sorted(path for path in folder.iterdir() if is_image_file(path))
    if not paths:
        raise FileNotFoundError(f"{folder}: no image in this folder")
    stems: dict[str, Path] = {}
    for path in paths:
        other = stems.setdefault(path.stem, path)
        if other is not path:
            raise ValueError(f"{path}: has the same stem as {other}")
    return paths


def _with_photos(images: list[_Named], folder: Path, file: str) -> list[dict[str, Any]]:
    names = ((name, info["image_id"]) for name, info in images)
    paths = ListedImages(folder).find_all(names, file)
    return [{"img_path": str(path), **info} for path, (_, info) in zip(paths, images, strict=True)]


def _needed(annotation: CocoAnnotation, file: CocoFile) -> CocoAnnotation:
    """An annotation with what edges need of it only: there are hundreds of thousands."""
    content = {
        "segmentation": annotation.segmentation,
        "iscrowd": int(file.is_crowd(annotation)),
    }
    return CocoAnnotation(content, annotation.file, annotation.key, annotation.position)


def _warn(text: str) -> None:
    print_log(text, "current", logging.WARNING)
