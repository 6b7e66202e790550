"""Segments of a folder: the same files whoever does the work, and whatever happens in between."""

import json

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO

from tests.drawn_photos import NAMES, write_photos
from trace_mm.apis import expand_inputs
from trace_mm.apis.segment_photos import segment_photos
from trace_mm.files.stores import put_file
from trace_mm.jobs import segmentation, segmentation_files
from trace_mm.jobs.edge_sources import StoredEdges
from trace_mm.jobs.photo_masks import PhotoSegmenter
from trace_mm.runs.executors import LocalExecutor
from trace_mm.segments import EdgeSegments


@pytest.fixture
def data(tmp_path):
    write_photos(tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def segment(data):
    def call(out, images=None, **options):
        finder = EdgeSegments(number=10, **options.pop("settings", {}))
        segmenter = PhotoSegmenter(finder, StoredEdges(data / "maps"), top=10)
        sources = expand_inputs(str(images or data / "images"))
        return segment_photos(segmenter, sources, out, show_progress=False, **options)

    return call


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("[!.]*")
        if path.is_file()
    }


def test_results_of_a_folder(segment, tmp_path):
    out = tmp_path / "out"
    summary = segment(out)
    assert summary.done == sorted(NAMES) and not summary.failed
    pictures = {f"{folder}/{n}.jpg" for folder in ("overlays", "gallery") for n in NAMES}
    assert {*contents(out)} == {"instances.json", "index.html", "manifest.jsonl", *pictures}
    coco = COCO(str(out / "instances.json"))
    assert [image["file_name"] for image in coco.dataset["images"]] == [
        f"{name}.jpg" for name in sorted(NAMES)
    ]
    assert len(coco.anns) == summary.masks > 6 and summary.photos == 3
    for annotation in coco.dataset["annotations"]:
        assert coco.annToMask(annotation).sum() == annotation["area"] > 0
        assert 0 <= annotation["score"] <= 1
    assert coco.dataset["info"]["generator"]["method"] == "edges"
    assert cv2.imread(str(out / "overlays/one.jpg")).shape == (60, 80, 3)


