"""The summary page: what it tells, and that it needs nothing else."""

import re

import numpy as np
import pytest

from tests.panoptic_data import contents, make, write_map, write_panoptic_data
from tests.touching_squares import image_name, write_image
from trace_mm.panoptic import PanopticClasses
from trace_mm.visualization.refinement import instance_color


@pytest.fixture
def data(tmp_path):
    return write_panoptic_data(tmp_path / "data", count=3)


def page_of(out):
    return (out / "summary.html").read_text(encoding="utf-8")


def test_numbers_and_pictures(data, tmp_path):
    write_image(data / "photos", 4)  # without a map
    make(data, tmp_path / "out")
    page = page_of(tmp_path / "out")
    assert "3 labelled, 0 failed, 1 without a semantic map; 0 semantic maps without an" in page
    assert "6, 2.0 an image: square 6." in page
    assert "3, 1.0 an image: background 3." in page
    assert "0.0 % of all pixels are void" in page
    assert page.count("<img") == 3 * 4
    assert "2 things, 1 stuff" in page


def test_a_legend_names_the_classes_that_occur(data, tmp_path):
    classes = PanopticClasses.create(["square", "circle"], ["background"])
    make(data, tmp_path / "out", classes=classes)
    page = page_of(tmp_path / "out")
    colors = [tuple(round(255 * part) for part in instance_color(index)) for index in (0, 2)]
    entries = re.findall(
        r'<li><span [^>]*style="background: rgb\((\d+), (\d+), (\d+)\)"></span>([^<]*)</li>', page
    )
    assert [tuple(map(int, entry[:3])) for entry in entries] == colors
    assert [entry[3] for entry in entries] == ["square: 6 (things)", "background: 3 (stuff)"]


def test_without_edges_there_is_no_picture_of_them(data, tmp_path):
    make(data, tmp_path / "out", edges=None)
    page = page_of(tmp_path / "out")
    assert page.count("<img") == 3 * 3
    assert "touching things are one segment" in page
    assert "Edges" not in page


def test_the_page_loads_nothing(data, tmp_path):
    make(data, tmp_path / "out")
    page = page_of(tmp_path / "out")
    assert all(address.startswith("data:image/") for address in re.findall(r'src="([^"]*)"', page))
    assert not re.search(r"https?://|<script|<link|@import|url\(", page)


def test_names_and_reasons_are_escaped(tmp_path):
    data = write_panoptic_data(tmp_path / "data", count=2)
    for folder in ("photos", "maps", "edges"):
        for number, name in ((1, "<b>&.png"), (2, "<i>.png")):
            (data / folder / f"{image_name(number)}.png").rename(data / folder / name)
    (data / "photos" / "<i>.png").write_bytes(b"no image")
    classes = PanopticClasses.create(["<u>"], ["background"])
    make(data, tmp_path / "out", classes=classes)
    page = page_of(tmp_path / "out")
    assert not re.search(r"<[biu]>", page)
    assert "&lt;b&gt;&amp;.png" in page
    assert "&lt;i&gt;.png: " in page
    assert "&lt;u&gt; 2" in page


def test_many_images_and_failures_are_not_all_shown(tmp_path):
    data = write_panoptic_data(tmp_path / "data", count=60)
    for number in range(31, 61):
        (data / "photos" / f"{image_name(number)}.png").write_bytes(b"")
    make(data, tmp_path / "out", edges=None)
    page = page_of(tmp_path / "out")
    assert 0 < page.count("<article") <= 24
    assert "and 10 more, in manifest.jsonl" in page
    assert len(contents(tmp_path / "out" / "pictures")) == page.count("<article")


def test_nothing_labelled_at_all(tmp_path):
    data = write_panoptic_data(tmp_path / "data", count=1)
    write_map(data / "maps", 1, np.zeros((2, 2), dtype=np.uint8))  # of another size
    assert make(data, tmp_path / "out").labelled == 0
    page = page_of(tmp_path / "out")
    assert "0 labelled, 1 failed" in page
    assert "0.0 % of all pixels are void" in page
