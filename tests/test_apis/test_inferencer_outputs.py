"""What the inferencer writes and shows."""

import numpy as np
import pytest
from PIL import Image

from trace_mm.apis import TraceInferencer

SOBEL = {"type": "SobelDetector", "sigma": 1.0}


def _image(seed=0, size=(20, 30)):
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def test_images_are_not_written_onto(tmp_path):
    path = tmp_path / "edges" / "a.png"
    path.parent.mkdir()
    Image.fromarray(_image()).save(path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"a\.png, which is read, lies in .*edges"):
        TraceInferencer(SOBEL, device="cpu", show_progress=False)(path, out_dir=tmp_path)
    with pytest.raises(NotADirectoryError, match=r"a\.png"):
        TraceInferencer(SOBEL, device="cpu", show_progress=False)(path, out_dir=path / "out")
    assert path.read_bytes() == before


def test_few_images_draw_no_bar(capsys):
    inferencer = TraceInferencer(SOBEL, device="cpu")
    inferencer([_image()] * 3)
    assert capsys.readouterr().err == ""
    inferencer([_image()] * 4)
    assert "4/4" in capsys.readouterr().err
