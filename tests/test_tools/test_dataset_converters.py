"""tools/dataset_converters: each command's file is what its config's dataset and evaluator read."""

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from mmengine.evaluator import Evaluator
from mmengine.structures import InstanceData
from PIL import Image

from tests.test_datasets import (
    test_converters_coco,
    test_converters_kitti,
    test_converters_nuclei,
    test_converters_sa1b,
    test_converters_voc,
)
from trace_mm.engine.runner_config import read_config
from trace_mm.registry import DATASETS, METRICS
from trace_mm.structures import InstanceDataSample

PROJECT = Path(__file__).parents[2]
CONFIGS = PROJECT / "configs" / "_base_" / "datasets"
TOOLS = (
    *("coco", "coco_object", "coco_panoptic", "instances_panoptic", "kitti", "lvis", "nuclei"),
    *("objects365", "sa1b", "scenes", "select_images", "voc2012", "voc2012_panoptic"),
)


@pytest.fixture
def run(monkeypatch):
    """Run a converter by name."""
    monkeypatch.syspath_prepend(str(PROJECT / "tools" / "dataset_converters"))

    def call(name, *arguments):
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        importlib.import_module(name).main()

    yield call
    for name in TOOLS:
        sys.modules.pop(name, None)


def photo(path, height, width):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, height)).save(path)


def from_json(run, root, out, tool, content, folder, *options):
    """Write a COCO-like file and its photos, and convert it."""
    (root / "source.json").write_text(json.dumps(content))
    run(tool, "--annotations", root / "source.json", "--out", out, *options)
    for image in json.loads(out.read_text())["images"]:
        photo(root / folder / image["file_name"], image["height"], image["width"])


def coco2014(run, root, out):
    from_json(run, root, out, "coco", test_converters_coco.coco_content(), "val2014")


def coco2017(run, root, out):
    from_json(run, root, out, "coco", test_converters_coco.coco_content(), "val2017")


def lvis(run, root, out):
    from_json(run, root, out, "lvis", test_converters_coco.lvis_content(), "")


def objects365(run, root, out):
    from_json(run, root, out, "objects365", test_converters_coco.objects365_content(), "")


def sa1b(run, root, out):
    for number in (5, 8):
        content = json.dumps(test_converters_sa1b.sa1b_content(number))
        (root / f"sa_{number}.json").write_text(content)
        photo(root / f"sa_{number}.jpg", 30, 50)
    run("sa1b", "--data-root", root, "--out", out)


def voc2012(run, root, out):
    objects, classes = np.zeros((2, 40, 50), dtype=np.uint8)
    objects[5:25, 2:17], classes[5:25, 2:17] = 1, 12
    for folder, values in (("SegmentationObject", objects), ("SegmentationClass", classes)):
        test_converters_voc.write_palette(root / folder / "2007_000033.png", values)
    (root / "ImageSets" / "Segmentation").mkdir(parents=True)
    (root / "ImageSets" / "Segmentation" / "val.txt").write_text("2007_000033\n")
    photo(root / "JPEGImages" / "2007_000033.jpg", 40, 50)
    run("voc2012", "--data-root", root, "--split", "val", "--out", out)


def kitti(run, root, out):
    (root / "label_2").mkdir()
    (root / "label_2" / "000001.txt").write_text(test_converters_kitti.LABELS)
    test_converters_kitti.write_photo(root, "000001")
    run("kitti", "--data-root", root, "--out", out)


def kitti_instances(run, root, out):
    (root / "instance").mkdir()
    ids = np.full((100, 120), 7 * 256, dtype=np.uint16)
    ids[10:30, 10:40] = 26 * 256 + 1
    Image.fromarray(ids).save(root / "instance" / "000000_10.png")
    test_converters_kitti.write_photo(root, "000000_10")
    run("kitti", "--data-root", root, "--kind", "instances", "--out", out)


def hrsid(run, root, out):
    content = test_converters_coco.satellite_content("P0001_0_800_8400_9200.jpg")
    from_json(run, root, out, "coco", content, "JPEGImages", "--kind", "hrsid")


