"""The masks of a photo from Python."""

import numpy as np
import pytest
from PIL import Image

from tests.drawn_photos import write_photos
from trace_mm.apis.segmenter import GENERATORS, Segmenter, photo_segmenter
from trace_mm.commands import segment as command
from trace_mm.jobs.edge_sources import StoredEdges


@pytest.fixture
def data(tmp_path):
    write_photos(tmp_path)
    return tmp_path


def test_a_photo_may_be_a_path_an_image_or_an_array(data, flow_folder):
    segmenter = Segmenter("maskcut", backbone=str(flow_folder), device="cpu")
    path = data / "images/one.jpg"
    with Image.open(path) as image:
        found = [segmenter(photo) for photo in (path, str(path), image, np.asarray(image))]
    for one in found:
        assert np.array_equal(one.instances.masks, found[0].instances.masks)
    assert found[0].instances.size == (60, 80) and found[0].edges is None


def test_edges_may_be_given(data):
    segmenter = Segmenter(edges=StoredEdges(data / "maps"), top=3)
    found = segmenter(data / "images/one.jpg")
    assert len(found.instances) == 3 and found.edges.shape == (60, 80)
    assert repr(segmenter) == "Segmenter('edges', top=3)"


def test_by_default_the_photo_student_makes_the_edges():
    settings = Segmenter(device="cpu").photos.settings()  # nothing is loaded
    assert "trace-tiny" in repr(settings["edges"]) and settings["edges"]["device"] == "cpu"
    other = Segmenter(device="cpu", tile=64).photos.settings()
    assert other["edges"] != settings["edges"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"generator": "maskcuts"}, "generator must be one of edges, maskcut"),
        ({"generator": "maskcut", "tile": 64}, "tile has no effect"),
        ({"backbone": "trace-tiny"}, "no effect on segments of edges"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        Segmenter(device="cpu", **options)


def test_the_command_lists_all_generators():
    assert command._GENERATORS == GENERATORS


def test_generators_compute_where_they_are_told(flow_folder):
    with pytest.raises(ValueError, match="cuda:7"):
        photo_segmenter("maskcut", None, backbone=str(flow_folder), device="cuda:7")
    remote = photo_segmenter(
        "maskcut", None, backbone=str(flow_folder), device="cuda:7", elsewhere=True
    )
    assert remote.uses_accelerator and remote.on("cpu").finder.features.device == "cpu"
    near = photo_segmenter("maskcut", None, backbone=str(flow_folder), device="cpu:0")
    assert not near.uses_accelerator  # another name of the same
