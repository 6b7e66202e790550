"""Which edge map is an image's."""

import itertools
import pickle

import numpy as np
import pytest

from trace_mm.files.edge_maps import EdgeMaps, read_edge_map, write_edge_map

SIZE = (2, 3)


def write_map(folder, name, value=0.0):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path.with_name(f"{path.name}.npy"), np.full(SIZE, value, dtype=np.float32))


def value_of(maps, name):
    edges = maps.read(name, SIZE)
    assert edges.shape == SIZE
    return float(edges[0, 0])


def test_a_map_is_called_like_its_image_with_or_without_suffix(tmp_path):
    write_map(tmp_path, "a.jpg", 0.25)
    write_map(tmp_path, "a", 0.5)
    write_map(tmp_path, "photo.v2", 0.75)
    maps = EdgeMaps(tmp_path)
    assert value_of(maps, "a.jpg") == 0.25  # as trace-mm edges calls it beside another a
    assert value_of(maps, "photo.v2.png") == value_of(maps, "photo.v2") == 0.75
    assert EdgeMaps(tmp_path, invert=True).read("a.jpg", SIZE)[0, 0] == 0.75


def test_images_that_differ_in_folders_do_not_share_a_map(tmp_path):
    """Whichever comes first, and whichever were done in an earlier run."""
    write_map(tmp_path, "1", 0.5)
    for order in itertools.permutations(["x/1.png", "y/1.png"]):
        message = f"1.npy: it may be the edge map of {order[0]} or of {order[1]}"
        with pytest.raises(ValueError, match=message):
            EdgeMaps(tmp_path).expect(order)
        one, other = order
        with pytest.raises(ValueError, match=message):
            EdgeMaps(tmp_path).expect([one], [other])
    alone = EdgeMaps(tmp_path)
    alone.expect(["x/1.png"], ["x/2.png", "2.png"])
    assert value_of(alone, "x/1.png") == 0.5


def test_folders_go_before_names(tmp_path):
    for name, value in (("x/1", 0.25), ("y/1", 0.5), ("1", 0.75)):
        write_map(tmp_path, name, value)
    names = ["1.png", "x/1.png", "y/1.png", "y/2.png"]
    maps = EdgeMaps(tmp_path)
    maps.expect(names)
    assert [value_of(maps, name) for name in names[:-1]] == [0.75, 0.25, 0.5]
    assert maps.find("y/2.png") is None and maps.state("y/2.png") == ""
    (tmp_path / "y" / "1.npy").unlink()
    with pytest.raises(ValueError, match=r"of y/1\.png or of 1\.png"):
        EdgeMaps(tmp_path).expect(names)


def test_an_image_beside_another_does_not_take_its_map(tmp_path):
    write_map(tmp_path, "1", 0.5)
    maps = EdgeMaps(tmp_path)
    maps.expect(["1.png", "y/2.png"])
    with pytest.raises(ValueError, match=r"of y/1\.png or of 1\.png"):
        maps.find("y/1.png")


def test_images_that_differ_in_suffix_only_do_not_share_a_map(tmp_path):
    write_map(tmp_path, "x/1", 0.5)
    with pytest.raises(ValueError, match=r"1\.npy.*of x/1\.jpg or of x/1\.png"):
        EdgeMaps(tmp_path).expect(["x/1.jpg", "x/1.png"])
    for name, value in (("x/1.jpg", 0.25), ("x/1.png", 0.75)):
        write_map(tmp_path, name, value)
    maps = EdgeMaps(tmp_path)
    maps.expect(["x/1.jpg", "x/1.png"])
    assert [value_of(maps, name) for name in ("x/1.jpg", "x/1.png")] == [0.25, 0.75]


@pytest.mark.parametrize("kind", ["edges", "npz"])
def test_the_folder_above_is_taken_if_it_holds_results_only(tmp_path, kind):
    write_map(tmp_path / kind, "x/1", 0.5)
    (tmp_path / "manifest.jsonl").touch()
    (tmp_path / "overlay").mkdir()
    for folder in (tmp_path, tmp_path / kind):
        maps = EdgeMaps(folder)
        maps.expect(["x/1.png"])
        assert maps.folder == tmp_path / kind
        assert value_of(maps, "x/1.png") == 0.5


@pytest.mark.parametrize("other", ["1", "nested/1"])
def test_a_folder_with_maps_of_its_own_is_taken_as_it_is(tmp_path, other):
    write_map(tmp_path / "edges", "1", 0.5)  # of the image edges/1.jpg
    write_map(tmp_path, other, 0.25)
    maps = EdgeMaps(tmp_path)
    maps.expect(["edges/1.jpg", f"{other}.jpg"])
    assert [value_of(maps, name) for name in ("edges/1.jpg", f"{other}.jpg")] == [0.5, 0.25]


def test_a_folder_with_maps_of_no_image_says_what_it_holds(tmp_path):
    for name in ("first/7", "second/8", "third/9", "fourth/10"):
        write_map(tmp_path, name)
    message = (
        r"none of the 2 images; x/1\.png needs x/1\.png, .*holds first, fourth, second, \.\.\."
    )
    with pytest.raises(FileNotFoundError, match=message):
        EdgeMaps(tmp_path).expect(["x/1.png", "x/2.png"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="but it is empty"):
        EdgeMaps(tmp_path / "empty").expect(["x/1.png"])
    EdgeMaps(tmp_path).expect([])
    write_map(tmp_path / "edges", "x/1")
    with pytest.raises(FileNotFoundError, match=r"did you mean .*edges\?$"):
        EdgeMaps(tmp_path).expect(["x/1.png", "x/2.png"])


def test_workers_find_maps_without_knowing_all_images(tmp_path):
    write_map(tmp_path, "1", 0.5)
    maps = EdgeMaps(tmp_path)
    maps.expect([f"x/{number}.png" for number in range(100)])
    assert len(pickle.dumps(maps)) < 1000
    assert value_of(pickle.loads(pickle.dumps(maps)), "x/1.png") == 0.5


def test_what_is_written_is_read(tmp_path):
    edges = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)
    write_edge_map(tmp_path / "below/a.png", edges)
    np.testing.assert_allclose(read_edge_map(tmp_path / "below/a.png"), edges, atol=0.51 / 65535)
    for wrong in (edges + 0.1, edges[None], edges * np.nan, edges[:0]):
        with pytest.raises(ValueError, match=r"b\.png: edges must be \(H, W\) in \[0, 1\]"):
            write_edge_map(tmp_path / "b.png", wrong)
    assert not (tmp_path / "b.png").exists()