def test_workers_and_batches_change_nothing(segment, tmp_path):
    segment(tmp_path / "one")
    segment(tmp_path / "two", executor=LocalExecutor(2), batch_size=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_an_interrupted_run_goes_on(segment, tmp_path, monkeypatch):
    segment(tmp_path / "whole")
    real, calls = segmentation.finished, []

    def die_at_second(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(segmentation, "finished", die_at_second)
    with pytest.raises(KeyboardInterrupt):
        segment(tmp_path / "out")
    assert not (tmp_path / "out/instances.json").exists()
    summary = segment(tmp_path / "out")
    assert (len(summary.done), len(summary.skipped), len(calls)) == (2, 1, 4)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_formats_that_are_asked_for_later_need_no_model(segment, tmp_path, monkeypatch):
    out = tmp_path / "out"
    segment(out)
    monkeypatch.setattr(segmentation, "finished", None)
    summary = segment(out, formats=["coco", "yolo", "labelme"])
    assert len(summary.skipped) == 3
    assert len(list((out / "yolo/labels").rglob("*.txt"))) == 3
    assert (out / "labelme/one.jpg").is_file()
    assert not (out / "coco").exists()  # it is instances.json
    segment(out, formats=["yolo"], photos="none")
    assert not list((out / "yolo").rglob("*.jpg")) and (out / "labelme").is_dir()


def test_a_folder_of_something_else_is_not_replaced(segment, tmp_path):
    (tmp_path / "out/yolo").mkdir(parents=True)
    (tmp_path / "out/yolo/mine.txt").touch()
    with pytest.raises(ValueError, match="yolo is not empty"):
        segment(tmp_path / "out", formats=["yolo"])
    with pytest.raises(ValueError, match="format must be one of"):
        segment(tmp_path / "out", formats=["yolov"])


def test_only_what_has_changed_is_done_again(segment, data, tmp_path):
    out = tmp_path / "out"
    segment(out)
    photo = cv2.imread(str(data / "images/two.jpg"))
    cv2.imwrite(str(data / "images/two.jpg"), photo[:, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 60])
    (out / "overlays/one.jpg").unlink()
    (data / "maps/three.png").write_bytes((data / "maps/two.png").read_bytes())
    assert segment(out).done == ["one", "three", "two"]
    assert segment(out).done == [] and (out / "overlays/one.jpg").is_file()


def test_results_of_photos_that_are_gone_go(segment, data, tmp_path):
    out = tmp_path / "out"
    segment(out)
    (data / "images/two.jpg").unlink()
    assert segment(out).photos == 2
    assert not (out / "overlays/two.jpg").exists()
    assert "two.jpg" not in (out / "instances.json").read_text()
    assert "two.jpg" not in (out / "index.html").read_text()


def test_a_broken_photo_is_reported_and_loses_no_other(segment, data, tmp_path):
    (data / "images/bad.jpg").write_bytes(b"no photo")
    (data / "maps/bad.png").write_bytes((data / "maps/two.png").read_bytes())
    summary = segment(tmp_path / "out")
    place = str(data / "images/bad.jpg")
    assert summary.failed == {place: f"{place}: not an image, or of an unknown format"}
    content = json.loads((tmp_path / "out/instances.json").read_text())
    assert [image["id"] for image in content["images"]] == [2, 3, 4]  # 1 is the broken one


def test_other_settings_are_refused_unless_overwritten(segment, tmp_path):
    segment(tmp_path / "out")
    with pytest.raises(ValueError, match=r"max_iou.*--overwrite"):
        segment(tmp_path / "out", settings={"max_iou": 0.5})
    assert len(segment(tmp_path / "out", settings={"max_iou": 0.5}, overwrite=True).done) == 3


def test_missing_edges_are_found_before_any_work(segment, data, tmp_path):
    for path in (data / "maps").iterdir():
        path.unlink()
    with pytest.raises(FileNotFoundError, match="maps"):
        segment(tmp_path / "out")


def test_many_photos_are_on_several_pages(segment, data, tmp_path, monkeypatch):
    out = tmp_path / "out"
    monkeypatch.setattr(segmentation_files, "PAGE_PHOTOS", 1)
    segment(out)
    pages = ["index.html", "index-2.html", "index-3.html"]
    for page, name in zip(pages, sorted(NAMES), strict=True):
        text = (out / page).read_text()
        assert [name for name in NAMES if f'alt="{name}.jpg"' in text] == [name]
        assert all(f'href="{other}"' in text for other in pages)
    (data / "images/two.jpg").unlink()
    segment(out)
    assert sorted(path.name for path in out.glob("*.html")) == ["index-2.html", "index.html"]


def test_many_thumbnails_are_files_beside_the_page(segment, tmp_path, monkeypatch):
    monkeypatch.setattr(segmentation_files, "EMBEDDED_BYTES", 0)
    segment(tmp_path / "out")
    text = (tmp_path / "out/index.html").read_text()
    assert 'src="./gallery/one.jpg"' in text and "data:image" not in text


def test_the_page_finds_the_photos(segment, data, tmp_path):
    folder = data / "100% of it"
    (data / "images").rename(folder)
    segment(tmp_path / "out", folder)
    assert '"./../data/100%25%20of%20it/one.jpg"' in (tmp_path / "out/index.html").read_text()


def test_photos_of_a_store(segment, data, tmp_path):
    for name in NAMES:
        put_file(data / f"images/{name}.jpg", f"memory://segmentation/{name}.jpg")
    segment(tmp_path / "stored", "memory://segmentation", formats=["labelme"])
    segment(tmp_path / "local")
    assert np.array_equal(
        cv2.imread(str(tmp_path / "stored/overlays/one.jpg")),
        cv2.imread(str(tmp_path / "local/overlays/one.jpg")),
    )
    assert (tmp_path / "stored/labelme/two.jpg").is_file()
