"""Two folders in, scores out."""

import numpy as np
import pytest
import scipy.io
from PIL import Image

from trace_mm.apis.score_folders import score_folders
from trace_mm.datasets import instance_borders


@pytest.fixture
def folders(tmp_path):
    edges, truth = tmp_path / "edges", tmp_path / "truth"
    edges.mkdir()
    truth.mkdir()
    ids = np.zeros((30, 40), dtype=np.uint8)
    ids[8:22, 8:30] = 1
    borders = instance_borders(ids)
    Image.fromarray(ids).save(truth / "a.png")
    cells = np.empty((1, 1), dtype=object)
    cells[0, 0] = {"Boundaries": borders.astype(np.uint8)}
    scipy.io.savemat(truth / "b.mat", {"groundTruth": cells})
    for stem in ("a", "b"):
        Image.fromarray(borders.astype(np.uint8) * 255).save(edges / f"{stem}.png")
    return edges, truth


def test_perfect_edges(folders):
    scores = score_folders(*folders, workers=1, suppress=False)
    assert scores.images == 2
    assert scores.ods == scores.cldice == 1


def test_missing_files(folders, tmp_path):
    edges, _ = folders
    with pytest.raises(FileNotFoundError, match="annotations"):
        score_folders(edges, tmp_path / "nowhere", workers=1)
    with pytest.raises(FileNotFoundError, match=r"no \.png or \.mat"):
        (tmp_path / "empty").mkdir()
        score_folders(edges, tmp_path / "empty", workers=1)
    (edges / "b.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"b\.png: no such edge map"):
        score_folders(*folders, workers=1)
