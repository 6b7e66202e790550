"""COCO 2014 val with panoptic maps, which were published with the splits of 2017 only (App. F)."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from trace_mm.files import check_outputs
from trace_mm.files.coco_file import CocoFile, by_rising_id
from trace_mm.files.json_file import write_json
from trace_mm.files.panoptic_file import PanopticFile


def convert_coco2014_panoptic(
    images: str | Path, annotations: Iterable[str | Path], out: str | Path
) -> dict[str, Any]:
    """Write one panoptic file of a split of 2014, out of those of 2017 that hold its images.

    Both years number the same photos alike, but name them otherwise. Maps stay where they are: each
    is called by its file's name and its own, such as ``panoptic_train2017/000000000009.png``, so
    that the folder of all of them is the one that holds COCO's two folders.

    Args:
        images: a COCO file of the split, such as ``instances_val2014.json``.
        annotations: panoptic files, such as ``panoptic_train2017.json`` and
            ``panoptic_val2017.json``.
        out: JSON file to write.

    Returns:
        What was written.

    Raises:
        ValueError: if an image has no map, or two; names it, and how many there are of it.
    """
    sources = [Path(one) for one in annotations]
    check_outputs(files=[out], read=[images, *sources])
    listed = by_rising_id(CocoFile.read(images).require("images").images())
    maps: dict[Any, dict[str, Any]] = {}
    categories: list[Any] = []
    for source in sources:
        file = PanopticFile.read(source).require("annotations", "categories")
        categories = categories or list(file.content["categories"])
        for one in file.maps():
            if one.image not in listed:
                continue
            if one.image in maps:
                raise ValueError(f"{source}: image {one.image} has a map in an earlier file too")
            maps[one.image] = {**one.content, "file_name": f"{source.stem}/{one.file_name}"}
    missing = [key for key in listed if key not in maps]
    if missing:
        raise ValueError(
            f"{images}: {len(missing)} of {len(listed)} images have no map in "
            f"{' or '.join(source.name for source in sources)}, such as {missing[0]}"
        )
    content = {
        "images": [image.content for image in listed.values()],
        "annotations": [maps[key] for key in listed],
        "categories": categories,
    }
    write_json(Path(out), content)
    return content
