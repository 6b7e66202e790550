"""The gallery: page, list, pictures and photos agree, and stay small."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tools import draw_gallery

DOCS = Path(__file__).parents[2] / "docs"
FOLDER = DOCS / draw_gallery.FOLDER
LICENCES = re.compile(r"public domain|no known copyright restrictions|CC0|CC BY(-SA)? [234]\.0")


@pytest.fixture(scope="module")
def entries():
    return draw_gallery.read_list(FOLDER / "list.csv")


def test_there_are_24_photos_and_12_scenes(entries):
    scenes = [entry.scene for entry in entries if entry.scene is not None]
    photos = [entry for entry in entries if entry.scene is None]
    assert (len(photos), scenes) == (24, list(range(12)))
    names = [entry.file.lower() for entry in photos]
    assert names == sorted(names)  # the rule that the page states


def test_the_page_is_made_of_the_list(entries):
    page = (DOCS / "gallery.md").read_text(encoding="utf-8")
    assert draw_gallery.page(page, entries) == page


def test_a_page_without_the_mark_is_refused(entries):
    with pytest.raises(ValueError, match="no line"):
        draw_gallery.page("# Gallery\n", entries)


def test_each_entry_has_a_picture_and_no_picture_is_left_over(entries):
    page = (DOCS / "gallery.md").read_text(encoding="utf-8")
    shown = re.findall(r"!\[([^]]+)\]\(images/gallery/([\w-]+)\.webp\)", page)
    assert [name for _, name in shown] == [entry.name for entry in entries]
    assert {path.stem for path in FOLDER.glob("*.webp")} == {name for _, name in shown}
    assert len({alt for alt, _ in shown}) == len(shown)  # no two are called the same
    photos = {path.stem for path in (FOLDER / "photos").glob("*.jpg")}
    assert photos == {entry.name for entry in entries if entry.scene is None}


def test_everybody_is_named(entries):
    for entry in entries:
        assert len(entry.problem) > 20, f"{entry.name} says nothing of what went wrong"
        if entry.scene is None:
            assert entry.author and entry.package, entry.name
            assert LICENCES.fullmatch(entry.licence), f"{entry.name}: {entry.licence}"


def test_pictures_are_small(entries):
    files = [path for path in FOLDER.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 3e6
    for entry in entries:
        with Image.open(FOLDER / f"{entry.name}.webp") as strip:
            assert strip.height <= draw_gallery.BOX[0]
            assert strip.width <= 4 * draw_gallery.BOX[1] + 3 * draw_gallery.GAP
        if entry.scene is None:
            with Image.open(FOLDER / "photos" / f"{entry.name}.jpg") as photo:
                assert max(photo.size) <= 480


@pytest.mark.slow  # a teacher and a student of a scene
def test_a_strip_shows_the_scene_and_what_was_found(entries, monkeypatch):
    monkeypatch.setattr(draw_gallery, "SCENE", (64, 64))
    (entry,) = [entry for entry in entries if entry.name == "scene-0"]
    ((found, strip),) = draw_gallery.strips([entry], FOLDER / "photos")
    assert found == entry
    side = draw_gallery.BOX[0]
    assert strip.shape == (side, 4 * side + 3 * draw_gallery.GAP, 3)
    parts = [strip[:, start : start + side] for start in range(0, strip.shape[1], side + 6)]
    scene = draw_gallery._image(entry, FOLDER)
    assert parts[0].mean() == pytest.approx(255 * scene.mean(), abs=4)
    for edges in parts[1:3]:  # dark lines on white, of one grey each
        assert (edges[..., 0] == edges[..., 2]).all() and edges.min() < 40 and edges.max() == 255
    assert (parts[3] != parts[0]).any()
    assert np.asarray(Image.open(FOLDER / "scene-0.webp")).shape == strip.shape
