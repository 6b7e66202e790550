"""``trace-mm convert``: any masks in, any format out; an exporter of another package."""

import json
import sys
import tomllib

import numpy as np
import pytest
from PIL import Image

from tests import peer_masks
from tests.documented_commands import documented_block
from tests.exported_masks import READERS
from tests.plugin_packages import install
from tests.touching_squares import SIZE, change_json, image_name, square_ids, write_data
from trace_mm.cli import main
from trace_mm.exporters import EXPORT_FORMATS
from trace_mm.refinement import open_masks
from trace_mm.registry import MASK_EXPORTERS

PAGE = "docs/exports.md"


@pytest.fixture
def data(tmp_path):
    return write_data(tmp_path / "data", count=2)


def convert(data, out, *options, masks="masks.json", formats=("coco",)):
    words = [data / masks, "--images", data / "photos", "--out", out, "--format", *formats]
    return main(["convert", *map(str, [*words, *options])])


def error_line(capsys):
    lines = capsys.readouterr().err.splitlines()
    (line,) = [line for line in lines if line.startswith("trace-mm: error: ")]
    return line


def test_masks_in_all_formats_out(data, tmp_path, capsys):
    out = tmp_path / "out"
    assert convert(data, out, formats=EXPORT_FORMATS) == 0
    assert sorted(path.name for path in out.iterdir()) == sorted(EXPORT_FORMATS)
    assert capsys.readouterr().out.splitlines()[0] == (
        "2 masks of 2 images as coco, yolo, labelme, cvat, voc, labelstudio, png, 0 images failed, "
        f"0 bad masks or records left out: {out}"
    )
    for format in EXPORT_FORMATS:
        found = READERS[format](out / format)
        masks = [mask for _, masks in sorted(found.items()) for _, _, mask in masks]
        assert len(masks) == 2
        if format not in ("yolo", "labelme"):  # the readers draw them at another size
            for number, mask in enumerate(masks, start=1):
                np.testing.assert_array_equal(mask, square_ids(number) > 0)


@pytest.mark.parametrize("source", ["maskcut", "cutler", "voc", "png folders", "irn", "u2seg"])
def test_what_is_read_and_written_and_read_again(tmp_path, source):
    rng = np.random.default_rng(3)
    images = {f"{number:03d}": peer_masks.rectangles(SIZE, (1, 2, 9, 9), (14, 20, 12, 15))
              for number in (1, 2)}  # fmt: skip
    (tmp_path / "photos").mkdir()
    for name in images:
        pixels = rng.integers(0, 255, (*SIZE, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"photos/{name}.jpg")
    place = peer_masks.WRITERS[source](tmp_path / "masks", images)
    out, options = tmp_path / "out", ["--allow-pickle"] if source == "irn" else []
    assert convert(tmp_path, out, *options, masks=place, formats=["coco", "png"]) == 0
    reader = open_masks(place, allow_pickle=True)
    for again in (open_masks(out / "coco/instances.json"), open_masks(out / "png/masks", "voc")):
        for before, after in zip(reader.records(), again.records(), strict=True):
            expected, found = reader.read(before, SIZE), again.read(after, SIZE)
            np.testing.assert_array_equal(
                sorted(expected.masks.tolist()), sorted(found.masks.tolist())
            )


def test_ids_names_and_scores_are_kept(data, tmp_path):
    def edit(content):
        for image in content["images"]:
            image["id"] += 40
        for number, annotation in enumerate(content["annotations"]):
            annotation["image_id"] += 40
            annotation["score"] = 0.25 + number / 8

    change_json(data / "instances.json", edit)
    assert convert(data, tmp_path / "out", masks="instances.json") == 0
    before = json.loads((data / "instances.json").read_text())
    after = json.loads((tmp_path / "out/coco/instances.json").read_text())
    keys = ("id", "image_id", "category_id", "bbox", "area", "score", "segmentation")
    assert [[one[key] for key in keys] for one in after["annotations"]] == [
        [one[key] for key in keys] for one in before["annotations"]
    ]
    assert [one["id"] for one in after["images"]] == [one["id"] for one in before["images"]]
    assert after["categories"] == before["categories"]


def test_an_earlier_conversion_is_replaced_when_asked(data, tmp_path, capsys):
    assert convert(data, tmp_path / "out") == 0
    assert convert(data, tmp_path / "out") == 2
    assert "coco is there from an earlier export: --overwrite replaces it" in error_line(capsys)
    assert convert(data, tmp_path / "out", "--overwrite") == 0
    (tmp_path / "out/yolo").mkdir()
    (tmp_path / "out/yolo/mine.txt").touch()
    assert convert(data, tmp_path / "out", "--overwrite", formats=["coco", "yolo"]) == 2
    assert "yolo is not empty, and not of an earlier export" in error_line(capsys)


def test_nothing_is_written_among_what_is_read(data, capsys):
    assert convert(data, data / "photos/out") == 2
    assert "which is read: write elsewhere" in error_line(capsys)


def test_bad_masks(data, tmp_path, capsys):
    def edit(content):
        content["annotations"][0]["segmentation"] = 7

    change_json(data / "masks.json", edit)
    assert convert(data, tmp_path / "out") == 2
    assert "segmentation holds neither polygons nor RLE" in error_line(capsys)
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())
    assert convert(data, tmp_path / "out", "--skip-bad") == 0
    captured = capsys.readouterr()
    assert "1 masks of 2 images as coco, 0 images failed, 1 bad masks or records left out" in (
        captured.out
    )
    assert "segmentation holds neither polygons nor RLE" in captured.err