def isaid(run, root, out):
    content = test_converters_coco.satellite_content("P0003_0_800_0_800.png")
    from_json(run, root, out, "coco", content, "images", "--kind", "isaid")


def monuseg(run, root, out):
    test_converters_nuclei.write_monuseg(root)
    run("nuclei", "--kind", "monuseg", "--data-root", root, "--out", out)


def tnbc(run, root, out):
    test_converters_nuclei.write_coin(root)
    panoptic = root.parent / "panoptic-tnbc"
    run("nuclei", "--kind", "coin", "--data-root", root, "--out", out, "--panoptic", panoptic)
    content = json.loads((panoptic / "panoptic.json").read_text())
    assert [one["name"] for one in content["categories"]] == ["object", "background"]
    assert (panoptic / "panoptic" / "a.png").is_file()


CASES = {
    "coco2014": coco2014,
    "coco2017": coco2017,
    "hrsid": hrsid,
    "isaid": isaid,
    "kitti": kitti,
    "kitti-instances": kitti_instances,
    "lvis": lvis,
    "monuseg": monuseg,
    "objects365": objects365,
    "sa1b": sa1b,
    "tnbc": tnbc,
    "voc2012": voc2012,
}


def perfect(truth, image_id):
    """A prediction of an image's true instances."""
    height, width = truth.sizes[image_id]
    kept = [item for item in truth.instances[image_id] if not item.crowd]
    found = InstanceData(scores=np.ones(len(kept)))
    if truth.boxes:
        corners = [(x, y, x + w, y + h) for x, y, w, h in (item.box for item in kept)]
        found.bboxes = np.array(corners).reshape(-1, 4)
    found.masks = [item.rle for item in kept]
    found.labels = np.array([item.category for item in kept])
    metainfo = {"image_id": image_id, "ori_shape": (height, width)}
    return InstanceDataSample(metainfo=metainfo, pred_instances=found)


@pytest.mark.parametrize("name", sorted(CASES))
def test_the_config_reads_what_the_command_wrote(run, tmp_path, capsys, name):
    cfg = read_config(CONFIGS / f"uis_{name}.py", {"data_root": str(tmp_path)})
    images = cfg.test_dataloader.dataset.images
    assert images.data_root == cfg.test_evaluator.data_root == str(tmp_path)
    assert images.ann_file == cfg.test_evaluator.ann_file
    out = tmp_path / images.ann_file
    CASES[name](run, tmp_path, out)
    assert f"{out}: " in capsys.readouterr().out
    dataset = DATASETS.build(images)
    metric = METRICS.build(cfg.test_evaluator)
    ids = [dataset[index]["data_samples"].image_id for index in range(len(dataset))]
    assert set(ids) == set(metric.truth.sizes)
    assert metric.settings.boxes == json.loads(out.read_text())["info"]["boxes_only"]
    evaluator = Evaluator(metric)
    evaluator.process([perfect(metric.truth, image_id) for image_id in ids])
    assert evaluator.evaluate(len(ids))["instances/AP"] == pytest.approx(1)


def test_scenes(run, tmp_path):
    folder = tmp_path / "scenes"
    run("scenes", "--out", folder, "--start", 3, "--length", 2, "--size", 48)
    cfg = read_config(CONFIGS / "uis_scenes.py", {"data_root": str(folder)})
    dataset = DATASETS.build(cfg.test_dataloader.dataset.images)
    metric = METRICS.build(cfg.test_evaluator)
    assert list(metric.truth.sizes.items()) == [(3, (48, 48)), (4, (48, 48))]
    assert dataset[0]["data_samples"].image_id == 3
    with pytest.raises(FileExistsError):
        run("scenes", "--out", folder, "--length", 2, "--size", 48)


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("uis_*.py")), ids=lambda path: path.stem)
def test_a_user_changes_one_path(path):
    cfg = read_config(path, {"data_root": "elsewhere"})
    assert cfg.test_dataloader.dataset.images.data_root == "elsewhere"
    assert METRICS.build(cfg.test_evaluator).ann_file.parts[0] == "elsewhere"


