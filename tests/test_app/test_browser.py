"""The page in a browser. Needs Gradio, playwright and a Chromium (``CHROMIUM``, or on the path)."""

import os
import shutil
from itertools import pairwise

import pytest

from tests.test_app.served_page import served_page, write_photo

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytest.importorskip("gradio", reason="Gradio is not installed")
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium"),
]
PATIENCE = 60_000  # milliseconds
INPUT = "#photos input[type=file]"


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    with served_page(tmp_path_factory.mktemp("app")) as page:
        yield page.address


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        options = ["--no-sandbox"]  # which a container does not have
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        yield browser
        browser.close()


@pytest.fixture
def photo(tmp_path):
    return write_photo(tmp_path / "two.png")


@pytest.fixture
def tab(browser, address):
    tab = browser.new_page(viewport={"width": 1400, "height": 900})
    tab.set_default_timeout(PATIENCE)
    tab.asked = []
    tab.on("request", lambda request: tab.asked.append(request.url))
    tab.goto(address)
    yield tab
    tab.close()


def _upload(tab, *photos):
    tab.set_input_files(INPUT, [str(photo) for photo in photos])


def _opened(tab, photo):
    _upload(tab, photo)
    tab.get_by_text("80 × 60 pixels").wait_for()


def test_upload_slider_and_downloads(tab, photo):
    _opened(tab, photo)
    for place in ("image", "edges", "masks"):
        assert tab.locator(f"#{place} img").evaluate("image => image.naturalWidth") == 80
    before = tab.locator("#masks img").get_attribute("src")
    number = tab.locator("#number input[type=number]")
    number.fill("1")
    number.press("Enter")
    tab.get_by_text("1 of ").wait_for()
    tab.wait_for_function(
        "before => document.querySelector('#masks img').src !== before", arg=before
    )
    names = []
    for label in ("COCO", "LabelMe", "PNG"):
        with tab.expect_download() as download:
            tab.get_by_text(f"Download {label}").click()
        names.append(download.value.suggested_filename)
    assert names == ["two-coco.json", "two-labelme.json", "two-png.zip"]
    addresses = [url for url in tab.asked if url.startswith("http")]
    assert addresses and all("//127.0.0.1:" in url for url in addresses)  # and nobody else


def test_a_click_shows_attention_and_the_curve(tab, photo):
    _opened(tab, photo)
    tab.get_by_role("tab", name="Attention").click()
    tab.locator("#pixel img").click()
    tab.locator("#curve svg.curve").wait_for()
    captions = tab.locator("#attention .caption-label").all_inner_texts()
    assert [caption.split(" = ")[1] for caption in captions] == ["0", "100", "200", "300", "400"]
    assert sum(caption.startswith("t*") for caption in captions) == 1


def test_several_photos_and_another_timestep(tab, photo, tmp_path):
    other = write_photo(tmp_path / "other.png", shade=90)
    _upload(tab, photo, other)
    tab.get_by_text("80 × 60 pixels").wait_for()
    tab.get_by_text("Model", exact=True).first.click()
    step = tab.locator("#timestep input[type=number]")
    step.fill("150")
    step.blur()  # a slider that needs a pass waits until it is let go
    tab.get_by_text("edges at t = 150").wait_for()
    picture = tab.locator("#image img").get_attribute("src")
    tab.locator("#which input").click()
    tab.get_by_role("option", name="other.png").click()
    tab.wait_for_function(
        "before => document.querySelector('#image img').src !== before", arg=picture
    )
    tab.get_by_text("edges at t = 150").wait_for()
    with tab.expect_download() as download:
        tab.get_by_text("Download COCO").click()
    assert download.value.suggested_filename == "other-coco.json"


def test_a_broken_photo(tab, photo, tmp_path):
    (tmp_path / "broken.png").write_bytes(photo.read_bytes()[:100])
    _upload(tab, tmp_path / "broken.png")
    tab.get_by_text("broken.png: damaged").first.wait_for()
    assert tab.get_by_text("Traceback").count() == 0


def test_a_narrow_screen(browser, address, photo):
    tab = browser.new_page(viewport={"width": 360, "height": 740})
    tab.set_default_timeout(PATIENCE)
    tab.goto(address)
    tab.locator(INPUT).wait_for(state="attached")
    _opened(tab, photo)
    assert tab.evaluate("document.documentElement.scrollWidth") <= 360
    boxes = [tab.locator(f"#{place}").bounding_box() for place in ("image", "edges", "masks")]
    assert all(lower["y"] > upper["y"] for upper, lower in pairwise(boxes))
    assert all(box["x"] >= 0 and box["x"] + box["width"] <= 360 for box in boxes)
    tab.close()
