"""Whether the programs that exports are for open them, and see the masks that went in.

Two steps, since the programs want an environment of their own (docs/exports.md):

    python tools/check_exports.py write folder
    PYTHONPATH=. programs/bin/python tools/check_exports.py read folder

Programs that are not installed are left out, and named.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from trace_mm.commands.command_line import run_command

SIZE = (120, 160)
NAMES = ["a.jpg", "sub/a.jpg", "Größe 東京.jpg", "leer.jpg"]
CATEGORIES = {3: "dog", 7: "Hündin"}
BRIDGES = 20
"""Pixels that joining the parts of a mask may add, where the format has one polygon a mask."""

Masks = NDArray[np.bool_]
Check = Callable[[Path, dict[str, Masks]], str]


def make_parser() -> argparse.ArgumentParser:
    """The arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", choices=["write", "read"])
    parser.add_argument("folder", type=Path)
    return parser


def main() -> int:
    arguments = make_parser().parse_args()
    if arguments.step == "write":
        write(arguments.folder)
        return 0
    truth = dict(np.load(arguments.folder / "truth.npz"))
    bad = 0
    for name, check in CHECKS.items():
        try:
            print(f"{name}: {check(arguments.folder, truth)}", flush=True)
        except ModuleNotFoundError as error:
            print(f"{name}: left out, {error}")
        except Exception as error:  # whatever a program raises on what it cannot read
            print(f"{name}: WRONG: {type(error).__name__}: {error}")
            bad += 1
    return int(bad > 0)


def true_masks() -> Masks:
    """A ring with two holes, two parts, one pixel, a rim, a line; (5, H, W), none overlaps."""
    masks = np.zeros((5, *SIZE), dtype=bool)
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    masks[0] = (rows - 50) ** 2 + (columns - 45) ** 2 < 38**2
    masks[0, 30:45, 30:40] = masks[0, 55:60, 50:60] = False
    masks[1, 10:40, 90:120] = masks[1, 50:70, 125:150] = True
    masks[2, 36, 35] = True
    masks[3, 100:, :60] = True
    masks[4, 80:83, 90:160] = True
    return masks


def write(folder: Path) -> None:
    """All formats, photos, and what is true."""
    from trace_mm.exporters import export_formats, open_exporter
    from trace_mm.refinement import InstanceMasks

    masks = true_masks()
    labels = np.array([3, 7, 3, 7, 3])
    found = InstanceMasks(masks, labels, np.linspace(0.9, 0.5, 5))
    for index, name in enumerate(NAMES):
        path = folder / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(index).integers(0, 80, (*SIZE, 3))
        Image.fromarray((noise + masks[:, :, :, None].any(0) * 120).astype(np.uint8)).save(path)
    for format in export_formats():
        with open_exporter(format, folder / format, CATEGORIES, overwrite=True) as exporter:
            for name in NAMES:
                kept = [] if name == NAMES[-1] else range(5)
                exporter.add(name, found.select(kept), folder / "photos" / name)
        print(f"wrote {folder / format}")
    # Datumaro wants photos beside CVAT's file, and COCO's in a folder of this name.
    for link, target in (
        ("cvat/images", "../photos"),
        ("datumaro_coco/images", "../photos"),
        ("datumaro_coco/annotations", "../coco"),
    ):
        place = folder / link
        place.parent.mkdir(exist_ok=True)
        place.unlink(missing_ok=True)
        place.symlink_to(target, target_is_directory=True)
    names = np.array([CATEGORIES[label] for label in labels.tolist()])
    np.savez(folder / "truth.npz", masks=masks, names=names)


