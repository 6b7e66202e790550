"""Prompts out of annotated boxes."""

import json
import sys

import pytest

from tools.dataset_converters import prompts
from trace_mm.diffusion.prompts import Prompts


@pytest.mark.parametrize(
    ("boxes", "text"),
    [
        ({}, ""),
        ({"cat": 1}, "A photo of 1 cat"),
        ({"cat": 2}, "A photo of 2 cats"),
        ({"dog": 1, "person": 3, "cat": 2}, "A photo of 3 people, 2 cats and 1 dog"),
        ({"cat": 1, "dog": 1}, "A photo of 1 cat and 1 dog"),
        ({"wine glass": 2, "teddy bear": 2}, "A photo of 2 wine glasses and 2 teddy bears"),
    ],
)
def test_words(boxes, text):
    assert prompts.prompt_of(boxes) == text


@pytest.mark.parametrize(
    ("one", "several"),
    [
        *[("bus", "buses"), ("bench", "benches"), ("toothbrush", "toothbrushes")],
        *[("sheep", "sheep"), ("skis", "skis"), ("knife", "knives"), ("mouse", "mice")],
        *[("key", "keys"), ("berry", "berries"), ("box", "boxes"), ("sea lion", "sea lions")],
    ],
)
def test_plurals(one, several):
    assert prompts.plural(one) == several


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["prompts.py", *map(str, arguments)])
    prompts.main()


def test_of_a_coco_file(tmp_path, monkeypatch, capsys):
    notes = [(1, 1, 0), (1, 1, 0), (1, 2, 1), (2, 2, 0), (2, 1, 0), (2, 2, 0)]
    content = {
        "images": [{"id": n, "file_name": f"val/{n:04d}.jpg"} for n in (1, 2, 3)],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "person"}],
        "annotations": [
            {"id": k, "image_id": image, "category_id": kind, "iscrowd": crowd}
            for k, (image, kind, crowd) in enumerate(notes)
        ],
    }
    source, out = tmp_path / "instances.json", tmp_path / "prompts.json"
    source.write_text(json.dumps(content))
    run(monkeypatch, "--coco", source, "--out", out)
    assert "3 images, 3 different prompts" in capsys.readouterr().out
    found = Prompts(out)
    assert found.of("val/0001.jpg") == "A photo of 2 cats"  # the crowd is not counted
    assert found.of("0002") == "A photo of 2 people and 1 cat"
    assert found.of("0003") == ""
    content["images"][1]["file_name"] = "train/0001.png"
    source.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="two images are called '0001'"):
        run(monkeypatch, "--coco", source, "--out", out)
    source.write_text('{"images": []}')
    with pytest.raises(ValueError, match="not a COCO instances file"):
        run(monkeypatch, "--coco", source, "--out", out)


def test_of_xml_files(tmp_path, monkeypatch):
    folder = tmp_path / "xml" / "n1"
    folder.mkdir(parents=True)
    objects = "<object><name>n1</name></object>" * 2
    (folder / "n1_7.xml").write_text(f"<annotation>{objects}</annotation>")
    names, out = tmp_path / "names.txt", tmp_path / "prompts.json"
    names.write_text("n1 tabby, tabby cat\nn2 dog\n")
    run(monkeypatch, "--voc", tmp_path / "xml", "--names", names, "--out", out)
    assert json.loads(out.read_text()) == {"n1_7": "A photo of 2 tabbies"}
    (folder / "n1_8.xml").write_text("<annotation>")
    with pytest.raises(ValueError, match=r"n1_8\.xml: not valid XML"):
        run(monkeypatch, "--voc", tmp_path / "xml", "--out", out)
    with pytest.raises(ValueError, match="no annotated image"):
        (tmp_path / "none").mkdir()
        run(monkeypatch, "--voc", tmp_path / "none", "--out", out)


def write_xml(folder, *names):
    folder.mkdir(parents=True)
    for name in names:
        (folder / f"{name}.xml").write_text(
            "<annotation><object><name>dog</name></object></annotation>"
        )


def write_coco(path, *names):
    content = {
        "images": [{"id": n, "file_name": f"{name}.jpg"} for n, name in enumerate(names)],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [{"image_id": n, "category_id": 1} for n in range(len(names))],
    }
    path.write_text(json.dumps(content))


def test_several_sources_and_images_without_boxes(tmp_path, monkeypatch):
    """As a student needs: of its training images, and of those that it is scored on meanwhile."""
    xml, photos, out = tmp_path / "xml", tmp_path / "photos", tmp_path / "prompts.json"
    write_xml(xml / "a", "1")
    write_coco(tmp_path / "one.json", "2")
    write_coco(tmp_path / "two.json", "3")
    (photos / "a").mkdir(parents=True)
    for name in ("a/1.JPEG", "a/4.JPEG", "list.txt"):
        (photos / name).touch()
    sources = ["--voc", xml, "--coco", tmp_path / "one.json", tmp_path / "two.json"]
    run(monkeypatch, *sources, "--images", photos, "--out", out)
    cat, dog = "A photo of 1 cat", "A photo of 1 dog"
    assert json.loads(out.read_text()) == {"1": dog, "2": cat, "3": cat, "4": ""}
    (photos / "4.png").touch()
    with pytest.raises(ValueError, match="photos: two images are called '4'"):
        run(monkeypatch, *sources, "--images", photos, "--out", out)
    with pytest.raises(FileNotFoundError, match="none: no such folder of images"):
        run(monkeypatch, *sources, "--images", tmp_path / "none", "--out", out)
    write_coco(tmp_path / "two.json", "1")
    with pytest.raises(ValueError, match="xml: '1' is described twice"):
        run(monkeypatch, *sources, "--out", out)
    write_coco(tmp_path / "two.json")
    with pytest.raises(ValueError, match=r"two\.json: no annotated image"):
        run(monkeypatch, *sources, "--out", out)


def test_a_source_must_be_named(tmp_path, monkeypatch, capsys):
    for options in ([], ["--coco", "a.json", "--names", "names.txt"]):
        with pytest.raises(SystemExit):
            run(monkeypatch, *options, "--out", tmp_path / "prompts.json")
    said = capsys.readouterr().err
    assert "name the boxes: --coco FILE ... or --voc DIR, or both" in said
    assert "--names is for --voc" in said
