"""Images of two squares that touch, masks that do not tell them apart, and their true edges."""

import json

import numpy as np
from PIL import Image

from tests import peer_masks
from trace_mm.datasets import instance_borders

SIZE = (32, 40)


def square_ids(number):
    """Ids (H, W): background 0, squares 1 and 2 side by side; their place depends on the number."""
    ids = np.zeros(SIZE, dtype=np.uint8)
    top, left = 6 + number % 3, 5 + number % 4
    ids[top : top + 16, left : left + 14] = 1
    ids[top : top + 16, left + 14 : left + 28] = 2
    return ids


def square_edges(number):
    """True edges (H, W), 0 or 1."""
    return instance_borders(square_ids(number)).astype(np.float32)


def image_name(number):
    return f"{number:012d}"


def source_masks(count):
    """For each image, one mask of both squares, by the image's name without suffix."""
    return {image_name(number): (square_ids(number) > 0)[None] for number in range(1, count + 1)}


def write_image(folder, number):
    folder.mkdir(parents=True, exist_ok=True)
    colors = np.array([[30, 30, 30], [200, 40, 40], [40, 200, 40]], dtype=np.uint8)
    path = folder / f"{image_name(number)}.png"
    Image.fromarray(colors[square_ids(number)]).save(path)
    return path


def write_edges(folder, number):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{image_name(number)}.png"
    Image.fromarray((square_edges(number) * 255).astype(np.uint8)).save(path)
    return path


def write_data(root, count=4):
    """``photos/``, ``edges/``, ``masks.json`` as MaskCut writes it, and ``instances.json``, the
    truth; ids count from 1.
    """
    for number in range(1, count + 1):
        write_image(root / "photos", number)
        write_edges(root / "edges", number)
    peer_masks.write_maskcut(root, source_masks(count)).rename(root / "masks.json")
    truth = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "object"}]}
    for number in range(1, count + 1):
        image = {"id": number, "file_name": f"{image_name(number)}.png"}
        truth["images"].append({**image, "height": SIZE[0], "width": SIZE[1]})
        for value in (1, 2):
            mask = square_ids(number) == value
            annotation = {"id": len(truth["annotations"]) + 1, "image_id": number, "iscrowd": 0}
            annotation |= {"category_id": 1, "segmentation": peer_masks.rle(mask)}
            annotation |= {"bbox": peer_masks.box(mask), "area": int(mask.sum())}
            truth["annotations"].append(annotation)
    peer_masks.save(root / "instances.json", truth)
    return root


def change_json(path, edit):
    """Change what a JSON file holds."""
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


def overlap(first, second):
    """IoU of two masks."""
    return (first & second).sum() / (first | second).sum()
