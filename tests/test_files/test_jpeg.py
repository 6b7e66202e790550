"""JPEG files of pixels."""

import io

import numpy as np
import pytest
from PIL import Image

from trace_mm.files.jpeg import encode_jpeg


def test_pixels_come_back_nearly():
    pixels = np.zeros((24, 40, 3), np.uint8)
    pixels[:, :20] = (200, 40, 90)
    data = encode_jpeg(pixels, 95)
    with Image.open(io.BytesIO(data)) as image:
        assert image.format == "JPEG" and image.size == (40, 24)
        back = np.asarray(image.convert("RGB")).astype(int)
    assert np.abs(back[:, :16] - pixels[:, :16]).max() < 8
    assert encode_jpeg(pixels, 95) == data and len(encode_jpeg(pixels, 20)) < len(data)
    assert Image.open(io.BytesIO(encode_jpeg(pixels[..., 0]))).mode == "L"


def test_what_jpeg_cannot_hold():
    with pytest.raises(ValueError, match=r"shape \(1, 70000\) as JPEG"):
        encode_jpeg(np.zeros((1, 70000), np.uint8))
