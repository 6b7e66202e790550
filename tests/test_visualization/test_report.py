import base64
import re
from html.parser import HTMLParser

import cv2
import numpy as np

from trace_mm.visualization import Figure, ReportEntry, render_report
from trace_mm.visualization.report import data_uri

VOID = {"meta", "img", "line", "circle", "polyline", "link", "br"}


class _Checker(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open: list[str] = []
        self.images: list[dict] = []

    def handle_starttag(self, tag, attributes):
        if tag == "img":
            self.images.append(dict(attributes))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def _page():
    grey = np.zeros((3000, 1), np.uint8)
    entry = ReportEntry(
        title='<b>"cat"</b>',
        facts=["1 × 3000 pixels", "read in <1 s"],
        figures=[Figure(grey, "Edges", "edges of <cat>")],
        curve="<p>no curve</p>",
        attention=[Figure(np.zeros((4, 4, 3), np.uint8), "t* = 200", "map", chosen=True)],
    )
    return render_report("Heading", "Lead & more", [("One", "x")], [("Two", "y")], [entry], "End")


def test_page_is_well_formed_and_self_contained():
    page = _page()
    checker = _Checker()
    checker.feed(page)
    assert checker.open == []
    assert [image["alt"] for image in checker.images] == ["edges of <cat>", "map"]
    assert all(image["src"].startswith("data:image/") for image in checker.images)
    assert "Content-Security-Policy" in page
    assert not re.search(r"https?://|url\(|@import|<script", page)


def test_text_is_escaped_and_ratio_bounded():
    page = _page()
    assert '<b>"cat"' not in page
    assert "Lead &amp; more" in page
    assert "<span>read in &lt;1 s</span>" in page
    assert "--ratio: 0.700" in page


def test_pictures_survive():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    data = base64.b64decode(data_uri(pixels).partition(",")[2])
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(decoded[:, :, ::-1], pixels)
    assert data_uri(pixels, photo=True).startswith("data:image/jpeg;base64,")


def test_what_there_is_not_leaves_no_gap():
    grey = np.zeros((4, 4), np.uint8)
    plain = ReportEntry("plain", [], [Figure(grey, "Edges", "edges")])
    taught = ReportEntry(
        "taught", [], [Figure(grey, "Edges", "edges")], curve="<svg></svg>", reader="teacher"
    )
    page = render_report("Heading", "Lead", [], [], [plain, taught])
    assert page.count("<article") == 2
    assert page.count('class="inside"') == page.count("How much attention changes (teacher)") == 1
    assert "What each patch attends to" not in page
