"""Three small drawn photos with COCO instances, and edge maps of them as a detector writes them."""

import json

import cv2
import numpy as np

from trace_mm.datasets import instance_borders

SIZE = (60, 80)
NAMES = ("one", "two", "three")
RECTANGLES = {  # left, top, width, height of two things each
    "one": [(5, 5, 30, 40), (35, 10, 30, 40)],
    "two": [(10, 10, 20, 20), (45, 20, 25, 30)],
    "three": [(20, 15, 40, 30), (4, 48, 20, 10)],
}


def write_photos(root):
    """Write images/NAME.jpg, instances.json and, of all but a few borders, maps/NAME.png."""
    (root / "images").mkdir(parents=True)
    (root / "maps").mkdir()
    images, annotations = [], []
    for number, name in enumerate(NAMES, 1):
        images.append({"id": number, "file_name": f"{name}.jpg", "height": 60, "width": 80})
        ids, colors = np.zeros(SIZE, np.int32), np.full((*SIZE, 3), 120, np.uint8)
        for thing, (left, top, width, height) in enumerate(RECTANGLES[name], 1):
            ids[top : top + height, left : left + width] = thing
            colors[ids == thing] = (40 * thing, 250 - 60 * thing, 90)
            right, bottom = left + width, top + height
            outline = [left, top, right, top, right, bottom, left, bottom]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": 1,
                    "iscrowd": 0,
                    "area": width * height,
                    "bbox": [left, top, width, height],
                    "segmentation": [outline],
                }
            )
        cv2.imwrite(str(root / f"images/{name}.jpg"), colors)
        edges = cv2.GaussianBlur(instance_borders(ids).astype(np.float32), (0, 0), 1.0)
        edges[3, 8:60] = 0.2  # of nothing
        cv2.imwrite(
            str(root / f"maps/{name}.png"), np.rint(edges * 255).clip(0, 255).astype(np.uint8)
        )
    categories = [{"id": 1, "name": "thing"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (root / "instances.json").write_text(json.dumps(content))
