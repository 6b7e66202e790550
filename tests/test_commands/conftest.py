"""Images and a quick model for commands."""

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    for index in range(4):
        pixels = np.random.default_rng(index).integers(0, 256, (16, 20, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / ("sub" if index % 2 else "") / f"{index}.png")
    return folder


@pytest.fixture
def sobel(tmp_path):
    path = tmp_path / "sobel.py"
    path.write_text('model = dict(type="SobelDetector")\n')
    return str(path)
