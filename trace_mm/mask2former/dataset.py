"""Panoptic datasets of any class list for MMDetection."""

from pathlib import Path, PurePosixPath
from typing import Any

from mmdet.datasets import CocoPanopticDataset
from mmengine.logging import print_log

from trace_mm.files.coco_file import check_box
from trace_mm.files.file_names import ListedImages
from trace_mm.files.panoptic_file import PanopticPngs, read_panoptic_file
from trace_mm.registry import DATASETS


@DATASETS.register_module()
class PanopticLabelDataset(CocoPanopticDataset):
    """A COCO panoptic dataset, of ground truth or as ``trace-mm panoptic`` writes it.

    Differs from mmdet's ``CocoPanopticDataset`` in that the PNG has the name that the annotation
    says, so that images may be .jpg, .jpeg, .JPEG or .png; that classes are found by name, in any
    order and with any category ids; and that each image's segments are read once (mmdet compares
    them with those of the same id in all other images, and ids mostly count from 1 in each).

    Args:
        metainfo: ``thing_classes`` and ``stuff_classes``, lists of names; class numbers follow
            them, things first. By default COCO's 80 and 53.
        labels: a folder that holds ``panoptic.json`` and ``panoptic/``, used in place of
            ``ann_file`` and ``data_prefix["seg"]``. Unlike these it is not below ``data_root``.
        listed: file with the names of the images that count, one a line, relative to ``data_root``;
            lines may hold paths, and what follows after a space is not read. None takes all.
        things_as: take all things for one class of this name, the only thing of ``metainfo``, so
            that instances are learned without their classes; None does not.
        **settings: as of ``CocoPanopticDataset``.

    Raises:
        FileNotFoundError: if there is no annotation file, or no list of images.
        ValueError: if it is not as it should be, or its categories are not those of ``metainfo``;
            names the file.
    """

    def __init__(
        self,
        *,
        metainfo: dict[str, Any] | None = None,
        labels: str | None = None,
        listed: str | None = None,
        things_as: str | None = None,
        **settings: Any,
    ) -> None:
        self.things_as = things_as
        root = Path(settings.get("data_root") or "")
        self._listed = None if listed is None else _names(root / listed)
        metainfo = dict(metainfo or {})
        if "thing_classes" in metainfo or "stuff_classes" in metainfo:
            names = [tuple(metainfo.get(key, ())) for key in ("thing_classes", "stuff_classes")]
            metainfo["thing_classes"], metainfo["stuff_classes"] = names
            metainfo["classes"] = names[0] + names[1]
        if labels is not None:
            folder = Path(labels).absolute()  # else it would be looked for below data_root
            prefix = {**settings.get("data_prefix", {}), "seg": str(folder / "panoptic")}
            settings.update(ann_file=str(folder / "panoptic.json"), data_prefix=prefix)
        super().__init__(metainfo=metainfo, **settings)

    def load_data_list(self) -> list[dict[str, Any]]:
        """What is known of each image that has an annotation, in the order of these."""
        content = read_panoptic_file(self.ann_file)
        numbers = self._class_numbers(content["categories"])
        images = {image["id"]: image for image in content["images"]}
        photos = ListedImages(self.data_prefix["img"])
        folder = self.data_prefix.get("seg")
        pngs = None if folder is None else PanopticPngs(folder)
        found = [
            self._image_info(images[annotation["image_id"]], annotation, numbers, photos, pngs)
            for annotation in content["annotations"]
            if self._counts(images[annotation["image_id"]]["file_name"])
        ]
        if self._listed is not None:
            print_log(
                f"{self.ann_file}: {len(found)} of its {len(content['annotations'])} images are "
                f"among the {len(self._listed)} that count",
                "current",
            )
        if not found and content["annotations"]:
            raise ValueError(f"{self.ann_file}: has none of the listed images")
        return found

    def _counts(self, name: str) -> bool:
        return self._listed is None or PurePosixPath(name).stem in self._listed

    def _class_numbers(self, categories: list[dict[str, Any]]) -> dict[int, int]:
        """Class number of each category id."""
        names = list(self.metainfo["classes"])
        things = len(self.metainfo["thing_classes"])
        numbers = {}
        for category in categories:
            is_thing = bool(category["isthing"])
            name = self.things_as if is_thing and self.things_as else category["name"]
            if name not in names:
                raise ValueError(f"{self.ann_file}: category {name!r} is no class of the config")
            number = names.index(name)
            if is_thing != (number < things):
                kind = "things" if number < things else "stuff"
                raise ValueError(f"{self.ann_file}: the config counts {name!r} as {kind}")
            numbers[category["id"]] = number
        return numbers

    def _image_info(
        self,
        image: dict[str, Any],
        annotation: dict[str, Any],
        numbers: dict[int, int],
        photos: ListedImages,
        pngs: PanopticPngs | None,
    ) -> dict[str, Any]:
        """One record as mmdet's transforms take it."""
        things = len(self.metainfo["thing_classes"])
        instances, segments = [], []
        for segment in annotation["segments_info"]:
            number = numbers[segment["category_id"]]
            # A crowd's pixels have a class, but it is not an instance to learn.
            is_instance = number < things and not segment["iscrowd"]
            segments.append({"id": segment["id"], "category": number, "is_thing": is_instance})
            if is_instance:
                box = self._corners(annotation, segment)
                instances.append({"bbox": box, "bbox_label": number, "ignore_flag": 0})
        name = image["file_name"]
        photo = photos.find(name, image["id"])  # where there is none, reading it says so
        return {
            "img_path": str(photos.folder / name if photo is None else photo),
            "img_id": image["id"],
            "seg_map_path": None if pngs is None else str(pngs.path(annotation["file_name"])),
            "height": image["height"],
            "width": image["width"],
            "instances": instances,
            "segments_info": segments,
        }

    def _corners(self, annotation: dict[str, Any], segment: dict[str, Any]) -> list[float]:
        """Box of a segment as left, top, right, bottom."""
        try:
            left, top, width, height = check_box(segment.get("bbox"))
        except ValueError as error:
            raise ValueError(
                f"{self.ann_file}: {annotation['file_name']}, segment {segment['id']}: the bbox of "
                f"a thing {error}"
            ) from error
        return [left, top, left + width, top + height]


def _names(path: Path) -> frozenset[str]:
    """Stems of the images that a file lists."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such list of images")
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    return frozenset(PurePosixPath(line.split()[0]).stem for line in lines if line.strip())