def test_coco_photos(tmp_path):
    root = PROJECT.parent / "shared" / "data" / "coco_photos"
    if not root.is_dir():
        pytest.skip("the photos are not there")
    cfg = read_config(CONFIGS / "uis_coco-photos.py", {"data_root": str(root)})
    metric = METRICS.build(cfg.test_evaluator)
    evaluator = Evaluator(metric)
    evaluator.process([perfect(metric.truth, image_id) for image_id in metric.truth.sizes])
    scores = evaluator.evaluate(len(metric.truth.sizes))
    assert scores["instances/AP"] == pytest.approx(1, abs=0.02)  # some true instances coincide
    assert scores["instances/images_touching"] + scores["instances/images_apart"] == 337


@pytest.mark.parametrize(
    ("tool", "option", "source", "out"),
    [
        ("coco", "annotations", "source.json", "source.json"),
        ("lvis", "annotations", "source.json", "source.json"),
        ("objects365", "annotations", "source.json", "source.json"),
        ("sa1b", "data-root", "sa_1.json", "sa_1.json"),
        ("kitti", "data-root", "label_2/0.txt", "label_2/0.txt"),
        ("kitti", "data-root", "label_2/0.txt", "label_2/all.json"),
        ("voc2012", "data-root", "ImageSets/val.txt", "ImageSets/val.txt"),
        ("instances_panoptic", "annotations", "panoptic.json", ""),
        ("coco_panoptic", "annotations", "panoptic.json", ""),
        ("voc2012_panoptic", "data-root", "SegmentationObject/1.png", "SegmentationObject"),
    ],
)
@pytest.mark.parametrize("linked", [False, True])
def test_what_is_read_is_not_written_onto(run, tmp_path, tool, option, source, out, linked):
    path = tmp_path / "data" / source
    path.parent.mkdir(parents=True)
    path.write_bytes(b"as it was")
    place = tmp_path / "data"
    if linked:
        place = tmp_path / "linked"
        place.symlink_to(tmp_path / "data")
    given = path if option == "annotations" else tmp_path / "data"
    more = ["--panoptic", tmp_path / "data"] if tool == "coco_panoptic" else []
    if tool == "voc2012_panoptic":  # which writes to a folder of another name
        (path.parent / "panoptic").symlink_to(path.parent)
    with pytest.raises(ValueError, match="which is read"):
        run(tool, f"--{option}", given, "--out", place / out, *more)
    assert path.read_bytes() == b"as it was"


def test_images_of_a_list_and_all_others(run, tmp_path):
    """Photos that choices are made on, and those of the test."""
    names = ("a.jpg", "b.jpg", "c.jpg")
    content = {
        "info": {"year": 2017},
        "images": [{"id": n, "file_name": f"val/{name}"} for n, name in enumerate(names)],
        "annotations": [{"id": n, "image_id": n % 3} for n in range(7)],
    }
    (tmp_path / "all.json").write_text(json.dumps(content))
    (tmp_path / "list.csv").write_text("file,licence\na.jpg,CC BY 2.0\nother.jpg,none\nc.jpg,CC\n")
    all_ = ("--annotations", tmp_path / "all.json")
    for option, kept in (("--names", [0, 2]), ("--all-but", [1])):
        out = tmp_path / f"{option}.json"
        run("select_images", *all_, option, tmp_path / "list.csv", "--out", out)
        found = json.loads(out.read_text())
        assert [image["id"] for image in found["images"]] == kept
        assert {note["image_id"] for note in found["annotations"]} == {*kept}
        assert found["info"] == content["info"]
    (tmp_path / "photos").mkdir()
    photo(tmp_path / "photos/b.jpg", 4, 4)
    run("select_images", *all_, "--names", tmp_path / "photos", "--out", tmp_path / "b.json")
    assert len(json.loads((tmp_path / "b.json").read_text())["images"]) == 1
    (tmp_path / "none.txt").write_text("x.jpg")
    with pytest.raises(ValueError, match=r"none\.txt: leaves no image"):
        run("select_images", *all_, "--names", tmp_path / "none.txt", "--out", tmp_path / "x.json")
    with pytest.raises(FileNotFoundError, match="no such list"):
        run("select_images", *all_, "--names", tmp_path / "no", "--out", tmp_path / "x.json")
    assert not (tmp_path / "x.json").exists()
