"""HEIC photos are read where the extra is installed, and say what to install where it is not."""

import struct
import sys

import numpy as np
import pytest
from PIL import Image

from trace_mm.files import load_image, walk_images
from trace_mm.files.heif import _register, is_avif, is_heif

PIXELS = np.kron(np.arange(12).reshape(3, 4) * 20, np.ones((16, 16))).astype(np.uint8)


def header(brand, *others):
    body = b"ftyp" + brand + b"\0\0\0\0" + b"".join(others)
    return struct.pack(">I", 4 + len(body)) + body


@pytest.mark.parametrize(
    ("data", "heif", "avif"),
    [
        (header(b"heic", b"mif1"), True, False),
        (header(b"mif1", b"heix"), True, False),
        (header(b"mif1"), True, False),
        (header(b"mif1", b"avif"), False, True),
        (header(b"avif", b"mif1", b"miaf"), False, True),
        (header(b"isom", b"mp42"), False, False),
        (header(b"heic")[:12], True, False),
        (b"\0\0\0\x10ftyp", False, False),
        (b"", False, False),
    ],
)
def test_what_a_file_is(data, heif, avif):
    assert (is_heif(data), is_avif(data)) == (heif, avif)


def test_without_the_package_a_line_says_what_to_install(tmp_path, monkeypatch):
    _register.cache_clear()
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    (tmp_path / "photo.HEIC").write_bytes(header(b"heic", b"mif1"))
    (path,) = walk_images(tmp_path)
    with pytest.raises(ValueError, match=r"photo\.HEIC: .* pip install pillow-heif"):
        load_image(path)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_photos_are_read_upright(tmp_path, orientation):
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()  # to write one
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "photo.heic"
    Image.fromarray(PIXELS).convert("RGB").save(path, "HEIF", quality=100, exif=exif.tobytes())
    expected = np.rot90(PIXELS, {1: 0, 3: 2, 6: -1, 8: 1}[orientation]) / 255
    np.testing.assert_allclose(load_image(path)[:, :, 1], expected, atol=0.05)


def test_a_damaged_photo_is_named(tmp_path):
    pytest.importorskip("pillow_heif")
    path = tmp_path / "photo.heic"
    path.write_bytes(header(b"heic", b"mif1") + b"nonsense" * 20)
    with pytest.raises(ValueError, match=r"photo\.heic"):
        load_image(path)
