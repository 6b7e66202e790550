"""Edges from a folder."""

import os

import cv2
import numpy as np
import pytest
import torch

from trace_mm.models import EdgeFolder
from trace_mm.structures import EdgeDataSample

EDGES = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)


def look_up(folder, stem="photo", size=(3, 4), **options):
    sample = EdgeDataSample(metainfo={"img_path": f"elsewhere/{stem}.jpg", "image_id": 1})
    model = EdgeFolder(str(folder), **options)
    return model([torch.zeros(3, *size)], [sample])[0].pred_edges


@pytest.mark.parametrize(("dtype", "white"), [(np.uint8, 255), (np.uint16, 65535)])
def test_png(tmp_path, dtype, white):
    cv2.imwrite(str(tmp_path / "photo.png"), np.rint(EDGES * white).astype(dtype))
    edges = look_up(tmp_path)
    assert edges.dtype == torch.float32
    np.testing.assert_allclose(edges, EDGES, atol=0.6 / white)
    np.testing.assert_allclose(look_up(tmp_path, invert=True), 1 - EDGES, atol=0.6 / white)


def test_grey_png_with_three_channels(tmp_path):
    grey = np.rint(EDGES * 255).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "photo.png"), np.repeat(grey[..., None], 3, axis=2))
    np.testing.assert_allclose(look_up(tmp_path), EDGES, atol=0.003)


def test_arrays(tmp_path):
    np.savez(tmp_path / "photo.npz", edges=EDGES, other=np.zeros(3))
    np.save(tmp_path / "second.npy", EDGES.astype(np.float64))
    np.savez(tmp_path / "third.npz", anything=EDGES.astype(np.float16))
    for stem in ("photo", "second", "third"):
        np.testing.assert_allclose(look_up(tmp_path, stem), EDGES, atol=1e-3)


def test_image_without_a_file_is_found_by_its_id(tmp_path):
    np.save(tmp_path / "scene-1-000002.npy", EDGES)
    sample = EdgeDataSample(metainfo={"img_path": None, "image_id": "scene-1-000002"})
    result = EdgeFolder(str(tmp_path))([torch.zeros(3, 3, 4)], [sample])
    np.testing.assert_array_equal(result[0].pred_edges, EDGES)


def test_errors_name_the_file_and_the_cause(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere.*no such folder"):
        EdgeFolder(str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match=r"photo\.png.*no such edge map"):
        look_up(tmp_path)
    np.save(tmp_path / "photo.npy", EDGES)
    with pytest.raises(ValueError, match=r"photo\.npy.*\(3, 4\).*image is \(5, 4\)"):
        look_up(tmp_path, size=(5, 4))
    (tmp_path / "broken.png").write_bytes(b"not a png")
    with pytest.raises(ValueError, match=r"broken\.png.*not a readable image"):
        look_up(tmp_path, "broken")
    (tmp_path / "broken2.npz").write_bytes(b"PK not a zip")
    with pytest.raises(ValueError, match=r"broken2\.npz.*not a readable"):
        look_up(tmp_path, "broken2")
    cv2.imwrite(str(tmp_path / "colour.png"), np.eye(3, dtype=np.uint8)[None] * 255)
    with pytest.raises(ValueError, match=r"colour\.png.*colours"):
        look_up(tmp_path, "colour")
    np.save(tmp_path / "large.npy", EDGES * 255)
    with pytest.raises(ValueError, match=r"large\.npy.*in \[0, 1\]"):
        look_up(tmp_path, "large")
    np.savez(tmp_path / "two.npz", a=EDGES, b=EDGES)
    with pytest.raises(ValueError, match=r"two\.npz.*no array named edges"):
        look_up(tmp_path, "two")
    with pytest.raises(ValueError, match="data_samples"):
        EdgeFolder(str(tmp_path))([torch.zeros(3, 3, 4)])


def test_names_that_are_not_utf8(tmp_path):
    name = os.fsdecode(b"caf\xe9")
    (tmp_path / f"{name}.png").write_bytes(cv2.imencode(".png", np.full((3, 4), 51, "u1"))[1])
    np.testing.assert_allclose(look_up(tmp_path, name), 0.2)
    (tmp_path / f"{name}.png").write_bytes(b"")
    with pytest.raises(ValueError, match="not a readable image"):
        look_up(tmp_path, name)


def test_paths_count_from_the_folder_of_images(tmp_path):
    for name, value in (("x/1", 0.25), ("y/1", 0.5)):
        (tmp_path / name).parent.mkdir()
        np.save(tmp_path / f"{name}.npy", np.full((3, 4), value, dtype=np.float32))
    paths = [f"data/images/{name}.jpg" for name in ("x/1", "y/1")]
    model = EdgeFolder(str(tmp_path))
    model.expect(paths, root="data/images")
    samples = [EdgeDataSample(metainfo={"img_path": path}) for path in paths]
    found = model([torch.zeros(3, 3, 4)] * 2, samples)
    assert [float(sample.pred_edges[0, 0]) for sample in found] == [0.25, 0.5]
    np.save(tmp_path / "1.npy", np.zeros((3, 4), dtype=np.float32))
    (tmp_path / "y" / "1.npy").unlink()
    with pytest.raises(ValueError, match=r"may be the edge map of y/1\.jpg or of x/1\.jpg"):
        EdgeFolder(str(tmp_path)).expect(paths, root="data/images")


def test_images_without_a_map(tmp_path):
    np.save(tmp_path / "b.npy", EDGES)
    model = EdgeFolder(str(tmp_path))
    assert model.without_map(["x/a.jpg", "x/b.jpg", "x/c.jpg"]) == ["x/a.jpg", "x/c.jpg"]
