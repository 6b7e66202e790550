"""Everything in the package that reads a COCO file or a panoptic one, by name.

Each reader takes the JSON file; photos lie in ``photos`` beside it, panoptic PNGs in ``panoptic``.
It returns the masks by image id, where it gives any.
"""

import numpy as np
from PIL import Image
from pycocotools import mask as mask_utils

from tests import peer_masks
from trace_mm.datasets import CocoImages, InstanceEdgeDataset
from trace_mm.datasets.converters import (
    convert_coco,
    convert_coco_panoptic,
    convert_instances_panoptic,
    describe,
    describe_panoptic,
)
from trace_mm.evaluation import InstanceGroundTruth, evaluate_instances
from trace_mm.evaluation.panoptic_files import score_panoptic_files
from trace_mm.files.panoptic import read_panoptic_png
from trace_mm.refinement import ImageIndex
from trace_mm.refinement.readers import open_masks

SIZE = (12, 17)
MASKS = {
    1: peer_masks.rectangles(SIZE, (1, 2, 4, 5), (6, 9, 5, 6)),
    2: peer_masks.rectangles(SIZE, (0, 0, 3, 4), (4, 4, 3, 4), (8, 9, 3, 4)),
}
NAMES = {1: "a.png", 2: "b.png"}


def instances_content():
    """Instances as polygons and as both kinds of RLE, with scores so that they can be scored."""
    annotations = []
    for image_id, masks in MASKS.items():
        for number, mask in enumerate(masks):
            annotation = {
                "id": len(annotations) + 1,
                "image_id": image_id,
                "category_id": 3 + number % 2,
                "segmentation": _segmentation(mask, number),
                "bbox": [float(value) for value in peer_masks.box(mask)],
                "area": int(mask.sum()),
                "iscrowd": 0,
                "score": 0.25 + 0.125 * number,
            }
            annotations.append(annotation)
    return {
        "info": {"description": "two images"},
        "images": _images(),
        "annotations": annotations,
        "categories": [{"id": 3, "name": "cat"}, {"id": 4, "name": "dog"}],
    }


def panoptic_content(folder):
    """The same masks as a panoptic file; the PNGs are written to ``folder``."""
    annotations = []
    for image_id, masks in MASKS.items():
        ids = sum((number + 300) * mask for number, mask in enumerate(masks))
        name = NAMES[image_id]
        peer_masks.save_colors(folder / name, ids)
        segments = [
            {
                "id": number + 300,
                "category_id": 3 + number % 2,
                "bbox": peer_masks.box(mask),
                "area": int(mask.sum()),
                "iscrowd": 0,
            }
            for number, mask in enumerate(masks)
        ]
        annotations.append({"image_id": image_id, "file_name": name, "segments_info": segments})
    return {
        "info": {},
        "images": _images(),
        "annotations": annotations,
        "categories": [
            {"id": 3, "name": "cat", "isthing": 1},
            {"id": 4, "name": "dog", "isthing": 1},
        ],
    }


def write_photos(folder, names=NAMES):
    for name in names.values():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", SIZE[::-1]).save(folder / name)


def _images():
    return [
        {"id": image_id, "file_name": name, "height": SIZE[0], "width": SIZE[1]}
        for image_id, name in NAMES.items()
    ]


def _segmentation(mask, number):
    left, top, width, height = peer_masks.box(mask)
    if number == 0:
        right, bottom = left + width, top + height
        return [[left, top, right, top, right, bottom, left, bottom]]
    if number == 1:
        return peer_masks.rle(mask)
    changes = np.flatnonzero(np.diff(np.concatenate([[False], mask.T.ravel()]))).tolist()
    return {"size": list(SIZE), "counts": np.diff([0, *changes, mask.size]).tolist()}


def by_size(masks):
    """Masks in an order that all readers can be compared in."""
    return sorted((np.asarray(mask, dtype=bool) for mask in masks), key=lambda mask: mask.tobytes())


def truth_of(content, name):
    truth = InstanceGroundTruth(content, name) if isinstance(content, dict) else content
    return {
        key: by_size(mask_utils.decode(item.rle) for item in items)
        for key, items in truth.instances.items()
    }


def ground_truth(file):
    return truth_of(InstanceGroundTruth.read(file), str(file))


def detections(file):
    truth = instances_content()
    assert 0 <= evaluate_instances(truth, file).ap <= 1


def scored_by_itself(file):
    evaluate_instances(file, file)


def class_agnostic_converter(file):
    content = convert_coco(file, progress=False)
    assert describe(content)
    return truth_of(content, str(file))


def panoptic_converter(file):
    folder = file.parent / "converted"
    content = convert_instances_panoptic(file, folder, progress=False)
    assert describe_panoptic(content)
    found = {}
    for entry in content["annotations"]:
        ids = read_panoptic_png(folder / entry["file_name"])
        found[entry["image_id"]] = by_size(ids == one["id"] for one in entry["segments_info"])
    return found


def edge_dataset(file, annotation="coco_instances"):
    prefix = {"img_path": str(file.parent / "photos"), "seg_path": str(file.parent / "panoptic")}
    dataset = InstanceEdgeDataset(annotation, ann_file=str(file), data_prefix=prefix)
    for index in range(len(dataset)):
        assert dataset[index]["data_samples"].gt_edges.dtype == bool


def panoptic_edge_dataset(file):
    edge_dataset(file, "coco_panoptic")


def image_source(file):
    source = CocoImages("", str(file), str(file.parent / "photos"))
    assert all(source.read(index).pixels.shape == (*SIZE, 3) for index in range(len(source)))


def image_names(file):
    index = ImageIndex(file.parent / "photos", file)
    assert isinstance(index.ids(), dict)


def refinement_reader(file):
    reader = open_masks(file)
    found = {}
    for record, path in zip(
        reader.records(), ImageIndex(file.parent / "photos").match(reader.records()), strict=True
    ):
        if isinstance(path, ValueError):
            raise ValueError(f"{file}: {path}")
        found[record.image_id] = by_size(reader.read(record, SIZE).masks)
    return found


def tolerant_refinement_reader(file):
    reader = open_masks(file)
    told = []
    for record in reader.records():
        if record.bad is None:
            assert reader.read(record, SIZE, told.append).size == SIZE
        else:
            told.append(record.bad)
    assert all(str(file.parent) in str(bad) for bad in told)


def panoptic_scores(file):
    folder = file.parent / "panoptic"
    score_panoptic_files(file, folder, file, folder)


def panoptic_cleaner(file):
    out = file.parent / "cleaned"
    folder = file.parent / "panoptic"
    content = convert_coco_panoptic(
        file, folder, out, instances=True, semantic=True, progress=False
    )
    assert describe_panoptic(content)
    return ground_truth(out / "instances.json")


INSTANCE_READERS = [
    ground_truth,
    detections,
    scored_by_itself,
    class_agnostic_converter,
    panoptic_converter,
    edge_dataset,
    image_source,
    image_names,
    refinement_reader,
    tolerant_refinement_reader,
]
PANOPTIC_READERS = [
    panoptic_scores,
    panoptic_cleaner,
    panoptic_edge_dataset,
    refinement_reader,
    tolerant_refinement_reader,
]