def compare(
    found: dict[str, list[tuple[str, Masks]]], truth: dict[str, Any], lost: Iterable[int] = (0,) * 5
) -> str:
    """Say how masks by image, or by its name without suffix, agree with what is true."""
    expected = {str(Path(name).with_suffix("")) for name in NAMES}
    assert {str(Path(name).with_suffix("")) for name in found} == expected, sorted(found)
    most = 0
    for image, masks in found.items():
        if image.startswith("leer"):
            assert not masks, f"{image}: {len(masks)} masks"
            continue
        assert len(masks) == 5, f"{image}: {len(masks)} masks"
        for (label, mask), true, name, limit in zip(
            masks, truth["masks"], truth["names"], lost, strict=True
        ):
            assert label == name, f"{image}: {label} is no {name}"
            wrong = int((mask != true).sum())
            assert wrong <= limit, f"{image}: {wrong} pixels of a mask of {true.sum()}"
            most = max(most, wrong)
    return f"{len(found)} images, all masks and classes, {most} pixels of a mask differ at most"


def in_order(masks: list[tuple[str, Masks]], truth: dict[str, Any]) -> list[tuple[str, Masks]]:
    """Masks in the order of the true ones that they are most like; not all programs keep it."""
    like = [int(np.argmax([(mask & true).sum() for true in truth["masks"]])) for _, mask in masks]
    return [masks[index] for index in np.argsort(like, kind="stable")]


def check_pycocotools(folder: Path, truth: dict[str, Any]) -> str:
    from pycocotools.coco import COCO

    coco = COCO(folder / "coco/instances.json")
    found = {}
    for number in coco.getImgIds():
        annotations = coco.loadAnns(coco.getAnnIds(number))
        found[coco.loadImgs(number)[0]["file_name"]] = [
            (coco.cats[one["category_id"]]["name"], coco.annToMask(one) > 0) for one in annotations
        ]
    return compare(found, truth)


def check_labelme(folder: Path, truth: dict[str, Any]) -> str:
    import labelme
    from labelme import utils

    try:
        from labelme._label_file import LabelFile
    except ModuleNotFoundError:  # before 6
        from labelme.label_file import LabelFile
    found: dict[str, list[tuple[str, Masks]]] = {}
    for path in sorted((folder / "labelme").rglob("[!.]*.json")):
        file = LabelFile(str(path))
        grouped: dict[Any, tuple[str, Masks]] = {}
        for number, shape in enumerate(file.shapes):
            mask = utils.shape_to_mask(SIZE, shape["points"], shape_type=shape["shape_type"])
            key = shape["group_id"] or f"alone {number}"
            old = grouped.get(key, (shape["label"], np.zeros(SIZE, dtype=bool)))
            grouped[key] = shape["label"], old[1] | mask
        found[str(path.relative_to(folder / "labelme"))] = [*grouped.values()]
    text = compare(found, truth, [60, 5, 5, 5, 5])
    return f"{labelme.__version__}: {text}"


def check_datumaro(kind: str, format: str) -> Check:
    def check(folder: Path, truth: dict[str, Any]) -> str:
        import datumaro
        from datumaro.components.annotation import AnnotationType, Mask

        place = folder / format
        dataset = datumaro.Dataset.import_from(str(place), kind)
        labels = dataset.categories()[AnnotationType.label]
        found = {}
        for item in dataset:
            masks = []
            for one in item.annotations:
                if isinstance(one, Mask):
                    masks.append((labels[one.label].name, np.asarray(one.image) > 0))
            found[f"{item.id}.jpg"] = in_order(masks, truth)
        return f"{datumaro.__version__} as {kind}: {compare(found, truth)}"

    return check


def check_label_studio(folder: Path, truth: dict[str, Any]) -> str:
    try:
        from label_studio_sdk.converter.brush import decode_rle
    except ModuleNotFoundError:
        from label_studio_converter.brush import decode_rle

    found = {}
    for task in json.loads((folder / "labelstudio/tasks.json").read_text()):
        name = unquote(task["data"]["image"].partition("?d=")[2])
        regions = task["predictions"][0]["result"]
        found[name] = [
            (
                one["value"]["brushlabels"][0],
                np.reshape(decode_rle(one["value"]["rle"]), (*SIZE, 4))[:, :, 3] > 0,
            )
            for one in regions
        ]
    return f"{decode_rle.__module__}: {compare(found, truth)}"


