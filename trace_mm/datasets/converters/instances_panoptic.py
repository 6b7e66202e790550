"""COCO instances as panoptic ground truth: what no instance covers is void."""

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from trace_mm.datasets.edge_annotations import read_coco_json
from trace_mm.datasets.ground_truth import coco_instance_ids
from trace_mm.files import write_atomically
from trace_mm.files.panoptic import panoptic_png, segments_info


def convert_instances_panoptic(
    path: str | Path, png_folder: str | Path, progress: bool = True
) -> dict[str, Any]:
    """Write a panoptic PNG for each image of a COCO instance file.

    Where instances overlap, the smaller one is in front. A crowd is a segment behind all others.
    One that nothing is seen of is left out.

    Args:
        path: the instance file, with polygons or RLE.
        png_folder: where ``<stem of the image>.png`` go; made if needed.
        progress: show a progress bar.

    Returns:
        Content of the panoptic file. All categories are things.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not as it should be, or two images have one stem; names the file.
    """
    content = read_coco_json(path, ("images", "annotations", "categories"))
    by_image: dict[Any, list[dict[str, Any]]] = defaultdict(list)
    for annotation in content["annotations"]:
        by_image[annotation["image_id"]].append(annotation)
    names: set[str] = set()
    images, annotations = [], []
    for image in tqdm(content["images"], "panoptic", unit="image", disable=not progress):
        name = f"{Path(image['file_name']).stem}.png"
        if name in names:
            raise ValueError(f"{path}: two images would have the map {name}")
        names.add(name)
        own = by_image[image["id"]]
        try:
            ids = coco_instance_ids(own, (image["height"], image["width"]))  # (H, W)
        except ValueError as error:
            raise ValueError(f"{path}: image {image['file_name']}: {error}") from error
        # Instances come first in the numbering, then crowds.
        ordered = sorted(own, key=lambda one: bool(one.get("iscrowd", 0)))
        shown = np.unique(ids[ids > 0]).tolist()
        classes = {number: ordered[number - 1]["category_id"] for number in shown}
        crowds = [number for number in shown if ordered[number - 1].get("iscrowd", 0)]
        write_atomically(Path(png_folder) / name, panoptic_png(ids))
        segments = segments_info(ids, classes, crowds)
        images.append({key: image[key] for key in ("id", "file_name", "height", "width")})
        annotations.append({"image_id": image["id"], "file_name": name, "segments_info": segments})
    categories = [
        {"id": category["id"], "name": category["name"], "isthing": 1}
        for category in content["categories"]
    ]
    return {"images": images, "annotations": annotations, "categories": categories}
