"""Evidence of several images, and folders of maps that are written anew."""

import cv2
import numpy as np
import pytest
import torch

from trace_mm.evaluation.calibrated_maps import calibrate_maps, evidence_of, joined
from trace_mm.evaluation.calibration import calibrated, edge_evidence
from trace_mm.files.edge_maps import read_edge_map
from trace_mm.models import TrueEdges
from trace_mm.structures import EdgeDataSample


def test_evidence_is_what_the_model_says_of_each_image():
    items = []
    for size in (20, 30):
        border = np.zeros((1, size, size), bool)
        border[0, :, size // 2] = True
        sample = EdgeDataSample(gt_edges=border)
        items.append({"inputs": torch.zeros(3, size, size), "data_samples": sample})
    found = [evidence_of(TrueEdges(), item) for item in items]
    for (values, true), item in zip(found, items, strict=True):
        border = item["data_samples"].gt_edges
        expected = edge_evidence(border[0].astype(np.float32), border)
        np.testing.assert_array_equal(values, expected[0])
        assert true.all() and len(true) == len(values)
    values, true = joined(found)
    assert len(values) == len(true) == sum(len(values) for values, _ in found)


def test_maps_of_all_kinds_are_written_by_the_same_names(tmp_path):
    edges = np.linspace(0, 1, 20, dtype=np.float32).reshape(4, 5)
    (tmp_path / "maps/below").mkdir(parents=True)
    np.save(tmp_path / "maps/a.npy", edges)
    cv2.imwrite(str(tmp_path / "maps/below/b.png"), np.rint(edges * 255).astype(np.uint8))
    (tmp_path / "maps/note.txt").write_text("no map")
    assert calibrate_maps(tmp_path / "maps", tmp_path / "out", 0.5, -1.0) == 2
    for name in ("a.png", "below/b.png"):
        found = read_edge_map(tmp_path / "out" / name)
        np.testing.assert_allclose(found[:, :-1], calibrated(edges, 0.5, -1.0)[:, :-1], atol=0.01)
    (tmp_path / "maps/c.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"c\.png"):
        calibrate_maps(tmp_path / "maps", tmp_path / "out", 0.5, -1.0)