def check_label_studio_interface(folder: Path, truth: dict[str, Any]) -> str:
    from label_studio_sdk.label_interface import LabelInterface

    interface = LabelInterface((folder / "labelstudio/config.xml").read_text(encoding="utf-8"))
    interface.validate()
    tasks = json.loads((folder / "labelstudio/tasks.json").read_text())
    for task in tasks:
        for prediction in task["predictions"]:
            wrong = interface.validate_prediction(prediction, return_errors=True)
            assert not wrong, wrong
    return f"config and {len(tasks)} tasks are valid"


def check_ultralytics(folder: Path, truth: dict[str, Any]) -> str:
    import ultralytics
    from ultralytics import YOLO
    from ultralytics.data.dataset import YOLODataset
    from ultralytics.data.utils import check_det_dataset, polygon2mask

    data = check_det_dataset(str(folder / "yolo/data.yaml"))
    dataset = YOLODataset(img_path=data["train"], data=data, task="segment", augment=False)
    found = {}
    for label in dataset.labels:
        path = Path(label["im_file"]).relative_to((folder / "yolo/images/train").resolve())
        segments = zip(label["cls"].ravel().tolist(), label["segments"], strict=True)
        found[str(path)] = [
            (data["names"][int(index)], polygon2mask(SIZE, [(part * SIZE[::-1]).ravel()]) > 0)
            for index, part in segments
        ]
    text = compare(found, truth, [0, BRIDGES, 0, 0, 0])
    model = YOLO("yolov8n-seg.yaml")
    options = {"epochs": 1, "imgsz": 160, "batch": 4, "workers": 0, "device": "cpu"}
    model.train(data=str(folder / "yolo/data.yaml"), project=str(folder / "runs"), **options,
                plots=False, verbose=False, amp=False, exist_ok=True)  # fmt: skip
    loss = model.trainer.loss.item() if model.trainer.loss.ndim == 0 else model.trainer.loss.sum()
    assert np.isfinite(float(loss)), f"loss {loss}"
    return f"{ultralytics.__version__}: {text}; trained one epoch, loss {float(loss):.3g}"


def check_fiftyone(folder: Path, truth: dict[str, Any]) -> str:
    """Its own reader of COCO files, which needs no database."""
    import fiftyone
    from fiftyone.utils import coco

    _, classes, _, images, annotations = coco.load_coco_detection_annotations(
        str(folder / "coco/instances.json")
    )
    found = {}
    for number, image in images.items():
        masks = []
        for one in annotations.get(number, []):
            detection = one.to_detection(SIZE[::-1], classes_map=classes, load_segmentation=True)
            left, top = (round(share * side) for share, side in
                         zip(detection.bounding_box[:2], SIZE[::-1], strict=True))  # fmt: skip
            mask = np.zeros(SIZE, dtype=bool)
            high, wide = detection.mask.shape
            mask[top : top + high, left : left + wide] = detection.mask
            masks.append((detection.label, mask))
        found[image["file_name"]] = masks
    return f"{fiftyone.__version__}: {compare(found, truth)}"


CHECKS: dict[str, Check] = {
    "pycocotools": check_pycocotools,
    "labelme": check_labelme,
    "datumaro, coco": check_datumaro("coco_instances", "datumaro_coco/annotations/instances.json"),
    "datumaro, cvat": check_datumaro("cvat", "cvat"),
    "datumaro, voc": check_datumaro("voc", "voc"),
    "label studio's brush": check_label_studio,
    "label studio's interface": check_label_studio_interface,
    "fiftyone": check_fiftyone,
    "ultralytics": check_ultralytics,
}

if __name__ == "__main__":
    sys.exit(run_command(main))
