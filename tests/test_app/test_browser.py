"""The page in a browser. Needs Gradio, playwright and a Chromium (``CHROMIUM``, or on the path)."""

from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from tests.test_app.held_page import HeldModels, held_page
from tests.test_app.served_page import served_page, write_photo

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytest.importorskip("gradio", reason="Gradio is not installed")
pytestmark = pytest.mark.slow
PATIENCE = 180_000  # milliseconds: machines are busy while tests run
INPUT = "#photos input[type=file]"
VIDEO = "document.querySelector('#webcam video')"


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    with served_page(tmp_path_factory.mktemp("app")) as page:
        yield page.address


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


def _described(tab):
    return tab.locator("#said").inner_text().strip()


def _choose(tab, name):
    tab.locator("#which input").click()
    tab.get_by_role("option", name=name).click()


def _set(tab, slider, value):
    number = tab.locator(f"#{slider} input[type=number]")
    number.fill(str(value))
    number.blur()  # a slider that needs a pass waits until it is let go


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
    _set(tab, "timestep", 150)
    tab.get_by_text("edges at t = 150").wait_for()
    picture = tab.locator("#image img").get_attribute("src")
    _choose(tab, "other.png")
    tab.wait_for_function(
        "before => document.querySelector('#image img').src !== before", arg=picture
    )
    tab.get_by_text("edges at t = 150").wait_for()
    with tab.expect_download() as download:
        tab.get_by_text("Download COCO").click()
    assert download.value.suggested_filename == "other-coco.json"


def test_a_broken_photo(tab, photo, tmp_path):
    _opened(tab, photo)
    (tmp_path / "broken.png").write_bytes(photo.read_bytes()[:100])
    _upload(tab, tmp_path / "broken.png")
    tab.locator("#said .fault").get_by_text("broken.png: damaged").wait_for()
    assert tab.get_by_text("Traceback").count() == 0
    assert tab.locator("#image img, #edges img, #masks img").count() == 0  # of the one before


def test_ignored_edges_enclose_nothing(tab, photo):
    _opened(tab, photo)
    before = _described(tab)
    assert not before.startswith("0 of ")
    _set(tab, "threshold", 1)
    tab.get_by_text("0 of 0 masks").wait_for()
    _set(tab, "threshold", 0)
    tab.get_by_text(before).wait_for()


def test_masks_of_another_program(tab, photo, tmp_path):
    _opened(tab, photo)
    ids = np.zeros((60, 80), np.uint8)
    ids[14:42, 12:30], ids[20:46, 46:70] = 1, 2
    Image.fromarray(ids).save(tmp_path / "ids.png")
    tab.get_by_text("Refine masks of your own").click()
    tab.set_input_files("#own-masks input[type=file]", str(tmp_path / "ids.png"))
    tab.get_by_text("2 of 2 masks").wait_for()
    Image.fromarray(ids[:50]).save(tmp_path / "small.png")
    tab.locator("#own-masks button[aria-label=Clear]").click()
    tab.set_input_files("#own-masks input[type=file]", str(tmp_path / "small.png"))
    tab.get_by_text("small.png").first.wait_for()
    tab.get_by_test_id("toast-body").wait_for()
    assert _described(tab).startswith("2 of 2 masks")  # what was there stays


def test_a_picture_of_the_webcam(tab, photo):
    _opened(tab, photo)
    tab.get_by_text("Webcam").first.click()
    tab.get_by_text("Click to Access Webcam").click()
    tab.wait_for_function(f"{VIDEO}?.readyState === 4 && {VIDEO}.videoWidth > 80")
    width, height = tab.evaluate(f"[{VIDEO}.videoWidth, {VIDEO}.videoHeight]")
    tab.get_by_label("capture photo").click()
    tab.get_by_text(f"{width} × {height} pixels").wait_for()
    shown = tab.locator("#image img").evaluate("image => [image.naturalWidth, image.naturalHeight]")
    assert max(shown) > 80 and abs(shown[0] * height - shown[1] * width) <= width
    tab.locator("#webcam button[aria-label='Remove Image']").click()
    tab.get_by_text("80 × 60 pixels").wait_for()  # the photo that is left


def test_what_was_chosen_last_is_shown_at_last(browser, tmp_path):
    """Choices while a pass runs: the last of each waits, and what was between is not computed."""
    models = HeldModels()
    with held_page(models, tmp_path / "app") as address:
        tab = browser.new_page(viewport={"width": 1400, "height": 900})
        tab.set_default_timeout(PATIENCE)
        tab.goto(address)
        wide = write_photo(tmp_path / "wide.png")
        tall = write_photo(tmp_path / "tall.png", turned=True)
        models.let_through(1)
        _upload(tab, wide, tall)
        tab.get_by_text("80 × 60 pixels").wait_for()
        tab.get_by_text("Model", exact=True).first.click()
        _choose(tab, "tall.png")
        models.wait_for(2)  # it runs, and is held
        _set(tab, "timestep", 150)
        _choose(tab, "wide.png")
        _set(tab, "timestep", 250)
        _set(tab, "number", 1)
        models.let_through(2)
        tab.get_by_text("80 × 60 pixels, edges at t = 250").wait_for()
        assert models.asked == [("wide.png", 0), ("tall.png", 0), ("wide.png", 250)]
        assert _described(tab).startswith("1 of ")
        models.fault = "the disk is on fire"
        _choose(tab, "tall.png")
        models.wait_for(4)
        _choose(tab, "wide.png")
        _set(tab, "timestep", 350)
        models.let_through(1)
        models.wait_for(5)  # after a pass that failed, what waits goes on
        models.fault = ""
        models.let_through(1)
        tab.get_by_text("80 × 60 pixels, edges at t = 350").wait_for()
        assert models.asked[3:] == [("tall.png", 250), ("wide.png", 350)]
        tab.close()


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