def test_a_photo_that_cannot_be_read(data, tmp_path, capsys):
    (data / "photos" / f"{image_name(2)}.png").write_bytes(b"no image")
    assert convert(data, tmp_path / "out") == 1
    assert f"{image_name(2)}.png" in capsys.readouterr().err
    content = json.loads((tmp_path / "out/coco/instances.json").read_text())
    assert [one["file_name"] for one in content["images"]] == [f"{image_name(1)}.png"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--format", "tfrecord"], "format must be one of coco, yolo, "),
        (["--from", "sam"], "format must be one of auto, "),
        (["--annotations", "nowhere.json"], "nowhere.json: no such annotation file"),
    ],
)
def test_bad_options(data, tmp_path, capsys, options, message):
    assert convert(data, tmp_path / "out", *options) == 2
    assert message in error_line(capsys)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """The package of the page, installed; what is imported and registered is forgotten."""
    monkeypatch.setattr(MASK_EXPORTERS, "_module_dict", dict(MASK_EXPORTERS.module_dict))
    site = tmp_path / "site"
    monkeypatch.syspath_prepend(site)
    text = documented_block(PAGE, "exporter entry point")
    install(site, "my-masks", tomllib.loads(text)["project"]["entry-points"])
    (site / "my_exporter.py").write_text(documented_block(PAGE, "exporter example"))
    yield site
    sys.modules.pop("my_exporter", None)


def test_the_exporter_of_the_page(data, tmp_path, package, capsys):
    assert convert(data, tmp_path / "out", formats=["boxes", "coco"]) == 0
    lines = (tmp_path / "out/boxes/boxes.csv").read_text().splitlines()
    assert lines == [
        "image,class,left,top,width,height",
        f"{image_name(1)}.png,fg,6,7,28,16",
        f"{image_name(2)}.png,fg,7,8,28,16",
    ]


def test_the_help_lists_it(package, capsys):
    with pytest.raises(SystemExit):
        main(["convert", "--help"])
    assert "labelstudio, png, boxes" in " ".join(capsys.readouterr().out.split())
    assert "my_exporter" not in sys.modules


def test_python_as_the_page_has_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(documented_block(PAGE, "exporter call"), {})
    assert len(READERS["cvat"](tmp_path / "labels")["a.jpg"]) == 1
