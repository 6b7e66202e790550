"""Images of touching squares with semantic maps, and a look at the datasets made of them."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from tests.touching_squares import image_name, square_ids, write_edges, write_image
from trace_mm.apis.pseudo_panoptic import make_pseudo_panoptic
from trace_mm.jobs.edge_sources import StoredEdges
from trace_mm.panoptic import PanopticClasses, PanopticLabeler

CLASSES = PanopticClasses.create(["square"], ["background"])
STEPS = 16  # of the walk, to save time


def write_map(folder, number, ids=None):
    """A semantic map: squares 1, background 0."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{image_name(number)}.png"
    ids = (square_ids(number) > 0).astype(np.uint8) if ids is None else ids
    Image.fromarray(ids).save(path)
    return path


def write_panoptic_data(root, count=4):
    """``photos/``, ``edges/``, ``maps/`` and ``classes.json``; images count from 1."""
    for number in range(1, count + 1):
        write_image(root / "photos", number)
        write_edges(root / "edges", number)
        write_map(root / "maps", number)
    content = {"thing_classes": ["square"], "stuff_classes": ["background"]}
    (root / "classes.json").write_text(json.dumps(content))
    return root


def make(data, out, edges="stored", classes=CLASSES, labeler=None, **options):
    """Labels of ``write_panoptic_data``."""
    edges = StoredEdges(data / "edges") if edges == "stored" else edges
    labeler = PanopticLabeler(steps=STEPS) if labeler is None else labeler
    options = {"show_progress": False, **options}
    return make_pseudo_panoptic(
        data / "photos", data / "maps", classes, out, edges, labeler, **options
    )


def contents(out):
    """All files of a folder: bytes by path."""
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in sorted(Path(out).rglob("*"))
        if path.is_file()
    }


def load(out, name):
    """What a JSON file of a dataset holds."""
    return json.loads((out / f"{name}.json").read_text())


def segment_ids(out, stem):
    """Segment ids of an image, by the definition of the format."""
    rgb = np.asarray(Image.open(out / "panoptic" / f"{stem}.png")).astype(int)
    return rgb[:, :, 0] + 256 * rgb[:, :, 1] + 65536 * rgb[:, :, 2]
