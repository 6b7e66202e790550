"""COCO instances as panoptic ground truth: what no instance covers is void, or a background."""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from trace_mm.datasets.ground_truth import layer_instances
from trace_mm.files import annotated_size, check_outputs, write_atomically
from trace_mm.files.coco_file import CocoAnnotation, CocoFile
from trace_mm.files.file_names import name_parts
from trace_mm.files.json_values import ImageId
from trace_mm.files.panoptic import VOID, panoptic_png, segments_info
from trace_mm.runs.progress import watched


def convert_instances_panoptic(
    path: str | Path,
    png_folder: str | Path,
    progress: bool = True,
    background: str | None = None,
) -> dict[str, Any]:
    """Write a panoptic PNG for each image of a COCO instance file.

    Where instances overlap, the smaller one is in front. A crowd is a segment behind all others.
    One that nothing is seen of is left out.

    Args:
        path: the instance file, with polygons or RLE.
        png_folder: where ``<stem of the image>.png`` go; made if needed.
        progress: show a progress bar.
        background: name of a category of stuff for what no instance covers, where that is known to
            hold none, as in microscopy: else predictions there cost nothing. None makes it void.

    Returns:
        Content of the panoptic file. All categories but the background are things.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not as it should be, two images have one stem, or it lies in the folder
            to write; names the file.
    """
    check_outputs(folders=[png_folder], read=[path])
    file = CocoFile.read(path).require("images").require_annotations()
    listed = file.images()
    located = file.by_image(listed)
    names = _category_names(file, located)
    stuff = {} if background is None else {max(names) + 1: background}
    pngs: set[str] = set()
    images, annotations = [], []
    for key, image in watched(listed.items(), show=progress, label="panoptic"):
        png = f"{PurePosixPath(*name_parts(image.name)).stem}.png"
        if png in pngs:
            raise image.bad(f"two images would have the map {png}")
        pngs.add(png)
        height, width = annotated_size([one.content for one in located[key]], image.size)
        # Instances come first in the numbering, then crowds.
        own = sorted(located[key], key=file.is_crowd)
        masks = [annotation.mask((height, width)) for annotation in own]
        crowds = [file.is_crowd(annotation) for annotation in own]
        ids = layer_instances(masks, crowds, (height, width))  # (H, W)
        categories = {number: one.category() for number, one in enumerate(own, start=1)}
        marked = [number for number, crowd in enumerate(crowds, start=1) if crowd]
        for category in stuff:
            categories[len(own) + 1] = category
            ids[ids == VOID] = len(own) + 1
        write_atomically(Path(png_folder) / png, panoptic_png(ids))
        segments = segments_info(ids, categories, marked)
        images.append({"id": key, "file_name": image.name, "height": height, "width": width})
        annotations.append({"image_id": key, "file_name": png, "segments_info": segments})
    content = {
        "images": images,
        "annotations": annotations,
        "categories": [
            {"id": key, "name": name, "isthing": int(key in names)}
            for key, name in (names | stuff).items()
        ],
    }
    note = {} if file.crowd_note is None else {"info": {"note": file.crowd_note}}
    return {**note, **content}


def _category_names(
    file: CocoFile, located: Mapping[ImageId, list[CocoAnnotation]]
) -> dict[int, str]:
    """Names of all categories; where the file lists none, those of the annotations.

    Raises:
        ValueError: if an annotation has no category, or one that is not listed, or all are crowds.
    """
    found = [annotation for group in located.values() for annotation in group]
    if all(map(file.is_crowd, found)):
        raise ValueError(f"{file.name}: all {len(found)} annotations are crowds (iscrowd 1)")
    names = {key: category.name for key, category in file.categories().items()}
    listed = bool(names)
    for annotation in found:
        category = annotation.category()
        if listed and category not in names:
            raise annotation.bad(f"category_id: category {category} is not listed")
        names.setdefault(category, f"class {category}")
    return names
