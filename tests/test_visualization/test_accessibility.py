"""Report and gallery for everybody: contrast, names, keyboard, dark mode, print.

axe-core (of axe-playwright-python) reads the real pages in Chromium; contrast is computed here too,
from the colours of the style sheets, after WCAG 2.2.
"""

import re
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from trace_mm.demo.text import COMMANDS
from trace_mm.files.jpeg import encode_jpeg
from trace_mm.visualization import Figure, ReportEntry, draw_score_curve, render_report
from trace_mm.visualization.gallery import GalleryEntry, GalleryPage, jpeg_address, render_gallery
from trace_mm.visualization.report_style import STYLE

SHEETS = {
    "report": STYLE,
    "gallery": files("trace_mm.visualization").joinpath("gallery.css").read_text(encoding="utf-8"),
}
TEXTS = [  # colour of a text, and what it stands on
    ("ink", "page"),
    ("ink", "card"),
    ("ink", "well"),
    ("muted", "page"),
    ("muted", "card"),
    ("accent", "page"),
    ("accent", "card"),
    ("page", "accent"),  # the gallery's current page
]


def luminance(color):
    """Relative luminance of ``#rrggbb``, as WCAG 2.2 defines it."""
    parts = [int(color[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first, second):
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def palettes(sheet):
    """The colours of light and of dark mode, by name."""
    blocks = re.findall(r":root \{(.*?)\}", sheet, re.DOTALL)
    light, dark = (dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", block)) for block in blocks)
    assert light.keys() == dark.keys()
    return light, dark


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [("#000000", "#ffffff", 21), ("#777777", "#ffffff", 4.48), ("#123456", "#123456", 1)],
)
def test_contrast_is_that_of_wcag(first, second, expected):
    assert contrast(first, second) == pytest.approx(expected, abs=0.005)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("sheet", SHEETS)
def test_texts_are_readable(sheet, dark):
    colors = palettes(SHEETS[sheet])[dark]
    found = {pair: contrast(colors[pair[0]], colors[pair[1]]) for pair in TEXTS}
    assert {pair: ratio for pair, ratio in found.items() if ratio < 4.5} == {}  # AA


@pytest.mark.parametrize("sheet", SHEETS)
def test_print_is_in_light_colours(sheet):
    assert "@media screen and (prefers-color-scheme: dark)" in SHEETS[sheet]
    assert "@media (prefers-color-scheme" not in SHEETS[sheet]
    assert "@media print" in SHEETS[sheet]


def report():
    rng = np.random.default_rng(0)
    photo = rng.integers(0, 256, (60, 80, 3), dtype=np.uint8)
    curve = draw_score_curve({100: 0.2, 200: 0.5, 300: 0.1}, 200, "Score of each timestep")
    maps = [Figure(photo, f"t = {step}", f"Attention at {step}", True) for step in (100, 200)]
    pictures = [Figure(photo, "Image", "The image one", True), Figure(photo[..., 0], "Edges", "E")]
    shown = ReportEntry("one", ["80 × 60 pixels"], pictures, curve, maps, "teacher")
    texts = [("1. Look", "It looks."), ("2. Find", "It finds.")]
    legend = [((200, 30, 30), "cat: 2 (things)")]
    return render_report("Edges", "Lead.", texts, texts, [shown], "End.", legend, COMMANDS)


def gallery():
    picture = jpeg_address(encode_jpeg(np.full((30, 40, 3), 128, np.uint8)))
    shown = [GalleryEntry(f"{n}.jpg", (30, 40), picture, [(0.5, "m1,1l9,0 0,9z")]) for n in "ab"]
    return render_gallery(shown, GalleryPage(0, ["index.html", "index-2.html"], 4, "1.2.3"))


PAGES = {"report": report, "gallery": gallery}


@pytest.fixture
def opened(browser, tmp_path):
    """Opens a page by its name."""
    contexts = []

    def open_page(name, scheme="light"):
        path = tmp_path / "index.html"
        path.write_text(PAGES[name](), encoding="utf-8")
        contexts.append(browser.new_context(color_scheme=scheme, reduced_motion="reduce"))
        page = contexts[-1].new_page()
        page.set_default_timeout(180_000)  # machines are busy while tests run
        page.goto(path.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()


def violations(page):
    """What axe-core finds wrong, each with the elements that it is about."""
    module = pytest.importorskip("axe_playwright_python", reason="axe-core is not installed")
    page.evaluate(Path(module.__file__).with_name("axe.min.js").read_text(encoding="utf-8"))
    found = page.evaluate("axe.run()")
    assert found["passes"]
    return {one["id"]: [node["html"][:200] for node in one["nodes"]] for one in found["violations"]}


@pytest.mark.slow  # a browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing(opened, name, scheme):
    assert violations(opened(name, scheme)) == {}


@pytest.mark.slow
def test_axe_sees_what_is_wrong(opened):
    page = opened("report")
    page.evaluate("document.querySelector('img').removeAttribute('alt')")
    assert "image-alt" in violations(page)


@pytest.mark.slow
def test_pictures_are_enlarged_by_keyboard(opened):
    page = opened("report")
    figure = page.locator("#picture-0-0")
    before = figure.locator("img").bounding_box()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.firstChild.alt") == "The image one"
    page.keyboard.press("Enter")
    assert page.evaluate("document.querySelector('#picture-0-0').matches(':popover-open')")
    after, window = figure.bounding_box(), page.viewport_size
    assert (after["width"], after["height"]) == (window["width"], window["height"])
    assert figure.locator("img").bounding_box()["height"] > 1.5 * before["height"]
    assert violations(page) == {}
    page.keyboard.press("Escape")
    assert page.locator(":popover-open").count() == 0
    after = figure.locator("img").bounding_box()  # at its place again; the page may be scrolled
    assert [after[side] for side in ("x", "width", "height")] == [
        before[side] for side in ("x", "width", "height")
    ]
    assert page.evaluate("document.activeElement.firstChild.alt") == "The image one"


@pytest.mark.slow
def test_a_click_enlarges_and_another_goes_back(opened):
    page = opened("report")
    page.click("#picture-0-1 img")
    assert page.locator(":popover-open figcaption").inner_text() == "Edges"
    assert violations(page) == {}
    page.click("#picture-0-1 img")
    assert page.locator(":popover-open").count() == 0


@pytest.mark.slow
def test_photos_of_a_gallery_are_opened_by_keyboard(opened):
    page = opened("gallery")
    page.locator(".card").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    assert page.locator("#zoom-name").inner_text().startswith("b.jpg")
    assert violations(page) == {}
    page.keyboard.press("Escape")
    assert not page.locator("#zoom").is_visible()
    assert page.evaluate("document.activeElement.dataset.photo") == "1"


@pytest.mark.slow
@pytest.mark.parametrize(("name", "gone"), [("gallery", "#bar"), ("report", ":popover-open")])
def test_print_shows_pictures_on_white(opened, name, gone):
    page = opened(name, "dark")
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.emulate_media(media="print", color_scheme="dark")
    printed = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert dark == "rgb(20, 22, 26)" and printed == "rgb(246, 246, 243)"
    assert page.locator(f"{gone}:visible").count() == 0
    assert page.locator("main img").first.is_visible()
