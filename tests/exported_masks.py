"""Masks that formats find hard, and readers of what exporters write, as plain as can be.

The readers share no code with the exporters: they are what the formats say, in loops.
"""

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
from PIL import Image
from pycocotools import mask as mask_utils

from trace_mm.refinement import InstanceMasks

SIZE = (30, 44)
"""(H, W)."""

CATEGORIES = {7: "cat", 3: "Hündin & Welpe"}
NAMES = ["a.jpg", "a.png", "sub/a.jpg", "Größe 東京.png", "leer.jpg"]
"""Equal stems, a folder, letters of all kinds and a space; the last has no masks."""


def hard_masks():
    """Masks by what is hard about them; none overlaps another."""
    ring = np.zeros(SIZE, dtype=bool)
    ring[2:14, 2:16] = True
    ring[4:7, 4:8] = ring[9:12, 8:13] = False
    island = np.zeros(SIZE, dtype=bool)
    island[10, 10] = True  # within a hole of the ring
    parts = np.zeros(SIZE, dtype=bool)
    parts[2:6, 20:25] = parts[9:13, 28:31] = True
    rim = np.zeros(SIZE, dtype=bool)
    rim[24:, :12] = rim[20:24, 0] = True
    line = np.zeros(SIZE, dtype=bool)
    line[0, 38:] = line[1:18, 43] = True
    corners = np.zeros(SIZE, dtype=bool)
    corners[16:20, 16:20] = corners[20:24, 20:24] = True
    return {
        "holes": ring,
        "one pixel": island,
        "several parts": parts,
        "rim": rim,
        "line": line,
        "touching at a corner": corners,
    }


def instances(masks=None, scored=True):
    """Masks of one image, with classes in turn and falling scores."""
    stacked = np.array(list(hard_masks().values()) if masks is None else masks, dtype=bool)
    stacked = stacked.reshape(-1, *SIZE)
    count = len(stacked)
    labels = np.array([(3, 7)[index % 2] for index in range(count)], dtype=np.int64)
    scores = 0.9 - 0.125 * np.arange(count) if scored else None
    return InstanceMasks(stacked, labels, scores)


