"""The gallery page: what it holds, and that a browser shows it."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from trace_mm.files.jpeg import encode_jpeg
from trace_mm.visualization.gallery import GalleryEntry, GalleryPage, jpeg_address, render_gallery

PAGE = GalleryPage(0, ["index.html"], 2, "1.2.3")
NAME = 'a </script><b> & "b".jpg'


class Elements(HTMLParser):
    """Start tags with their attributes, and texts by the id, else the tag, that they follow."""

    def __init__(self, page):
        super().__init__()
        self.found, self.texts, self._last = [], {}, ""
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        self._last = dict(attributes).get("id", tag)

    def handle_data(self, data):
        self.texts.setdefault(self._last, []).append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.found if name == tag]


@pytest.fixture
def entries():
    picture = jpeg_address(encode_jpeg(np.full((30, 40, 3), 128, np.uint8)))
    masks = [(0.5, "m1,1l9,0 0,9 -9,0z"), (0.25, "m2,2l3,0 0,3z"), (0.125, "m5,5l3,0 0,3z")]
    return [
        GalleryEntry(NAME, (30, 40), picture, masks, "./photos/a.jpg"),
        GalleryEntry("empty.jpg", (30, 40), picture, []),
    ]


def test_every_photo_has_a_picture_and_a_name(entries):
    page = render_gallery(entries, PAGE)
    elements = Elements(page)
    images = [image for image in elements.all("img") if image.get("src")]
    assert [image["alt"] for image in images] == [NAME, "empty.jpg"]
    assert [image["src"] for image in images] == [entry.picture for entry in entries]
    assert len([one for one in elements.all("button") if one.get("class") == "card"]) == 2
    assert (
        "3 masks" in page
        and "0 masks" in page
        and elements.texts["h1"][:1] == ["Masks of 2 photos"]
    )


def test_the_script_gets_the_outlines_whatever_the_names(entries):
    page = render_gallery(entries, PAGE)
    data = re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1]
    first, second = json.loads(data)
    assert first["name"] == NAME and first["size"] == [30, 40]
    assert [tuple(mask) for mask in first["masks"]] == entries[0].masks
    assert (first["original"], second["masks"]) == ("./photos/a.jpg", [])


def test_nothing_is_loaded_from_elsewhere(entries):
    page = render_gallery(entries, PAGE)
    elements = Elements(page)
    assert not re.search(r"https?://|@import|url\(", page)
    assert not elements.all("link") and all("src" not in one for one in elements.all("script"))
    policies = [one.get("content", "") for one in elements.all("meta")]
    assert any("default-src 'none'" in policy for policy in policies)


def test_every_control_has_a_name(entries):
    elements = Elements(render_gallery(entries, PAGE))
    for button in elements.all("button"):
        assert button.get("class") == "card" or button["aria-label"]
    assert len(elements.all("label")) == 3
    top, score = elements.all("input")
    assert (top["max"], top["value"], score["max"]) == ("3", "3", "0.50")


def test_pages_lead_to_each_other(entries):
    page = GalleryPage(1, ["index.html", "index-2.html"], 9, "1.2.3")
    elements = Elements(render_gallery(entries, page))
    links = elements.all("a")
    assert [link["href"] for link in links] == ["index.html", "index-2.html"] * 2
    assert [link.get("aria-current") for link in links] == [None, "page"] * 2
    assert elements.texts["h1"][:1] == ["Masks of 9 photos"]


@pytest.mark.parametrize(("state", "shown"), [("", 3), ("#top=2", 2), ("#score=0.3&top=2", 1)])
def test_a_browser_shows_what_the_sliders_say(browser, entries, tmp_path, state, shown):
    path = tmp_path / "index.html"
    path.write_text(render_gallery(entries, PAGE), encoding="utf-8")
    page = browser.new_page()
    page.goto(path.as_uri() + state)
    page.get_by_text(f"{shown} masks are shown.").wait_for(timeout=180_000)  # on busy machines
    texts = Elements(page.content()).texts
    assert f"{shown} of 3 masks" in texts["span"] and "0 of 0 masks" in texts["span"]
    page.close()
