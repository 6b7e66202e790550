"""The page over HTTP, from a really started server. Needs Gradio."""

import json
import socket
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.test_app.served_page import served_page, write_photo

gradio_client = pytest.importorskip("gradio_client", reason="Gradio is not installed")
pytest.importorskip("gradio", reason="Gradio is not installed")

VIEW = (0, 20, 0)
READING = ("trace-tiny", "trace-tiny", 64, 0)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    with served_page(tmp_path_factory.mktemp("app"), "--max-pixels", "6000") as page:
        yield page


@pytest.fixture
def client(page, tmp_path):
    return gradio_client.Client(page.address, verbose=False, download_files=str(tmp_path / "got"))


@pytest.fixture
def photo(tmp_path):
    return write_photo(tmp_path / "two.png")


def _read(client, *photos, view=VIEW):
    """The line and the pictures of the first of some photos."""
    files = [gradio_client.handle_file(str(photo)) for photo in photos]
    choice = client.predict(None, files, None, api_name="/photos")
    return _read_chosen(client, choice["value"], view)


def _read_chosen(client, number, view=VIEW):
    image, clicked = client.predict(number, *READING, api_name="/read")
    said, edges, masks = client.predict(*view, api_name="/view")
    return said, image, edges, masks, clicked


def test_a_photo_its_edges_and_its_masks(client, photo):
    said, image, edges, masks, clicked = _read(client, photo)
    assert "80 × 60 pixels, edges at t = " in said
    for picture in (image, edges, masks, clicked):
        assert Image.open(picture).size == (80, 60)
    assert np.asarray(Image.open(edges)).max() > 0


def test_sliders_change_the_pictures(client, photo):
    said = _read(client, photo)[0]
    count = int(said.split(" of ")[1].split()[0])
    assert count >= 2
    said, edges, _ = client.predict(0, 1, 0, api_name="/view")
    assert f"1 of {count} masks" in said and np.asarray(Image.open(edges)).any()
    said, edges, _ = client.predict(0, 100, 1, api_name="/view")
    assert ">0 of " in said  # nothing but the photo is enclosed by what is as strong as 1
    strong = np.asarray(Image.open(edges).convert("L"))
    assert set(np.unique(strong)) <= {0, 255}


def test_the_masks_that_are_shown_are_downloaded(client, photo):
    _read(client, photo)
    path = client.predict(0, 2, 0, api_name="/download_coco")
    content = json.loads(Path(path).read_text())
    assert content["images"][0]["file_name"] == "two.png"
    assert len(content["annotations"]) == 2


def test_masks_of_another_program_are_refined(client, photo, tmp_path):
    _read(client, photo)
    ids = np.zeros((60, 80), np.uint8)
    ids[14:42, 12:30] = 1
    Image.fromarray(ids).save(tmp_path / "ids.png")
    masks = gradio_client.handle_file(str(tmp_path / "ids.png"))
    client.predict(masks, api_name="/refine")
    said, *_ = client.predict(*VIEW, api_name="/view")
    assert "1 of 1 masks" in said


def test_what_is_wrong_with_a_photo_is_said(client, photo, tmp_path):
    """And nothing of the photo before it is left, neither pictures nor masks to download."""
    _read(client, photo)
    (tmp_path / "broken.png").write_bytes(photo.read_bytes()[:100])
    Image.new("RGB", (100, 61)).save(tmp_path / "large.png")
    for name, cause in (("broken.png", "damaged"), ("large.png", "100 x 61 pixels")):
        said, *pictures = _read(client, tmp_path / name)
        assert 'class="fault"' in said and name in said and cause in said
        assert pictures == [None] * 4
        with pytest.raises(gradio_client.exceptions.AppError, match=cause):
            client.predict(*VIEW, api_name="/download_coco")


def test_photos_are_listed_as_they_come_and_go(client, photo, tmp_path):
    other = write_photo(tmp_path / "other.png", shade=90)
    one, two = (gradio_client.handle_file(str(path)) for path in (photo, other))

    def listed(shown, files, webcam=None):
        choice = client.predict(shown, files, webcam, api_name="/photos")
        return choice["choices"], choice["value"]

    assert listed(None, [one]) == ([["two.png", 1]], 1)
    assert listed(1, [one, two]) == ([["two.png", 1], ["other.png", 2]], 2)  # the new one is shown
    assert listed(1, [one, two]) == ([["two.png", 1], ["other.png", 2]], 1)  # nothing is new
    assert listed(1, [two]) == ([["other.png", 2]], 2)  # the one that was shown is gone
    assert listed(2, [one]) == ([["two.png", 3]], 3)  # a number stands for one upload
    assert listed(3, [one], two) == ([["two.png", 3], ["other.png", 4]], 4)  # from the webcam
    assert listed(4, None) == ([], None)
    assert _read_chosen(client, None)[1:] == (None,) * 4


def test_no_file_but_an_uploaded_one_is_read(client, photo):
    """A number that stands for nothing is refused, and there is no way to name a path."""
    _read(client, photo)
    with pytest.raises(gradio_client.exceptions.AppError, match="not in the list"):
        client.predict(7, *READING, api_name="/read")


def test_browsers_do_not_see_each_other(page, client, photo):
    _read(client, photo)
    other = gradio_client.Client(page.address, verbose=False)
    with pytest.raises(gradio_client.exceptions.AppError, match="drop a photo first"):
        other.predict(*VIEW, api_name="/download_coco")


def test_it_listens_to_this_machine_alone(page):
    port = int(page.address.rstrip("/").rpartition(":")[2])
    listening = {
        line.split()[1].split(":")[0]
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
        if line.split()[3] == "0A" and line.split()[1].endswith(f":{port:04X}")
    }
    loopback = socket.inet_aton("127.0.0.1")[::-1].hex().upper()
    assert listening == {loopback}


def test_large_files_are_refused_and_no_file_is_left(tmp_path, photo):
    with served_page(tmp_path / "app", "--max-megabytes", "1") as page:
        client = gradio_client.Client(page.address, verbose=False)
        _read(client, photo)
        assert page.left_behind()  # while it runs, uploads are somewhere
        (tmp_path / "long.png").write_bytes(bytes(1_000_001))
        with pytest.raises(Exception, match=r"413|maximum|size"):
            _read(client, tmp_path / "long.png")
    assert page.left_behind() == []
