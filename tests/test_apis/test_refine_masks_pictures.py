"""Pictures of a refinement: drawn of what is there, and gone with what they show."""

import pytest
from PIL import Image

from tests.test_apis.test_refine_masks import NAMES, Counted, refine, true_edges
from tests.touching_squares import SIZE, change_json, write_data
from trace_mm.jobs.edge_sources import PredictedEdges


@pytest.fixture
def data(tmp_path):
    return write_data(tmp_path / "data")


def test_pictures(data, tmp_path):
    out, show_dir = tmp_path / "refined.json", tmp_path / "pictures"
    refine(data, out)
    before = out.read_bytes()
    edges = Counted(data / "edges")
    refine(data, out, edges, show_dir=show_dir)
    assert edges.names == NAMES
    assert sorted(path.name for path in show_dir.iterdir()) == NAMES
    picture = Image.open(show_dir / NAMES[0])
    assert picture.height > SIZE[0]
    assert picture.width > 3 * SIZE[1]
    drawn = (show_dir / NAMES[2]).read_bytes()
    (show_dir / NAMES[2]).unlink()
    edges = Counted(data / "edges")
    refine(data, out, edges, show_dir=show_dir)
    assert edges.names == [NAMES[2]]
    assert (show_dir / NAMES[2]).read_bytes() == drawn
    assert out.read_bytes() == before


def test_pictures_go_with_what_they_show(data, tmp_path):
    """Of images that fail later, or are no longer there; what others have drawn stays."""
    out, pictures = tmp_path / "refined.json", tmp_path / "pictures"
    edges = PredictedEdges(true_edges, {"model": "stub"})
    refine(data, out, edges, show_dir=pictures)
    (pictures / "mine.png").write_bytes(b"mine")
    (data / "photos" / NAMES[0]).write_bytes(b"broken")
    assert list(refine(data, out, edges, show_dir=pictures).failed) == [NAMES[0]]
    assert sorted(path.name for path in pictures.iterdir()) == [*NAMES[1:], "mine.png"]
    (pictures / NAMES[1]).write_bytes(b"mine, too")
    change_json(
        data / "masks.json",
        lambda content: content.update(
            images=content["images"][2:],
            annotations=[one for one in content["annotations"] if one["image_id"] > 2],
        ),
    )
    refine(data, out, edges, show_dir=pictures, overwrite=True)
    assert sorted(path.name for path in pictures.iterdir()) == [*NAMES[1:], "mine.png"]
    assert (pictures / NAMES[1]).read_bytes() == b"mine, too"
