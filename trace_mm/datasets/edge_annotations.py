"""Annotation formats of edge benchmarks: which images there are, and the true edges of each.

A format is a class with ``images()``, a list of plain dicts (``img_path``, ``image_id`` and what
the format needs to find the annotation), and ``edges(info, size)``, the edges of one of them.
"""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from trace_mm.datasets.ground_truth import (
    coco_instance_ids,
    instance_borders,
    read_bsds_borders,
)
from trace_mm.files.id_maps import VOID, read_id_map, read_mask
from trace_mm.files.panoptic import read_panoptic_png

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")


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


class CocoInstances:
    """COCO instances JSON; where masks overlap, the smaller is in front. See ``EdgeAnnotation``."""

    def __init__(
        self, images: str, annotation: str, masks: str, void: int | None, crowd: bool
    ) -> None:
        self.folder, self.file, self.crowd = Path(images), annotation, crowd

    def images(self) -> list[dict[str, Any]]:
        """Each image of the JSON with its annotations, by rising image id."""
        content = read_coco_json(self.file, ("images", "annotations"))
        by_image: dict[Any, list[dict[str, Any]]] = defaultdict(list)
        for annotation in content["annotations"]:
            kept = {key: annotation.get(key) for key in ("id", "segmentation")}
            kept["iscrowd"] = annotation.get("iscrowd", 0)
            by_image[annotation["image_id"]].append(kept)
        return [
            {
                "img_path": str(self.folder / image["file_name"]),
                "image_id": image["id"],
                "annotations": by_image[image["id"]],
            }
            for image in sorted(content["images"], key=lambda image: image["id"])
        ]

    def edges(self, info: dict[str, Any], size: tuple[int, int]) -> np.ndarray:
        """Borders bool (1, H, W)."""
        try:
            ids = coco_instance_ids(info["annotations"], size, self.crowd)
        except ValueError as error:
            raise ValueError(f"{self.file}: image {info['image_id']}: {error}") from error
        return instance_borders(ids)[None]


class CocoPanoptic:
    """COCO panoptic JSON with its folder of PNGs. See ``EdgeAnnotation``."""

    def __init__(
        self, images: str, annotation: str, masks: str, void: int | None, crowd: bool
    ) -> None:
        self.folder, self.file, self.masks, self.void = Path(images), annotation, Path(masks), void

    def images(self) -> list[dict[str, Any]]:
        """Each annotated image, by rising image id."""
        content = read_coco_json(self.file, ("images", "annotations"))
        names = {image["id"]: image["file_name"] for image in content["images"]}
        annotations = sorted(content["annotations"], key=lambda entry: entry["image_id"])
        for annotation in annotations:
            if annotation["image_id"] not in names:
                raise ValueError(f"{self.file}: no image has id {annotation['image_id']}")
        return [
            {
                "img_path": str(self.folder / names[annotation["image_id"]]),
                "image_id": annotation["image_id"],
                "mask_path": str(self.masks / annotation["file_name"]),
            }
            for annotation in annotations
        ]

    def edges(self, info: dict[str, Any], size: tuple[int, int]) -> np.ndarray:
        """Borders bool (1, H, W)."""
        return instance_borders(read_panoptic_png(info["mask_path"]), self.void)[None]


class IdMaps:
    """Folder of PNGs of segment ids, named as the photos are. See ``EdgeAnnotation``.

    All that :func:`trace_mm.files.id_maps.read_id_map` reads. As ``void``, 255 counts in maps of 8
    bits only. Where an id is class * 1000 + number, borders between classes without objects count
    too, since they are borders of segments.
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
        return infos

    def edges(self, info: dict[str, Any], size: tuple[int, int]) -> np.ndarray:
        """Borders bool (1, H, W)."""
        found = read_id_map(info["mask_path"])
        void = found.void if self.void == VOID else self.void
        return instance_borders(found.ids, void)[None]


class Bsds500(IdMaps):
    """Folder of BSDS500 ``.mat`` files, several annotators each. See ``EdgeAnnotation``."""

    suffix = ".mat"

    def edges(self, info: dict[str, Any], size: tuple[int, int]) -> np.ndarray:
        """Every annotator's borders, bool (A, H, W)."""
        return read_bsds_borders(info["mask_path"])


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
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    if not paths:
        raise FileNotFoundError(f"{folder}: no image in this folder")
    stems: dict[str, Path] = {}
    for path in paths:
        other = stems.setdefault(path.stem, path)
        if other is not path:
            raise ValueError(f"{path}: has the same stem as {other}")
    return paths


def read_coco_json(path: str | Path, keys: tuple[str, ...]) -> dict[str, Any]:
    """A COCO annotation file.

    Args:
        path: the JSON file.
        keys: what it must hold at its top.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not JSON, or lacks a key.
    """
    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(f"{path}: no such annotation file")
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not valid JSON: {error}") from error
    missing = [key for key in keys if not isinstance(content, dict) or key not in content]
    if missing:
        raise ValueError(f"{path}: not a COCO annotation file, it has no {missing}")
    return dict(content)
