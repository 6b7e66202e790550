"""A panoptic dataset as scores need it: which segments each image has, and where they are."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from trace_mm.evaluation.panoptic_quality import SegmentCounts, count_segments, sum_counts
from trace_mm.files.file_names import name_parts, plain_name
from trace_mm.files.json_values import ImageId
from trace_mm.files.panoptic import read_panoptic_png
from trace_mm.files.panoptic_file import PanopticPngs, read_panoptic_file


@dataclass(frozen=True)
class PanopticImage:
    """Segments of one image.

    Attributes:
        file_name: of the image, as the file has it.
        png: the map of segment ids.
        size: (H, W), or None if the file does not say.
        categories: category id of each segment id.
        crowds: the segment ids that are crowds.
    """

    file_name: str
    png: Path
    size: tuple[int, int] | None
    categories: dict[int, int]
    crowds: frozenset[int]

    @property
    def name(self) -> str:
        """The image's path without suffix, in a form that can be compared with other files'."""
        return plain_name(self.file_name)

    @property
    def stem(self) -> str:
        """The last part of ``name``."""
        return PurePosixPath(self.name).name

    @property
    def png_name(self) -> str:
        """How the PNG of a prediction is called: as the image, so that none replaces another."""
        # Nothing outside the folder of predictions, whatever the file says.
        return PurePosixPath(*name_parts(self.file_name)).with_suffix(".png").as_posix()

    def missed(self) -> dict[int, SegmentCounts]:
        """Counts if nothing is predicted: every segment but crowds is a false negative."""
        one = SegmentCounts(false_negatives=1)
        found = [
            category for number, category in self.categories.items() if number not in self.crowds
        ]
        return sum_counts({category: one} for category in found)

    def count(self, ids: Any, categories: Mapping[int, int]) -> dict[int, SegmentCounts]:
        """Counts of a prediction for this image, which is the ground truth.

        Args:
            ids: predicted segment ids, int (H, W), 0 is void.
            categories: category id of each of them.

        Raises:
            FileNotFoundError: if the PNG is missing.
            ValueError: if the PNG is damaged, or does not fit its segments or the prediction; names
                the PNG.
        """
        truth = read_panoptic_png(self.png, self.size)  # (H, W)
        try:
            return count_segments(truth, self.categories, ids, categories, self.crowds)
        except ValueError as error:
            raise ValueError(f"{self.png}: {error}") from error


@dataclass(frozen=True)
class PanopticDataset:
    """A COCO panoptic JSON file with its folder of PNGs.

    Attributes:
        path: the JSON file.
        names: name of each category id.
        things: ids of the categories that are things.
        images: the annotated images by their id.
    """

    path: Path
    names: dict[int, str]
    things: frozenset[int]
    images: dict[ImageId, PanopticImage] = field(repr=False)

    @classmethod
    def read(cls, path: str | Path, folder: str | Path, complete: bool = True) -> "PanopticDataset":
        """Read the JSON file; PNGs are read when they are needed.

        Args:
            path: the JSON file.
            folder: of its PNGs.
            complete: False also takes predictions as mmdet writes them, without images and
                categories.

        Raises:
            FileNotFoundError: if the file is missing.
            ValueError: if it is not as it should be; names file and record.
        """
        content = read_panoptic_file(path, complete)
        listed = {image["id"]: image for image in content["images"]}
        pngs = PanopticPngs(folder)
        images = {
            annotation["image_id"]: _image(annotation, listed, pngs)
            for annotation in content["annotations"]
        }
        names = {category["id"]: category["name"] for category in content["categories"]}
        things = frozenset(item["id"] for item in content["categories"] if item["isthing"])
        return cls(Path(path), names, things, images)

    def with_things_as(self, name: str) -> "PanopticDataset":
        """The same dataset with a single category of things, which tells instances only.

        Raises:
            ValueError: if it has no things.
        """
        if not self.things:
            raise ValueError(f"{self.path}: has no things to take for {name!r}")
        one = min(self.things)
        merged = {key: one if key in self.things else key for key in self.names}
        images = {
            image_id: replace(
                image, categories={key: merged[own] for key, own in image.categories.items()}
            )
            for image_id, image in self.images.items()
        }
        names = {key: name if key == one else self.names[key] for key in sorted({*merged.values()})}
        return PanopticDataset(self.path, names, frozenset([one]), images)

    def category_ids(self) -> dict[str, int]:
        """Category id of each name."""
        return {name: number for number, name in self.names.items()}


def _image(
    annotation: dict[str, Any], listed: Mapping[ImageId, dict[str, Any]], pngs: PanopticPngs
) -> PanopticImage:
    image = listed.get(annotation["image_id"])
    segments = annotation["segments_info"]
    return PanopticImage(
        file_name=(image or annotation)["file_name"],
        png=pngs.path(annotation["file_name"]),
        size=(image["height"], image["width"]) if image else None,
        categories={segment["id"]: segment["category_id"] for segment in segments},
        crowds=frozenset(segment["id"] for segment in segments if segment["iscrowd"]),
    )