def write_photo(folder, name):
    """A photo of its own colours."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(len(name)).integers(0, 255, (*SIZE, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def export_all(exporter, photos):
    """Give an exporter the masks of all names; the last has none."""
    for name in NAMES:
        masks = instances([]) if name == NAMES[-1] else instances()
        exporter.add(name, masks, write_photo(photos, name))


def filled(polygon, size=SIZE):
    """A polygon (n, 2) as Ultralytics draws it: cut to whole numbers, what lines touch counts."""
    mask = np.zeros(size, dtype=np.uint8)
    cv2.fillPoly(mask, [np.asarray(polygon).astype(np.int32)], 1)
    return mask > 0


def read_coco(folder):
    """(class, score, mask) of each image."""
    content = json.loads((folder / "instances.json").read_text())
    names = {one["id"]: one["name"] for one in content["categories"]}
    found = {one["file_name"]: [] for one in content["images"]}
    files = {one["id"]: one["file_name"] for one in content["images"]}
    for one in content["annotations"]:
        mask = mask_utils.decode(one["segmentation"]).astype(bool)
        found[files[one["image_id"]]].append((names[one["category_id"]], one.get("score"), mask))
    return found


def read_yolo(folder):
    text = (folder / "data.yaml").read_text(encoding="utf-8")
    names = [json.loads(name) for name in re.findall(r"^  \d+: (.*)$", text, flags=re.M)]
    found = {}
    for path in sorted((folder / "labels/train").rglob("*.txt")):
        found[path.relative_to(folder / "labels/train").as_posix()] = masks = []
        for line in path.read_text().splitlines():
            index, *numbers = line.split()
            polygon = np.array(numbers, dtype=float).reshape(-1, 2) * SIZE[::-1]
            masks.append((names[int(index)], None, filled(polygon)))
    return found


def read_labelme(folder):
    found = {}
    for path in sorted(folder.rglob("*.json")):
        if path.name.startswith("."):
            continue
        content = json.loads(path.read_text())
        masks = {}
        for number, shape in enumerate(content["shapes"]):
            key = shape["group_id"] or f"alone {number}"
            mask = filled(shape["points"])
            if key in masks:
                mask |= masks[key][2]
            masks[key] = (shape["label"], shape.get("score"), mask)
        found[(path.parent / content["imagePath"]).relative_to(folder).as_posix()] = [
            *masks.values()
        ]
    return found


def read_cvat(folder):
    found = {}
    for image in ElementTree.parse(folder / "annotations.xml").getroot().iter("image"):
        found[image.get("name")] = masks = []
        for element in image:
            left, top, width, height = (
                int(element.get(key)) for key in ("left", "top", "width", "height")
            )
            values, value = [], False
            for run in map(int, element.get("rle").split(",")):
                values += [value] * run
                value = not value
            mask = np.zeros((int(image.get("height")), int(image.get("width"))), dtype=bool)
            mask[top : top + height, left : left + width] = np.reshape(values, (height, width))
            score = element.find("attribute")
            value = None if score is None else float(score.text)
            masks.append((element.get("label"), value, mask))
    return found


def read_png(folder):
    found = {}
    for line in (folder / "instances.jsonl").read_text().splitlines():
        entry = json.loads(line)
        ids = np.array(Image.open(folder / entry["png"]))
        assert ids.dtype in (np.uint16, np.int32) and set(np.unique(ids)) - {0} == {
            one["id"] for one in entry["instances"]
        }
        found[entry["file_name"]] = [
            (one["category"], one.get("score"), ids == one["id"]) for one in entry["instances"]
        ]
    return found


def read_voc(folder):
    lines = (folder / "labelmap.txt").read_text(encoding="utf-8").splitlines()[1:]
    names = [line.split(":")[0] for line in lines]
    found = {}
    for stem in (folder / "ImageSets/Segmentation/train.txt").read_text("utf-8").splitlines():
        objects = np.array(Image.open(folder / f"SegmentationObject/{stem}.png"))
        classes = np.array(Image.open(folder / f"SegmentationClass/{stem}.png"))
        tree = ElementTree.parse(folder / f"Annotations/{stem}.xml").getroot()
        masks = []
        for number, element in enumerate(tree.iter("object"), start=1):
            mask = objects == number
            assert {names[value] for value in np.unique(classes[mask])} == {
                element.findtext("name")
            }
            masks.append((element.findtext("name"), None, mask))
        assert objects.max() == len(masks)
        found[f"{stem}{Path(tree.findtext('filename')).suffix}"] = masks
    return found


def read_brush(numbers, size):
    """A mask of Label Studio's run lengths, bit by bit."""
    bits = "".join(f"{number:08b}" for number in numbers)
    place = 0

    def take(count):
        nonlocal place
        place += count
        return int(bits[place - count : place], 2)

    total, word, sizes = take(32), take(5) + 1, [take(4) + 1 for _ in range(4)]
    values = []
    while len(values) < total:
        is_run = take(1)
        count = take(sizes[take(2)]) + 1
        values += [take(word)] * count if is_run else [take(word) for _ in range(count)]
    return np.reshape(values, (*size, 4))[:, :, 3] > 0


def read_labelstudio(folder):
    found = {}
    for task in json.loads((folder / "tasks.json").read_text()):
        (prediction,) = task["predictions"]
        found[task["data"]["image"]] = [
            (
                region["value"]["brushlabels"][0],
                region.get("score"),
                read_brush(
                    region["value"]["rle"], (region["original_height"], region["original_width"])
                ),
            )
            for region in prediction["result"]
        ]
    return found


READERS = {
    "coco": read_coco,
    "yolo": read_yolo,
    "labelme": read_labelme,
    "cvat": read_cvat,
    "voc": read_voc,
    "labelstudio": read_labelstudio,
    "png": read_png,
}
"""By format: the masks of each image, or of each file that is made of one."""
